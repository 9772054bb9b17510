package state_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// manyReferences returns a state with the references of authors, so many of each, its blocks, and
// the identities.
func manyReferences(b *testing.B, authors, each int) (blocks *store.Overlay, root cid.Cid) {
	b.Helper()
	ctx := b.Context()
	blocks = store.NewOverlay(store.NewMemory())
	empty, _ := unixfs.EmptyDir()
	s := state.Open(blocks, cid.Undef)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for range authors {
		secret, err := identity.Generate()
		must(err)
		must(blocks.Put(ctx, secret.Document().Block()))
		key, err := secret.At(0)
		must(err)
		for n := range each {
			at := fmt.Sprintf("root/directory-%d", n)
			r := &reference.Reference{
				Policy: reference.OwnedPolicy, Path: at, Content: dagcbor.LinkTo(empty.Cid),
				Directory: &reference.Founding{Policy: reference.OwnedPolicy, Path: at, Owner: dagcbor.LinkTo(secret.ID())},
			}
			must(r.Continue(ctx, blocks, nil))
			must(r.Sign(key, reference.Chain{Document: secret.Document()}))
			must(s.Set(ctx, r.Slot(), state.Value{Reference: r}))
		}
	}
	root, err := s.Flush(ctx, blocks)
	must(err)
	return blocks, root
}

// A rawSignature is a signature with all that it takes to verify it.
type rawSignature struct {
	key             ed25519.PublicKey
	text, signature []byte
}

// rawSignatures returns signatures of authors, so many of each. As those of references, no two are
// the same.
func rawSignatures(b *testing.B, authors, each int) []rawSignature {
	b.Helper()
	var all []rawSignature
	for range authors {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		for n := range each {
			text := make([]byte, 300) // about what is signed of a reference
			text[0] = byte(n)
			all = append(all, rawSignature{public, text, ed25519.Sign(private, text)})
		}
	}
	return all
}

// rawVerify returns how long it takes to verify signatures on all cores, and nothing else.
func rawVerify(b *testing.B, all []rawSignature) time.Duration {
	b.Helper()
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	begin := time.Now()
	for some := range slices.Chunk(all, (len(all)+workers-1)/workers) {
		group.Go(func() {
			for _, s := range some {
				if !ed25519.Verify(s.key, s.text, s.signature) {
					b.Error("a good signature is refused")
				}
			}
		})
	}
	group.Wait()
	return time.Since(begin)
}

// BenchmarkVerify joins a state with 10,000 references that are new, of 1,000 authors. The metric
// %raw is the rate by that of bare signatures on all cores.
func BenchmarkVerify(b *testing.B) {
	const authors, each = 1000, 10
	blocks, root := manyReferences(b, authors, each)
	signatures := rawSignatures(b, authors, each)
	rules := state.Rules{
		Accepts: func(cid.Cid) bool { return true },
		Mark:    func(context.Context, reference.Slot) (state.Mark, error) { return state.Mark{}, nil },
		Blocks:  blocks,
	}
	var raw time.Duration
	for b.Loop() {
		b.StopTimer()
		raw += rawVerify(b, signatures) // in turn with ours, as other work on the machine comes and goes
		b.StartTimer()
		s := state.Open(blocks, cid.Undef)
		changes, err := s.Join(b.Context(), rules, root, state.OpenProofs(blocks, cid.Undef))
		if err != nil || len(changes) != authors*each {
			b.Fatal(len(changes), err)
		}
		for _, c := range changes {
			if c.Outcome != state.New {
				b.Fatal(c.Outcome, c.Err)
			}
		}
	}
	b.ReportMetric(100*raw.Seconds()/b.Elapsed().Seconds(), "%raw")
	b.ReportMetric(float64(authors*each*b.N)/b.Elapsed().Seconds(), "references/s")
}
