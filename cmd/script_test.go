// Package cmd_test tests the commands as people type them: as processes, with a home of their own.
package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"archivecache/internal/kubotest"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder with all commands.
var bin string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	bin = os.Getenv("ARCHIVECACHE_BIN")
	if bin == "" {
		dir, err := os.MkdirTemp("", "archivecache-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./...")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the commands:", err)
			return 1
		}
		bin = dir
	}
	os.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for _, name := range []string{"ARCHIVECACHE_PATH", "ARCHIVECACHE_PASSPHRASE", "XDG_DATA_HOME"} {
		os.Unsetenv(name)
	}
	return m.Run()
}

// TestInputs looks at all that the commands are made from, so that go test does not take the result
// of before when that has changed: it watches the files that a test looks at, and not those of the
// commands that it runs.
func TestInputs(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(name string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return filepath.SkipDir
		case filepath.Ext(name) == ".go" || name == "../go.mod" || filepath.Base(filepath.Dir(name)) == "bin":
			files++
			_, err = os.Stat(name)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files: %v", files, err)
	}
}

// TestScript runs the stories in testdata/script with the embedded store. people_test.go has the
// words that they use.
func TestScript(t *testing.T) { runStories(t, "embedded", "", "") }

// TestScriptOnKubo runs the same stories with a kubo daemon for all repositories. They end with the
// same CIDs.
func TestScriptOnKubo(t *testing.T) {
	t.Cleanup(func() { sameEnds(t) })
	runStories(t, "kubo", kubotest.Daemon(t, kubotest.Offline).API, kubotest.Daemon(t, kubotest.Offline).API)
}

// runStories runs the stories with a store for what they initialize. The conditions [embedded] and
// [kubo] are for what is different; $OTHER_API is another daemon, for those to whom blocks are to be
// missing.
func runStories(t *testing.T, store, api, otherAPI string) {
	stories, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", os.Getenv("PATH"))
			env.Setenv("ARCHIVECACHE_STORE", store)
			env.Setenv("ARCHIVECACHE_API", api)
			env.Setenv("OTHER_API", otherAPI)
			noteEnd(env, store)
			env.Defer(func() { endMounts(env.WorkDir) })
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "embedded", "kubo":
				return name == store, nil
			case "fuse":
				return hasFUSE(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: words,
	})
}

// words are the commands of our own that stories use.
var words = map[string]func(*testscript.TestScript, bool, []string){
	"sh":       sh,
	"soon":     inTime,
	"gone":     gone,
	"refused":  status(1, true),
	"usage":    status(2, true),
	"partly":   status(3, false),
	"braked":   status(4, true),
	"people":   people,
	"friends":  friends,
	"publish":  publish,
	"send":     send,
	"carry":    carry,
	"withhold": withhold,
	"serve":    serve,
	"fetch":    fetch,
	"cartrim":  carTrim,
	"carjunk":  carJunk,
	"cid":      saveCid,
	"same":     same,
	"differ":   differ,
	"bomb":     bomb,
	"forge":    forge,
	"grow":     grow,
	"random":   random,
}

// sh runs a pipeline of the shell, given as one argument. With ! it has to fail.
func sh(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: sh 'SCRIPT'")
	}
	err := ts.Exec("bash", "-e", "-o", "pipefail", "-c", args[0])
	switch {
	case err != nil && !neg:
		ts.Fatalf("%s: %v", args[0], err)
	case err == nil && neg:
		ts.Fatalf("%s: it should have failed", args[0])
	}
}

// status returns a word that runs a command, or a shell pipeline if there is one argument, which
// has to end with a status. With unchanged the repositories alice, bob and carol must have the head
// of before.
func status(want int, unchanged bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("it takes no !, and a command")
		}
		before := heads(ts)
		if len(args) == 1 {
			args = []string{"bash", "-o", "pipefail", "-c", args[0]}
		}
		err := ts.Exec(args[0], args[1:]...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			ts.Fatalf("%q: %v, and it should be status %d", args, err, want)
		}
		if after := heads(ts); unchanged && after != before {
			ts.Fatalf("%q was refused, and changed a repository:\n%s%s", args, before, after)
		}
	}
}

// heads returns the newest commit of each person's repository.
func heads(ts *testscript.TestScript) string {
	text := ""
	for _, who := range []string{"alice", "bob", "carol"} {
		if _, err := os.Stat(ts.MkAbs(who)); err != nil {
			continue
		}
		out, err := output(ts, "log", "-repo", who, "-json", "-limit", "1")
		if err != nil {
			out = err.Error() // a damaged one stays damaged
		}
		text += who + ": " + out
	}
	return text
}

// output runs a command in the folder of the story and returns its standard output.
func output(ts *testscript.TestScript, name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", name, args, err)
	}
	return string(out), nil
}

// environment is that of the commands of a story, for words that run commands themselves.
func environment(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{"HOME", "ARCHIVECACHE_STORE", "ARCHIVECACHE_API"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func rootOf(ts *testscript.TestScript, repo, path string) string {
	out, err := output(ts, "info", "-repo", repo, "-json", path)
	ts.Check(err)
	var info struct {
		Cid string `json:"cid"`
	}
	ts.Check(json.Unmarshal([]byte(out), &info))
	if info.Cid == "" {
		ts.Fatalf("%s has no CID in %s", path, repo)
	}
	return info.Cid
}
