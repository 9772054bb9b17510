package kubo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// hurried is how long a pin may be without a block more before it is taken for one of a batch of which
// the collector has had some.
const hurried = 3 * time.Second

// importBatch sends blocks with their manifest, and returns when the daemon has them all and has
// pinned the manifest under its name.
//
// Nothing keeps the collector off between the two calls, so it may have taken blocks before they are
// pinned. Then all goes up again, and the call that imports it pins it too, while the collector
// waits. That reads every block twice in the daemon, once for each pin, so it is not how to begin.
func (d *Daemon) importBatch(ctx context.Context, b *batch) error {
	err := d.importCAR(ctx, b, false)
	if err != nil {
		return err
	}
	err = d.pin(ctx, b.manifest.Cid, pinning{name: b.name, patience: min(hurried, d.timeout)})
	if err == nil || ctx.Err() != nil {
		return err
	}
	if err := d.importCAR(ctx, b, true); err != nil {
		return err
	}
	return d.pin(ctx, b.manifest.Cid, d.patiently(b.name))
}

// importCAR sends blocks with their manifest, which it has pinned or not.
func (d *Daemon) importCAR(ctx context.Context, b *batch, pinned bool) error {
	return d.do(ctx, call{
		command: "dag/import",
		options: map[string]string{
			"pin-roots": strconv.FormatBool(pinned), "stats": "true", "allow-big-block": "false",
			"fast-provide-root": "false", "fast-provide-dag": "false",
		},
		body:     formFile(carParts(b.manifest, b.items)...),
		bodyType: formType,
		patience: waiting * d.timeout,
	}, func(r *reply) error { return checkImport(r, b.manifest.Cid, 1+len(b.items), pinned) })
}

// A boundary has to occur nowhere in a body, so it is drawn for each process.
var (
	boundary = "archivecache-" + rand.Text()
	formType = "multipart/form-data; boundary=" + boundary
)

// formFile returns a form with one file in it, of those parts.
func formFile(parts ...[]byte) io.Reader {
	body := make(net.Buffers, 0, len(parts)+2)
	body = append(body, []byte("--"+boundary+"\r\n"+
		"Content-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n"+
		"Content-Type: application/octet-stream\r\n\r\n"))
	body = append(body, parts...)
	body = append(body, []byte("\r\n--"+boundary+"--\r\n"))
	return &body
}

// carParts is a CAR of version 1 with b as its root.
func carParts(b store.Block, blocks []item) [][]byte {
	parts := make([][]byte, 0, 2*len(blocks)+3)
	parts = append(parts, carHeader(b.Cid), carSection(b.Cid, len(b.Data)), b.Data)
	for _, it := range blocks {
		parts = append(parts, carSection(rawCid(it.digest), len(it.data)), it.data)
	}
	return parts
}

// carHeader is {"roots": [root], "version": 1} in DAG-CBOR, behind its length.
func carHeader(root cid.Cid) []byte {
	link := root.Bytes()
	h := append([]byte("\xa2\x65roots\x81\xd8\x2a\x58"), byte(1+len(link)), 0)
	h = append(h, link...)
	h = append(h, "\x67version\x01"...)
	return append(binary.AppendUvarint(nil, uint64(len(h))), h...)
}

func carSection(c cid.Cid, size int) []byte {
	id := c.Bytes()
	return append(binary.AppendUvarint(nil, uint64(len(id)+size)), id...)
}

// checkImport reads the answer to an import and returns nil if it says that so many blocks came in,
// and that root is pinned, if it is to be.
func checkImport(r io.Reader, root cid.Cid, blocks int, pin bool) error {
	data, err := readAll(r, maxRefusal)
	if err != nil {
		return err
	}
	var pinned, counted bool
	lines := json.NewDecoder(bytes.NewReader(data))
	for {
		line, err := importLine(lines)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("answer %.100q: %w", data, err)
		}
		if line.Root != nil {
			if err := line.checkRoot(root); err != nil {
				return err
			}
			pinned = true
		}
		if line.Stats != nil {
			if line.Stats.BlockCount != blocks {
				return fmt.Errorf("it took %d blocks of %d", line.Stats.BlockCount, blocks)
			}
			counted = true
		}
	}
	if pinned != pin || !counted {
		return fmt.Errorf("answer %.100q: it does not say that everything is there and pinned", data)
	}
	return nil
}

type imported struct {
	Root *struct {
		Cid struct {
			Link string `json:"/"`
		}
		PinErrorMsg string
	}
	Stats *struct{ BlockCount int }
}

func importLine(lines *json.Decoder) (line imported, err error) {
	err = lines.Decode(&line)
	if err == nil && line.Root == nil && line.Stats == nil {
		err = errors.New("a line that says nothing known")
	}
	return line, err
}

func (line imported) checkRoot(root cid.Cid) error {
	c, err := cid.Decode(line.Root.Cid.Link)
	if err != nil || !c.Equals(root) {
		return fmt.Errorf("it speaks of the root %.100q, not of %s", line.Root.Cid.Link, root)
	}
	if line.Root.PinErrorMsg != "" {
		return &refusal{text: "not pinned: " + line.Root.PinErrorMsg, kubo: true}
	}
	return nil
}
