package merge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

const (
	// DefaultBrake is the share of a shared directory that a merge may hide, in percent, if nothing
	// is set.
	DefaultBrake = 10
	// minHidden is how many versions a merge has to hide before the brake looks at it.
	minHidden = 3
)

// BrakePath is where a repository has the setting of the brake: an integer, a percentage from 0,
// which stops whatever hides three versions, to 100, which stops nothing.
var BrakePath = path.MustParse("settings/brake")

// ErrBrake is a setting of the brake that is none.
var ErrBrake = errors.New("not a percentage, 0 to 100")

// CheckBrake returns an error for what is no percentage.
func CheckBrake(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("%d: %w", percent, ErrBrake)
	}
	return nil
}

// A Braked is a shared directory of which a merge would hide much.
type Braked struct {
	Path          path.Path // as shown before
	Hidden, Shown int64     // versions that the merge would hide; files, as many as were counted
	By            []cid.Cid // the authors of the marks, in the order of their ids
}

// A BrakeError is a merge that was stopped because it would hide more than its share of a
// directory. Nothing of it was committed.
type BrakeError struct {
	Percent     int
	Directories []Braked
}

func (e *BrakeError) Error() string {
	var texts []string
	for _, d := range e.Directories {
		var by []string
		for _, author := range d.By {
			by = append(by, author.String())
		}
		texts = append(texts, fmt.Sprintf("it would hide %d of %d files in %s, by marks of %s", d.Hidden, d.Shown, d.Path, strings.Join(by, ", ")))
	}
	return fmt.Sprintf("stopped, as more than %d%% of a directory is not hidden unasked: %s", e.Percent, strings.Join(texts, "; "))
}

// brake returns a [*BrakeError] if the merge would hide too much; in a dry run, it notes that.
func (m *merger) brake(ctx context.Context) error {
	percent, err := m.percent(ctx)
	if err != nil || m.opt.LetThrough || percent == 100 {
		return err
	}
	before := map[cid.Cid]*tree.Directory{}
	for _, d := range m.before {
		before[d.ID] = d
	}
	stop := &BrakeError{Percent: percent}
	for _, now := range m.now {
		old := before[now.ID]
		if old == nil || !now.Shared() {
			continue
		}
		d, err := m.braked(ctx, old, now, percent)
		if err != nil {
			return err
		}
		if d != nil {
			stop.Directories = append(stop.Directories, *d)
		}
	}
	switch {
	case len(stop.Directories) == 0:
		return nil
	case m.opt.DryRun:
		m.stopped = stop
		return nil
	}
	return stop
}

// percent returns the share that a merge may hide.
func (m *merger) percent(ctx context.Context) (int, error) {
	if m.opt.Brake != nil {
		return *m.opt.Brake, CheckBrake(*m.opt.Brake)
	}
	e, err := m.tx.Get(ctx, BrakePath)
	switch {
	case errors.Is(err, tree.ErrNotFound):
		return DefaultBrake, nil
	case err != nil:
		return 0, err
	}
	percent, err := strconv.Atoi(string(e.Value))
	if err == nil {
		err = CheckBrake(percent)
	}
	if e.Policy != tree.ValuePolicy || err != nil {
		return 0, fmt.Errorf("%s: %w", BrakePath, ErrBrake)
	}
	return percent, nil
}

// braked returns what the merge would hide of a directory, if that is too much.
func (m *merger) braked(ctx context.Context, before, now *tree.Directory, percent int) (*Braked, error) {
	d := &Braked{Path: before.Shown}
	by := map[cid.Cid]bool{}
	err := tree.EachNewlyHidden(ctx, m.tx.Blocks, before, now, func(_ shared.HiddenVersion, authors []cid.Cid) error {
		d.Hidden++
		for _, author := range authors {
			by[author] = true
		}
		return nil
	})
	if err != nil || d.Hidden < minHidden {
		return nil, err
	}
	// With more files than this the share is small enough, however many they are.
	limit := d.Hidden*100/int64(max(percent, 1)) + 1
	c := counter{get: m.tx.Blocks, limit: limit, known: map[cid.Cid]int64{}}
	if d.Shown, err = c.files(ctx, before.Content); err != nil || d.Hidden*100 <= int64(percent)*d.Shown {
		return nil, err
	}
	for author := range by {
		d.By = append(d.By, author)
	}
	slices.SortFunc(d.By, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
	return d, nil
}

// A counter counts files up to a limit, and looks at no directory twice.
type counter struct {
	get   store.Getter
	limit int64
	known map[cid.Cid]int64
}

// files returns how many files are below a directory, the limit if they are more.
func (c *counter) files(ctx context.Context, dir cid.Cid) (int64, error) {
	if n, ok := c.known[dir]; ok {
		return n, nil
	}
	d, err := unixfs.OpenDir(ctx, c.get, dir)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	err = d.Each(ctx, func(e unixfs.Entry) error {
		more := int64(1)
		sub, err := unixfs.DirectoryOf(ctx, c.get, &e)
		if err == nil && sub.Defined() {
			more, err = c.files(ctx, sub)
		}
		if n = min(n+more, c.limit); err == nil && n == c.limit {
			err = errCounted
		}
		return err
	})
	if errors.Is(err, errCounted) {
		err = nil
	}
	c.known[dir] = n
	return n, err
}

var errCounted = errors.New("counted enough")
