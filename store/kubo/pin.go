package kubo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

const (
	maxPins   = 1 << 20 // that are listed
	maxSuffix = 128     // of a name, in bytes
	batches   = "batch/"
)

func (d *Daemon) pinName(suffix string) string { return "archivecache/" + d.name + "/" + suffix }

func (d *Daemon) batchName(m manifest) string { return d.pinName(batches + m.nonce[:8]) }

// Pin has the daemon keep all that hangs from root, until [Daemon.Unpin] with the same suffix. The
// pin is named "archivecache/NAME/SUFFIX". What the daemon does not have it looks for on its
// network; it is given up when nothing has come for 5 times the timeout. With offline set, it is
// an error at once that it lacks a block, and a [*store.MissingError] if that is root. Pin twice is
// Pin once.
func (d *Daemon) Pin(ctx context.Context, root cid.Cid, suffix string, offline bool) error {
	if len(suffix) == 0 || len(suffix) > maxSuffix || strings.HasPrefix(suffix, batches) || strings.ContainsAny(suffix, "\r\n") {
		return fmt.Errorf("pin %s: %w: suffix %q", root, ErrName, suffix)
	}
	if offline {
		if err := d.complete(ctx, root); err != nil {
			return fmt.Errorf("pin %s: %w", root, err)
		}
	}
	if err := d.putAndPin(ctx, pinBlock(d.name, root, suffix), d.patiently(d.pinName(suffix))); err != nil {
		return fmt.Errorf("pin %s: %w", root, err)
	}
	return nil
}

// complete returns nil if the daemon has all that hangs from root. A pin finds that out too, but
// kubo goes to its network for what it lacks, even where it is told to stay offline.
func (d *Daemon) complete(ctx context.Context, root cid.Cid) error {
	return d.do(ctx, call{
		command: "refs",
		args:    []string{root.String()},
		options: map[string]string{"recursive": "true", "unique": "true", "offline": "true"},
	}, func(r *reply) error { return readLines(r, checkRef) })
}

// checkRef reads one line of the answer to refs: a block that is there, or an error.
func checkRef(data []byte) error {
	var line struct{ Ref, Err string }
	if err := json.Unmarshal(data, &line); err != nil {
		return fmt.Errorf("answer %.100q: %w", data, err)
	}
	if c, ok := missingCid(line.Err); ok {
		return &store.MissingError{Cid: c}
	}
	if line.Err != "" || line.Ref == "" {
		return &refusal{text: line.Err, kubo: true}
	}
	return nil
}

// putAndPin pins a node that is in no batch. The collector may take it before it is pinned, so
// that is tried again.
func (d *Daemon) putAndPin(ctx context.Context, b store.Block, how pinning) (err error) {
	for range 10 {
		if err = d.putBlock(ctx, b); err != nil {
			return err
		}
		if err = d.pin(ctx, b.Cid, how); err == nil || !isMissing(err, b.Cid) {
			return err
		}
	}
	return err
}

// putBlock puts one block into the daemon, where nothing keeps it.
func (d *Daemon) putBlock(ctx context.Context, b store.Block) error {
	var answer struct{ Key string }
	err := d.ask(ctx, call{
		command:  "block/put",
		options:  map[string]string{"cid-codec": "dag-pb", "mhtype": "sha2-256"},
		body:     formFile(b.Data),
		bodyType: formType,
		patience: waiting * d.timeout,
	}, &answer)
	if err != nil {
		return err
	}
	if c, err := cid.Decode(answer.Key); err != nil || !c.Equals(b.Cid) {
		return d.wrap("block/put", fmt.Errorf("block %s became %.100q", b.Cid, answer.Key))
	}
	return nil
}

// pinning says how something is pinned.
type pinning struct {
	name     string
	patience time.Duration // without a block more
	progress func(n int)   // is told of how many blocks there are by then; may be nil
}

// patiently is how something is pinned that may have to wait for the daemon's collector.
func (d *Daemon) patiently(name string) pinning {
	return pinning{name: name, patience: waiting * d.timeout}
}

// pin pins a node that is in the daemon, with all below it, and gives the pin a name.
func (d *Daemon) pin(ctx context.Context, c cid.Cid, how pinning) error {
	options := map[string]string{"recursive": "true", "name": how.name, "progress": "true", "fast-provide-root": "false", "fast-provide-dag": "false"}
	return d.do(ctx, call{
		command:  "pin/add",
		args:     []string{c.String()},
		options:  options,
		patience: how.patience,
		strict:   true, // kubo says twice a second that it is still there
	}, func(r *reply) error { return checkPin(r, c, how.progress) })
}

// checkPin reads the answer to a pin, in which kubo tells how far it is. More blocks than before
// are news.
func checkPin(r *reply, c cid.Cid, progress func(int)) error {
	blocks, pinned := 0, false
	err := readLines(r, func(data []byte) error {
		var line struct {
			Pins     []string
			Progress int
		}
		if err := json.Unmarshal(data, &line); err != nil {
			return fmt.Errorf("answer %.100q: %w", data, err)
		}
		if line.Progress > blocks {
			blocks = line.Progress
			r.news()
			if progress != nil {
				progress(blocks)
			}
		}
		for _, text := range line.Pins {
			got, err := cid.Decode(text)
			if err != nil || !got.Equals(c) {
				return fmt.Errorf("it speaks of %.100q, not of %s", text, c)
			}
			pinned = true
		}
		return nil
	})
	if err == nil && !pinned {
		err = errors.New("it does not say that it has pinned")
	}
	return err
}

// readLines calls fn with each line of an answer that is not empty. A line has at most 64 KiB.
func readLines(r io.Reader, fn func([]byte) error) error {
	in := bufio.NewReaderSize(r, maxRefusal)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%w: a line of more than %d bytes", errTooLong, maxRefusal)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := fn(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// Unpin ends what Pin began with the same suffix. What is not pinned stays so without an error.
func (d *Daemon) Unpin(ctx context.Context, root cid.Cid, suffix string) error {
	if err := d.unpin(ctx, pinBlock(d.name, root, suffix).Cid); err != nil {
		return fmt.Errorf("unpin %s: %w", root, err)
	}
	return nil
}

func (d *Daemon) unpin(ctx context.Context, c cid.Cid) error {
	var answer struct{ Pins []string }
	err := d.ask(ctx, call{
		command:  "pin/rm",
		args:     []string{c.String()},
		patience: waiting * d.timeout,
	}, &answer)
	var r *refusal
	if errors.As(err, &r) && r.kubo && r.text == "not pinned or pinned indirectly" {
		return nil
	}
	if err == nil && !slices.Contains(answer.Pins, c.String()) {
		err = d.wrap("pin/rm", fmt.Errorf("it does not say that %s is unpinned", c))
	}
	return err
}

// A Pinned is what [Daemon.Pin] keeps.
type Pinned struct {
	Suffix string
	Root   cid.Cid
}

// Pins yields what this repository has pinned with Pin, in no order. After an error it ends.
func (d *Daemon) Pins(ctx context.Context) iter.Seq2[Pinned, error] {
	return func(yield func(Pinned, error) bool) {
		var nodes []pinnedNode
		err := d.listPins(ctx, d.pinName(""), func(p pinnedNode) {
			if !strings.HasPrefix(p.name, d.pinName(batches)) {
				nodes = append(nodes, p)
			}
		})
		if err == nil {
			err = d.readPins(ctx, nodes, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Pinned{}, err)
		}
	}
}

var errStop = errors.New("no more is wanted")

func (d *Daemon) readPins(ctx context.Context, nodes []pinnedNode, yield func(Pinned, error) bool) error {
	return d.Store().GetMany(ctx, cidsOf(nodes), func(i int, data []byte, err error) error {
		suffix := strings.TrimPrefix(nodes[i].name, d.pinName(""))
		var root cid.Cid
		if err == nil {
			root, err = pinnedRoot(d.name, data, suffix)
		}
		if err != nil {
			return fmt.Errorf("pin %s named %q: %w", nodes[i].cid, nodes[i].name, err)
		}
		if !yield(Pinned{suffix, root}, nil) {
			return errStop
		}
		return nil
	})
}

// pinnedNode is one recursive pin of the daemon.
type pinnedNode struct {
	cid  cid.Cid
	name string
}

func cidsOf(nodes []pinnedNode) []cid.Cid {
	cids := make([]cid.Cid, len(nodes))
	for i, n := range nodes {
		cids[i] = n.cid
	}
	return cids
}

// listPins calls fn with each recursive pin whose name begins with prefix.
func (d *Daemon) listPins(ctx context.Context, prefix string, fn func(pinnedNode)) error {
	options := map[string]string{"type": "recursive", "names": "true", "stream": "true"}
	if prefix != "" {
		options["name"] = prefix // as part of the name
	}
	n := 0
	return d.do(ctx, call{command: "pin/ls", options: options, patience: waiting * d.timeout}, func(r *reply) error {
		return readLines(r, func(data []byte) error {
			p, err := decodePin(data)
			if n++; n > maxPins {
				err = fmt.Errorf("more than %d pins", maxPins)
			}
			if err == nil && strings.HasPrefix(p.name, prefix) {
				fn(p)
			}
			return err
		})
	})
}

// decodePin reads one line of a list of pins.
func decodePin(data []byte) (p pinnedNode, err error) {
	var line struct{ Cid, Name, Type string }
	if err := json.Unmarshal(data, &line); err != nil {
		return p, fmt.Errorf("answer %.100q: %w", data, err)
	}
	c, err := cid.Decode(line.Cid)
	if err != nil || line.Type != "recursive" {
		return p, fmt.Errorf("answer %.100q: not a recursive pin", data)
	}
	return pinnedNode{c, line.Name}, nil
}
