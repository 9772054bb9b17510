package local

import (
	"errors"
	"fmt"
	"strings"

	"archivecache/internal/cli"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// maxSaid is how many lines of one kind a merge of one node says; -json has all.
const maxSaid = 20

// A Reporter tells what merges did, and remembers with which status that ends. Its memory does not
// grow with what it tells.
type Reporter struct {
	env    *Env
	json   bool
	dryRun bool

	node, all       *tally
	nodes, stopped  int // how many were merged, and how many stopped by the brake
	failures        int
	changed, missed int   // slots that changed, and that were refused, of all nodes
	failed          error // the last one, or why nothing could be printed
}

// A tally counts the outcomes of slots and paths.
type tally struct {
	outcomes map[string]int64
	said     map[string]int // lines, by kind
}

func newTally() *tally { return &tally{outcomes: map[string]int64{}, said: map[string]int{}} }

func newReporter(env *Env, asJSON, dryRun bool) *Reporter {
	return &Reporter{env: env, json: asJSON, dryRun: dryRun, node: newTally(), all: newTally()}
}

func (r *Reporter) count(outcome string) {
	r.node.outcomes[outcome]++
	r.all.outcomes[outcome]++
}

// say prints a line of one kind, if there were not too many.
func (r *Reporter) say(kind, format string, args ...any) {
	if r.node.said[kind]++; r.node.said[kind] <= maxSaid {
		r.env.Say(format, args...)
	}
}

// slot tells what became of a reference.
func (r *Reporter) slot(c state.Change) error {
	r.count(string(c.Outcome))
	if c.Outcome == state.Unknown {
		return nil // they are counted
	}
	line := slotLine{Outcome: string(c.Outcome), Author: c.Slot.Author.String()}
	if ref := newestOf(c); ref != nil {
		line.Path, line.Epoch, line.Sequence = ref.Path, ref.Epoch, ref.Sequence
	}
	if c.Err != nil {
		line.Error = c.Err.Error()
	}
	if r.json {
		return r.env.JSON(line)
	}
	why := ""
	if line.Error != "" {
		why = ": " + line.Error
	}
	which := ""
	if line.Sequence > 0 {
		which = fmt.Sprintf(", sequence %d", line.Sequence)
	}
	r.say(line.Outcome, "%s: %s%s of %s%s", placeOf(c), c.Outcome, which, line.Author, why)
	return nil
}

// placeOf returns what a change is about.
func placeOf(c state.Change) string {
	ref := newestOf(c)
	switch {
	case ref == nil && c.Slot == reference.RotationSlot(c.Slot.Author):
		return "identity"
	case ref == nil && c.Slot.Directory.Defined():
		return "directory " + c.Slot.Directory.String() // what stands in its slot cannot be read
	case ref == nil:
		return "something"
	case ref.Policy == reference.NodePolicy:
		return "node"
	case ref.Policy == reference.RotationPolicy:
		return "identity"
	}
	return ref.Path
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

// path tells what became of a path of the view.
func (r *Reporter) path(c shared.Change) error {
	r.count(string(c.Outcome))
	if r.json {
		return r.env.JSON(pathLine{
			Outcome: string(c.Outcome), Path: c.Path, Beside: c.Plain, Authors: texts(c.Authors), Cid: c.Content.String(),
		})
	}
	switch c.Outcome {
	case shared.PathConflict:
		r.say(string(c.Outcome), "%s: conflict, both kept: beside %s, by %s", c.Path, c.Plain, names(c.Authors))
	case shared.PathHidden:
		r.say(string(c.Outcome), "%s: hidden by %s", c.Path, names(c.Authors))
	}
	return nil
}

func texts(authors []cid.Cid) []string {
	all := []string{}
	for _, a := range authors {
		all = append(all, a.String())
	}
	return all
}

func names(authors []cid.Cid) string {
	if len(authors) == 0 {
		return "somebody"
	}
	return strings.Join(texts(authors), ", ")
}

// Report tells how one merge ended.
func (r *Reporter) Report(report merge.Report, err error) {
	for _, a := range report.Aside {
		r.env.Say("not asked any more: %v", a)
	}
	braked := (*merge.BrakeError)(nil)
	switch {
	case errors.As(err, &braked):
		r.brake(report, braked)
		if !report.DryRun {
			return
		}
	case err != nil:
		r.fail(report, err)
		return
	default:
		r.nodes++
	}
	if report.Through != nil {
		r.env.Say("%s: %v", report.Path, report.Through)
	}
	if report.Own != nil {
		r.env.Say("%s: %v", report.Path, report.Own)
	}
	for _, b := range report.Behind {
		r.behind(report, b)
	}
	r.changed += report.Changed()
	r.missed += report.Refused()
	r.summary(report)
	r.node = newTally()
}

// fail notes an error; the last one is said at the end.
func (r *Reporter) fail(report merge.Report, err error) {
	if !strings.HasPrefix(err.Error(), report.Path.String()) {
		err = fmt.Errorf("%s: %w", report.Path, err)
	}
	if r.failed != nil {
		r.env.Say("%v", r.failed)
	}
	r.failed = err
	r.failures++
	r.node = newTally()
}

// brake tells of a merge that was stopped.
func (r *Reporter) brake(report merge.Report, stop *merge.BrakeError) {
	r.stopped++
	r.env.Say("%s: %v", report.Path, stop)
	if !r.json {
		return
	}
	for _, d := range stop.Directories {
		r.keep(r.env.JSON(brakeLine{
			Outcome: "stopped", Node: report.Path.String(), Path: d.Path.String(),
			Hidden: d.Hidden, Shown: d.Shown, Percent: stop.Percent, Authors: texts(d.By),
		}))
	}
}

// behind tells that somebody has seen more of a friend than is here.
func (r *Reporter) behind(report merge.Report, b repo.Behind) {
	line := behindLine{
		Outcome: "behind", Node: report.Path.String(), Author: b.Author.String(), Epoch: b.Seen.Epoch, Sequence: b.Seen.Sequence,
	}
	known := "none is known here"
	if b.Known != nil {
		line.KnownEpoch, line.Known = b.Known.Epoch, b.Known.Sequence
		known = fmt.Sprintf("%s is the newest here", nodeName(b.Known))
	}
	r.count(line.Outcome)
	if r.json {
		r.keep(r.env.JSON(line))
		return
	}
	r.say(line.Outcome, "%s has seen %s of %s, and %s: ask %s for the newest, somebody may be keeping it from you",
		report.Node.Owner, nodeName(b.Seen), b.Author, known, b.Author)
}

func nodeName(node *reference.Reference) string {
	if node.Epoch == 0 {
		return fmt.Sprintf("node %d", node.Sequence)
	}
	return fmt.Sprintf("node %d of epoch %d", node.Sequence, node.Epoch)
}

func (r *Reporter) keep(err error) {
	if r.failed == nil {
		r.failed = err
	}
}

// End returns the error, or the status, that the command ends with.
func (r *Reporter) End() error {
	if r.stopped > 0 {
		r.env.Say("hint: -dry-run lists what would be hidden; -let-through merges it all the same, and -brake PERCENT for once up to that share; " +
			"trust -marks no friends/ID keeps the marks of a friend from hiding what others wrote")
	}
	if r.dryRun {
		r.env.Say("dry run: nothing was changed")
	}
	switch {
	case r.failed != nil:
		return r.failed
	case r.stopped > 0:
		return &cli.StatusError{Status: cli.ExitBrake}
	case r.missed > 0:
		return &cli.StatusError{Status: cli.ExitPartial}
	}
	return nil
}
