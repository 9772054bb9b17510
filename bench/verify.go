package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// minVerify is the share of the raw rate at which references should be verified, in percent.
const minVerify = 80

// verify runs the benchmark of package tree/state that joins 10,000 references, beside bare
// signatures on all cores.
func (b *bench) verify(ctx context.Context) error {
	const title = "verify: 10,000 new references"
	if !b.wanted(title) {
		return nil
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkVerify$",
		"-benchtime", fmt.Sprint(b.runs, "x"), "archivecache/tree/state").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", title, err, out)
	}
	share, err := metric(out, "%raw")
	if err != nil {
		return err
	}
	rate, err := metric(out, "references/s")
	if err != nil {
		return err
	}
	fmt.Printf("### %s\n\n%.0f references a second, %.0f%% of what bare Ed25519 signatures take on all cores; aim: at least %d%%: %s.\n\n",
		title, rate, share, minVerify, verdict(share >= minVerify))
	return nil
}

// metric finds a metric in what a Go benchmark prints.
func metric(out []byte, unit string) (float64, error) {
	found := regexp.MustCompile(`([0-9.e+]+) ` + regexp.QuoteMeta(unit)).FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("no %s in what the benchmark prints:\n%s", unit, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
