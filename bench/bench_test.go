package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archivecache/merge"
	"archivecache/repo"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		why   string
		times []time.Duration
		want  time.Duration
	}{
		{"none", nil, 0},
		{"one", []time.Duration{7}, 7},
		{"the middle of three", []time.Duration{9, 1, 4}, 4},
		{"between the two in the middle", []time.Duration{10, 1, 100, 4}, 7},
	}
	for _, test := range tests {
		if got := median(test.times); got != test.want {
			t.Errorf("%s: %d, want %d", test.why, got, test.want)
		}
	}
}

func TestAim(t *testing.T) {
	own := &result{times: []time.Duration{10 * time.Millisecond}, peak: 100 << 20}
	peer := &result{times: []time.Duration{30 * time.Millisecond}}
	tests := []struct {
		aim  aim
		of   *result
		want string
	}{
		{aim{}, own, ""},
		{aim{ratio: 2}, peer, "ratio ≥ 2: yes"},
		{aim{ratio: 5}, peer, "ratio ≥ 5: NO"},
		{aim{below: 50 * time.Millisecond, memory: 128 << 20}, own, "< 50.0 ms: yes; < 128 MiB: yes"},
		{aim{below: 10 * time.Millisecond}, own, "< 10.0 ms: NO"},
	}
	for _, test := range tests {
		if got := test.aim.text(test.of, own); got != test.want {
			t.Errorf("%+v: %q, want %q", test.aim, got, test.want)
		}
	}
}

// TestData checks that the data sets are the same each time, and that nothing about them can be
// compressed away.
func TestData(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if err := makeSmall(dir, 2); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(a, "*", "*"))
	if err != nil || len(files) != 200 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		one, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(strings.Replace(path, a, b, 1))
		if err != nil || !bytes.Equal(one, other) {
			t.Fatalf("%s differs, %v", path, err)
		}
		if len(one) < 1<<10 || len(one) > 8<<10 {
			t.Errorf("%s has %d bytes", path, len(one))
		}
	}
}

func TestSpread(t *testing.T) {
	var got []int
	for i := range spread(4, 100) {
		got = append(got, i)
	}
	if len(got) != 4 || got[1] != 25 || got[3] != 75 {
		t.Errorf("%v", got)
	}
}

func TestMetric(t *testing.T) {
	out := []byte("BenchmarkVerify-2   \t       3\t4017066896 ns/op\t        70.73 %raw\t      2489 references/s\n")
	share, err := metric(out, "%raw")
	if err != nil || share != 70.73 {
		t.Errorf("%g, %v", share, err)
	}
	if rate, err := metric(out, "references/s"); err != nil || rate != 2489 {
		t.Errorf("%g, %v", rate, err)
	}
	if _, err := metric(out, "MB/s"); err == nil {
		t.Error("a metric that is not there is found")
	}
}

// TestFriends makes a few friends, all merged but the newest node of one, and merges that.
func TestFriends(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	if err := makeFriends(t.Context(), dir, 5, 1); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var changes []int
	err = merge.All(t.Context(), r, "merge-all", merge.Options{}, func(report merge.Report, failure error) {
		if failure != nil {
			t.Error(failure)
		}
		changes = append(changes, report.Changed())
	})
	if err != nil || len(changes) != 1 || changes[0] != 1 {
		t.Errorf("changes %v, %v; want one node with one", changes, err)
	}
}
