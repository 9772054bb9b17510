package tree_test

import (
	"context"
	"fmt"
	"testing"

	"archivecache/tree/path"
	"archivecache/unixfs"
)

// TestCollidingDirectories founds directories whose names have the same hash, among so many that
// root takes more than a block.
func TestCollidingDirectories(t *testing.T) {
	const evil = ",;?2:}Zj<:w.IPqO"
	if unixfs.HashName(evil) != unixfs.HashName("docs") {
		t.Fatalf("%q has another hash than docs", evil)
	}
	p := newPeople(t, 1)[0]
	names := []string{"docs", evil}
	for i := range 1_000 {
		names = append(names, fmt.Sprintf("%0250d", i))
	}
	dir := p.tree(map[string]string{"f": "1"})
	for _, name := range names {
		p.must(p.root.Put(context.Background(), p.ID(), path.MustParse("root/"+name), dir, true))
	}
	p.commit()
	shown := p.list()
	if shown[evil+"/f"] != "1" || shown["docs/f"] != "" || shown[names[500]+"/f"] != "1" {
		t.Errorf("of the names with one hash %q should be shown alone: %q, %q", evil, shown[evil+"/f"], shown["docs/f"])
	}
	p.must(p.delete("root/" + evil))
	if p.list()["docs/f"] != "1" {
		t.Error("docs is not back")
	}
}
