package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// git makes a repository with the same files and changes, and one more change on our side so that
// there is something to merge, and returns git's merge.
func (p *people) git(ctx context.Context) (contender, error) {
	repo := p.path("git")
	if err := runCommand(p.bench.git(ctx, repo, "init", "-q", "--bare")); err != nil {
		return contender{}, err
	}
	load := p.fastImport
	if p.flat {
		load = p.makeTrees
	}
	if err := load(ctx, repo); err != nil {
		return contender{}, err
	}
	return contender{
		name: "git merge-tree --write-tree",
		prepare: func(ctx context.Context, dir string) (job, error) {
			copied := filepath.Join(dir, "git")
			err := runCommand(p.tool(ctx, "cp", "-r", repo, copied))
			return commands(p.bench.git(ctx, copied, "merge-tree", "--write-tree", "ours", "theirs")), err
		},
	}, nil
}

// fastImport makes the branches by git fast-import.
func (p *people) fastImport(ctx context.Context, repo string) error {
	_, err := feed(p.bench.git(ctx, repo, "fast-import", "--quiet"), p.history)
	return err
}

// makeTrees makes the branches of trees whose blobs are not there, which a merge does not read: git
// fast-import takes hours for a folder of a million files.
func (p *people) makeTrees(ctx context.Context, repo string) error {
	last, delta := p.files-1, map[int]bool{}
	for i := range spread(changed, p.files) {
		delta[i] = true
	}
	base, err := p.commitTree(ctx, repo, "base", "", func(int) int { return 0 })
	if err != nil {
		return err
	}
	_, err = p.commitTree(ctx, repo, "ours", base, func(i int) int {
		if i == last {
			return 2
		}
		return 0
	})
	if err != nil {
		return err
	}
	_, err = p.commitTree(ctx, repo, "theirs", base, func(i int) int {
		if delta[i] {
			return 1
		}
		return 0
	})
	return err
}

// commitTree makes a branch with one tree of files in the given versions, and returns the commit.
func (p *people) commitTree(ctx context.Context, repo, branch, parent string, version func(int) int) (string, error) {
	tree, err := feed(p.bench.git(ctx, repo, "mktree", "--missing"), func(w io.Writer) {
		for i := range p.files {
			content := text(i, version(i))
			blob := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
			fmt.Fprintf(w, "100644 blob %x\t%s\n", blob, p.name(i))
		}
	})
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", tree, "-m", branch}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	commit, err := feed(p.bench.git(ctx, repo, args...), func(io.Writer) {})
	if err != nil {
		return "", err
	}
	return commit, runCommand(p.bench.git(ctx, repo, "branch", branch, commit))
}

// feed runs a command on what write writes, and returns what it prints, without the end of line.
func feed(cmd *exec.Cmd, write func(io.Writer)) (string, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	written := make(chan error, 1)
	go func() {
		w := bufio.NewWriter(stdin)
		write(w)
		err := w.Flush()
		stdin.Close()
		written <- err
	}()
	if err := runCommand(cmd); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), <-written
}

// history writes three commits for git fast-import: all files, one changed by us, and some
// changed by them.
func (p *people) history(w io.Writer) {
	commit := func(branch, from string) {
		fmt.Fprintf(w, "commit refs/heads/%s\ncommitter bench <bench@example.org> 0 +0000\ndata 0\n%s", branch, from)
	}
	file := func(i, version int) {
		content := text(i, version)
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", p.name(i), len(content), content)
	}
	commit("base", "")
	for i := range p.files {
		file(i, 0)
	}
	commit("ours", "from refs/heads/base\n")
	file(p.files-1, 2)
	commit("theirs", "from refs/heads/base\n")
	for i := range spread(changed, p.files) {
		file(i, 1)
	}
}
