// Archivecache runs the other commands, as git does with its own.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"archivecache/internal/cli"
)

const help = `usage: archivecache COMMAND [ARGUMENT]...

Archivecache runs a command of ArchiveCache by its name, so that names such as
merge and add need not stand on PATH. Without a COMMAND it lists them;
archivecache COMMAND -h tells about one. The commands are looked for in
$ARCHIVECACHE_LIBEXEC, else beside archivecache itself, else in
../libexec/archivecache from there.

Example:

  $ archivecache list root
`

func main() { cli.Main(help, run) }

func run(_ context.Context, env *cli.Env) error {
	args, err := env.Parse(0, -1)
	if err != nil {
		return err
	}
	dir, err := siblings(env)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return list(env, dir)
	}
	name := args[0]
	file := filepath.Join(dir, name)
	if name != filepath.Base(name) || !executable(file) || name == env.Name {
		return cli.Usage("%q is no command; archivecache alone lists them", name)
	}
	err = syscall.Exec(file, args, os.Environ())
	return fmt.Errorf("run %s: %w", name, err)
}

// siblings returns the folder with the other commands.
func siblings(env *cli.Env) (string, error) {
	if dir := env.Getenv("ARCHIVECACHE_LIBEXEC"); dir != "" {
		return dir, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("where am I? %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("where am I? %w", err)
	}
	here := filepath.Dir(self)
	for _, dir := range []string{here, filepath.Join(here, "..", "libexec", "archivecache")} {
		if executable(filepath.Join(dir, "initialize")) {
			return dir, nil
		}
	}
	return "", cli.WithHint(fmt.Errorf("the commands are not beside %s", self), "make install puts them in place; $ARCHIVECACHE_LIBEXEC names another folder")
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func list(env *cli.Env, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("commands: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != env.Name && executable(filepath.Join(dir, e.Name())) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	_, err = fmt.Fprintln(env.Stdout, strings.Join(names, "\n"))
	return err
}
