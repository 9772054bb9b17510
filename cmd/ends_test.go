package cmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// ends are the CIDs with which stories have ended, by store and story.
var ends = struct {
	sync.Mutex
	of map[string]map[string]string
}{of: map[string]map[string]string{}}

// noteEnd notes, when a story ends, the CIDs of what then stands in the root of each person.
func noteEnd(env *testscript.Env, store string) {
	env.Defer(func() {
		text := ""
		for _, who := range []string{"alice", "bob", "carol"} {
			text += contents(env, who)
		}
		ends.Lock()
		defer ends.Unlock()
		if ends.of[store] == nil {
			ends.of[store] = map[string]string{}
		}
		ends.of[store][filepath.Base(env.WorkDir)] = text
	})
}

// randomFile says, in the folder of a story, that what it ends with is drawn anew each time.
const randomFile = ".random"

// random says of a story that what it adds is not the same each time, and why.
func random(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: random WHY")
	}
	ts.Check(os.WriteFile(ts.MkAbs(randomFile), []byte(args[0]), 0o644))
}

// contents lists the owned directories in somebody's root, with the CIDs of their content. Names that
// follow from keys are left out, and so are those beside them, of which luck decides which is which;
// and shared directories, which may have such names in them. Of a damaged repository there is nothing
// to say.
func contents(env *testscript.Env, who string) string {
	print := func(name string, args ...string) string {
		cmd := exec.Command(filepath.Join(bin, name), append([]string{"-repo", who}, args...)...)
		cmd.Dir = env.WorkDir
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		return string(out)
	}
	if _, err := os.Stat(filepath.Join(env.WorkDir, randomFile)); err == nil {
		return ""
	}
	text, names := "", print("list", "root")
	for name := range strings.Lines(names) {
		name = strings.TrimSpace(name)
		if strings.Contains(name, "~") || strings.Contains(names, name+"~") {
			continue
		}
		var info struct{ Policy, Content string }
		if json.Unmarshal([]byte(print("info", "-json", "root/"+name)), &info) == nil && info.Policy == "owned_directory_v1" {
			text += who + ": " + name + " " + info.Content + "\n"
		}
	}
	return text
}

// sameEnds compares the ends of stories that have run with both stores.
func sameEnds(t *testing.T) {
	if t.Failed() {
		return // of a story that stopped in between it says nothing
	}
	ends.Lock()
	defer ends.Unlock()
	compared := 0
	for story, folder := range ends.of["embedded"] {
		daemon, ok := ends.of["kubo"][story]
		if !ok || folder == "" {
			continue // only some were asked for, or it is a story for daemons
		}
		if folder != daemon {
			t.Errorf("%s ends with other CIDs in a daemon:\n%sthan in the folder:\n%s", story, daemon, folder)
		}
		compared += strings.Count(folder, "\n")
	}
	t.Logf("stories end with %d equal CIDs with both stores", compared)
	if len(ends.of["embedded"]) > 40 && compared < 20 {
		t.Error("that is too few to tell anything")
	}
}
