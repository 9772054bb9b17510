package kubo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// maxListed is how many bytes the blocks of a manifest have together at most when Compact writes
// it: the daemon reads them all to pin it.
const maxListed = 1 << 30

// written is a manifest that is pinned.
type written struct {
	pinnedNode
	manifest
}

// manifests returns the manifests of this repository, also those whose pin has no name since a
// process was killed before it gave it one.
func (d *Daemon) manifests(ctx context.Context) (all []written, err error) {
	for range 3 { // another process may compact: then what is listed is gone when it is read
		if all, err = d.manifestsNow(ctx); !errors.Is(err, store.ErrNotFound) {
			break
		}
	}
	return all, err
}

func (d *Daemon) manifestsNow(ctx context.Context) (all []written, err error) {
	var named, nameless []pinnedNode
	err = d.listPins(ctx, "", func(p pinnedNode) {
		switch {
		case strings.HasPrefix(p.name, d.pinName(batches)):
			named = append(named, p)
		case p.name == "" && mayBeManifest(p.cid):
			nameless = append(nameless, p)
		}
	})
	if err == nil {
		all, err = d.readManifests(ctx, all, named, true)
	}
	if err == nil {
		all, err = d.readManifests(ctx, all, nameless, false)
	}
	return all, err
}

// readManifests appends those of nodes that are manifests of this repository to all. If they must
// be, others are an error.
func (d *Daemon) readManifests(ctx context.Context, all []written, nodes []pinnedNode, must bool) ([]written, error) {
	err := d.Store().GetMany(ctx, cidsOf(nodes), func(i int, data []byte, err error) error {
		var m manifest
		if err == nil {
			m, err = decodeManifest(data)
		}
		if err == nil && m.name != d.name {
			err = fmt.Errorf("%w of %s, but of %s", errNotManifest, d.name, m.name)
		}
		if !must && notOurs(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("manifest %s: %w", nodes[i].cid, err)
		}
		all = append(all, written{nodes[i], m})
		return nil
	})
	return all, err
}

// notOurs reports whether a pin that has no name is somebody else's, whatever that is.
func notOurs(err error) bool {
	return errors.Is(err, errNotManifest) || errors.Is(err, store.ErrNotFound) || errors.Is(err, errTooLong)
}

func mayBeManifest(c cid.Cid) bool {
	_, err := store.DigestOf(c)
	return err == nil && c.Version() == 1 && c.Type() == cid.DagProtobuf
}

// Each calls fn once with each block that this repository has written and that is kept, in the
// order of their digests, with its size in bytes. A block that is written meanwhile may be among
// them or not. It needs some 50 bytes of memory for each. It ends with the first error of fn.
func (s *Store) Each(ctx context.Context, fn func(d store.Digest, size int64) error) error {
	all, err := s.d.manifests(ctx)
	if err != nil {
		return err
	}
	for _, l := range union(all) {
		if err := fn(l.digest, int64(l.size)); err != nil {
			return err
		}
	}
	return nil
}

// union returns the blocks of manifests, sorted, each once.
func union(all []written) []link {
	n := 0
	for _, m := range all {
		n += len(m.links)
	}
	links := make([]link, 0, n)
	for _, m := range all {
		links = append(links, m.links...)
	}
	slices.SortFunc(links, compareLinks)
	return slices.CompactFunc(links, func(a, b link) bool { return a.digest == b.digest })
}

// CompactOptions says what [Store.Compact] does.
type CompactOptions struct {
	// Keep says of a block whether it is still wanted.
	Keep func(store.Digest) bool
	// Before, if it is not zero, has manifests that were made then or later stay as they are: those
	// of writers that may be at work, of whose blocks nobody else knows yet.
	Before time.Time
	// DryRun has it only count.
	DryRun bool
}

// Compacted is what Compact has done.
type Compacted struct {
	Kept   int64 // blocks that are kept
	Freed  int64 // blocks that are not
	Bytes  int64 // of the blocks that are not
	Before int   // manifests that there were
	After  int   // manifests that there are
}

// Compact lets go of the blocks that are not to be kept, and makes few manifests of many. New
// manifests are pinned before old ones are unpinned, and of these only such as were there when it
// began; so it may be stopped at any moment. The bytes are the daemon's until its own
// collector, "ipfs repo gc", runs. Two Compact at a time do no harm if they keep the same.
func (s *Store) Compact(ctx context.Context, opt CompactOptions) (Compacted, error) {
	all, err := s.d.manifests(ctx)
	if err != nil {
		return Compacted{}, fmt.Errorf("compact blocks: %w", err)
	}
	p := plan(all, opt)
	if opt.DryRun {
		return p.count, nil
	}
	for _, links := range p.add {
		if err := s.d.pinManifest(ctx, newManifest(s.d.name, links)); err != nil {
			return Compacted{}, fmt.Errorf("compact blocks: %w", err)
		}
	}
	for _, old := range p.remove {
		if err := s.d.unpin(ctx, old.cid); err != nil {
			return Compacted{}, fmt.Errorf("compact blocks: %w", err)
		}
	}
	return p.count, nil
}

// pinManifest pins a manifest of blocks that other manifests keep. It comes as a batch without
// blocks, which goes up again if the collector takes it before it is pinned.
func (d *Daemon) pinManifest(ctx context.Context, m manifest) error {
	return d.importBatch(ctx, &batch{manifest: m.block(), name: d.batchName(m)})
}

// compaction is what is to be done.
type compaction struct {
	add    [][]link
	remove []written
	count  Compacted
}

func plan(all []written, opt CompactOptions) compaction {
	var stay []written // of which nothing can go, or that are large and have nothing to let go of
	var p compaction
	for _, m := range all {
		young := !opt.Before.IsZero() && !m.time.Before(opt.Before)
		if young || m.pinnedNode.name != "" && m.large() && m.allKept(opt.Keep) {
			stay = append(stay, m)
		} else {
			p.remove = append(p.remove, m)
		}
	}
	held := union(stay)
	var keep []link
	for _, l := range union(p.remove) {
		if _, found := slices.BinarySearchFunc(held, l, compareLinks); found {
			continue
		}
		if opt.Keep(l.digest) {
			keep = append(keep, l)
		} else {
			p.count.Freed++
			p.count.Bytes += int64(l.size)
		}
	}
	p.add = split(keep, maxLinks, maxListed)
	if p.count.Freed == 0 && len(p.add) >= len(p.remove) {
		p.add, p.remove = nil, nil
	}
	p.count.Kept = int64(len(held) + len(keep))
	p.count.Before, p.count.After = len(all), len(all)-len(p.remove)+len(p.add)
	return p
}

// large reports whether it is not worth while to join a manifest with others.
func (m manifest) large() bool {
	bytes := uint64(0)
	for _, l := range m.links {
		bytes += l.size
	}
	return len(m.links) > maxLinks/2 || bytes > maxListed/2
}

func (m manifest) allKept(keep func(store.Digest) bool) bool {
	return !slices.ContainsFunc(m.links, func(l link) bool { return !keep(l.digest) })
}

// split cuts links into parts of at most so many blocks and bytes, as far as one block allows.
func split(links []link, blocks int, bytes uint64) (parts [][]link) {
	begin, sum := 0, uint64(0)
	for i, l := range links {
		if i-begin >= blocks || i > begin && sum+l.size > bytes {
			parts = append(parts, links[begin:i])
			begin, sum = i, 0
		}
		sum += l.size
	}
	if begin < len(links) {
		parts = append(parts, links[begin:])
	}
	return parts
}
