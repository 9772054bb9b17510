package sim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Measured is a result with what the run took here.
type Measured struct {
	*Result
	Seconds   float64 `json:"seconds"`   // by the clock
	Processor float64 `json:"processor"` // seconds of processor time
	Memory    uint64  `json:"memory"`    // bytes that the process has had from the system by then
}

var columns = []string{
	"people", "cheats", "rounds", "settling", "published", "messages", "references", "max", "KiB", "max", "time", "CPU", "memory",
}

// Table writes results as a Markdown table. Numbers of messages, references and KiB are for each
// honest person: the mean, and for the last two the largest.
func Table(w io.Writer, results []Measured) error {
	rows := [][]string{columns}
	for _, r := range results {
		rows = append(rows, []string{
			fmt.Sprint(r.Config.People), fmt.Sprint(r.Cheats), fmt.Sprint(r.Rounds), fmt.Sprint(r.Settling), fmt.Sprint(r.Published),
			fmt.Sprintf("%.0f", r.Mean.Messages), fmt.Sprintf("%.0f", r.Mean.References), fmt.Sprint(r.Max.References),
			fmt.Sprintf("%.0f", r.Mean.Bytes/1024), fmt.Sprint(r.Max.Bytes / 1024),
			fmt.Sprintf("%.1f s", r.Seconds), fmt.Sprintf("%.1f s", r.Processor),
			fmt.Sprintf("%d MiB", r.Memory>>20),
		})
	}
	_, err := io.WriteString(w, markdown(rows))
	return err
}

// markdown sets rows, of which the first is the head, below each other, numbers to the right.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %*s ", widths[i], cell)
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for _, width := range widths {
			b.WriteString("|" + strings.Repeat("-", width+1) + ":")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// Summary writes in words what a run has shown.
func Summary(w io.Writer, r *Result) error {
	var outcomes []string
	for _, name := range slices.SortedFunc(maps.Keys(r.Outcomes), func(a, b string) int {
		return cmp.Or(r.Outcomes[b]-r.Outcomes[a], strings.Compare(a, b))
	}) {
		outcomes = append(outcomes, fmt.Sprintf("%s %d", name, r.Outcomes[name]))
	}
	_, err := fmt.Fprintf(w, `%d people, %d cheats, seed %d: all honest people have the root
%s
%d authors have forked, for all; of the files of honest authors %d are shown, %d hidden by marks, none lost.
What was offered: %s.
`, r.Config.People, r.Cheats, r.Config.Seed, r.RootText, r.Forked, r.Visible, r.Hidden, strings.Join(outcomes, ", "))
	return err
}
