package sim

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Cheat is a way to cheat; it goes on until the end.
type Cheat string

// The ways to cheat.
const (
	Honest  Cheat = ""
	Replay  Cheat = "replay"  // sends old nodes of others, and a node of its own with old references
	Fork    Cheat = "fork"    // shows two continuations of its layer to different people
	Forge   Cheat = "forge"   // has references in its state whose signatures are wrong
	Move    Cheat = "move"    // puts references of others at another path, and into slots of others
	Squat   Cheat = "squat"   // puts an owned directory where another's stands, and one in another's name
	Wipe    Cheat = "wipe"    // marks everything in the forum as deleted
	Freeze  Cheat = "freeze"  // never relays what is new
	Leap    Cheat = "leap"    // goes on with sequence 2^53-1
	Phantom Cheat = "phantom" // refers to content that nobody has
)

// Kinds are all ways to cheat.
var Kinds = []Cheat{Replay, Fork, Forge, Move, Squat, Wipe, Freeze, Leap, Phantom}

// Forks reports whether a cheat of this kind ends as the author of a fork.
func (c Cheat) Forks() bool { return c == Fork || c == Leap }

// attackRound is the round in which cheats begin to cheat.
const attackRound = 1

// A lie is what a cheat puts into the state that it shows.
type lie struct {
	slot  reference.Slot
	value state.Value
}

// faces returns how many different states a person shows at a time.
func (p *person) faces() int {
	if p.kind == Fork {
		return 2
	}
	return 1
}

// outgoing returns the node that a person sends to another one.
func (p *person) outgoing(to, round int) cid.Cid {
	switch {
	case p.kind == Replay && round%2 == 1 && len(p.loot) > 0:
		return p.loot[round/2%len(p.loot)]
	case p.kind == Fork:
		return p.sent[to%2]
	}
	return p.sent[0]
}

// shows returns the state that a person shows.
func (p *person) shows(ctx context.Context, side int) (cid.Cid, error) {
	if p.kind == Freeze || p.kind == Replay {
		return p.world.begun, nil
	}
	if len(p.lies[side]) == 0 {
		return p.state, nil
	}
	s := state.Open(p.desk, p.state)
	for _, l := range p.lies[side] {
		if err := s.Set(ctx, l.slot, l.value); err != nil {
			return cid.Undef, err
		}
	}
	return s.Flush(ctx, p.desk)
}

// cheat lets all cheats prepare what they do.
func (w *world) cheat(ctx context.Context, round int) error {
	if round != attackRound {
		return nil
	}
	attacks := map[Cheat]func(context.Context, *person) error{
		Fork: w.fork, Forge: w.forge, Move: w.move, Squat: w.squat, Wipe: w.wipe, Leap: w.leap, Phantom: w.phantom,
	}
	for _, p := range w.people {
		if attack := attacks[p.kind]; attack != nil {
			if err := attack(ctx, p); err != nil {
				return fmt.Errorf("person %d, %s: %w", p.index, p.kind, err)
			}
		}
	}
	return nil
}

// next returns the reference that follows the first of a cheat's layer, not signed yet.
func (w *world) next(ctx context.Context, p *person, content cid.Cid) (*reference.Reference, error) {
	r := &reference.Reference{
		Policy: forum.Policy, Directory: &forum, Path: forum.Path, Content: dagcbor.LinkTo(content), Time: attackRound,
	}
	overlay := store.NewOverlay(w.heap)
	if err := r.Continue(ctx, overlay, w.layer(p)); err != nil {
		return nil, err
	}
	return r, w.heap.publish(ctx, overlay, r.History.Target())
}

// layer returns the first reference that a person has signed for the forum.
func (w *world) layer(p *person) *reference.Reference {
	return w.beginning[w.number[reference.Slot{Directory: forum.ID(), Author: p.id}]]
}

// content publishes a directory with one file.
func (w *world) content(ctx context.Context, text string) (cid.Cid, error) {
	file := store.NewBlock(cid.Raw, []byte(text))
	if err := w.heap.put(file, w.heap.fixed); err != nil {
		return cid.Undef, err
	}
	overlay := store.NewOverlay(w.heap)
	dir, err := unixfs.Build(ctx, overlay, []unixfs.Entry{{Name: "cheat.txt", Cid: file.Cid, Tsize: uint64(len(file.Data))}})
	if err != nil {
		return cid.Undef, err
	}
	return dir.Cid, w.heap.publish(ctx, overlay, dir.Cid)
}

func (p *person) lie(side int, r *reference.Reference) {
	p.lies[side] = append(p.lies[side], lie{r.Slot(), state.Value{Reference: r}})
}

func (w *world) fork(ctx context.Context, p *person) error {
	for side := range p.faces() {
		content, err := w.content(ctx, fmt.Sprintf("side %d of %d", side, p.index))
		if err != nil {
			return err
		}
		r, err := w.next(ctx, p, content)
		if err != nil {
			return err
		}
		if err := r.Sign(p, p.chain()); err != nil {
			return err
		}
		p.lie(side, r)
	}
	return nil
}

func (w *world) forge(_ context.Context, p *person) error {
	later := *w.layer(w.someone())
	later.Time++
	p.lie(0, &later)
	broken := *w.layer(w.someone())
	broken.Signature = append([]byte{}, broken.Signature...)
	broken.Signature[0] ^= 1
	p.lie(0, &broken)
	return nil
}

func (w *world) move(_ context.Context, p *person) error {
	moved := *w.layer(w.someone())
	moved.Path = fmt.Sprintf("root/forum-of-%d", p.index)
	moved.Directory = &reference.Founding{Policy: forum.Policy, Path: moved.Path}
	p.lie(0, &moved)
	a, b := w.layer(w.someone()), w.layer(w.someone())
	for a == b {
		b = w.layer(w.someone())
	}
	p.lies[0] = append(p.lies[0], lie{a.Slot(), state.Value{Reference: b}})
	return nil
}

func (w *world) squat(ctx context.Context, p *person) error {
	victim := w.someone()
	for range w.People {
		if victim.owned != "" {
			break
		}
		victim = w.someone()
	}
	place := victim.owned
	if place == "" {
		place = "root/home-of-nobody"
	}
	content, err := w.content(ctx, fmt.Sprintf("%d was here", p.index))
	if err != nil {
		return err
	}
	for _, owner := range []*person{p, victim} {
		r := &reference.Reference{
			Policy: reference.OwnedPolicy, Path: place, Content: dagcbor.LinkTo(content), Sequence: 1,
			Directory: &reference.Founding{Policy: reference.OwnedPolicy, Owner: dagcbor.LinkTo(owner.id), Path: place},
		}
		switch err := r.Sign(p, p.chain()); {
		case owner != p:
			p.lie(0, r) // Sign has refused it, and signed
		case err != nil:
			return err
		default:
			if err := w.record(ctx, p, w.heap, []*reference.Reference{r}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) wipe(ctx context.Context, p *person) error {
	return w.edit(ctx, p, attackRound, func(ctx context.Context, e editing) error {
		at := path.MustParse(forum.Path)
		entry, err := e.Lookup(ctx, at)
		if err != nil {
			return err
		}
		dir, err := unixfs.OpenDir(ctx, e.blocks, entry.Cid)
		if err != nil {
			return err
		}
		return dir.Each(ctx, func(topic unixfs.Entry) error {
			below, err := at.Join(topic.Name)
			if err != nil {
				return err
			}
			return e.Delete(ctx, p.id, below)
		})
	})
}

func (w *world) leap(ctx context.Context, p *person) error {
	content, err := w.content(ctx, fmt.Sprintf("%d leaps", p.index))
	if err != nil {
		return err
	}
	r, err := w.next(ctx, p, content)
	if err != nil {
		return err
	}
	r.Sequence = dagcbor.MaxInt
	if err := r.Sign(p, p.chain()); err != nil {
		return err
	}
	p.lie(0, r)
	return nil
}

func (w *world) phantom(ctx context.Context, p *person) error {
	r, err := w.next(ctx, p, store.Sum(cid.DagProtobuf, fmt.Appendf(nil, "what %d never had", p.index)))
	if err != nil {
		return err
	}
	if err := r.Sign(p, p.chain()); err != nil {
		return err
	}
	p.lie(0, r)
	return nil
}
