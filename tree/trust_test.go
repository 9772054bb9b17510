package tree_test

import (
	"context"
	"slices"
	"testing"

	"archivecache/tree"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// judge draws how much an author counts for p, and commits.
func (p *person) judge(t *rapid.T, author cid.Cid) {
	p.setTrust(author, tree.Trust{
		OwnMarks: rapid.Bool().Draw(t, "own marks"),
		Entries:  rapid.Uint64Range(0, 4).Draw(t, "entries"),
		Bytes:    rapid.Uint64Range(0, 12).Draw(t, "bytes"),
	})
}

func (p *person) setTrust(author cid.Cid, trust tree.Trust) {
	p.Helper()
	if p.trust == nil {
		p.trust = map[cid.Cid]tree.Trust{}
	}
	p.trust[author] = trust
	p.root.SetTrusts(p.trusts(true))
	p.commit()
}

// TestTrust has one who judges the others between their edits; commit checks that the root is the
// one that follows from the state. In the end all trust all, and see the same.
func TestTrust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		people := newPeople(t, 3)
		judge := people[0]
		for range rapid.IntRange(1, 12).Draw(t, "moves") {
			p := rapid.SampledFrom(people[1:]).Draw(t, "person")
			switch rapid.IntRange(0, 5).Draw(t, "move") {
			case 0:
				judge.judge(t, p.ID())
			case 1:
				judge.edit(t)
			case 2:
				p.sign()
				judge.merge(p)
			case 3:
				judge.sign()
				p.merge(judge)
			default:
				p.edit(t)
			}
		}
		for _, p := range people {
			p.sign()
		}
		for range 2 {
			judge.merge(people[1])
			judge.merge(people[2])
			people[1].merge(judge)
			people[2].merge(judge)
		}
		judge.setTrust(people[1].ID(), tree.Trust{})
		judge.setTrust(people[2].ID(), tree.Trust{})
		for _, p := range people[1:] {
			if !p.root.Cid().Equals(judge.root.Cid()) {
				t.Fatalf("%v\nand\n%v", judge.list(), p.list())
			}
		}
	})
}

// TestQuota gives somebody a quota, and takes it away.
func TestQuota(t *testing.T) {
	people := newPeople(t, 2)
	p, friend := people[0], people[1]
	friend.must(friend.put("root/forum/f", "12345"))
	friend.must(friend.putEntry("root/docs", friend.tree(map[string]string{"a": "123", "d/b": "45"}), false))
	friend.sign()
	p.merge(friend)
	everything := p.root.Cid()
	all := []string{"forum/f=12345", "docs/a=123", "docs/d/b=45"}
	p.shows(slices.Clone(all)...)
	for _, c := range []struct {
		trust tree.Trust
		want  [][]string // one of these, by the order of the ids
	}{
		{tree.Trust{Entries: 4}, [][]string{all}},
		{tree.Trust{Bytes: 10}, [][]string{all}},
		{tree.Trust{Entries: 3}, [][]string{all[1:], all[:1]}},
		{tree.Trust{Bytes: 9}, [][]string{all[1:], all[:1]}},
		{tree.Trust{Entries: 2}, [][]string{all[:1]}},
		{tree.Trust{Bytes: 4}, [][]string{nil}},
	} {
		p.setTrust(friend.ID(), c.trust)
		var shown []string
		for name, content := range p.list() {
			if name != "forum/" {
				shown = append(shown, name+"="+content)
			}
		}
		slices.Sort(shown)
		if !slices.ContainsFunc(c.want, func(w []string) bool { w = slices.Sorted(slices.Values(w)); return slices.Equal(w, shown) }) {
			t.Errorf("%+v: shown %q", c.trust, shown)
		}
		over := 0
		p.must(p.root.OverQuota(context.Background(), func(*tree.Directory, tree.Part) error { over++; return nil }))
		if (over == 0) != (len(shown) == len(all)) {
			t.Errorf("%+v: %d parts are over the quota, and %q is shown", c.trust, over, shown)
		}
	}
	p.setTrust(friend.ID(), tree.Trust{})
	if !p.root.Cid().Equals(everything) {
		t.Errorf("shown %v", p.list())
	}
}
