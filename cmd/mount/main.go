//go:build linux

// Mount shows the tree as a file system of this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/merge"
	"archivecache/mount"
	"archivecache/repo"
	"archivecache/tree/path"
	"archivecache/workspace"

	"github.com/ipfs/go-cid"
)

const help = `usage: mount [-repo DIR] [-identity PATH] [-read-only] [-at VERSION] [-background] [PATH] MOUNTPOINT

Mount shows the tree, or the directory at PATH in it, below the folder
MOUNTPOINT, until umount MOUNTPOINT or an interrupt ends that. Every program can
read and write there; what may be changed is what add may change: your own
directories, your part of shared ones, and what mkdir makes below root, which is
your own then. The rest is read-only.

What is written is safe once the call returns, also if mount is killed, and
after fsync also if the machine is; it is committed within a second, as drafts,
so no key is needed. Other commands see it then, and the mount shows what they,
merges and other mounts have committed. A version in conflict stands under its
name, as hello~5b418abb.txt: edit what shall stay, and remove the others. What is
not here, such as what merge -metadata-only has left, is fetched from friends and
gateways when it is read.

-at shows the tree as it was after an entry of the log, -list what is mounted.
Extended attributes user.archivecache.* tell policy, owner, author, sequence,
cid, signature and conflict of a file: getfattr -d FILE. docs/mount.md has what
differs from a local file system.

Example:

  $ mkdir tree
  $ mount -background tree
  $ echo hello > tree/root/forum/hello.txt
  $ umount tree
`

func main() { local.Main(help, run) }

type options struct {
	identity   string
	readOnly   bool
	at         string
	background bool
	list       bool
	json       bool
	others     bool
	debug      bool
	fetch      func() (merge.Options, error)
}

func run(ctx context.Context, env *local.Env) error {
	var opt options
	opt.fetch = env.FetchFlags()
	env.Flags.StringVar(&opt.identity, "identity", "", "the `PATH` of the author of what is written (default: your first identity)")
	env.Flags.BoolVar(&opt.readOnly, "read-only", false, "nothing can be written")
	env.Flags.StringVar(&opt.at, "at", "", "show the tree as of the entry `VERSION` of the log")
	env.Flags.BoolVar(&opt.background, "background", false, "return when it is mounted, and go on in the background")
	env.Flags.BoolVar(&opt.list, "list", false, "print what is mounted on this machine, and do nothing else")
	env.Flags.BoolVar(&opt.json, "json", false, "with -list: a line of JSON for each")
	env.Flags.BoolVar(&opt.others, "allow-other", false, "other users of this machine may look at it as well")
	env.Flags.BoolVar(&opt.debug, "debug", false, "say on standard error what the kernel asks")

	args, err := env.Parse(0, 2)
	switch {
	case err != nil:
		return err
	case opt.list && len(args) == 0:
		return list(env, opt.json)
	case opt.list || len(args) < 1:
		return cli.Usage("%d arguments; name a MOUNTPOINT, or only -list", len(args))
	}
	if opt.background && !inBackground(env) {
		return background(env)
	}
	return show(ctx, env, opt, args[:len(args)-1], args[len(args)-1])
}

// memory is how much of it the process takes before it collects garbage harder, in bytes.
const memory = 160 << 20

// show mounts the tree and returns when it is not mounted any more.
func show(ctx context.Context, env *local.Env, opt options, at []string, mountpoint string) error {
	debug.SetMemoryLimit(memory)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // as when a terminal is closed
	defer stop()
	if err := clear(env, mountpoint); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	fetch, err := opt.fetch()
	if err != nil {
		return err
	}
	lazy := merge.NewLazy(r.Dir(), fetch)
	defer lazy.Close()
	ws, watcher, err := open(ctx, env, r, opt, workspace.Options{Missing: lazy.Get, Timeout: fetch.Fetch.BlockTimeout})
	if err != nil {
		return err
	}
	m, err := mountAt(ctx, ws, watcher, opt, at, mountpoint)
	if err == nil {
		env.Say("mounted on %s", mountpoint)
		if err = ready(env, r.Dir()); err == nil {
			err = wait(ctx, env, m)
		} else {
			err = errors.Join(err, m.Unmount())
		}
	}
	return errors.Join(err, ws.Close(context.WithoutCancel(ctx)))
}

// clear takes away a mount whose process has died.
func clear(env *local.Env, mountpoint string) error {
	cleared, err := mount.Clear(mountpoint)
	if cleared && err == nil {
		env.Say("%s: took away a mount whose process has died", mountpoint)
	}
	return err
}

func open(ctx context.Context, env *local.Env, r *repo.Repo, opt options, wo workspace.Options) (*workspace.Workspace, *mount.Watcher, error) {
	watcher := new(mount.Watcher)
	version, err := versionOf(ctx, r, opt.at)
	if err != nil {
		return nil, nil, err
	}
	wo.Identity, wo.ReadOnly, wo.At = opt.identity, opt.readOnly, version
	wo.Command, wo.Log, wo.Watch = env.Name, env.Say, watcher.Tell
	ws, err := workspace.Open(ctx, r, wo)
	return ws, watcher, err
}

// versionOf returns the tree after an entry of the log.
func versionOf(ctx context.Context, r *repo.Repo, at string) (cid.Cid, error) {
	if at == "" {
		return cid.Undef, nil
	}
	id, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id <= 0 {
		return cid.Undef, cli.Usage("-at %q: it is the number of an entry, as log prints it", at)
	}
	entries, err := r.Log(ctx, id+1, 1)
	if err != nil {
		return cid.Undef, err
	}
	if len(entries) == 0 || entries[0].ID != id {
		return cid.Undef, cli.WithHint(fmt.Errorf("-at %d: the log has no such entry", id), "log prints those that there are")
	}
	return entries[0].Head, nil
}

func mountAt(ctx context.Context, ws *workspace.Workspace, w *mount.Watcher, opt options, at []string, mountpoint string) (*mount.Mount, error) {
	top := ws.Top()
	for _, text := range at {
		p, err := local.Path(text)
		if err != nil {
			return nil, err
		}
		if top, err = directory(ctx, top, p); err != nil {
			return nil, err
		}
	}
	m, err := mount.New(mountpoint, top, w, mount.Options{
		ReadOnly: opt.readOnly || opt.at != "", AllowOther: opt.others, Debug: opt.debug,
	})
	for _, step := range nextSteps {
		if errors.Is(err, step.err) {
			return nil, cli.WithHint(err, "%s", step.hint)
		}
	}
	return m, err
}

// nextSteps are what to do about errors that have one.
var nextSteps = []struct {
	err  error
	hint string
}{
	{mount.ErrMountpoint, "make an empty folder, and name that"},
	{mount.ErrInUse, "umount ends what is mounted there; mount -list prints the mounts of trees"},
	{mount.ErrNoFUSE, "serve -webdav shows the same tree without FUSE; else load the kernel module fuse, and install fuse3"},
}

// directory returns the directory at p.
func directory(ctx context.Context, n *workspace.Node, p path.Path) (*workspace.Node, error) {
	for _, name := range p.Names() {
		kid, err := n.Lookup(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		n = kid
	}
	if _, err := n.List(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return n, nil
}

// wait returns when nothing is mounted any more; an interrupt unmounts.
func wait(ctx context.Context, env *local.Env, m *mount.Mount) error {
	ended := make(chan struct{})
	go func() {
		m.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	if busy := m.Unmount(); busy != nil {
		env.Say("%v; it is taken away all the same, and what was written is kept", busy)
		return m.Detach()
	}
	<-ended
	return nil
}

func list(env *local.Env, asJSON bool) error {
	infos, err := mount.List()
	if err != nil {
		return err
	}
	for _, info := range infos {
		if asJSON {
			if err := env.JSON(info); err != nil {
				return err
			}
			continue
		}
		stale := ""
		if info.Stale {
			stale = "  stale: its process has died; mounting there again, or umount, takes it away"
		}
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s%s\n", cli.Quote(info.Mountpoint), cli.Quote(info.Repository), stale); err != nil {
			return err
		}
	}
	return nil
}
