package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"github.com/rogpeppe/go-internal/testscript"
)

// A forger writes a node that no command would write, into the repository of a person: carry takes
// it to others. It signs whatever it is told to, with any key that it can read.
type forger struct {
	who  string // the folder of the repository
	args map[string]string
	ts   *testscript.TestScript
}

// forge is the word
//
//	forge WHO [FIELD=VALUE]...
//
// It publishes a node of WHO whose state has a forged reference. That begins as the one that
// AUTHOR has signed for PATH, as the repository FROM holds it (from=, author=, path=), or with
// policy=POLICY as a new one. Then new-path=, owner=, policy=, sequence=, epoch= and text= (of a
// file that replaces the content) change it; sign=REPO signs it as the person of REPO; and it is
// put into the slot of what FROM holds at slot=PATH of slot-author=, or else into its own.
// view=NAME puts a file into the view that no reference signs, and node-sequence= changes that of
// the node.
func forge(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: forge WHO [FIELD=VALUE]...")
	}
	f := forger{ts.MkAbs(args[0]), map[string]string{"from": args[0]}, ts}
	for _, arg := range args[1:] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("%q is not FIELD=VALUE", arg)
		}
		f.args[name] = value
	}
	ts.Check(f.run(context.Background()))
}

// A rootDoc is a root as it is written.
type rootDoc struct {
	Directories []reference.Founding `cbor:"directories"`
	State       dagcbor.Link         `cbor:"state"`
	View        dagcbor.Link         `cbor:"view"`
	Shared      []dagcbor.Raw        `cbor:"shared"`
}

func (f forger) run(ctx context.Context) error {
	r, err := repo.Open(f.who)
	if err != nil {
		return err
	}
	defer r.Close()
	secret, err := secretOf(r)
	if err != nil {
		return err
	}
	var lie *reference.Reference
	var slot reference.Slot
	if f.args["path"] != "" {
		if lie, slot, err = f.lie(ctx, r); err != nil {
			return err
		}
	}
	return r.Update(ctx, "forge", func(ctx context.Context, tx *repo.Tx) error {
		return f.publish(ctx, tx, secret, slot, lie)
	})
}

func secretOf(r *repo.Repo) (*identity.Secret, error) {
	ids, err := r.Keys().List()
	if err != nil || len(ids) != 1 {
		return nil, fmt.Errorf("%d keys: %w", len(ids), err)
	}
	return r.Keys().Load(ids[0], func(identity.ID) ([]byte, error) { return nil, errors.New("no passphrase") })
}

// found returns the reference that FROM holds of the author at a path.
func (f forger) found(ctx context.Context, at, author string) (found *reference.Reference, err error) {
	r, err := repo.Open(f.ts.MkAbs(f.args["from"]))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	root, err := t.Root(ctx)
	if err != nil {
		return nil, err
	}
	err = root.State().Each(ctx, func(_ reference.Slot, v state.Value) error {
		if ref := v.Reference; ref != nil && ref.Path == at && ref.Owner.String() == author {
			found = ref
		}
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%s has nothing of %s at %s", f.args["from"], author, at)
	}
	return found, err
}

// lie returns the forged reference, and where it is put.
func (f forger) lie(ctx context.Context, r *repo.Repo) (*reference.Reference, reference.Slot, error) {
	lie, err := f.beginning(ctx)
	if err != nil {
		return nil, reference.Slot{}, err
	}
	if err := f.change(ctx, r, lie); err != nil {
		return nil, reference.Slot{}, err
	}
	if from := f.args["sign"]; from != "" {
		if err := f.sign(lie, from); err != nil {
			return nil, reference.Slot{}, err
		}
	}
	slot := lie.Slot()
	if at := f.args["slot"]; at != "" {
		other, err := f.found(ctx, at, f.args["slot-author"])
		if err != nil {
			return nil, slot, err
		}
		slot = other.Slot()
	}
	return lie, slot, nil
}

func (f forger) beginning(ctx context.Context) (*reference.Reference, error) {
	at, policy := f.args["path"], f.args["policy"]
	if f.args["author"] != "" {
		return f.found(ctx, at, f.args["author"])
	}
	lie := &reference.Reference{Policy: policy, Path: at, Sequence: 1, Directory: &reference.Founding{Policy: policy, Path: at}}
	owner, err := cid.Parse(f.args["owner"])
	if err == nil && policy == reference.OwnedPolicy {
		lie.Directory.Owner = dagcbor.LinkTo(owner)
	}
	return lie, err
}

// change changes the fields of a reference.
func (f forger) change(ctx context.Context, r *repo.Repo, lie *reference.Reference) (err error) {
	founding := *lie.Directory
	lie.Directory = &founding
	if at := f.args["new-path"]; at != "" {
		lie.Path, founding.Path = at, at
	}
	if owner := f.args["owner"]; owner != "" {
		if lie.Owner.Cid, err = cid.Parse(owner); err != nil {
			return err
		}
	}
	if policy := f.args["policy"]; policy != "" {
		lie.Policy, founding.Policy = policy, policy
	}
	for name, field := range map[string]*uint64{"sequence": &lie.Sequence, "epoch": &lie.Epoch} {
		if n := f.args[name]; n != "" {
			if *field, err = strconv.ParseUint(n, 10, 64); err != nil {
				return err
			}
		}
	}
	if text := f.args["text"]; text != "" {
		lie.Content, err = f.content(ctx, r, "forged.txt", text)
	}
	return err
}

// content writes a directory with one file.
func (f forger) content(ctx context.Context, r *repo.Repo, name, text string) (*dagcbor.Link, error) {
	w := r.Store().Writer()
	file := store.NewBlock(cid.Raw, []byte(text))
	if err := w.Put(ctx, file); err != nil {
		return nil, err
	}
	dir, err := unixfs.Build(ctx, struct {
		store.Getter
		store.Putter
	}{r.Store(), w}, []unixfs.Entry{{Name: name, Cid: file.Cid, Tsize: uint64(len(text))}})
	return dagcbor.LinkTo(dir.Cid), errors.Join(err, w.Commit(ctx))
}

// sign signs a reference as it is, whether or not that is allowed.
func (f forger) sign(lie *reference.Reference, from string) error {
	r, err := repo.Open(f.ts.MkAbs(from))
	if err != nil {
		return err
	}
	defer r.Close()
	secret, err := secretOf(r)
	if err != nil {
		return err
	}
	key, err := secret.At(0)
	if err != nil {
		return err
	}
	lie.Key, lie.Signature = key.Public(), nil
	payload, err := dagcbor.Marshal(lie)
	lie.Signature = key.Sign(lie.Policy, payload)
	return err
}

// publish makes the node with the lie in it and puts it where new-node does.
func (f forger) publish(ctx context.Context, tx *repo.Tx, secret *identity.Secret, slot reference.Slot, lie *reference.Reference) error {
	root, err := f.root(ctx, tx, slot, lie)
	if err != nil {
		return err
	}
	mark, err := tx.Mark(ctx, reference.NodeSlot(secret.ID()))
	if err != nil {
		return err
	}
	node := &reference.Reference{Policy: reference.NodePolicy, Content: dagcbor.LinkTo(root)}
	if err := node.Continue(ctx, tx.Blocks, mark.Reference); err != nil {
		return err
	}
	if n := f.args["node-sequence"]; n != "" {
		if node.Sequence, err = strconv.ParseUint(n, 10, 64); err != nil {
			return err
		}
	}
	key, err := secret.At(0)
	if err != nil {
		return err
	}
	if err := node.Sign(key, reference.Chain{Document: secret.Document()}); err != nil {
		return err
	}
	b, err := node.Block()
	if err != nil {
		return err
	}
	tx.SetMark(node.Slot(), repo.Mark{Mark: state.Mark{Reference: node}, Complete: true})
	return errors.Join(tx.Blocks.Put(ctx, b), tx.Set(ctx, path.MustParse("node"), tree.NewLink(tree.NodePolicy, b.Cid)))
}

// root writes the root of the node.
func (f forger) root(ctx context.Context, tx *repo.Tx, slot reference.Slot, lie *reference.Reference) (cid.Cid, error) {
	honest, err := tx.EditRoot(ctx)
	if err != nil {
		return cid.Undef, err
	}
	data, err := tx.Blocks.Get(ctx, honest.Cid())
	if err != nil {
		return cid.Undef, err
	}
	var doc rootDoc
	if err := dagcbor.Unmarshal(data, &doc); err != nil {
		return cid.Undef, err
	}
	s := state.Open(tx.Blocks, doc.State.Cid)
	if lie != nil {
		if err := s.Set(ctx, slot, state.Value{Reference: lie}); err != nil {
			return cid.Undef, err
		}
	}
	if doc.State.Cid, err = s.Flush(ctx, tx.Blocks); err != nil {
		return cid.Undef, err
	}
	if name := f.args["view"]; name != "" {
		view, err := f.content(ctx, tx.Repo(), name, "nobody has signed this")
		if err != nil {
			return cid.Undef, err
		}
		doc.View = *view
	}
	data, err = dagcbor.Marshal(doc)
	b := store.NewBlock(cid.DagCBOR, data)
	return b.Cid, errors.Join(err, tx.Blocks.Put(ctx, b))
}
