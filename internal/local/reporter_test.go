package local

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"archivecache/internal/cli"
	"archivecache/merge"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
)

// told returns a reporter and what it has written to the two outputs.
func told(asJSON bool) (r *Reporter, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	env := &Env{Env: &cli.Env{Name: "merge", Stdout: stdout, Stderr: stderr}}
	return newReporter(env, asJSON, false), stdout, stderr
}

func TestReporterIsBounded(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		r, stdout, stderr := told(asJSON)
		for i := range 1000 {
			for _, outcome := range []shared.PathOutcome{shared.PathAdded, shared.PathHidden, shared.PathConflict} {
				if err := r.path(shared.Change{Outcome: outcome, Path: fmt.Sprintf("root/a\n%d", i), Plain: "root/a"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.Report(merge.Report{Path: path.MustParse("nodes/x"), Node: &reference.Reference{Sequence: 7}, Root: cid.Undef}, nil)
		if err := r.End(); err != nil {
			t.Error(err)
		}
		if asJSON {
			if n := strings.Count(stdout.String(), "\n"); n != 3001 || stderr.Len() > 0 {
				t.Errorf("%d lines, and %s", n, stderr)
			}
			continue
		}
		for _, want := range []string{
			`root/a\n19: hidden by somebody`, "and 980 more hidden; -json lists all", "and 980 more conflict-both-kept",
			"files: 1000 added, 1000 hidden, 1000 beside others",
		} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, stderr)
			}
		}
		if n := strings.Count(stderr.String(), "\n"); n != 2*maxSaid+3 || stdout.Len() > 0 {
			t.Errorf("%d lines", n)
		}
	}
}

// TestReporterStatus ends with the status of what went wrong most.
func TestReporterStatus(t *testing.T) {
	at := path.MustParse("nodes/x")
	report := merge.Report{Path: at, Node: &reference.Reference{Sequence: 7}}
	stop := &merge.BrakeError{Percent: 10, Directories: []merge.Braked{{Path: at, Hidden: 3, Shown: 4}}}
	failure := errors.New("nothing to be had")
	for _, tt := range []struct {
		errs []error
		want int
	}{
		{[]error{nil}, cli.ExitDone},
		{[]error{nil, stop, nil}, cli.ExitBrake},
		{[]error{stop, failure, nil}, cli.ExitFailed},
	} {
		r, _, _ := told(false)
		for _, err := range tt.errs {
			r.Report(report, err)
		}
		status := cli.ExitDone
		if err := r.End(); err != nil {
			status = cli.ExitFailed
			if s := (*cli.StatusError)(nil); errors.As(err, &s) {
				status = s.Status
			}
		}
		if status != tt.want {
			t.Errorf("%v: status %d, want %d", tt.errs, status, tt.want)
		}
	}
}
