package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A daemon is a running kubo.
type daemon struct {
	*bench
	ctx context.Context
	dir string // $IPFS_PATH
	api string // multiaddr
	pid int
}

// startDaemon starts a daemon on loopback with a repository of its own, until ctx ends.
func (b *bench) startDaemon(ctx context.Context, dir string) (*daemon, error) {
	d := &daemon{bench: b, ctx: ctx, dir: dir}
	any := `"/ip4/127.0.0.1/tcp/0"`
	for _, args := range [][]string{
		{"init", "--profile=test,unixfs-v1-2025"},
		{"config", "--json", "Addresses", fmt.Sprintf(`{"API": %s, "Gateway": %s, "Swarm": [%s]}`, any, any, any)},
	} {
		if err := runCommand(d.ipfs(args...)); err != nil {
			return nil, err
		}
	}
	cmd := d.ipfs("daemon")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if text, err := os.ReadFile(filepath.Join(dir, "api")); err == nil && runCommand(d.ipfs("id")) == nil {
			tick.Stop()
			d.api, d.pid = strings.TrimSpace(string(text)), cmd.Process.Pid
			return d, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("ipfs daemon: it has ended: %v", err)
		case <-tick.C:
		}
	}
}

// ipfs returns a call of ipfs on the daemon.
func (d *daemon) ipfs(args ...string) *exec.Cmd {
	cmd := d.tool(d.ctx, "ipfs", args...)
	cmd.Env = append(os.Environ(), "IPFS_PATH="+d.dir, "GOLOG_LOG_LEVEL=fatal", "IPFS_TELEMETRY=off")
	return cmd
}

// place are the options of initialize for a repository with its blocks in the daemon.
func (d *daemon) place() []string { return []string{"-store", "kubo", "-api", d.api} }

// connect connects the daemon with another one.
func (d *daemon) connect(other *daemon) error {
	out, err := other.ipfs("id", "-f", "<addrs>").Output()
	if err != nil {
		return err
	}
	return runCommand(d.ipfs(append([]string{"swarm", "connect"}, strings.Fields(string(out))...)...))
}

// daemons compares what is done with the blocks in an IPFS daemon.
func (b *bench) daemons(ctx context.Context) error {
	if b.tools["ipfs"] == "" {
		return nil
	}
	folders, size, files := 100, int64(1024), 10_000
	switch {
	case b.quick:
		folders, size, files = 10, 16, 1_000
	case b.full:
		files = 1_000_000
	}
	small := sync.OnceValues(func() (string, error) {
		source := b.path("daemon-small")
		return source, makeSmall(source, folders)
	})
	large := sync.OnceValues(func() (string, error) {
		source := b.path("daemon-large")
		return source, makeLarge(source, size*mebibyte)
	})
	smallName, largeName := thousands(100*folders)+" files of 1 to 8 KiB", fmt.Sprintf("one incompressible file of %d MiB", size)
	for _, part := range []func() error{
		func() error { return b.addToDaemon(ctx, small, smallName, 3) },
		func() error { return b.addToDaemon(ctx, large, largeName, 1) },
		func() error { return b.fetchByDaemon(ctx, small, smallName) },
		func() error { return b.fetchByDaemon(ctx, large, largeName) },
		func() error { return b.mergeWithDaemon(ctx, files) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// addToDaemon compares adding to a live daemon with what ipfs does.
func (b *bench) addToDaemon(ctx context.Context, make func() (string, error), what string, atLeast float64) error {
	title := "daemon, add: " + what
	if !b.wanted(title) {
		return nil
	}
	source, err := make()
	if err != nil {
		return err
	}
	to := placeOf(source)
	ours := contender{
		name: "archivecache add",
		aim:  aim{memory: maxMemory},
		prepare: func(ctx context.Context, dir string) (job, error) {
			d, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
			if err != nil {
				return nil, err
			}
			repo := filepath.Join(dir, "repo")
			return commands(b.ours(ctx, "add", "-repo", repo, source, to)), b.newRepo(ctx, repo, d.place()...)
		},
		cid: func(ctx context.Context, dir string) (string, error) {
			return b.cidOf(ctx, filepath.Join(dir, "repo"), to)
		},
	}
	theirs := contender{
		name: "ipfs add -r",
		aim:  aim{ratio: atLeast},
		prepare: func(ctx context.Context, dir string) (job, error) {
			d, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
			if err != nil {
				return nil, err
			}
			out, err := os.Create(filepath.Join(dir, "cid"))
			if err != nil {
				return nil, err
			}
			add := d.ipfs("add", "-r", "-Q", source)
			add.Stdout = out // a file of this process, closed with it
			return commands(add), nil
		},
		cid: func(_ context.Context, dir string) (string, error) {
			out, err := os.ReadFile(filepath.Join(dir, "cid"))
			return strings.TrimSpace(string(out)), err
		},
	}
	_, err = b.report(ctx, os.Stdout, contest{title, []contender{ours, theirs}})
	return err
}

// fetchByDaemon compares merging what a friend has in another daemon with pinning that.
func (b *bench) fetchByDaemon(ctx context.Context, make func() (string, error), what string) error {
	title := "daemon, fetch from a friend's: " + what
	if !b.wanted(title) {
		return nil
	}
	source, err := make()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "friend-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what stays is removed in the end
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	friend, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
	if err != nil {
		return err
	}
	p := people{bench: b, dir: dir}
	a := p.path("a")
	content, err := b.publishFrom(ctx, friend, a, source)
	if err != nil {
		return err
	}
	connected := func(ctx context.Context, dir string) (*daemon, error) {
		d, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
		if err == nil {
			err = d.connect(friend)
		}
		return d, err
	}
	_, err = b.report(ctx, os.Stdout, contest{title, []contender{
		{name: "archivecache merge", aim: aim{memory: maxMemory}, prepare: func(ctx context.Context, dir string) (job, error) {
			d, err := connected(ctx, dir)
			if err != nil {
				return nil, err
			}
			repo := filepath.Join(dir, "b")
			if err := b.newRepo(ctx, repo, d.place()...); err != nil {
				return nil, err
			}
			if err := p.send(ctx, a, repo, "identities/me", "add-friend-from-message"); err != nil {
				return nil, err
			}
			return commands(b.ours(ctx, "merge-all", "-repo", repo)), p.send(ctx, a, repo, "node", "add-node-from-message")
		}},
		{name: "ipfs pin add", aim: aim{ratio: 1}, prepare: func(ctx context.Context, dir string) (job, error) {
			d, err := connected(ctx, dir)
			if err != nil {
				return nil, err
			}
			return commands(d.ipfs("pin", "add", content)), nil
		}},
	}})
	return err
}

// publishFrom makes a repository with its blocks in a daemon that publishes source, and returns the CID
// of the folder with it.
func (b *bench) publishFrom(ctx context.Context, d *daemon, repo, source string) (string, error) {
	if err := b.newRepo(ctx, repo, d.place()...); err != nil {
		return "", err
	}
	if err := runCommand(b.ours(ctx, "add", "-repo", repo, source, placeOf(source))); err != nil {
		return "", err
	}
	if err := runCommand(b.ours(ctx, "new-node", "-repo", repo, "node", "identities/me")); err != nil {
		return "", err
	}
	return b.cidOf(ctx, repo, "root/data")
}

// maxMergeWithDaemon is how long a merge of a few changes should take where the files are in a daemon.
const maxMergeWithDaemon = time.Second

// mergeWithDaemon measures a merge of a few changes into a tree whose files are in a daemon.
func (b *bench) mergeWithDaemon(ctx context.Context, files int) error {
	title := fmt.Sprintf("daemon, merge: %d changed files of %s %s", changed, thousands(files), nested.where)
	if !b.wanted(title) {
		return nil
	}
	dir, err := os.MkdirTemp(b.dir, "merge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what stays is removed in the end
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
	if err != nil {
		return err
	}
	p := people{bench: b, dir: dir, files: files, name: nested.name, place: d.place()}
	ours, err := p.ours(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	ours.aim.below = maxMergeWithDaemon
	_, err = b.report(ctx, os.Stdout, contest{title, []contender{ours}})
	return err
}
