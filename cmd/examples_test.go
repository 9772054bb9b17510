package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commandNames returns the names of all commands, which are the folders here.
func commandNames(t *testing.T) []string {
	t.Helper()
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) < 35 {
		t.Fatalf("%d commands: %v", len(mains), err)
	}
	var names []string
	for _, m := range mains {
		names = append(names, filepath.Dir(m))
	}
	return names
}

// TestExamples types the example in the help of each command, in a home where there is something to
// work on.
func TestExamples(t *testing.T) {
	for _, name := range commandNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			help := new(bytes.Buffer)
			cmd := exec.Command(filepath.Join(bin, name), "-h")
			cmd.Stdout, cmd.Stderr = help, help
			if err := cmd.Run(); err != nil {
				t.Fatalf("-h: %v\n%s", err, help)
			}
			if !strings.HasPrefix(help.String(), "usage: "+name+" ") {
				t.Errorf("the help begins with %.60q", help)
			}
			var lines []string
			for line := range strings.Lines(help.String()) {
				if typed, ok := strings.CutPrefix(line, "  $ "); ok {
					lines = append(lines, typed)
				}
			}
			if len(lines) == 0 {
				t.Fatal("its help has no example")
			}
			shell(t, exampleHome(t), strings.Join(lines, ""))
		})
	}
}

// exampleHome returns the environment of an example: a repository with an identity and a file,
// which $ARCHIVECACHE_PATH names, and $OTHER with a friend's; $ID is the first one's id.
func exampleHome(t *testing.T) []string {
	t.Helper()
	home := t.TempDir()
	env := append(os.Environ(), "HOME="+home, "ARCHIVECACHE_PATH="+home+"/mine", "OTHER="+home+"/other", "PWD="+home)
	id := shell(t, env, `
		initialize
		new-identity identities/me
		initialize -repo "$OTHER"
		new-identity -repo "$OTHER" identities/other > other.id
		message-read-reference identities/me | add-friend-from-message -repo "$OTHER" > friend
		message-read-reference -repo "$OTHER" identities/other | add-friend-from-message > friend
		echo hello | add - root/docs/hello.txt`)
	return append(env, "ID="+strings.TrimSpace(id))
}

// shell runs a script in the home of the environment and returns its standard output.
func shell(t *testing.T, env []string, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Env = env
	for _, v := range env {
		if home, ok := strings.CutPrefix(v, "HOME="); ok {
			cmd.Dir = home // the last one counts
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s\n%v\n%s%s", script, err, &stdout, &stderr)
	}
	return stdout.String()
}

// TestWrongUsage gives each command an option that there is not.
func TestWrongUsage(t *testing.T) {
	for _, name := range commandNames(t) {
		cmd := exec.Command(filepath.Join(bin, name), "-no-such-option")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("%s: %v, and it should be status 2", name, err)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: it wrote to standard output: %s", name, &stdout)
		}
		if !strings.HasPrefix(stderr.String(), name+": ") || !strings.Contains(stderr.String(), "usage: "+name) {
			t.Errorf("%s: it says %s", name, &stderr)
		}
	}
}

// TestReadme wants every command in the table of the README.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| command |")
	if !ok {
		t.Fatal("README.md has no table of commands")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, name := range commandNames(t) {
		if !strings.Contains(table, fmt.Sprintf("`%s`", name)) {
			t.Errorf("the table of commands in README.md lacks %s", name)
		}
	}
}
