package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
