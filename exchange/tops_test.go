package exchange

import (
	"bytes"
	"encoding/binary"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// TestTops takes blocks in both orders: all of them hang from the tops.
func TestTops(t *testing.T) {
	leaves := storetest.Blocks(1, 5, 100)
	under := linking(t, leaves[0].Cid, leaves[1].Cid)
	root := linking(t, under.Cid, leaves[2].Cid)
	lone := linking(t, leaves[3].Cid)
	blocks := []store.Block{root, under, leaves[0], leaves[1], leaves[2], lone, leaves[3], leaves[4]}
	for range 2 {
		var car bytes.Buffer
		header, err := dagcbor.Marshal(carHeader{Roots: []dagcbor.Link{{Cid: root.Cid}}, Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		car.Write(append(binary.AppendUvarint(nil, uint64(len(header))), header...))
		for _, b := range blocks {
			if err := writeSection(&car, b.Cid.Bytes(), b.Data); err != nil {
				t.Fatal(err)
			}
		}
		m := store.NewMemory()
		stats, err := ImportCAR(t.Context(), &car, m, CarLimits{All: true})
		if err != nil {
			t.Fatal(err)
		}
		want := map[cid.Cid]bool{root.Cid: true, lone.Cid: true, leaves[4].Cid: true}
		for _, c := range stats.Tops {
			if !want[c] {
				t.Errorf("%s is a top", c)
			}
			delete(want, c)
		}
		if len(want) > 0 {
			t.Errorf("missing: %v", want)
		}
		var l Live
		if err := l.Add(t.Context(), m, stats.Tops); err != nil {
			t.Fatal(err)
		}
		wantLive(t, &l, true, blocks...)
		for i, j := 0, len(blocks)-1; i < j; i, j = i+1, j-1 {
			blocks[i], blocks[j] = blocks[j], blocks[i]
		}
	}
}
