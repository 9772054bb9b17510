package sim

import (
	"context"
	"errors"
	"fmt"
	"math"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// topics is how many directories there are below root/forum/talk: about as many as each has files
// in the beginning.
func (w *world) topics() int { return max(1, int(math.Sqrt(float64(w.People)))) }

func (w *world) topic(i int) string { return fmt.Sprintf("root/forum/talk/topic-%d", i%w.topics()) }

func (w *world) putFile(ctx context.Context, blocks store.Blocks, root *tree.Root, p *person, at, text string) error {
	b := store.NewBlock(cid.Raw, fmt.Appendf(nil, "%s, says %d", text, p.index))
	if err := blocks.Put(ctx, b); err != nil {
		return err
	}
	target, err := path.Parse(at)
	if err != nil {
		return err
	}
	return root.Put(ctx, p.id, target, unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}, true)
}

// write lets some honest people edit and publish, and some lose what they have merged.
func (w *world) write(ctx context.Context, round int) error {
	for range max(1, int(w.Writes*float64(w.People)+0.5)) {
		p := w.someone()
		if err := w.edit(ctx, p, round, w.change); err != nil {
			return fmt.Errorf("person %d publishes: %w", p.index, err)
		}
	}
	if round != w.Rounds/2 {
		return nil
	}
	for range int(w.Undo * float64(w.People)) {
		p := w.someone()
		p.state = w.begun
		if err := w.edit(ctx, p, round, w.again); err != nil {
			return fmt.Errorf("person %d publishes after an undo: %w", p.index, err)
		}
	}
	return nil
}

// again publishes something in all directories of a person: what continues what was published
// before the undo, even if nobody has got that.
func (w *world) again(ctx context.Context, e editing) error {
	err := w.putFile(ctx, e.blocks, e.Root, e.person, fmt.Sprintf("%s/again-%d.txt", w.topic(e.person.index), e.person.index), "once more")
	if err != nil || e.person.owned == "" {
		return err
	}
	return w.putFile(ctx, e.blocks, e.Root, e.person, e.person.owned+"/again.txt", "once more")
}

// someone returns an honest person.
func (w *world) someone() *person {
	for {
		if p := w.people[w.rng.IntN(len(w.people))]; p.kind == Honest {
			return p
		}
	}
}

// An editing is an edit of a person's root, before it is signed.
type editing struct {
	*tree.Root
	blocks store.Blocks
	person *person
	round  int
}

// edit lets a person change the root and sign what is changed.
func (w *world) edit(ctx context.Context, p *person, round int, fn func(context.Context, editing) error) error {
	overlay := store.NewOverlay(w.heap)
	root, err := w.rootOf(ctx, overlay, w.root, p.state, p.proofs)
	if err != nil {
		return err
	}
	if err := fn(ctx, editing{root, overlay, p, round}); err != nil {
		return err
	}
	refs, err := root.Sign(ctx, p, p.mark, uint64(round), nil)
	if err != nil {
		return err
	}
	return w.record(ctx, p, overlay, refs)
}

// record takes over what a person has signed; the blocks of it are in blocks.
func (w *world) record(ctx context.Context, p *person, blocks store.Getter, refs []*reference.Reference) error {
	s := state.Open(p.desk, p.state)
	for _, r := range refs {
		for _, c := range []cid.Cid{r.History.Target(), r.Marks.Target(), r.Content.Target()} {
			if err := w.heap.publish(ctx, blocks, c); err != nil {
				return err
			}
		}
		number := w.register(r.Slot())
		pieces, err := w.fit(ctx, p.newest(number), w.shared(r))
		if err != nil {
			return err
		}
		for _, b := range pieces {
			p.have[b.fingerprint] = struct{}{}
		}
		p.marks[number] = r
		if p.kind == Honest {
			w.newest[number] = ledgerEntry{p, r}
			w.published++
		}
		if err := s.Set(ctx, r.Slot(), state.Value{Reference: r}); err != nil {
			return err
		}
	}
	var err error
	if p.state, err = s.Flush(ctx, p.desk); err == nil {
		p.desk.keep()
	}
	return err
}

// change does one edit such as people do: a new file, one that others have a name for as well,
// a change or deletion of what somebody has written, or a file in the own directory.
func (w *world) change(ctx context.Context, e editing) error {
	text := fmt.Sprintf("round %d", e.round)
	topic := w.topic(w.rng.IntN(w.topics()))
	dice := w.rng.IntN(100)
	if dice < 20 && e.person.owned != "" {
		return w.putFile(ctx, e.blocks, e.Root, e.person, fmt.Sprintf("%s/note-%d.txt", e.person.owned, e.round), text)
	}
	if dice < 35 {
		return w.putFile(ctx, e.blocks, e.Root, e.person, topic+"/agenda.txt", text)
	}
	if dice < 70 {
		done, err := w.changeOther(ctx, e, topic, text, dice < 50)
		if done || err != nil {
			return err
		}
	}
	return w.putFile(ctx, e.blocks, e.Root, e.person, fmt.Sprintf("%s/note-%d-%d.txt", topic, e.person.index, e.round), text)
}

// changeOther changes or deletes a file that stands in a topic, if there is one.
func (w *world) changeOther(ctx context.Context, e editing, topic, text string, remove bool) (bool, error) {
	at := path.MustParse(topic)
	entry, err := e.Lookup(ctx, at)
	if errors.Is(err, tree.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	dir, err := unixfs.OpenDir(ctx, e.blocks, entry.Cid)
	if err != nil {
		return false, err
	}
	var names []string
	err = dir.Each(ctx, func(entry unixfs.Entry) error {
		names = append(names, entry.Name)
		return nil
	})
	if err != nil || len(names) == 0 {
		return false, err
	}
	at = path.MustParse(topic + "/" + names[w.rng.IntN(len(names))])
	if remove {
		return true, e.Delete(ctx, e.person.id, at)
	}
	return true, w.putFile(ctx, e.blocks, e.Root, e.person, at.String(), text)
}
