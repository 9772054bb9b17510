package unixfs

import (
	"context"
	"fmt"
	"io"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// readAhead is how many parts of a file Copy fetches at a time, and maxPart is the most
// content in one of them: together the most it holds, about 16 MiB (usually half of that).
const (
	readAhead = 8
	maxPart   = store.MaxBlock
)

// Copy writes the file c to w and returns how many bytes it wrote. Blocks are
// fetched some ahead, several at a time. It writes exactly as many bytes as the root
// declares unless there is an error; it is for the caller to look at the size first, with
// [Stat], for a small tree of blocks can stand for a very long file.
func Copy(ctx context.Context, get store.Getter, c cid.Cid, w io.Writer) (int64, error) {
	o, err := Open(ctx, get, c)
	if err != nil {
		return 0, fmt.Errorf("copy file: %w", err)
	}
	return o.Copy(ctx, w)
}

func copyNode(ctx context.Context, get store.Getter, c cid.Cid, root *Node, w io.Writer) (int64, error) {
	if err := root.checkFile(c); err != nil {
		return 0, err
	}
	if len(root.Links) == 0 {
		n, err := w.Write(root.Data)
		return int64(n), err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetcher{ctx: ctx, get: get, queue: make(chan *part, readAhead)}
	p.start(root)
	defer p.wait.Wait()
	defer cancel()
	return p.writeTo(w)
}

// A part is some content of a file on its way to the writer: either data that is there, or
// link number i of a node.
type part struct {
	node *Node
	i    int
	data []byte
	err  error
	done chan struct{}
}

// A prefetcher walks a file and fetches its parts; they leave through queue in order.
type prefetcher struct {
	ctx   context.Context
	get   store.Getter
	queue chan *part
	work  chan *part
	wait  sync.WaitGroup
}

func (p *prefetcher) start(root *Node) {
	p.work = make(chan *part)
	for range readAhead {
		p.wait.Go(func() {
			for w := range p.work {
				w.data, w.err = p.fetch(w.node, w.i)
				close(w.done)
			}
		})
	}
	p.wait.Go(func() {
		defer close(p.queue)
		defer close(p.work)
		if err := p.walk(root, 1); err != nil {
			p.emit(finished(nil, err))
		}
	})
}

// finished returns a part that needs no fetching.
func finished(data []byte, err error) *part {
	done := make(chan struct{})
	close(done)
	return &part{data: data, err: err, done: done}
}

// emit queues a part; false says that nobody waits for it any more.
func (p *prefetcher) emit(w *part) bool {
	select {
	case p.queue <- w:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// walk queues the content of n, which stands so many levels deep. What may be a leaf
// is left to the workers; what is larger than any leaf is read here.
func (p *prefetcher) walk(n *Node, depth int) error {
	if depth > maxDepth {
		return malformed("file: more than %d levels", maxDepth)
	}
	if len(n.Data) > 0 && !p.emit(finished(n.Data, nil)) {
		return p.ctx.Err()
	}
	for i, size := range n.BlockSizes {
		switch {
		case size == 0:
		case size <= maxPart:
			w := &part{node: n, i: i, done: make(chan struct{})}
			if !p.emit(w) {
				return p.ctx.Err()
			}
			p.work <- w // workers never stop before this channel is closed
		default:
			child, err := n.readPart(p.ctx, p.get, i)
			if err != nil {
				return err
			}
			if err := p.walk(child, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch returns the content behind a link, at most maxPart bytes: nearly always one leaf,
// otherwise a small tree.
func (p *prefetcher) fetch(n *Node, i int) ([]byte, error) {
	child, err := n.readPart(p.ctx, p.get, i)
	if err != nil || len(child.Links) == 0 {
		return child.content(), err
	}
	r := &Reader{ctx: p.ctx, get: p.get, path: []span{{node: child}}}
	data := make([]byte, child.Size)
	_, err = io.ReadFull(r, data)
	return data, err
}

func (n *Node) content() []byte {
	if n == nil {
		return nil
	}
	return n.Data
}

// writeTo writes the parts as they come.
func (p *prefetcher) writeTo(w io.Writer) (int64, error) {
	var written int64
	for part := range p.queue {
		<-part.done
		if part.err != nil {
			return written, part.err
		}
		n, err := w.Write(part.data)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, p.ctx.Err()
}
