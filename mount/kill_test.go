//go:build linux

package mount_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var kills = flag.Int("kills", 20, "how often TestKill kills the process behind a mount")

// TestKill kills the process behind a mount again and again while somebody writes. Whatever call has
// returned by then counts, with and without fsync; of the one that had not, it has happened or not.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, in := range []string{"mine", "forum"} {
		t.Run(in, func(t *testing.T) {
			s, repoDir, dir := mounted(t, in)
			w := &writer{dir: dir, random: rand.New(rand.NewPCG(seed, 1)), files: map[string][]byte{}, dirs: []string{"."}}
			for round := range *kills / 2 {
				killed := make(chan struct{})
				go func() {
					time.Sleep(time.Duration(w.delay()) * time.Millisecond)
					s.cmd.Process.Kill()
					close(killed)
				}()
				err := w.run()
				<-killed
				s.kill()
				begun := time.Now()
				s = start(t, repoDir, s.at)
				if err := w.check(); err != nil {
					t.Fatalf("round %d, which ended with %v: %v\nlast: %v", round, err, err, w.history)
				}
				if testing.Verbose() {
					t.Logf("round %d: %d calls, then %v; there again after %v", round, w.calls, err, time.Since(begun))
				}
			}
			s.stop()
			s = start(t, repoDir, s.at)
			if err := w.check(); err != nil {
				t.Fatalf("after a clean end: %v", err)
			}
			s.stop()
		})
	}
}

// A writer changes files, and knows what has to be there.
type writer struct {
	dir     string
	random  *rand.Rand
	delays  int
	files   map[string][]byte // by path below dir
	dirs    []string
	maybe   map[string][]byte // what the call that did not return may have made; nil is gone
	calls   int
	history []string
}

func (w *writer) delay() int {
	w.delays++
	return 1 + (w.delays*7919)%400
}

func (w *writer) at(name string) string { return filepath.Join(w.dir, name) }

// run works until the mount is gone.
func (w *writer) run() error {
	w.calls, w.history = 0, nil
	for {
		w.maybe = map[string][]byte{}
		if err := w.step(); err != nil {
			return err
		}
		w.calls++
	}
}

func (w *writer) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
	if len(w.history) > 12 {
		w.history = w.history[1:]
	}
}

func (w *writer) step() error {
	switch n := w.random.IntN(20); {
	case n < 6:
		return w.save()
	case n < 11:
		return w.overwrite()
	case n < 13:
		return w.remove()
	case n < 16:
		return w.rename()
	case n < 17:
		return w.mkdir()
	case n < 18:
		return w.renameDir()
	}
	return w.truncate()
}

func (w *writer) bytes(most int) []byte {
	b := make([]byte, 1+w.random.IntN(most))
	for i := range b {
		b[i] = byte(w.random.IntN(256))
	}
	return b
}

func (w *writer) newName() string {
	return filepath.Join(w.dirs[w.random.IntN(len(w.dirs))], fmt.Sprintf("f%d", w.random.IntN(12)))
}

// some returns a file that is there.
func (w *writer) some() (string, bool) {
	for name := range w.files {
		return name, true
	}
	return "", false
}

// set says what a call is about to make, and what it has made.
func (w *writer) set(name string, content []byte, call func() error) error {
	w.maybe[name] = content
	if err := call(); err != nil {
		return err
	}
	delete(w.maybe, name)
	if content == nil {
		delete(w.files, name)
	} else {
		w.files[name] = content
	}
	return nil
}

// save is what editors do.
func (w *writer) save() error {
	name, sync := w.newName(), w.random.IntN(2) == 0
	content := w.bytes(200_000)
	tmp := name + ".tmp"
	w.note("save %s, %d bytes, sync %v", name, len(content), sync)
	w.maybe[tmp] = content // or a part of it
	if err := writeFile(w.at(tmp), content, sync); err != nil {
		return err
	}
	w.files[tmp] = content
	w.maybe[tmp] = nil
	if err := w.set(name, content, func() error { return os.Rename(w.at(tmp), w.at(name)) }); err != nil {
		return err
	}
	delete(w.files, tmp)
	delete(w.maybe, tmp)
	return nil
}

func writeFile(name string, content []byte, sync bool) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// overwrite changes bytes in the middle of a file, or behind its end.
func (w *writer) overwrite() error {
	name, ok := w.some()
	if !ok {
		return w.save()
	}
	old := w.files[name]
	at, piece := w.random.IntN(len(old)+2_000_000), w.bytes(60_000)
	if w.random.IntN(3) > 0 {
		at = w.random.IntN(len(old) + 1)
	}
	next := make([]byte, max(len(old), at+len(piece)))
	copy(next, old)
	copy(next[at:], piece)
	w.note("overwrite %s at %d, %d bytes", name, at, len(piece))
	return w.set(name, next, func() error {
		f, err := os.OpenFile(w.at(name), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(piece, int64(at))
		return errors.Join(err, f.Close())
	})
}

func (w *writer) truncate() error {
	name, ok := w.some()
	if !ok {
		return w.save()
	}
	old := w.files[name]
	size := w.random.IntN(len(old) + 1_500_000)
	next := make([]byte, size)
	copy(next, old)
	w.note("truncate %s, of %d bytes, to %d", name, len(old), size)
	return w.set(name, next, func() error { return os.Truncate(w.at(name), int64(size)) })
}

func (w *writer) remove() error {
	name, ok := w.some()
	if !ok {
		return w.save()
	}
	w.note("remove %s", name)
	return w.set(name, nil, func() error { return os.Remove(w.at(name)) })
}

func (w *writer) rename() error {
	name, ok := w.some()
	to := w.newName()
	if !ok || to == name {
		return w.save()
	}
	content := w.files[name]
	w.note("rename %s to %s", name, to)
	w.maybe[name] = nil
	if err := w.set(to, content, func() error { return os.Rename(w.at(name), w.at(to)) }); err != nil {
		return err
	}
	delete(w.files, name)
	delete(w.maybe, name)
	return nil
}

func (w *writer) mkdir() error {
	if len(w.dirs) > 6 {
		return nil
	}
	name := fmt.Sprintf("d%d", w.random.IntN(1000))
	w.note("mkdir %s", name)
	if err := os.Mkdir(w.at(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	w.dirs = append(w.dirs, name)
	return nil
}

// renameDir moves a directory with all that is in it.
func (w *writer) renameDir() error {
	i := w.random.IntN(len(w.dirs))
	if i == 0 {
		return w.save()
	}
	from, to := w.dirs[i], fmt.Sprintf("d%d", 1000+w.random.IntN(1000))
	moved := map[string]string{}
	for name := range w.files {
		if filepath.Dir(name) == from {
			moved[name] = filepath.Join(to, filepath.Base(name))
		}
	}
	w.note("rename directory %s to %s", from, to)
	for name, next := range moved {
		w.maybe[name], w.maybe[next] = nil, w.files[name]
	}
	if err := os.Rename(w.at(from), w.at(to)); err != nil {
		w.dirs = append(w.dirs, to) // one of them is there
		return err
	}
	for name, next := range moved {
		w.files[next] = w.files[name]
		delete(w.files, name)
	}
	w.maybe = map[string][]byte{}
	for k := range w.dirs {
		if w.dirs[k] == from {
			w.dirs[k] = to
		}
	}
	return nil
}

// check compares all files with what has to be there, and goes on from that.
func (w *writer) check() error {
	found := map[string][]byte{}
	dirs := []string{}
	err := filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(w.dir, name)
		if d.IsDir() {
			dirs = append(dirs, rel)
			return nil
		}
		found[rel], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		return err
	}
	for name, want := range w.files {
		if got, ok := found[name]; !w.may(name, got, ok, want, true) {
			return fmt.Errorf("%s: there %v, %d bytes, first difference at %d; it should have %d bytes", name, ok, len(got), differ(got, want), len(want))
		}
	}
	for name, got := range found {
		if want, ok := w.files[name]; !w.may(name, got, true, want, ok) {
			return fmt.Errorf("%s is there, with %d bytes, and should not be", name, len(got))
		}
	}
	w.files, w.dirs = found, dirs
	return nil
}

// may reports whether what was found is what was acknowledged, or what the last call was about.
func (w *writer) may(name string, got []byte, there bool, want []byte, known bool) bool {
	if there == known && (!there || bytes.Equal(got, want)) {
		return true
	}
	maybe, ok := w.maybe[name]
	switch {
	case !ok:
		return false
	case !there:
		return maybe == nil || !known
	}
	return maybe != nil && (bytes.Equal(got, maybe) || !known && bytes.HasPrefix(maybe, got) || known && w.between(got, want, maybe))
}

// between reports whether got is on the way from one content to the other: of a call that writes
// much, or that makes a file first and then writes it, the kernel makes several requests.
func (w *writer) between(got, from, to []byte) bool {
	if len(got) < min(len(from), len(to)) && len(got) != 0 || len(got) > max(len(from), len(to)) {
		return false
	}
	for i := range got {
		old := i < len(from) && got[i] == from[i] || i >= len(from) && got[i] == 0
		if next := i < len(to) && got[i] == to[i]; !old && !next {
			return false
		}
	}
	return true
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
