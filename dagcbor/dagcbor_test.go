package dagcbor_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

type record struct {
	Number uint64        `cbor:"n"`
	Text   string        `cbor:"text"`
	Link   *dagcbor.Link `cbor:"link,omitempty"`
}

func sample() record {
	c := store.Sum(cid.Raw, []byte("x"))
	return record{Number: 7, Text: "seven", Link: dagcbor.LinkTo(c)}
}

func TestRoundTrip(t *testing.T) {
	data, err := dagcbor.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	// a3: three pairs; "n" before the texts of four letters, "link" before "text".
	if got := hex.EncodeToString(data[:4]); got != "a3616e07" {
		t.Errorf("encoding begins %s, want a3616e07", got)
	}
	var back record
	if err := dagcbor.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Number != 7 || back.Text != "seven" || !back.Link.Equals(sample().Link.Cid) {
		t.Errorf("got %v", back)
	}
}

// TestRefused tries every truncation of a good value and every value with one byte
// changed; the latter may decode to another value, but never to the same.
func TestRefused(t *testing.T) {
	good, err := dagcbor.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if err := dagcbor.Unmarshal(good[:i], new(record)); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", i, len(good))
		}
		changed := bytes.Clone(good)
		changed[i] ^= 0x20
		var v record
		if err := dagcbor.Unmarshal(changed, &v); err != nil {
			continue
		}
		if again, _ := dagcbor.Marshal(v); bytes.Equal(again, good) {
			t.Errorf("byte %d changed, and the value is the same", i)
		}
	}
	for _, tt := range []struct{ name, hex string }{
		{"trailing byte", hex.EncodeToString(good) + "00"},
		{"unknown field", "a3616e0761780064746578746161"},
		{"field twice", "a3616e07616e0764746578746161"},
		{"keys out of order", "a264746578746161616e07"},
		{"key in another case", "a2614e0764746578746161"},
		{"long form of 7", "a2616e180764746578746161"},
		{"float", "a2616ef94700" + "64746578746161"},
		{"null", "a2616ef664746578746161"},
		{"indefinite map", "bf616e0764746578746161ff"},
		{"indefinite text", "a2616e0764746578747f6161ff"},
		{"invalid UTF-8", "a2616e07647465787461ff"},
		{"negative", "a2616e2664746578746161"},
		{"link without its zero byte", "a3616e07646c696e6bd82a58240155122000"},
	} {
		data, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		if err := dagcbor.Unmarshal(data, new(record)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

func TestLinkText(t *testing.T) {
	link := sample().Link
	text, err := json.Marshal(link)
	if err != nil {
		t.Fatal(err)
	}
	var back dagcbor.Link
	if err := json.Unmarshal(text, &back); err != nil || !back.Equals(link.Cid) {
		t.Errorf("%s came back as %v, %v", text, back, err)
	}
	for _, bad := range []string{
		`7`, `""`, `"x"`, `null`,
		`"` + strings.ToUpper(link.String()) + `"`,         // another spelling
		`"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"`, // CIDv0
		`"bafkqaaa"`, // identity hash
	} {
		if err := new(dagcbor.Link).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	good, _ := dagcbor.Marshal(sample())
	f.Add(good)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var v record
		if dagcbor.Unmarshal(data, &v) != nil {
			return
		}
		if again, err := dagcbor.Marshal(v); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x encodes again as %x, %v", data, again, err)
		}
	})
}
