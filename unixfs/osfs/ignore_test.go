package osfs_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"
)

// paths are what the patterns of TestLikeGit are tried on.
var paths = []string{
	"a", "b", "foo", "foo.c", "foo.o", "FOO", "x.log", "!bang", "#hash", "trail ", "[x]", "a?", "-", "]",
	"dir/a", "dir/foo", "dir/foo.c", "dir/x.log", "dir/sub/a", "dir/sub/foo", "dir/sub/deep/foo.c", "dir/sub/deep/a",
	"other/dir/a", "other/dir/sub/foo", "other/foo/bar", "foo1/bar", "build/out/x", "docs/build/y", "abc", "a1", "aé", "a-c",
	".hidden/x", "x/y/z/foo", "x/foo/z/y", "star*", "back\\slash", "dir2/*", "a.b.c", "long/way/down/to/foo",
}

var patternSets = []string{
	"foo", "/foo", "foo/", "*.c", "dir/*.c", "/dir/*", "dir/", "dir/sub", "/dir/sub/", "**/foo", "**/dir/sub", "dir/**",
	"dir/**/foo", "dir/**/foo.c", "**", "*", "*/", "/*", "*\n!foo", "/*\n!/dir\n/dir/*\n!/dir/sub", "dir\n!dir/a", "*.log\n!dir/x.log",
	"fo?", "?", "a?", "a\\?", "[ab]", "[!ab]", "[^ab]", "[a-c]", "[a-]", "[]]", "[[:digit:]]", "a[[:alnum:]]", "a[0-9]", "\\!bang", "!bang", "\\#hash", "#hash",
	"trail ", "trail\\ ", "trail", "\\[x\\]", "[[]x]", "star\\*", "star*", "back\\\\slash", "dir2/\\*", "**/**/foo", "a**", "foo/**", "**/*.c", "x/**/foo", "x/**/y",
	"x/*/z", "x/*/foo", "/**/foo", "long/**", "long/**/foo", "**/down/**", "a.b.c", "a*c", "*.*", "*.b.*", "dir/sub/deep/", "foo\nfoo/\n!foo", "", "\n\n", "/", "//", "!", "!/", "f**o", "**dir/a",
	"[a\\]]", "[é]", "[!é]", "a[!x]", "a[!/]c", "dir[/]a", "\\é", "a/", "a/*", "?é", "a??", "other/**/sub/*", "*\n!*/\n!*.c", "*\n!*/\n!**/foo",
}

func TestRefusedPatterns(t *testing.T) {
	for _, bad := range []string{"b[", "[", "a\\", "[!a", "[[:bad:]]", "[[:", "[z-a]", "[]"} {
		if _, err := osfs.CompilePatterns([]string{"fine", bad}); err == nil || !strings.Contains(err.Error(), "pattern 2") {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := osfs.Import(ctx, new(memory), t.TempDir(), osfs.Options{Exclude: []string{bad}}); err == nil {
			t.Errorf("Import with %q: no error", bad)
		}
	}
	long := strings.Repeat("x", 5000)
	if _, err := osfs.ReadPatterns(strings.NewReader(long)); err == nil {
		t.Error("a line of 5,000 bytes: no error")
	}
	if _, err := osfs.ReadPatterns(strings.NewReader(strings.Repeat("x\n", 20000))); err == nil {
		t.Error("20,000 lines: no error")
	}
}

// TestLikeGit compares with git itself, which decides for each path through an ignore file.
func TestLikeGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range patternSets {
		dir := t.TempDir()
		tr := tree{".gitignore": set}
		for _, p := range paths {
			tr[p] = "content"
		}
		tr.write(t, dir)
		if out, err := exec.Command(git, "-C", dir, "init", "-q").CombinedOutput(); err != nil {
			t.Fatalf("git init: %v %s", err, out)
		}
		out, err := exec.Command(git, "-C", dir, "-c", "core.excludesFile=/dev/null", "-c", "core.ignoreCase=false", "ls-files", "-z", "--others", "--exclude-standard").Output()
		if err != nil {
			t.Fatalf("git ls-files: %v", err)
		}
		want := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
		slices.Sort(want)
		if got := imported(t, dir, set); !slices.Equal(got, want) {
			t.Errorf("patterns %q:\n got %q\nwant %q", set, got, want)
		}
	}
}

// imported lists the files that Import takes in, by the ignore file and, if they are different,
// complains if the same patterns as an option do otherwise.
func imported(t *testing.T, dir, set string) []string {
	t.Helper()
	m := new(memory)
	byFile, err := osfs.Import(ctx, m, dir, osfs.Options{Exclude: []string{"/.git/"}, IgnoreFile: ".gitignore"})
	if err != nil {
		t.Errorf("patterns %q: %v", set, err)
		return nil
	}
	byOption, err := osfs.Import(ctx, m, dir, osfs.Options{Exclude: append(strings.Split(set, "\n"), "/.git/")})
	if err != nil || byOption.Entry != byFile.Entry {
		t.Errorf("patterns %q as an option: %v, or another result", set, err)
	}
	var names []string
	list(t, m, byFile.Entry, "", &names)
	slices.Sort(names)
	return names
}

func list(t *testing.T, m *memory, dir unixfs.Entry, path string, names *[]string) {
	t.Helper()
	d, err := unixfs.OpenDir(ctx, m, dir.Cid)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Each(ctx, func(e unixfs.Entry) error {
		info, err := unixfs.Stat(ctx, m, e.Cid)
		if err == nil && info.Kind == unixfs.Directory {
			list(t, m, e, filepath.Join(path, e.Name), names)
		} else {
			*names = append(*names, filepath.Join(path, e.Name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzPatterns(f *testing.F) {
	for _, set := range patternSets {
		f.Add([]byte(set), "dir/sub/foo.c")
	}
	f.Fuzz(func(t *testing.T, set []byte, path string) {
		p, err := osfs.ReadPatterns(bytes.NewReader(set))
		if err == nil {
			p.Match(path, false)
		}
	})
}

var _ store.Getter = (*memory)(nil)
