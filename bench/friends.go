package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// friendsCommand makes friends, in a process of its own: the memory of the one that measures counts
// as that of what it measures.
//
//	bench friends DIR COUNT NEWER
const friendsCommand = "friends"

func friendsMain(ctx context.Context, args []string) error {
	var count, newer int
	if len(args) != 3 {
		return errors.New("wrong command line")
	}
	if _, err := fmt.Sscan(args[1]+" "+args[2], &count, &newer); err != nil {
		return err
	}
	return makeFriends(ctx, args[0], count, newer)
}

// maxMergeAll is how long it should take to merge a few new nodes among those of a thousand
// friends.
const maxMergeAll = time.Second

// mergeAll merges the nodes of many friends of which few are new, and publishes then, which tells
// what was seen of each.
func (b *bench) mergeAll(ctx context.Context) error {
	count, newer := 100, 10
	switch {
	case b.quick:
		count, newer = 20, 2
	case b.full:
		count = 1000
	}
	title := fmt.Sprintf("merge-all: %s friends' nodes, of which %d are new", thousands(count), newer)
	if !b.wanted(title) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	made := b.path("friends")
	if err := runCommand(exec.CommandContext(ctx, self, friendsCommand, made, fmt.Sprint(count), fmt.Sprint(newer))); err != nil {
		return err
	}
	commandOn := func(limit time.Duration, name string, args ...string) contender {
		return contender{
			name: "archivecache " + name,
			aim:  aim{below: limit, memory: maxMemory},
			prepare: func(ctx context.Context, dir string) (job, error) {
				copied := filepath.Join(dir, "b")
				err := runCommand(b.tool(ctx, "cp", "-r", made, copied))
				return commands(b.ours(ctx, name, append([]string{"-repo", copied}, args...)...)), err
			},
		}
	}
	_, err = b.report(ctx, os.Stdout, contest{title, []contender{
		commandOn(maxMergeAll, "merge-all"), commandOn(0, "new-node", "node", "identities/me"),
	}})
	return err
}

// friends makes a repository with many friends, each with a directory of their own; the node of
// each shows the directories of all. Friends are made by calls and not by commands, of which it
// would take ten for each.
type friends struct {
	repo   *repo.Repo
	blocks *store.Overlay
	people []*friend
	state  *state.State // what all have seen
	view   cid.Cid
}

type friend struct {
	secret    *identity.Secret
	directory *reference.Reference
	node      *reference.Reference
}

// makeFriends makes a repository in dir with count friends whose nodes are merged, and then newer
// nodes of some of them.
func makeFriends(ctx context.Context, dir string, count, newer int) error {
	r, err := repo.Initialize(ctx, dir, nil, repo.Place{})
	if err != nil {
		return err
	}
	defer r.Close()
	f := &friends{repo: r, blocks: store.NewOverlay(r.Store()), people: make([]*friend, count)}
	f.state = state.Open(f.blocks, cid.Undef)
	empty, _ := unixfs.EmptyDir()
	f.view = empty.Cid
	if err := f.blocks.Put(ctx, empty); err != nil {
		return err
	}
	if err := f.befriend(ctx); err != nil {
		return err
	}
	for round, number := range []int{count, newer} {
		if err := f.publish(ctx, f.people[:number], round); err != nil {
			return err
		}
		if round > 0 {
			break
		}
		if err := f.mergeAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// befriend makes an identity of one's own and all friends.
func (f *friends) befriend(ctx context.Context) error {
	me, err := identity.Generate()
	if err != nil {
		return err
	}
	if err := f.repo.Keys().Create(me, nil); err != nil {
		return err
	}
	for i := range f.people {
		secret, err := identity.Generate()
		if err != nil {
			return err
		}
		f.people[i] = &friend{secret: secret}
	}
	return f.repo.Update(ctx, "befriend", func(ctx context.Context, tx *repo.Tx) error {
		if err := tx.AddIdentity(ctx, path.MustParse("identities/me"), me.Document()); err != nil {
			return err
		}
		for _, p := range f.people {
			if _, _, err := tx.AddFriend(ctx, p.secret.Document()); err != nil {
				return err
			}
		}
		return nil
	})
}

// publish has people publish a new version of their directory: the first versions are shown by the
// nodes of all, later ones by that of their author alone.
func (f *friends) publish(ctx context.Context, people []*friend, version int) error {
	shown := cid.Undef
	for i, p := range people {
		before := p.directory
		err := f.directory(ctx, p, i, version)
		if err != nil {
			return err
		}
		if err := f.state.Set(ctx, p.directory.Slot(), state.Value{Reference: p.directory}); err != nil {
			return err
		}
		if before == nil {
			continue
		}
		if shown, err = f.state.Flush(ctx, f.blocks); err != nil {
			return err
		}
		if err := f.node(ctx, p, shown); err != nil {
			return err
		}
		if err := f.state.Set(ctx, before.Slot(), state.Value{Reference: before}); err != nil {
			return err
		}
	}
	if shown.Defined() {
		return f.receive(ctx, people)
	}
	shown, err := f.state.Flush(ctx, f.blocks)
	if err != nil {
		return err
	}
	for _, p := range people {
		if err := f.node(ctx, p, shown); err != nil {
			return err
		}
	}
	return f.receive(ctx, people)
}

// directory signs a directory with one file.
func (f *friends) directory(ctx context.Context, p *friend, i, version int) error {
	file := store.NewBlock(cid.Raw, []byte(text(i, version)))
	if err := f.blocks.Put(ctx, file); err != nil {
		return err
	}
	content, err := unixfs.Build(ctx, f.blocks, []unixfs.Entry{{Name: "file.txt", Cid: file.Cid, Tsize: uint64(len(file.Data))}})
	if err != nil {
		return err
	}
	at := fmt.Sprintf("root/people/%04d", i)
	previous := p.directory
	p.directory = &reference.Reference{
		Policy: reference.OwnedPolicy, Path: at, Content: dagcbor.LinkTo(content.Cid),
		Directory: &reference.Founding{Policy: reference.OwnedPolicy, Path: at, Owner: dagcbor.LinkTo(p.secret.ID())},
	}
	if err := p.directory.Continue(ctx, f.blocks, previous); err != nil {
		return err
	}
	return p.sign(p.directory)
}

// sign signs with the first key.
func (p *friend) sign(r *reference.Reference) error {
	key, err := p.secret.At(0)
	if err != nil {
		return err
	}
	return r.Sign(key, reference.Chain{Document: p.secret.Document()})
}

// node signs a node whose root has the state shown.
func (f *friends) node(ctx context.Context, p *friend, shown cid.Cid) error {
	root, err := merkle.PutNode(ctx, f.blocks, map[string]any{
		"directories": []any{}, "shared": []any{}, "state": dagcbor.Link{Cid: shown}, "view": dagcbor.Link{Cid: f.view},
	})
	if err != nil {
		return err
	}
	previous := p.node
	p.node = &reference.Reference{Policy: reference.NodePolicy, Content: dagcbor.LinkTo(root)}
	if err := p.node.Continue(ctx, f.blocks, previous); err != nil {
		return err
	}
	return p.sign(p.node)
}

// receive takes in the nodes of people and all blocks.
func (f *friends) receive(ctx context.Context, people []*friend) error {
	w := f.repo.Store().Writer()
	defer w.Close()
	for _, b := range f.blocks.Pending() {
		if err := w.Put(ctx, b); err != nil {
			return err
		}
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	return f.repo.Update(ctx, "receive", func(ctx context.Context, tx *repo.Tx) error {
		for _, p := range people {
			if _, _, err := tx.AddNode(ctx, p.node); err != nil {
				return fmt.Errorf("node of %s: %w", p.secret.ID(), err)
			}
		}
		return nil
	})
}

func (f *friends) mergeAll(ctx context.Context) (err error) {
	merged := merge.All(ctx, f.repo, "merge-all", merge.Options{}, func(_ merge.Report, failure error) {
		if err == nil {
			err = failure
		}
	})
	if merged != nil {
		return merged
	}
	return err
}
