package kubo

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archivecache/store"
)

func someManifest(n int) manifest {
	links := make([]link, n)
	for i := range links {
		links[i] = link{digest: store.Digest{byte(i >> 8), byte(i), 7}, size: uint64(i % 1000)}
	}
	return newManifest("some.name", links)
}

// TestManifest: what is encoded is decoded, the largest fits into a block, and every
// other form is refused.
func TestManifest(t *testing.T) {
	for _, n := range []int{0, 1, 2, 300, maxLinks} {
		m := someManifest(n)
		b := m.block()
		got, err := decodeManifest(b.Data)
		if err != nil || got.name != m.name || got.nonce != m.nonce || got.time.Unix() != m.time.Unix() || !slices.Equal(got.links, m.links) {
			t.Errorf("manifest of %d links: %v", n, err)
		}
		if len(b.Data) > store.MaxBlock*3/4 {
			t.Errorf("manifest of %d links has %d bytes", n, len(b.Data))
		}
	}
	good := someManifest(3).block().Data
	for i := range good {
		if _, err := decodeManifest(good[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", i, len(good))
		}
	}
	a, b := someManifest(1).links[0], link{digest: store.Digest{9}}
	for name, m := range map[string]manifest{
		"twice":        {links: []link{a, a}},
		"out of order": {links: []link{b, a}},
		"too large":    {links: []link{{size: store.MaxBlock + 1}}},
		"no name":      {name: "/"},
		"short nonce":  {nonce: "1234"},
		"other nonce":  {nonce: strings.Repeat("G", 32)},
		"line break":   {name: "a\nb"},
	} {
		whole := someManifest(0)
		whole.links = m.links
		if m.name != "" {
			whole.name = m.name
		}
		if m.nonce != "" {
			whole.nonce = m.nonce
		}
		if _, err := decodeManifest(whole.block().Data); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// The same blocks give another manifest each time.
	if someManifest(3).block().Cid.Equals(someManifest(3).block().Cid) {
		t.Error("two manifests of the same blocks are one")
	}
}

// TestManifestExample fixes the form.
func TestManifestExample(t *testing.T) {
	m := manifest{name: "example", time: time.Unix(1_800_000_000, 0), nonce: strings.Repeat("0f", 16),
		links: []link{{digest: store.Digest(bytes.Repeat([]byte{1}, 32)), size: 300}}}
	want := "\x12\x2b\x0a\x24\x01\x55\x12\x20" + strings.Repeat("\x01", 32) + "\x12\x00" + "\x18\xac\x02" +
		"\x0a\x4c" + "archivecache manifest 1\nexample\n1800000000\n0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\n"
	if got := string(m.block().Data); got != want {
		t.Errorf("it is\n%q, want\n%q", got, want)
	}
}

func FuzzManifest(f *testing.F) {
	for _, n := range []int{0, 1, 5} {
		f.Add(someManifest(n).block().Data)
	}
	f.Add(pinBlock("a", rawCid(store.Digest{}), "head").Data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := decodeManifest(data); err == nil && !bytes.Equal(m.block().Data, data) {
			t.Errorf("%x is decoded and encoded as %x", data, m.block().Data)
		}
		if root, err := pinnedRoot("a", data, "head"); err == nil && !bytes.Equal(pinBlock("a", root, "head").Data, data) {
			t.Errorf("%x is taken for a pin of %s", data, root)
		}
	})
}

// FuzzAnswers reads what a daemon may answer: none of it is taken for a success but what says so.
func FuzzAnswers(f *testing.F) {
	c := rawCid(store.Digest{1})
	f.Add([]byte(fmt.Sprintf(`{"Root":{"Cid":{"/":%q},"PinErrorMsg":""}}`+"\n"+`{"Stats":{"BlockCount":2,"BlockBytesCount":9}}`, c)))
	f.Add([]byte(fmt.Sprintf(`{"Root":{"Cid":{"/":%q},"PinErrorMsg":"no"}}`, c)))
	f.Add([]byte(`{"Progress":3,"Bytes":10}` + "\n" + fmt.Sprintf(`{"Pins":[%q],"Progress":4}`, c)))
	f.Add([]byte(fmt.Sprintf(`{"Cid":%q,"Name":"archivecache/a/head","Type":"recursive"}`, c)))
	f.Add([]byte(`{"Cid":"Qm","Type":"direct"}` + "\n\n\n{}"))
	f.Add([]byte(`{"Version":"0.43.0"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		if checkImport(bytes.NewReader(data), c, 2, true) == nil && !strings.Contains(text, c.String()[1:20]) && !strings.Contains(text, `\u`) {
			t.Errorf("%q is taken for an import of %s", data, c)
		}
		checkPin(&reply{bytes.NewReader(data), func() {}}, c, nil)
		readLines(bytes.NewReader(data), func(line []byte) error {
			p, err := decodePin(line)
			if err == nil && !p.cid.Defined() {
				t.Errorf("%q is taken for a pin", line)
			}
			return nil
		})
		if n, err := parseVersion(text); err == nil && (n < 0 || n > 999_999_999) {
			t.Errorf("version %q is %d", text, n)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"/ip4/127.0.0.1/tcp/5001", "/dns4/a/tcp/1/https", "/unix/a/b", "http://127.0.0.1:5001", "https://a/", "/ip6/::1/tcp/1", "", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := parseAddress(s); err == nil && (a.Text != s || !strings.HasPrefix(a.URL, "http")) {
			t.Errorf("%q is %+v", s, a)
		}
	})
}

func TestSplit(t *testing.T) {
	links := make([]link, 2*maxLinks+5)
	if parts := split(links, maxLinks, maxListed); len(parts) != 3 || len(parts[0]) != maxLinks || len(parts[2]) != 5 {
		t.Errorf("%d parts", len(parts))
	}
	for i := range links {
		links[i].size = store.MaxBlock
	}
	n := 0
	for _, p := range split(links, maxLinks, maxListed) {
		if n += len(p); len(p) > maxListed/store.MaxBlock {
			t.Fatalf("a part of %d blocks of 2 MiB", len(p))
		}
	}
	if n != len(links) || split(nil, maxLinks, maxListed) != nil {
		t.Errorf("%d of %d", n, len(links))
	}
}

// TestPlan: large manifests stay as they are while all of them is kept.
func TestPlan(t *testing.T) {
	big := someManifest(maxLinks/2 + 1)
	small := newManifest("some.name", []link{{digest: store.Digest{255}, size: 10}, big.links[0]})
	all := []written{{pinnedNode{name: "a"}, big}, {pinnedNode{name: "b"}, small}, {pinnedNode{name: "c"}, small}}
	p := plan(all, CompactOptions{Keep: func(store.Digest) bool { return true }})
	if len(p.remove) != 2 || len(p.add) != 1 || len(p.add[0]) != 1 || p.count.After != 2 || p.count.Freed != 0 {
		t.Errorf("all kept: %+v", p.count)
	}
	p = plan(all, CompactOptions{Keep: func(d store.Digest) bool { return d != big.links[5].digest }})
	if len(p.remove) != 3 || p.count.Freed != 1 || p.count.Bytes != int64(big.links[5].size) || len(p.add) != 1 {
		t.Errorf("one let go: %+v", p.count)
	}
	// What a manifest that stays has is not freed, though nobody wants it.
	young := small
	young.time = time.Now().Add(time.Hour)
	all = []written{{pinnedNode{name: "b"}, small}, {pinnedNode{name: "c"}, young}}
	p = plan(all, CompactOptions{Keep: func(store.Digest) bool { return false }, Before: time.Now().Add(time.Minute)})
	if len(p.remove) != 1 || p.count.Freed != 0 || p.count.Kept != 2 {
		t.Errorf("held by a young one: %+v", p.count)
	}
}

func TestParseVersion(t *testing.T) {
	last := -1
	for _, s := range []string{"0.4.23", "0.39.9", "0.40.0-rc1", "0.43.0", "0.43.1-dev", "1.0.0"} {
		n, err := parseVersion(s)
		if err != nil || n <= last {
			t.Errorf("%s: %d after %d, %v", s, n, last, err)
		}
		last = n
	}
	for _, s := range []string{"", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0", "1.2.1000", "1..2"} {
		if n, err := parseVersion(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
	}
}
