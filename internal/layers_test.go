// Package internal_test holds the packages to the order in which they may know each other.
package internal_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "archivecache"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// packages returns all packages of the module by their paths in it.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all[strings.TrimPrefix(p.ImportPath, module+"/")] = p
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d packages", len(all))
	}
	return all
}

// below reports whether the package path is one of the given folders or stands in one.
func below(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
}

// TestLayers follows all dependencies: arrows point downwards only.
func TestLayers(t *testing.T) {
	forbidden := []struct{ who, whom string }{
		{"message", "message store identity tree repo exchange merge unixfs dag dagcbor internal cmd"},
		{"dagcbor", "message store identity tree repo exchange merge unixfs internal cmd"},
		{"identity", "tree repo exchange merge unixfs cmd"},
		{"store", "message identity tree repo exchange merge unixfs cmd"},
		{"store/kubo", "internal store/embedded store/pinning"},
		{"store/pinning", "internal store/embedded store/kubo dag"},
		{"store/endpoint", "internal store/embedded store/kubo store/pinning dag"},
		{"unixfs", "message identity tree repo exchange merge internal cmd"},
		{"tree", "repo exchange merge internal cmd store/embedded store/kubo"},
		{"tree/merkle", "tree/reference tree/state tree/shared identity unixfs"},
		{"tree/reference", "tree/state tree/shared unixfs"},
		{"tree/state", "tree/shared unixfs"},
		{"repo", "exchange merge upkeep cmd internal/cli internal/local"},
		{"exchange", "repo merge upkeep cmd internal/cli internal/local tree"},
		{"upkeep", "merge cmd internal/cli internal/local"},
		{"merge", "upkeep cmd internal/cli internal/local"},
		{"workspace", "merge exchange upkeep mount cmd internal/cli internal/local"},
		{"mount", "merge exchange upkeep cmd internal/cli internal/local"},
		{"internal/web", "message dag store identity tree repo exchange merge unixfs workspace mount upkeep internal/cli internal/local cmd"},
		{"internal/sim", "repo exchange merge cmd internal/cli internal/local internal/sqlite store/embedded store/kubo"},
		{"internal/cli", "store identity tree repo exchange merge unixfs"},
	}
	all := packages(t)
	for _, rule := range forbidden {
		if _, ok := all[rule.who]; !ok {
			t.Errorf("there is no package %s", rule.who)
		}
		for path, p := range all {
			if !below(path, rule.who) {
				continue
			}
			for _, dep := range p.Deps {
				dep, own := strings.CutPrefix(dep, module+"/")
				if own && !(rule.who == "message" && dep == path) && below(dep, strings.Fields(rule.whom)...) {
					t.Errorf("%s depends on %s", path, dep)
				}
			}
		}
	}
}

// TestNobodyImportsCommands also keeps what is internal to tests out of the commands.
func TestNobodyImportsCommands(t *testing.T) {
	for path, p := range packages(t) {
		for _, dep := range p.Deps {
			dep, own := strings.CutPrefix(dep, module+"/")
			switch {
			case own && below(dep, "cmd"):
				t.Errorf("%s imports the command %s", path, dep)
			case own && below(path, "cmd") && strings.HasSuffix(dep, "test"):
				t.Errorf("%s links %s, which is for tests", path, dep)
			}
		}
	}
}

// TestLinks holds what commands link. Those that only handle messages start at once, so they link
// neither IPFS nor SQLite. boxo's gateway is for serve alone; and of boxo those that talk to no daemon link
// only a helper that go-car needs. FUSE is for mount alone, and WebDAV for serve.
func TestLinks(t *testing.T) {
	light := []string{"cmd/message-to-json", "cmd/message-from-json", "cmd/archivecache"}
	for path, p := range packages(t) {
		if !below(path, "cmd") {
			continue
		}
		for _, dep := range p.Deps {
			heavy := strings.Contains(dep, "/ipfs/") || strings.Contains(dep, "/ipld/") || strings.Contains(dep, "sqlite") || dep == "net/http"
			if slices.Contains(light, path) && heavy {
				t.Errorf("%s links %s", path, dep)
			}
			boxo, ok := strings.CutPrefix(dep, "github.com/ipfs/boxo/")
			talks := boxo != "gateway" && slices.Contains(p.Deps, module+"/store/kubo")
			if ok && boxo != "util" && path != "cmd/serve" && !talks {
				t.Errorf("%s links %s", path, dep)
			}
			fuse := strings.HasPrefix(dep, "github.com/hanwen/go-fuse/") && path != "cmd/mount"
			if fuse || dep == "golang.org/x/net/webdav" && path != "cmd/serve" {
				t.Errorf("%s links %s", path, dep)
			}
		}
	}
}

// TestPackageComments wants exactly one for each package: the place where it is specified.
func TestPackageComments(t *testing.T) {
	for path, p := range packages(t) {
		var with []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				with = append(with, name)
			}
		}
		if len(with) != 1 {
			t.Errorf("%s has %d package comments: %q", path, len(with), with)
		}
	}
}
