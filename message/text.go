package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	// MaxText is the size in bytes of the longest text that Read and ReadAll look through.
	MaxText = 16 << 20
	// MaxMessages is how many different messages ReadAll takes from one text.
	MaxMessages = 1000

	// minWord is how many base64 characters the first word of a message has at least:
	// the message {} has 14, and fewer would find messages in prose.
	minWord = 14
	// maxGap is how many bytes may stand between two words that belong together.
	maxGap = 64
	// firstPart is how many base64 characters of a candidate are looked at first.
	firstPart = 8 << 10
	// costOfCandidate is what trying even the shortest candidate is worth, in bytes.
	costOfCandidate = 256
	// maxWork bounds what a text of many false beginnings can cost, in bytes.
	maxWork = 64 << 20
)

// Read returns the one message in what r has to give, as canonical JSON. It finds out by
// itself whether r gives a binary message or a text that holds one: see the package comment.
// The same message twice counts as one; different ones are [ErrSeveral]. A damaged
// one beside a good one (a quotation that was cut) is passed over. The other errors are
// [ErrNoMessage], [ErrTooLarge], [ErrCorrupt], [ErrJSON], and those of r.
func Read(r io.Reader) ([]byte, error) {
	s, err := readAll(r)
	if err != nil {
		return nil, err
	}
	switch len(s.found) {
	case 0:
		return nil, s.damage
	case 1:
		return s.found[0], nil
	}
	return nil, fmt.Errorf("read message: %w: the text holds %d", ErrSeveral, len(s.found))
}

// ReadAll returns the different messages in what r has to give, in the order in which they
// first stand there, each as canonical JSON, at most MaxMessages. If the text
// also has a damaged message, ReadAll returns the good ones together with the error.
func ReadAll(r io.Reader) ([][]byte, error) {
	s, err := readAll(r)
	if err != nil {
		return nil, err
	}
	return s.found, s.damage
}

// readAll reads r to its end and looks for messages. What is wrong with the input as a
// whole is its error; what is wrong with one message is the damage of the search.
func readAll(r io.Reader) (*search, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if hasHeader(data) {
		content, err := Decode(data)
		if err == nil {
			return &search{found: [][]byte{content}}, nil
		}
		if !isText(data) {
			return nil, err
		}
	}
	if len(data) > MaxText {
		return nil, fmt.Errorf("read message: the input has more than %d bytes; give only the part with the message: %w", MaxText, ErrTooLarge)
	}
	s := &search{text: data, seen: make(map[string]bool)}
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if len(s.found) == 0 && s.damage == nil {
		s.damage = fmt.Errorf("read message: %w", s.nothing())
	}
	return s, nil
}

// isText reports whether data is UTF-8 without control characters but those of text.
func isText(data []byte) bool {
	control := bytes.IndexFunc(data, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f'
	})
	return control < 0 && utf8.Valid(data)
}

// A search goes through a text for messages.
type search struct {
	text   []byte
	work   int             // bytes of candidates, and inflated from them, so far
	found  [][]byte        // different messages
	seen   map[string]bool // those in found
	damage error           // why the longest thing that looks like a message is none
	length int             // of that thing, in characters
	chars  []byte          // of the candidate at hand, padding apart
	ends   []wordEnd       // where its words end
}

// A wordEnd is the end of a word of a candidate: how many characters and how much
// padding the candidate has so far, and where that is in the text.
type wordEnd struct{ chars, pad, pos int }

// run tries every word that may begin a message.
func (s *search) run() error {
	for w := s.word(0); w.start < len(s.text); {
		next := w.end
		if s.begins(w) {
			end, err := s.candidate(w)
			if err != nil {
				return err
			}
			next = max(next, end)
		}
		w = s.word(next)
	}
	return nil
}

// nothing is ErrNoMessage, with a hint for those who give JSON.
func (s *search) nothing() error {
	if text := bytes.TrimSpace(s.text); len(text) > 0 && text[0] == '{' {
		return fmt.Errorf("this is JSON, which message-from-json makes a message of: %w", ErrNoMessage)
	}
	return ErrNoMessage
}

// A word is a run of base64 characters in the text, and the padding right after it;
// one of them may be empty. At the end of the text both are.
type word struct{ start, pad, end int }

// word returns the first word at or after pos.
func (s *search) word(pos int) word {
	for pos < len(s.text) && sextets[s.text[pos]] < 0 && s.text[pos] != '=' {
		pos++
	}
	w := word{start: pos}
	for pos < len(s.text) && sextets[s.text[pos]] >= 0 {
		pos++
	}
	w.pad = pos
	for pos < len(s.text) && s.text[pos] == '=' {
		pos++
	}
	w.end = pos
	return w
}

// sextets holds the value of each base64 character, -1 for the others.
var sextets = func() (table [256]int8) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range table {
		table[i] = -1
	}
	for i := range alphabet {
		table[alphabet[i]] = int8(i)
	}
	return table
}()

// begins reports whether w may be the first word of a message.
func (s *search) begins(w word) bool {
	if w.pad-w.start < minWord {
		return false
	}
	var head [3]byte
	if _, err := base64.StdEncoding.Decode(head[:], s.text[w.start:w.start+4]); err != nil {
		return false
	}
	return hasHeader(head[:])
}

// candidate tries the message that begins with w, and returns where it ends in the
// text; 0 if it is none.
func (s *search) candidate(w word) (int, error) {
	content, end, err := s.decode(w)
	s.work += costOfCandidate
	if s.work > maxWork {
		return 0, fmt.Errorf("too much in it looks like messages; give only the part with the message: %w", ErrTooLarge)
	}
	if err != nil {
		if length := len(s.chars); length > s.length {
			s.damage, s.length = fmt.Errorf("read message: %w", err), length
		}
		return 0, nil
	}
	if !s.seen[string(content)] {
		if len(s.found) == MaxMessages {
			return 0, fmt.Errorf("more than %d messages: %w", MaxMessages, ErrTooLarge)
		}
		s.seen[string(content)] = true
		s.found = append(s.found, content)
	}
	return end, nil
}

// decode decodes the message that begins with w. The zlib stream tells where it ends; that must
// be the end of a word, with the padding that belongs there.
func (s *search) decode(w word) (content []byte, end int, err error) {
	content, size, err := s.inflate(w)
	if err != nil {
		return nil, 0, err
	}
	end, err = s.close(base64.RawStdEncoding.EncodedLen(size))
	if err != nil {
		return nil, 0, err
	}
	content, err = Canonical(content)
	return content, end, err
}

// inflate decompresses the candidate that begins with w. Base64 of other things now and then
// looks like a beginning, so it takes a small part first, and more as long as that
// is not enough.
func (s *search) inflate(w word) (content []byte, size int, err error) {
	most := base64.StdEncoding.EncodedLen(MaxSize) + 4
	for limit := firstPart; ; limit = min(8*limit, most) {
		more := s.collect(w, limit)
		usable := len(s.chars)
		if usable%4 == 1 {
			usable-- // six bits are no byte
		}
		data := make([]byte, base64.RawStdEncoding.DecodedLen(usable))
		if _, err := base64.RawStdEncoding.Decode(data, s.chars[:usable]); err != nil {
			return nil, 0, fmt.Errorf("base64: %w: %w", err, ErrCorrupt)
		}
		content, size, err = inflate(data)
		s.work += s.ends[len(s.ends)-1].pos - w.start + len(content)
		if !more || limit == most || !errors.Is(err, errCut) {
			return content, size, err
		}
	}
}

// collect gathers the words that belong together from w on, up to the first padding or to
// limit characters. It reports whether it stopped because of the limit.
func (s *search) collect(w word, limit int) (more bool) {
	s.chars, s.ends = s.chars[:0], s.ends[:0]
	var at wordEnd
	for {
		at.chars += w.pad - w.start
		at.pad += w.end - w.pad
		at.pos = w.end
		s.ends = append(s.ends, at)
		s.chars = append(s.chars, s.text[w.start:min(w.pad, w.start+limit-len(s.chars))]...)
		next := s.word(w.end)
		onlyPad := next.pad == next.start
		switch {
		case !s.joined(w.end, next.start), at.pad > 0 && !onlyPad, onlyPad && at.pad+next.end-next.pad > 2:
			return at.chars > len(s.chars)
		case !onlyPad && at.chars >= limit:
			return true
		}
		w = next
	}
}

// joined reports whether what stands between two words lets them belong together.
func (s *search) joined(from, to int) bool {
	gap := s.text[from:to]
	if to == len(s.text) || len(gap) > maxGap || bytes.Count(gap, []byte{'\n'}) > 1 {
		return false
	}
	return len(bytes.Trim(gap, " \t\r\n>")) == 0
}

// close checks that a message of n characters ends as base64 must, and returns where
// that is in the text.
func (s *search) close(n int) (int, error) {
	reason := "goes on after the end of the message"
	for _, e := range s.ends {
		if e.chars != n {
			continue
		}
		if (n+e.pad)%4 != 0 || e.pad > 2 {
			reason = "has the wrong padding"
			continue
		}
		if n%4 != 0 && sextets[s.chars[n-1]]&(1<<(2*(4-n%4))-1) != 0 {
			reason = "has bits after the end of the message"
			continue
		}
		return e.pos, nil
	}
	return 0, fmt.Errorf("base64 %s: %w", reason, ErrCorrupt)
}
