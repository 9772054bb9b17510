package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	mebibyte  = 1 << 20
	maxMemory = 128 * mebibyte
)

// addSmall compares adding many small files.
func (b *bench) addSmall(ctx context.Context) error {
	folders := 100
	if b.quick {
		folders = 10
	}
	title := fmt.Sprintf("add: %s files of 1 to 8 KiB in %d folders", thousands(100*folders), folders)
	if !b.wanted(title) {
		return nil
	}
	source := b.path("small")
	if err := makeSmall(source, folders); err != nil {
		return err
	}
	_, err := b.report(ctx, os.Stdout, contest{title, b.adders(source, map[string]float64{"git": 5, "ipfs": 5, "restic": 2})})
	return err
}

// addLarge compares adding a large file.
func (b *bench) addLarge(ctx context.Context) error {
	size := int64(1024)
	if b.quick {
		size = 16
	}
	title := fmt.Sprintf("add: one incompressible file of %d MiB", size)
	if !b.wanted(title) {
		return nil
	}
	source := b.path("large")
	if err := makeLarge(source, size*mebibyte); err != nil {
		return err
	}
	contenders := b.adders(source, map[string]float64{"ipfs": 2})
	for i := range contenders {
		contenders[i].once = strings.HasPrefix(contenders[i].name, "git")
	}
	contenders = append(contenders, b.copyAndHash(source))
	_, err := b.report(ctx, os.Stdout, contest{title, contenders})
	if err != nil {
		return err
	}
	return os.Remove(source)
}

// copyAndHash is about the least that anybody must do who keeps a file by the hashes of its chunks.
func (b *bench) copyAndHash(source string) contender {
	return contender{
		name: "cp; sync -f; SHA-256 on all cores",
		aim:  aim{ratio: 1 / 1.5},
		prepare: func(ctx context.Context, dir string) (job, error) {
			copied := filepath.Join(dir, "copy")
			copying := commands(b.tool(ctx, "cp", source, copied), b.tool(ctx, "sync", "-f", dir))
			return func() (usage, error) {
				used, err := copying()
				if err != nil {
					return usage{}, err
				}
				return usage{peak: used.peak}, hashFile(copied)
			}, nil
		},
	}
}

// adders are all ways to take source in; aims are how much longer than ours they should take.
func (b *bench) adders(source string, aims map[string]float64) []contender {
	all := []contender{
		b.addOurs(source),
		{name: "cp -r; sync -f", prepare: func(ctx context.Context, dir string) (job, error) {
			return commands(b.tool(ctx, "cp", "-r", source, filepath.Join(dir, "copy")), b.tool(ctx, "sync", "-f", dir)), nil
		}},
		b.addGit(source, aims["git"]),
		b.addIPFS(source, aims["ipfs"]),
		b.addRestic(source, aims["restic"]),
	}
	return b.present(all, map[string]string{all[2].name: "git", all[3].name: "ipfs", all[4].name: "restic"})
}

// placeOf returns where source is added: as root/data, or as a file in it.
func placeOf(source string) string {
	if info, err := os.Stat(source); err == nil && !info.IsDir() {
		return "root/data/file"
	}
	return "root/data"
}

// addOurs adds source with our command.
func (b *bench) addOurs(source string) contender {
	to := placeOf(source)
	return contender{
		name: "archivecache add",
		aim:  aim{memory: maxMemory},
		prepare: func(ctx context.Context, dir string) (job, error) {
			repo := filepath.Join(dir, "repo")
			if err := b.newRepo(ctx, repo); err != nil {
				return nil, err
			}
			return commands(b.ours(ctx, "add", "-repo", repo, source, to)), nil
		},
		cid: func(ctx context.Context, dir string) (string, error) {
			return b.cidOf(ctx, filepath.Join(dir, "repo"), to)
		},
	}
}

// newRepo makes a repository with an identity; place are the options of initialize that say where its
// blocks are.
func (b *bench) newRepo(ctx context.Context, repo string, place ...string) error {
	if err := runCommand(b.ours(ctx, "initialize", append([]string{"-repo", repo}, place...)...)); err != nil {
		return err
	}
	return runCommand(b.ours(ctx, "new-identity", "-repo", repo, "identities/me"))
}

// cidOf asks a repository for the CID of what stands at a path.
func (b *bench) cidOf(ctx context.Context, repo, path string) (string, error) {
	out, err := b.ours(ctx, "info", "-repo", repo, "-json", path).Output()
	if err != nil {
		return "", fmt.Errorf("info: %w", err)
	}
	var info struct{ Cid string }
	if err := json.Unmarshal(out, &info); err != nil {
		return "", fmt.Errorf("info: %w", err)
	}
	return info.Cid, nil
}

// gitEnv keeps the settings of the user out.
var gitEnv = []string{
	"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0",
	"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@example.org", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@example.org",
}

// git returns a call of git on a repository.
func (b *bench) git(ctx context.Context, repo string, args ...string) *exec.Cmd {
	cmd := b.tool(ctx, "git", args...)
	cmd.Env = append(append(os.Environ(), gitEnv...), "GIT_DIR="+repo)
	return cmd
}

func (b *bench) addGit(source string, atLeast float64) contender {
	return contender{
		name: "git add; git commit; sync -f",
		aim:  aim{ratio: atLeast},
		prepare: func(ctx context.Context, dir string) (job, error) {
			repo := filepath.Join(dir, "git")
			if err := runCommand(b.git(ctx, repo, "init", "-q", "--bare")); err != nil {
				return nil, err
			}
			worktree, what := source, "."
			if info, err := os.Stat(source); err == nil && !info.IsDir() {
				worktree, what = filepath.Dir(source), filepath.Base(source)
			}
			return commands(
				b.git(ctx, repo, "--work-tree="+worktree, "-C", worktree, "add", what),
				b.git(ctx, repo, "--work-tree="+worktree, "-C", worktree, "commit", "-q", "-m", "all"),
				b.tool(ctx, "sync", "-f", dir),
			), nil
		},
	}
}

func (b *bench) addIPFS(source string, atLeast float64) contender {
	return contender{
		name: "ipfs add -r; sync -f",
		aim:  aim{ratio: atLeast},
		prepare: func(ctx context.Context, dir string) (job, error) {
			env := append(os.Environ(), "IPFS_PATH="+filepath.Join(dir, "ipfs"), "GOLOG_LOG_LEVEL=fatal")
			start := b.tool(ctx, "ipfs", "init", "--profile=unixfs-v1-2025")
			start.Env = env
			if err := runCommand(start); err != nil {
				return nil, err
			}
			out, err := os.Create(filepath.Join(dir, "cid"))
			if err != nil {
				return nil, err
			}
			add := b.tool(ctx, "ipfs", "--offline", "add", "-r", "-Q", source)
			add.Env, add.Stdout = env, out // a file of this process, closed with it
			return commands(add, b.tool(ctx, "sync", "-f", dir)), nil
		},
		cid: func(_ context.Context, dir string) (string, error) {
			out, err := os.ReadFile(filepath.Join(dir, "cid"))
			return strings.TrimSpace(string(out)), err
		},
	}
}

func (b *bench) addRestic(source string, atLeast float64) contender {
	return contender{
		name: "restic backup",
		aim:  aim{ratio: atLeast},
		prepare: func(ctx context.Context, dir string) (job, error) {
			env := append(os.Environ(), "RESTIC_REPOSITORY="+filepath.Join(dir, "restic"), "RESTIC_PASSWORD=bench",
				"RESTIC_CACHE_DIR="+filepath.Join(dir, "cache"))
			start, backup := b.tool(ctx, "restic", "init", "-q"), b.tool(ctx, "restic", "backup", "-q", source)
			start.Env, backup.Env = env, env
			return commands(backup), runCommand(start)
		},
	}
}

// thousands returns a number with a comma at each thousand.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
