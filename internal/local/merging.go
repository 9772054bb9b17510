package local

import (
	"fmt"
	"strconv"

	"archivecache/merge"
)

// MergeFlags declares the options of merge and merge-all; the result is called after the command
// line was parsed.
func (env *Env) MergeFlags() func() (merge.Options, *Reporter, error) {
	fetch := env.FetchFlags()
	maxBytes := env.Flags.Int64("max-bytes", 64<<30, "fetch at most `N` bytes for a node; 0 is no limit")
	metadata := env.Flags.Bool("metadata-only", false, "leave the content of files for later, or for download")
	asJSON := env.Flags.Bool("json", false, "print an object a line for each directory that differed, each path that changed, and the whole")
	dry := env.Flags.Bool("dry-run", false, "tell what would be merged, and change nothing")
	through := env.Flags.Bool("let-through", false, "merge even what hides much")
	var brake *int
	env.Flags.Func("brake", "stop a merge that would hide more than `PERCENT` of a directory (default: the value at settings/brake, else 10)",
		func(text string) (err error) {
			brake, err = parseBrake(text)
			return err
		})
	return func() (merge.Options, *Reporter, error) {
		opt, err := fetch()
		opt.MetadataOnly, opt.MaxBytes, opt.DryRun = *metadata, *maxBytes, *dry
		opt.LetThrough, opt.Brake = *through, brake
		r := newReporter(env, *asJSON, *dry)
		opt.Slot, opt.Path = r.slot, r.path
		return opt, r, err
	}
}

func parseBrake(text string) (*int, error) {
	percent, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, merge.ErrBrake)
	}
	return &percent, merge.CheckBrake(percent)
}
