package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// An aim is what a row should show. The zero aim is none.
type aim struct {
	// ratio is how many times as long as ours the row should take at least.
	ratio float64
	// below, of our own row, is the time it should stay under.
	below time.Duration
	// memory, of our own row, is the peak it should stay under, in bytes.
	memory int64
}

// text says what the aim is, and whether it was reached.
func (a aim) text(r, own *result) string {
	var parts []string
	if a.ratio > 0 {
		got := ratio(r.median(), own.median())
		parts = append(parts, fmt.Sprintf("ratio ≥ %.3g: %s", a.ratio, verdict(got >= a.ratio)))
	}
	if a.below > 0 {
		parts = append(parts, fmt.Sprintf("< %s: %s", milliseconds(a.below), verdict(r.median() < a.below)))
	}
	if a.memory > 0 {
		parts = append(parts, fmt.Sprintf("< %s: %s", mebibytes(a.memory), verdict(r.peak < a.memory)))
	}
	return strings.Join(parts, "; ")
}

func verdict(reached bool) string {
	if reached {
		return "yes"
	}
	return "NO"
}

func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// report runs a contest and prints its table. It returns our own result.
func (b *bench) report(ctx context.Context, w io.Writer, c contest) (*result, error) {
	results, err := b.hold(ctx, c)
	if err != nil {
		return nil, err
	}
	return &results[0], printTable(w, c.title, results)
}

// printTable prints the results of a contest; the first is ours.
func printTable(w io.Writer, title string, results []result) error {
	rows := [][]string{{"", "median", "min", "max", "runs", "ratio", "CPU", "peak memory", "aim"}}
	for i := range results {
		rows = append(rows, row(&results[i], &results[0]))
	}
	_, err := fmt.Fprintf(w, "### %s\n\n%s\n", title, render(rows))
	return err
}

func row(r, own *result) []string {
	low, high := r.times[0], r.times[0]
	for _, t := range r.times {
		low, high = min(low, t), max(high, t)
	}
	return []string{
		r.name, milliseconds(r.median()), milliseconds(low), milliseconds(high), fmt.Sprint(len(r.times)),
		fmt.Sprintf("%.2f", ratio(r.median(), own.median())), processor(r.cpus), mebibytes(r.peak), r.aim.text(r, own),
	}
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// processor is the median of processor times; empty if they are not known.
func processor(times []time.Duration) string {
	if len(times) == 0 {
		return ""
	}
	return milliseconds(median(times))
}

func mebibytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
}

// render makes a Markdown table whose columns stand below each other; the first row is its head.
func render(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		renderRow(&b, row, widths)
		if n == 0 {
			for i, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+1) + rule(i))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// rule ends the line below the head of a column: numbers stand to the right, words to the left.
func rule(column int) string {
	if leftmost(column) {
		return "-"
	}
	return ":"
}

func leftmost(column int) bool { return column == 0 || column == 8 }

func renderRow(b *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if leftmost(i) {
			b.WriteString("| " + cell + pad + " ")
		} else {
			b.WriteString("| " + pad + cell + " ")
		}
	}
	b.WriteString("|\n")
}
