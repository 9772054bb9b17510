// Package message turns references and values into the bytes that people exchange, and back.
//
// # Content
//
// A message holds one JSON object ([RFC 8259]) in UTF-8, in the canonical spelling:
//
//   - no white space outside strings;
//   - the members of every object, at every depth, sorted by the bytes of their names in
//     UTF-8 with escapes resolved (the order of code points), no name twice;
//   - strings escape only what they must: \" and \\, and below U+0020 \b \f \n \r \t, for
//     the others \u00xx with small hexadecimal digits; everything else stands for itself;
//   - numbers exactly as they were written: 1e5 and 100000 are different messages.
//
// Objects and arrays nest at most [MaxDepth] levels, the outermost object being the first.
// An escape that names half a surrogate pair is refused, like any other invalid UTF-8.
// A reader accepts any spelling within these bounds (Python's json.dumps puts a space
// after commas and colons) and hands on the canonical one.
//
// # Binary form
//
// One zlib stream ([RFC 1950]) over the content, without a preset dictionary, and nothing
// after it. It has at most [MaxSize] bytes and inflates to at most [MaxInflated]. How well it
// is compressed is the writer's business, so the same content may have several
// binary forms: nothing is ever signed or addressed by them.
//
// # Text form
//
// The binary form in base64 ([RFC 4648] section 4: alphabet with + and /, with padding, unused
// bits zero), written on one line. Readers find it inside other text: in a mail, wrapped,
// quoted, with words around it. The text is cut into words, longest runs of the
// base64 alphabet. Words belong together as long as what stands between them is at most 64
// bytes of space, tab, CR, LF and '>', without an empty line (two LF). A message begins with
// a word of at least 14 characters whose first two bytes are a zlib header, and ends with
// the word in which the zlib stream ends. Padding may be a word of its own. The search
// gives up after 64 MiB of base64 and inflated bytes together, each beginning
// counted as 256 more.
//
// [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
// [RFC 1950]: https://www.rfc-editor.org/rfc/rfc1950
// [RFC 4648]: https://www.rfc-editor.org/rfc/rfc4648
package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
)

const (
	// MaxSize is the size in bytes of the largest message in binary form.
	MaxSize = 1 << 20
	// MaxInflated is the size in bytes of the largest content of a message.
	MaxInflated = 8 << 20
	// MaxDepth is how deep objects and arrays may nest, in levels.
	MaxDepth = 256
)

var (
	// ErrNoMessage is an input that has nothing in it that looks like a message.
	ErrNoMessage = errors.New("no message found; give the bytes, or the base64 text, that the sender's command printed")
	// ErrTooLarge is a message or a text beyond the bounds of this package.
	ErrTooLarge = errors.New("too large")
	// ErrCorrupt is a message that was damaged or cut off on its way.
	ErrCorrupt = errors.New("message is damaged; ask for it again, the whole of it")
	// ErrJSON is content that is not one JSON object as the package comment demands.
	ErrJSON = errors.New("not a JSON object as messages have it")
	// ErrSeveral is a text with different messages where one was asked for.
	ErrSeveral = errors.New("several different messages; give one at a time")
)

var writers = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

// Encode returns the binary message of a JSON object, which need not be canonical. The errors
// are those of [Canonical], and [ErrTooLarge] for more than MaxSize bytes.
func Encode(json []byte) ([]byte, error) {
	content, err := Canonical(json)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(content)/2 + 64)
	w := writers.Get().(*zlib.Writer)
	defer writers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if out.Len() > MaxSize {
		return nil, fmt.Errorf("encode message: %d bytes compressed, at most %d are allowed: %w", out.Len(), MaxSize, ErrTooLarge)
	}
	return out.Bytes(), nil
}

// EncodeText is [Encode] in base64, on one line, without a line feed at its end.
func EncodeText(json []byte) ([]byte, error) {
	data, err := Encode(json)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, data), nil
}

// Decode returns the content of a binary message, as canonical JSON. All of data must be the
// message. The error is [ErrTooLarge], [ErrCorrupt] or [ErrJSON], with the cause.
func Decode(data []byte) ([]byte, error) {
	content, size, err := inflate(data)
	if err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	if size != len(data) {
		return nil, fmt.Errorf("decode message: %d bytes after its end: %w", len(data)-size, ErrCorrupt)
	}
	content, err = Canonical(content)
	if err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return content, nil
}

// inflater is what klauspost's zlib reader is, so that it can be used again.
type inflater interface {
	io.Reader
	zlib.Resetter
}

var readers sync.Pool

// errCut is a zlib stream that has no end.
var errCut = fmt.Errorf("cut off: %w", ErrCorrupt)

// inflate returns what the zlib stream at the start of data holds, and the size of that stream.
// What follows the stream is not looked at. With an error, content is what came before it: at
// most MaxInflated bytes and one.
func inflate(data []byte) (content []byte, size int, err error) {
	if !hasHeader(data) {
		return nil, 0, fmt.Errorf("no zlib header: %w", ErrCorrupt)
	}
	// The reader takes a stream that wants the empty preset dictionary, so this is asked here.
	if data[1]&0x20 != 0 {
		return nil, 0, fmt.Errorf("zlib stream wants a preset dictionary: %w", ErrCorrupt)
	}
	// A bytes.Reader has ReadByte, so the inflater takes no byte too many from it.
	src := bytes.NewReader(data[:min(len(data), MaxSize)])
	z, err := newInflater(src)
	if err != nil {
		return nil, 0, fmt.Errorf("zlib: %w: %w", err, ErrCorrupt)
	}
	defer readers.Put(z)
	var out bytes.Buffer
	out.Grow(min(4*len(data), 64<<10))
	_, err = out.ReadFrom(io.LimitReader(z, MaxInflated+1))
	switch {
	case out.Len() > MaxInflated:
		err = fmt.Errorf("content has more than %d bytes: %w", MaxInflated, ErrTooLarge)
	case errors.Is(err, io.ErrUnexpectedEOF) && len(data) > MaxSize:
		err = fmt.Errorf("message has more than %d bytes: %w", MaxSize, ErrTooLarge)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errCut
	case err != nil:
		err = fmt.Errorf("zlib: %w: %w", err, ErrCorrupt)
	}
	return out.Bytes(), int(src.Size()) - src.Len(), err
}

// newInflater returns a used inflater if there is one; the caller puts it back.
func newInflater(src *bytes.Reader) (inflater, error) {
	if z, ok := readers.Get().(inflater); ok {
		return z, z.Reset(src, nil)
	}
	r, err := zlib.NewReader(src)
	if err != nil {
		return nil, err
	}
	return r.(inflater), nil
}

// hasHeader reports whether data begins with the two bytes of a zlib header: method 8, a
// window of at most 32 KiB, and both bytes as one number divisible by 31.
func hasHeader(data []byte) bool {
	return len(data) >= 2 && data[0]&0x0f == 8 && data[0]>>4 <= 7 &&
		(int(data[0])<<8|int(data[1]))%31 == 0
}
