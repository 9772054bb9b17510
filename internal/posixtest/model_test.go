//go:build linux

package posixtest

import (
	"regexp"
	"testing"
)

func TestModelNative(t *testing.T) {
	Model(t, t.TempDir(), ModelOptions{Operations: 200_000, Seed: 1})
}

func TestModelLoopback(t *testing.T) {
	s := newServer(t, "served", "")
	Model(t, s.mountpoint, ModelOptions{Operations: 50_000, Seed: 2, Remount: s.remount})
}

func TestModelPassthrough(t *testing.T) {
	s := newServer(t, "passthrough", "")
	Model(t, s.mountpoint, ModelOptions{Operations: 50_000, Seed: 3, Remount: s.remount})
}

// TestModelFaults has faults of a file system found by what differs from the model.
func TestModelFaults(t *testing.T) {
	faults := map[string]string{
		"rename does nothing":    "ENOENT",
		"rename copies":          "differ|mode",
		"unlink does nothing":    "links|names in",
		"unlink empties":         "differ|no page",
		"truncate does nothing":  "size",
		"chmod does nothing":     "mode",
		"times are in seconds":   "modification time",
		"times are not set":      "modification time",
		"writes lose a border":   "differ",
		"readdir hides a name":   "names in",
		"readdir repeats a name": "names in",
		"fsync fails":            "EIO",
	}
	for fault, words := range faults {
		t.Run(fault, func(t *testing.T) {
			s := newServer(t, "served", fault)
			opt := ModelOptions{Operations: 25_000, Seed: 4, Remount: s.remount}
			m := newModel(s.mountpoint, opt)
			err := m.run()
			if err == nil || !regexp.MustCompile(words).MatchString(err.Error()) {
				t.Errorf("%v, want %s", err, words)
			}
			t.Logf("operation %d: %v", m.done, err)
		})
	}
}

// TestModelRepeats checks that a seed does the same again.
func TestModelRepeats(t *testing.T) {
	var histories [2]string
	for i := range histories {
		m := newModel(t.TempDir(), ModelOptions{Operations: 3_000, Seed: 5})
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		histories[i] = m.history()
	}
	if histories[0] != histories[1] {
		t.Errorf("first:\n%s\nthen:\n%s", histories[0], histories[1])
	}
}
