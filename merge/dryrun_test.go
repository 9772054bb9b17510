package merge_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"archivecache/merge"
	"archivecache/repo"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// memory is what the repository remembers beside the tree.
type memory struct {
	head   repo.Head
	mark   repo.Mark
	merged cid.Cid
}

func (v *victim) memory(slot reference.Slot) memory {
	var m memory
	var err error
	m.head, err = v.repo.Head(v.t.Context())
	v.must(err)
	m.mark, err = v.repo.Mark(v.t.Context(), slot)
	v.must(err)
	m.merged, err = v.repo.Merged(v.t.Context(), slot.Author)
	v.must(err)
	return m
}

// tell merges and returns what was told.
func (v *victim) tell(opt merge.Options) (slots []state.Outcome, paths map[string]shared.PathOutcome, err error) {
	paths = map[string]shared.PathOutcome{}
	opt.Slot = func(c state.Change) error { slots = append(slots, c.Outcome); return nil }
	opt.Path = func(c shared.Change) error { paths[c.Path] = c.Outcome; return nil }
	_, err = merge.Node(v.t.Context(), v.repo, "merge", v.at, opt)
	return slots, paths, err
}

func TestDryRunChangesNothing(t *testing.T) {
	v := newVictim(t)
	t.Setenv("TMPDIR", t.TempDir())
	first := v.layer("root/talk", v.directory("one"), nil)
	for _, step := range []struct {
		ref  *reference.Reference
		slot state.Outcome
		path shared.PathOutcome
	}{
		{first, state.New, shared.PathAdded},
		{v.layer("root/talk", v.directory("two"), first), state.Newer, shared.PathChanged},
		{v.layer("root/talk", v.directory("three"), first), state.Forked, shared.PathDeleted},
	} {
		v.send(step.ref)
		before := v.memory(first.Slot())
		for _, dry := range []bool{true, true, false} {
			slots, paths, err := v.tell(merge.Options{DryRun: dry})
			if err != nil || len(slots) != 1 || slots[0] != step.slot || len(paths) != 1 || paths["root/talk/f"] != step.path {
				t.Errorf("dry %v: %v, %v, %v; want %s and %s", dry, slots, paths, err, step.slot, step.path)
			}
			after := v.memory(first.Slot())
			same := after.head == before.head && after.merged == before.merged && after.mark.ForkedFrom == before.mark.ForkedFrom &&
				(after.mark.Reference == nil) == (before.mark.Reference == nil)
			if same != dry {
				t.Errorf("dry %v: before %+v, after %+v", dry, before, after)
			}
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// TestBrakeSetting has values that are no percentage, in a repository and for one merge.
func TestBrakeSetting(t *testing.T) {
	v := newVictim(t)
	v.send(v.layer("root/talk", v.directory("one"), nil))
	for _, text := range []string{`"10"`, `-1`, `101`, `1e1`, `10.0`, `{}`, `null`} {
		v.must(v.repo.Update(t.Context(), "set-value", func(ctx context.Context, tx *repo.Tx) error {
			return tx.SetValue(ctx, merge.BrakePath, []byte(text))
		}))
		before := v.head()
		if _, _, err := v.tell(merge.Options{}); !errors.Is(err, merge.ErrBrake) || !v.head().Equals(before) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, percent := range []int{-1, 101} {
		if _, _, err := v.tell(merge.Options{Brake: &percent}); !errors.Is(err, merge.ErrBrake) {
			t.Errorf("%d: %v", percent, err)
		}
	}
	percent := 0
	if _, paths, err := v.tell(merge.Options{Brake: &percent}); err != nil || len(paths) != 1 {
		t.Errorf("%v, %v", paths, err)
	}
}
