package shared

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"archivecache/tree/path"
)

func TestConflictName(t *testing.T) {
	id := []byte(strings.Repeat("\x12\x34\xab\xcd", 8))
	all := strings.Repeat("1234abcd", 8)
	long := strings.Repeat("é", 120) // 240 bytes
	for _, test := range []struct {
		why, name string
		taken     []string
		want      string
	}{
		{"the usual", "report.txt", nil, "report~1234abcd.txt"},
		{"no extension", "report", nil, "report~1234abcd"},
		{"the last dot counts", "a.tar.gz", nil, "a.tar~1234abcd.gz"},
		{"the first character is no extension", ".profile", nil, ".profile~1234abcd"},
		{"but a dot behind it is", ".profile.d", nil, ".profile~1234abcd.d"},
		{"an empty extension", "a.", nil, "a~1234abcd."},
		{"dots only", "...", nil, "..~1234abcd."},
		{"a tilde", "~", nil, "~~1234abcd"},
		{"a conflict name in conflict", "a~00000000.b", nil, "a~00000000~1234abcd.b"},
		{"one more digit", "a", []string{"a~1234abcd"}, "a~1234abcd1"},
		{"two more digits", "a", []string{"a~1234abcd", "a~1234abcd1"}, "a~1234abcd12"},
		{"246 bytes still fit", strings.Repeat("a", 246), nil, strings.Repeat("a", 246) + "~1234abcd"},
		{"a long stem is cut, with all digits", strings.Repeat("a", 247), nil, strings.Repeat("a", 190) + "~" + all},
		{"between characters", "a" + long + ".odt.txt", nil, "a" + strings.Repeat("é", 92) + "~" + all + ".txt"},
		{"what is not UTF-8, anywhere", strings.Repeat("\x80", 255), nil, strings.Repeat("\x80", 190) + "~" + all},
		{"a long extension stays while it fits", "a." + strings.Repeat("b", 200), nil, "a~1234abcd." + strings.Repeat("b", 200)},
		{"an extension that is too long is cut as the stem", "a." + strings.Repeat("b", 250), nil, "a." + strings.Repeat("b", 188) + "~" + all},
	} {
		got, err := ConflictName(test.name, id, func(n string) (bool, error) { return slices.Contains(test.taken, n), nil })
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.why, got, err, test.want)
		}
		plain, cut, ok := plainName(got)
		if !ok || !cut && plain != test.name {
			t.Errorf("%s: read back as %q, %v, %v", test.why, plain, cut, ok)
		}
	}
	taken := func(string) (bool, error) { return true, nil }
	if got, err := ConflictName("a", id, taken); got != "" || err != nil {
		t.Errorf("all names taken: %q, %v", got, err)
	}
}

func FuzzConflictName(f *testing.F) {
	f.Add("a.txt", []byte("12345678901234567890123456789012"))
	f.Add(strings.Repeat("é", 127), []byte("12345678901234567890123456789012"))
	f.Add("a."+strings.Repeat("\x80", 250), []byte("12345678901234567890123456789012"))
	f.Fuzz(func(t *testing.T, name string, id []byte) {
		if path.CheckName(name) != nil || len(id) != versionSize {
			return // no name, or no id
		}
		got, err := ConflictName(name, id, func(string) (bool, error) { return false, nil })
		if err != nil || path.CheckName(got) != nil || utf8.ValidString(name) && !utf8.ValidString(got) {
			t.Fatalf("%q: %q, %v", name, got, err)
		}
		if plain, cut, ok := plainName(got); !ok || !cut && plain != name {
			t.Errorf("%q is shown as %q and read back as %q, %v, %v", name, got, plain, cut, ok)
		}
	})
}
