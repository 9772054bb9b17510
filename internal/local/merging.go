package local

import (
	"context"
	"fmt"
	"strings"
	"time"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// FetchFlags declares the options of commands that fetch blocks; the result is called after the
// command line was parsed.
func (env *Env) FetchFlags() func() (merge.Options, error) {
	var gateways cli.Texts
	env.Flags.Var(&gateways, "gateway", "ask the IPFS gateway at `URL` too; may be given several times")
	private := env.Flags.Bool("allow-private", false, "follow addresses of private networks in messages")
	timeout := env.Flags.Duration("timeout", 20*time.Second, "wait `TIME` for a block, and at most three times that for any news")
	return func() (merge.Options, error) {
		opt := merge.Options{
			Fetch: exchange.Options{
				Policy: exchange.Policy{AllowPrivate: *private}, BlockTimeout: *timeout, Stall: 3 * *timeout,
			},
			Address: func(s exchange.Source) { env.Say("fetching from %s", s.Address) },
			Ignored: func(text string, err error) { env.Say("address %s is not used: %v", text, err) },
		}
		for _, text := range gateways {
			a, err := exchange.ParseAddress(text)
			if err != nil {
				return opt, err
			}
			opt.Gateways = append(opt.Gateways, exchange.Source{Address: a, Who: "gateway"})
		}
		progress := env.NewProgress("fetch")
		opt.Progress = func(s exchange.Stats) { progress.Set(s.Fetched, s.Bytes) }
		return opt, nil
	}
}

// MergeFlags declares the options of merge and merge-all; the result is called after the command
// line was parsed.
func (env *Env) MergeFlags() func(context.Context, *repo.Repo) (merge.Options, *Reporter, error) {
	fetch := env.FetchFlags()
	maxBytes := env.Flags.Int64("max-bytes", 64<<30, "fetch at most `N` bytes for a node; 0 is no limit")
	metadata := env.Flags.Bool("metadata-only", false, "leave the content of files for later, or for download")
	asJSON := env.Flags.Bool("json", false, "print an object a line for each directory that differed, and one for the whole")
	return func(ctx context.Context, r *repo.Repo) (merge.Options, *Reporter, error) {
		opt, err := fetch()
		opt.MetadataOnly, opt.MaxBytes = *metadata, *maxBytes
		return opt, &Reporter{env: env, json: *asJSON}, err
	}
}

// A Reporter tells what merges did, and remembers with which status that ends.
type Reporter struct {
	env     *Env
	json    bool
	failed  error
	refused bool
}

// changeLine is a line of merge -json.
type changeLine struct {
	Outcome  string `json:"outcome"`
	Path     string `json:"path,omitempty"`
	Author   string `json:"author"`
	Sequence uint64 `json:"sequence,omitempty"`
	Error    string `json:"error,omitempty"`
}

// summaryLine is the last line of merge -json.
type summaryLine struct {
	Node     string `json:"node"`
	Sequence uint64 `json:"sequence"`
	Changed  int    `json:"changed"`
	Refused  int    `json:"refused"`
	Blocks   int64  `json:"fetched_blocks"`
	Bytes    int64  `json:"fetched_bytes"`
	Root     string `json:"root"`
}

// Report tells what one merge did.
func (r *Reporter) Report(report merge.Report, err error) {
	for _, a := range report.Aside {
		r.env.Say("not asked any more: %v", a)
	}
	if err != nil {
		if !strings.HasPrefix(err.Error(), report.Path.String()) {
			err = fmt.Errorf("%s: %w", report.Path, err)
		}
		if r.failed != nil {
			r.env.Say("%v", r.failed) // the last one is said at the end
		}
		r.failed = err
		return
	}
	if report.Own != nil {
		r.env.Say("%s: %v", report.Path, report.Own)
	}
	unknown := 0
	for _, c := range report.Changes {
		if c.Outcome == state.Unknown {
			unknown++
			continue
		}
		r.change(c)
	}
	r.refused = r.refused || report.Refused() > 0
	if unknown > 0 {
		r.env.Say("left out %s by authors who are not your friends", cli.Plural(unknown, "reference"))
	}
	r.summary(report)
}

func (r *Reporter) change(c state.Change) {
	line := changeLine{Outcome: string(c.Outcome), Author: c.Slot.Author.String()}
	if ref := newestOf(c); ref != nil {
		line.Path, line.Sequence = ref.Founding().Path, ref.Sequence
		if ref.Path != "" {
			line.Path = ref.Path
		}
	}
	if c.Err != nil {
		line.Error = c.Err.Error()
	}
	if r.json {
		r.keep(r.env.JSON(line))
		return
	}
	why := ""
	if line.Error != "" {
		why = ": " + line.Error
	}
	r.env.Say("%s: %s, sequence %d of %s%s", line.Path, c.Outcome, line.Sequence, line.Author, why)
}

func newestOf(c state.Change) *reference.Reference {
	switch {
	case c.Offered != nil:
		return c.Offered
	case c.Proof != nil:
		return c.Proof.A
	}
	return c.Old
}

func (r *Reporter) summary(report merge.Report) {
	if r.json {
		r.keep(r.env.JSON(summaryLine{
			Node: report.Path.String(), Sequence: report.Node.Sequence, Changed: report.Changed(), Refused: report.Refused(),
			Blocks: report.Fetched.Fetched, Bytes: report.Fetched.Bytes, Root: report.Root.String(),
		}))
		return
	}
	r.env.Say("%s: %s, fetched %s, %s", report.Path, cli.Plural(report.Changed(), "change"),
		cli.Plural(int(report.Fetched.Fetched), "block"), cli.Bytes(report.Fetched.Bytes))
}

func (r *Reporter) keep(err error) {
	if r.failed == nil {
		r.failed = err
	}
}

// End returns the error, or the status, that the command ends with.
func (r *Reporter) End() error {
	if r.failed == nil && r.refused {
		return &cli.StatusError{Status: cli.ExitPartial}
	}
	return r.failed
}
