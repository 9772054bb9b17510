package unixfs

import (
	"bytes"
	"context"
	"fmt"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// CheckDir checks that the directory c is what [Build] makes of its entries: the same entries
// have one CID only if all directories are. It does not look at the entries themselves. What old
// shares with c was checked before and is not read; cid.Undef is nothing. Everything else than
// that is ErrMalformed.
func CheckDir(ctx context.Context, get store.Getter, old, c cid.Cid) error {
	n, err := readCanonical(ctx, get, c)
	if err != nil {
		return err
	}
	if n.Kind == Directory {
		if blockSize(n.Links) > MaxDirectory {
			return fmt.Errorf("block %s: %w", c, malformed("a directory too large for one block"))
		}
		return nil
	}
	root := shardRef{node: n}
	if err := root.check(); err != nil {
		return fmt.Errorf("block %s: %w", c, err)
	}
	small, err := fits(ctx, get, root)
	if err != nil {
		return err
	}
	if small {
		return fmt.Errorf("block %s: %w", c, malformed("a sharded directory that one block could hold"))
	}
	before := shardRef{node: &Node{}}
	if d, err := openOld(ctx, get, old); err != nil {
		return err
	} else if d != nil && d.Sharded() {
		before = d.root
	}
	return checkShards(ctx, get, before, root)
}

func openOld(ctx context.Context, get store.Getter, old cid.Cid) (*Dir, error) {
	if !old.Defined() {
		return nil, nil
	}
	return openDir(ctx, get, old)
}

// checkShards checks what stands below s and not below old, a shard in the same place.
func checkShards(ctx context.Context, get store.Getter, old, s shardRef) error {
	for i := range s.node.Links {
		l := &s.node.Links[i]
		if !isShardLink(l) {
			continue
		}
		before := old.at(mustSlot(l.Name))
		if before != nil && *before == *l {
			continue
		}
		child, err := s.readChild(ctx, get, l)
		if err != nil {
			return err
		}
		if _, err := readCanonical(ctx, get, l.Cid()); err != nil {
			return err
		}
		if want := child.node.tsize(len(child.node.Encode())); l.Tsize != want {
			return fmt.Errorf("block %s: %w", l.Cid(), malformed("a shard of %d bytes that its link says has %d", want, l.Tsize))
		}
		oldChild := shardRef{node: &Node{}}
		if before != nil && isShardLink(before) {
			if oldChild, err = old.readChild(ctx, get, before); err != nil {
				return err
			}
		}
		if err := checkShards(ctx, get, oldChild, child); err != nil {
			return err
		}
	}
	return nil
}

// readCanonical reads a node of a directory that is written as Encode writes it.
func readCanonical(ctx context.Context, get store.Getter, c cid.Cid) (*Node, error) {
	data, err := get.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	n, err := DecodeNode(data)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", c, err)
	}
	switch {
	case n.Kind != Directory && n.Kind != HAMTShard:
		return nil, fmt.Errorf("block %s is a %s: %w", c, n.Kind, ErrNotDirectory)
	case n.Mode != 0 || !n.Mtime.IsZero():
		return nil, fmt.Errorf("block %s: %w", c, malformed("a directory with a mode or a time"))
	case !bytes.Equal(n.Encode(), data):
		return nil, fmt.Errorf("block %s: %w", c, malformed("a directory in another spelling"))
	}
	return n, nil
}
