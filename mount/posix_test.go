//go:build linux

package mount_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archivecache/internal/posixtest"
)

// expected are the checks that fail, with the reasons; docs/mount.md says the same.
var expected = noLinks(
	"rename/between_links_of_one_file", "rename/over_a_link", "link/adds_a_name", "link/one_file", "link/across_directories",
	"link/touches_its_folder", "link/ctime", "link/outlives_the_first_name", "link/open_by_a_lost_name", "link/symlink",
	"link/through_a_symlink", "unlink/ctime", "readdir/every_kind",
)

func noLinks(names ...string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = "it makes a hard link: the tree has one name for each file"
	}
	return all
}

func TestPOSIX(t *testing.T) {
	for _, in := range []string{"mine", "forum"} {
		t.Run(in, func(t *testing.T) {
			_, _, dir := mounted(t, in)
			posixtest.Test(t, dir, posixtest.Options{Skip: expected})
		})
	}
}

var operations = flag.Int("operations", 60_000, "how many random operations TestModel does in each directory")

// TestModel also mounts anew now and then.
func TestModel(t *testing.T) {
	for _, in := range []string{"mine", "forum"} {
		t.Run(in, func(t *testing.T) {
			s, repoDir, _ := mounted(t, in)
			dir := filepath.Join(s.at, "root", in, "model")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.Model(t, dir, posixtest.ModelOptions{
				Operations: *operations,
				Settle:     func() { time.Sleep(200 * time.Millisecond) },
				Remount: func() {
					s.stop()
					s = start(t, repoDir, s.at)
				},
			})
			s.stop()
		})
	}
}

// TestDocs holds docs/mount.md to the checks that fail.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/mount.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range expected {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/mount.md does not name %s", name)
		}
	}
}
