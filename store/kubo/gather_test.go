package kubo_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

func sized(blocks []store.Block) []store.Sized {
	list := make([]store.Sized, len(blocks))
	for i, b := range blocks {
		list[i] = store.Sized{Cid: b.Cid, Size: uint64(len(b.Data))}
	}
	return list
}

// rawBlocks makes blocks without links.
func rawBlocks(seed uint64, n, size int) []store.Block {
	blocks := storetest.Blocks(seed, n, size)
	for i, b := range blocks {
		blocks[i] = store.NewBlock(cid.Raw, b.Data)
	}
	return blocks
}

// TestGather has a daemon fetch from its peer, and keep what has come.
func TestGather(t *testing.T) {
	a, b := kubotest.Daemon(t), kubotest.Daemon(t)
	kubotest.Connect(a, b)
	ann, ben := open(t, a.API, "ann"), open(t, b.API, "ben")
	blocks := rawBlocks(900, 3000, 300)
	storetest.Put(t, ann.Store(), blocks...)
	w := ben.Store().NewWriter()
	defer w.Close()
	most := 0
	progress := func(n int) {
		if n < most || n > len(blocks) {
			t.Errorf("%d blocks after %d of %d", n, most, len(blocks))
		}
		most = n
	}
	if err := w.Gather(t.Context(), sized(blocks), time.Minute, progress); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Run("repo", "gc", "--quiet")
	storetest.Want(t, ben.Store(), blocks...)
	n, bytes := 0, int64(0)
	err := ben.Store().Each(t.Context(), func(_ store.Digest, size int64) error { n, bytes = n+1, bytes+size; return nil })
	if err != nil || n != len(blocks) || bytes != int64(300*len(blocks)) {
		t.Errorf("kept: %d blocks of %d bytes, %v", n, bytes, err)
	}
}

// TestGatherGivenUp gathers what was not committed, what nobody has, and what is not as long as it is
// said to be: nothing of it stays.
func TestGatherGivenUp(t *testing.T) {
	a, b := kubotest.Daemon(t), kubotest.Daemon(t)
	kubotest.Connect(a, b)
	ann, ben := open(t, a.API, "ann"), open(t, b.API, "ben")
	blocks := rawBlocks(910, 40, 300)
	storetest.Put(t, ann.Store(), blocks...)
	gather := func(list []store.Sized, stall time.Duration) error {
		w := ben.Store().NewWriter()
		defer w.Close()
		return w.Gather(t.Context(), list, stall, nil)
	}
	if err := gather(sized(blocks), time.Minute); err != nil {
		t.Error(err)
	}
	wantNoPins(t, b)
	for _, size := range []uint64{0, 299, 301, store.MaxBlock, store.MaxBlock + 1} {
		list := sized(blocks)
		list[7].Size = size
		if err := gather(list, time.Minute); err == nil || !strings.Contains(err.Error(), "not as long as it is said") {
			t.Errorf("a block of 300 bytes that is said to have %d: %v", size, err)
		}
		wantNoPins(t, b)
	}
	nowhere := append(sized(blocks), sized(rawBlocks(911, 1, 300))...)
	if err := gather(nowhere, time.Millisecond); !errors.Is(err, kubo.ErrUnreachable) {
		t.Errorf("a block that nobody has: %v", err)
	}
	wantNoPins(t, b)
	offline := open(t, kubotest.Daemon(t, kubotest.Offline).API, "carol").Store().NewWriter()
	defer offline.Close()
	begin := time.Now()
	if err := offline.Gather(soon(t), sized(blocks), time.Minute, nil); err == nil || time.Since(begin) > 20*time.Second {
		t.Errorf("a daemon without a network: %v after %v", err, time.Since(begin))
	}
}

// TestGatherFaults has daemons misbehave while they gather.
func TestGatherFaults(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	blocks := rawBlocks(920, 20, 300)
	storetest.Put(t, open(t, k.API, "others").Store(), blocks...)
	for name, c := range map[string]struct {
		fault kubotest.Fault
		says  string
	}{
		"pin says no":     {kubotest.Error500("no paper", "pin/add"), "no paper"},
		"pin says little": {kubotest.Answer("application/json", "{}\n", "pin/add"), "does not say that it has pinned"},
		"pin hangs":       {kubotest.HangAfterHeaders("pin/add"), "no answer for 2s"},
		"stat says no":    {kubotest.Error500("no paper", "dag/stat"), "no paper"},
		"stat lies":       {kubotest.Answer("application/json", `{"TotalSize":1,"UniqueBlocks":21}`, "dag/stat"), "not as long"},
		"stat cut":        {kubotest.CutAnswer(5, "dag/stat"), "cut"},
		"put lies":        {kubotest.Answer("application/json", `{"Key":"bafkqaaa"}`, "block/put"), "became"},
	} {
		t.Run(name, func(t *testing.T) {
			var now kubotest.Switch
			d := open(t, kubotest.Faulty(t, k, now.Fault), "ann")
			w := d.Store().NewWriter()
			now.Set(c.fault)
			if err := w.Gather(soon(t), sized(blocks), stallOf(name), nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, and it should say %q", err, c.says)
			}
			now.Set(nil)
			// What was put beside it is committed, and nothing else.
			beside := rawBlocks(921, 1, 100)[0]
			if err := errors.Join(w.Put(t.Context(), beside), w.Commit(t.Context())); err != nil {
				t.Fatal(err)
			}
			w.Close()
			kept := 0
			if err := open(t, k.API, "ann").Store().Each(t.Context(), func(store.Digest, int64) error { kept++; return nil }); err != nil || kept != 1 {
				t.Errorf("%d blocks are kept: %v", kept, err)
			}
			k.Run(append([]string{"pin", "rm"}, strings.Fields(k.Run("pin", "ls", "--type=recursive", "-q", "--name=archivecache/ann/"))...)...)
			for _, pin := range pins(k) {
				if strings.HasPrefix(pin, "archivecache/ann/") {
					t.Errorf("%s stays", pin)
				}
			}
		})
	}
}

// TestCollectorBetween runs the collector after a batch was imported and before it is pinned, each time
// that nothing keeps it off: the batch goes up once more, pinned at once.
func TestCollectorBetween(t *testing.T) {
	for name, options := range map[string][]kubotest.Option{"online": nil, "offline": {kubotest.Offline}} {
		t.Run(name, func(t *testing.T) {
			k := kubotest.Daemon(t, options...)
			var imports, pins atomic.Int32
			api := kubotest.Faulty(t, k,
				kubotest.Before(func() { imports.Add(1) }, "dag/import"),
				kubotest.Before(func() { pins.Add(1); k.Run("repo", "gc", "--quiet") }, "pin/add"))
			s := open(t, api, "ann").Store()
			blocks := rawBlocks(930, 100, 300)
			storetest.Put(t, s, blocks...)
			if imports.Load() != 2 || pins.Load() != 2 {
				t.Errorf("%d imports and %d pins", imports.Load(), pins.Load())
			}
			k.Run("repo", "gc", "--quiet")
			storetest.Want(t, s, blocks...)
		})
	}
}

// stallOf gives a call time if it is not the one that hangs.
func stallOf(name string) time.Duration {
	if name == "pin hangs" {
		return time.Millisecond
	}
	return time.Minute
}
