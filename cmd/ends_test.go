package cmd_test

import (
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

// contents lists what stands in somebody's root, with its CIDs, but for what has names that follow
// from keys: those are drawn anew each time. Of a damaged repository there is nothing to say.
func contents(env *testscript.Env, who string) string {
	list := func(args ...string) string {
		cmd := exec.Command(filepath.Join(bin, "list"), append([]string{"-repo", who}, args...)...)
		cmd.Dir = env.WorkDir
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		return string(out)
	}
	text := ""
	for line := range strings.Lines(list("-json", "root")) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, `{"name":"`), `"`)
		if !strings.Contains(name+list("root/"+name), "~") {
			text += who + ": " + line
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
}
