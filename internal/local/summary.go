package local

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"archivecache/internal/cli"
	"archivecache/merge"
	"archivecache/tree/shared"
	"archivecache/tree/state"
)

// slotLine is a line of merge -json for a reference that was not the same.
type slotLine struct {
	Outcome  string `json:"outcome"`
	Path     string `json:"path,omitempty"`
	Author   string `json:"author"`
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence,omitempty"`
	Error    string `json:"error,omitempty"`
}

// pathLine is a line of merge -json for a path that changed.
type pathLine struct {
	Outcome string   `json:"outcome"`
	Path    string   `json:"path"`
	Beside  string   `json:"beside,omitempty"` // of a conflict, the plain path
	Authors []string `json:"authors"`
	Cid     string   `json:"cid"` // of what is shown now, else of what was
}

// behindLine is a line of merge -json for a friend of whom there is a newer node.
type behindLine struct {
	Outcome    string `json:"outcome"` // behind
	Node       string `json:"node"`
	Author     string `json:"author"`
	Epoch      uint64 `json:"epoch"`
	Sequence   uint64 `json:"sequence"`
	KnownEpoch uint64 `json:"known_epoch"`
	Known      uint64 `json:"known_sequence"` // 0 if no node is known here
}

// brakeLine is a line of merge -json for a directory of which too much would be hidden.
type brakeLine struct {
	Outcome string   `json:"outcome"` // stopped
	Node    string   `json:"node"`
	Path    string   `json:"path"`
	Hidden  int64    `json:"hidden"`
	Shown   int64    `json:"shown"`
	Percent int      `json:"percent"`
	Authors []string `json:"authors"` // of the marks
}

// summaryLine is the last line of merge -json for a node.
type summaryLine struct {
	Node     string           `json:"node"`
	Sequence uint64           `json:"sequence"`
	Changed  int              `json:"changed"`
	Refused  int              `json:"refused"`
	Blocks   int64            `json:"fetched_blocks"`
	Bytes    int64            `json:"fetched_bytes"`
	Root     string           `json:"root"`
	Outcomes map[string]int64 `json:"outcomes"`
	DryRun   bool             `json:"dry_run,omitempty"`
}

// totalLine is the last line of merge-all -json.
type totalLine struct {
	Nodes    int              `json:"nodes"`
	Stopped  int              `json:"stopped"`
	Failed   int              `json:"failed"`
	Changed  int              `json:"changed"`
	Refused  int              `json:"refused"`
	Outcomes map[string]int64 `json:"outcomes"`
	DryRun   bool             `json:"dry_run,omitempty"`
}

// summary tells what became of one node.
func (r *Reporter) summary(report merge.Report) {
	if r.json {
		r.keep(r.env.JSON(summaryLine{
			Node: report.Path.String(), Sequence: report.Node.Sequence, Changed: report.Changed(), Refused: report.Refused(),
			Blocks: report.Fetched.Fetched, Bytes: report.Fetched.Bytes, Root: report.Root.String(),
			Outcomes: r.node.outcomes, DryRun: r.dryRun,
		}))
		return
	}
	for _, kind := range sorted(r.node.said) {
		if more := r.node.said[kind] - maxSaid; more > 0 {
			r.env.Say("and %d more %s; -json lists all", more, kind)
		}
	}
	if unknown := r.node.outcomes[string(state.Unknown)]; unknown > 0 {
		r.env.Say("left out %s by authors who are not your friends", cli.Plural(int(unknown), "reference"))
	}
	r.env.Say("%s: %s, fetched %s, %s%s", report.Path, cli.Plural(report.Changed(), "change"),
		cli.Plural(int(report.Fetched.Fetched), "block"), cli.Bytes(report.Fetched.Bytes), r.node.paths())
}

func sorted(said map[string]int) []string {
	var kinds []string
	for kind := range said {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, cmp.Compare)
	return kinds
}

// Total tells what became of all nodes, if there were several; for -json, always.
func (r *Reporter) Total() {
	if r.json {
		r.keep(r.env.JSON(totalLine{r.nodes, r.stopped, r.failures, r.changed, r.missed, r.all.outcomes, r.dryRun}))
		return
	}
	if r.nodes+r.stopped+r.failures < 2 {
		return
	}
	text := cli.Plural(r.nodes, "node") + " merged"
	if r.stopped > 0 {
		text += fmt.Sprintf(", %d stopped", r.stopped)
	}
	if r.failures > 0 {
		text += fmt.Sprintf(", %d failed", r.failures)
	}
	r.env.Say("%s: %s%s", text, cli.Plural(r.changed, "change"), r.all.paths())
}

// pathWords are what outcomes of paths are called in a sum, in the order that sums have.
var pathWords = []struct {
	outcome shared.PathOutcome
	word    string
}{
	{shared.PathAdded, "added"},
	{shared.PathChanged, "changed"},
	{shared.PathRestored, "restored"},
	{shared.PathDeleted, "deleted"},
	{shared.PathHidden, "hidden"},
	{shared.PathConflict, "beside others"},
}

// paths returns how many paths have changed and how, to stand behind something.
func (t *tally) paths() string {
	var parts []string
	for _, w := range pathWords {
		if n := t.outcomes[string(w.outcome)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w.word))
		}
	}
	if parts == nil {
		return ""
	}
	return "; files: " + strings.Join(parts, ", ")
}
