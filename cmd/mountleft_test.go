package cmd_test

import (
	"strings"
	"testing"
)

// TestMountLeft expects status to tell of what a killed mount has not committed, until the next one
// has.
func TestMountLeft(t *testing.T) {
	m := newMount(t)
	m.mkdir("root/mine")
	told := false
	for try := 0; try < 20 && !told; try++ {
		m.write("root/mine/f", strings.Repeat("x", try+1))
		m.crash()
		told = strings.Contains(m.run("status", "-repo", m.repo), "uncommitted")
		m.start()
		m.wantFile("root/mine/f", strings.Repeat("x", try+1))
	}
	if !told {
		t.Error("status never told of anything, although the mount was killed right after a write 20 times")
	}
	if said := m.run("status", "-repo", m.repo); strings.Contains(said, "uncommitted") {
		t.Errorf("with the mount back status says %s", said)
	}
	m.unmount()
}
