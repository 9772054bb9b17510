package path_test

import (
	"strings"
	"testing"

	"archivecache/tree/path"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"root", "root"},
		{"root/forum/", "root/forum"},
		{".", "."},
		{"a/..b/.c/~", "a/..b/.c/~"},
		{"root/" + strings.Repeat("x", 255), "root/" + strings.Repeat("x", 255)},
		{strings.Repeat("a/", 255) + "a", strings.Repeat("a/", 255) + "a"},
	} {
		if p, err := path.Parse(tt.in); err != nil || p.String() != tt.want {
			t.Errorf("Parse(%q) = %v, %v", tt.in, p, err)
		}
	}
	for _, tt := range []struct{ in, why string }{
		{"", "empty"},
		{"/", "only a slash"},
		{"/root", "slash in front"},
		{"root//go", "empty name"},
		{"root/./go", "dot"},
		{"root/../go", "dot dot"},
		{"..", "dot dot"},
		{"a\x00b", "NUL"},
		{"root/go//", "two slashes at the end"},
		{strings.Repeat("x", 256), "name of 256 bytes"},
		{strings.Repeat("a/", 256) + "a", "257 names"},
	} {
		if p, err := path.Parse(tt.in); err == nil {
			t.Errorf("Parse(%.20q) = %v, although: %s", tt.in, p, tt.why)
		}
	}
}

func TestParts(t *testing.T) {
	p := path.MustParse("root/forum/a")
	if p.Base() != "a" || p.Parent().String() != "root/forum" || len(p.Names()) != 3 {
		t.Errorf("%q %q %v", p.Base(), p.Parent(), p.Names())
	}
	if first, rest := p.First(); first != "root" || rest.String() != "forum/a" {
		t.Errorf("%q %q", first, rest)
	}
	if rest, ok := p.Below(path.MustParse("root/forum")); !ok || rest.String() != "a" {
		t.Errorf("%v %v", rest, ok)
	}
	if _, ok := p.Below(path.MustParse("root/for")); ok {
		t.Error("root/forum/a is not below root/for")
	}
	if q, err := path.MustParse("root").Join("x", ".."); err == nil {
		t.Errorf("joined to %v", q)
	}
	top := path.MustParse(".")
	if !top.IsTop() || top.Base() != "" || !top.Parent().IsTop() || top.Append(p) != p {
		t.Error("top of the tree")
	}
}

func TestCheckPublished(t *testing.T) {
	for _, bad := range []string{
		"root", "root/", "root/a/", "go", "identities/me", "root/\xff", "", ".",
		"root/a\nb", "root/a\tb", "root/\x1b[2J", "root/\x7f", "root/a\u0085", "root/\u009b2J", "root/\u2028", "root/a\u2029b",
		"root/\u202agpj", "root/\u202e", "root/x/\u2066y", "root/\u2069",
	} {
		if path.CheckPublished(bad) == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
	for _, good := range []string{"root/für alle", "root/עברית/日本", "root/a\u200db", "root/a\u2027\u202f\u2065"} {
		if err := path.CheckPublished(good); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root/forum/a")
	f.Add("root//a")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := path.Parse(text)
		if err != nil {
			return
		}
		if again, err := path.Parse(p.String()); err != nil || again != p {
			t.Errorf("%q: %v, %v", text, again, err)
		}
		if q, err := (path.Path{}).Join(p.Names()...); err != nil || q != p {
			t.Errorf("%q: its names make %v, %v", text, q, err)
		}
	})
}
