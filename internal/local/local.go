// Package local is what the commands share that work on a repository.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"archivecache/identity"
	"archivecache/internal/cli"
	"archivecache/internal/sqlite"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/pinning"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// An Env is the environment of a command that works on a repository.
type Env struct {
	*cli.Env
	dir *string
}

// Main runs a command that works on a repository; see [cli.Main].
func Main(help string, run func(context.Context, *Env) error) {
	deferGC()
	cli.Main(help, func(ctx context.Context, env *cli.Env) error {
		dir := env.Flags.String("repo", "", "the `DIR` of the repository (default $ARCHIVECACHE_PATH, else "+defaultDir("~/.local/share")+")")
		return explain(run(ctx, &Env{Env: env, dir: dir}))
	})
}

func defaultDir(data string) string { return filepath.Join(data, "archivecache") }

// Dir returns the folder of the repository: of the option -repo, else of the environment
// variable ARCHIVECACHE_PATH, else in the data folder of the XDG base directory specification.
func (env *Env) Dir() (string, error) {
	if *env.dir != "" {
		return *env.dir, nil
	}
	if dir := env.Getenv("ARCHIVECACHE_PATH"); dir != "" {
		return dir, nil
	}
	if data := env.Getenv("XDG_DATA_HOME"); data != "" {
		return defaultDir(data), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("where is the repository? %w", err)
	}
	return defaultDir(filepath.Join(home, ".local", "share")), nil
}

// Repo opens the repository.
func (env *Env) Repo() (*repo.Repo, error) {
	dir, err := env.Dir()
	if err != nil {
		return nil, err
	}
	return repo.Open(dir)
}

// Path reads a path of the tree from the command line.
func Path(text string) (path.Path, error) {
	p, err := path.Parse(text)
	if err != nil {
		return p, cli.WithHint(err, "a path is names with slashes between them, such as root/forum")
	}
	return p, nil
}

// Paths reads several paths.
func Paths(texts []string) ([]path.Path, error) {
	var paths []path.Path
	for _, text := range texts {
		p, err := Path(text)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// nextSteps are what to do about errors that have one.
var nextSteps = []struct {
	err  error
	hint string
}{
	{repo.ErrNone, "initialize -repo DIR makes one; the option -repo or $ARCHIVECACHE_PATH names another folder"},
	{repo.ErrExists, "use it as it is, or name another folder"},
	{repo.ErrFormat, "use the version of ArchiveCache that wrote it, or a newer one"},
	{repo.ErrDamaged, "restore the folder from a copy, and merge the node of a friend before you publish again"},
	{repo.ErrStore, "initialize -store and migrate-store take these"},
	{repo.ErrCopied, "migrate-store embedded, and migrate-store kubo after that, give it a place of its own there"},
	{repo.ErrMoved, "run the command again"},
	{repo.ErrThere, "nothing has to be done"},
	{repo.ErrOtherDaemon, "migrate-store embedded takes everything into the folder, and migrate-store kubo from there to the other daemon"},
	{kubo.ErrUnreachable, "start the daemon, or name its address: initialize -api, migrate-store -api ADDRESS kubo, or $IPFS_PATH"},
	{kubo.ErrDenied, "the daemon's configuration, API.Authorizations and API.HTTPHeaders, says who may use it"},
	{kubo.ErrNotKubo, "name the address of the RPC API, mostly port 5001, and not that of the gateway: initialize -api, or migrate-store -api ADDRESS kubo"},
	{kubo.ErrProxy, "name the API of the daemon itself; add-pinning-service -cluster has the cluster keep what is published"},
	{kubo.ErrTooOld, "use kubo 0.43 or newer"},
	{kubo.ErrFull, "make room for the daemon and run the command again; nothing was changed"},
	{repo.ErrNoDaemon, "migrate-store kubo moves them into an IPFS daemon"},
	{repo.ErrServiceName, "a name has letters, digits and ._- , 64 at most"},
	{repo.ErrServiceThere, "remove-pinning-service forgets it; other names are free"},
	{repo.ErrServiceUnknown, "pins shows all"},
	{pinning.ErrUnreachable, "start the service, or name its address: remove-pinning-service, and add-pinning-service again"},
	{pinning.ErrDenied, "add-pinning-service -token-file tells what the service knows you by"},
	{pinning.ErrNotCluster, "name the address of the cluster's REST API, mostly port 9094"},
	{pinning.ErrNotService, "name the URL behind which the service has /pins; for the REST API of an IPFS Cluster say -cluster"},
	{pinning.ErrClear, "name an address that begins with https://, or one on this machine"},
	{repo.ErrNoIdentity, "new-identity identities/NAME makes one"},
	{repo.ErrNoFriend, "add-friend-from-message accepts the author of an identity message"},
	{repo.ErrElsewhere, "merge the node of a friend who has merged it, or that node itself, and publish then; what is signed now would fork your history"},
	{state.ErrIdentityForked, "make a new identity if it is yours; if it is a friend's, ask them for a new one, and accept that"},
	{state.ErrNotInEffect, "merge the node of somebody who has it whole, or take their blocks with import-car"},
	{repo.ErrOwnForked, "two copies of your key have published: go on with one of them, and rotate-identity there ends the fork"},
	{repo.ErrForked, "nothing of that author's nodes can be told apart any more; ask them what happened, as two copies of one key may have published"},
	{reference.ErrOldKey, "nothing has to be done; ask your friend for their newest node if they have sent this"},
	{repo.ErrOlder, "nothing has to be done; ask your friend for their newest node if you miss something"},
	{identity.ErrNoKey, "import-identity brings back a key that was exported"},
	{identity.ErrWrongPassphrase, "the passphrase comes from the terminal, -passphrase-fd N or $ARCHIVECACHE_PASSPHRASE"},
	{tree.ErrValue, "-text takes it as a text"},
	{repo.ErrRepository, "export-identity makes a copy of a key under a passphrase; nothing else of a repository belongs into the tree"},
	{repo.ErrSecretKey, "-exclude PATTERN leaves the file out; export-identity makes a copy of a key under a passphrase"},
	{tree.ErrNotOwner, "add it at a place of your own; a shared directory such as root/forum takes files of everybody"},
	{tree.ErrForked, "only a new key of the author ends a fork"},
	{repo.ErrForgotten, "log prints what is left; friends and copies of the folder may have the rest"},
	{repo.ErrWriting, "run it again when they are done"},
	{repo.ErrSweeping, "run it again when gc is done"},
	{sqlite.ErrFull, "make room and run the command again; nothing was changed"},
	{store.ErrNotFound, "download and merge fetch blocks from friends who serve them, import-car takes them from a file"},
}

// explain adds the next step to an error that has one.
func explain(err error) error {
	for _, step := range nextSteps {
		if errors.Is(err, step.err) {
			return cli.WithHint(err, "%s", step.hint)
		}
	}
	return err
}

// PrintLine prints columns for a person.
func PrintLine(env *Env, kind, at, text string) error {
	_, err := fmt.Fprintf(env.Stdout, "%-12s %s: %s\n", kind, cli.Quote(at), cli.Quote(text))
	return err
}
