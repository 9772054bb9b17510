//go:build linux

package posixtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ModelOptions says what [Model] does.
type ModelOptions struct {
	Operations int    // 100,000 if it is 0
	Seed       uint64 // of the time if it is 0; the same seed does the same operations
	Files      int    // at most at a time, 12 if it is 0
	MaxSize    int64  // of most files; one in six may have five times as much. 4 MiB if it is 0
	// Settle, if it is not nil, is called every few thousand operations, while files are open: to wait
	// until everything is stored, say, or to drop caches. All is compared after.
	Settle func()
	// Remount, if it is not nil, is called more rarely, when nothing is open, so that the file system
	// can be unmounted and mounted again at the same place. All is compared after.
	Remount func()
}

const (
	settleEvery = 4_000 // operations
	remountRate = 5     // settlings to one remount
	kept        = 40    // operations that are printed when something differs
)

// Model does random operations on files and directories below dir, an empty folder in which nothing
// else happens, and on a model of them in memory, and compares what it sees at once. In the end it
// compares all. When something differs, it prints the seed and the last operations.
func Model(t *testing.T, dir string, opt ModelOptions) {
	m := newModel(dir, opt)
	begin := time.Now()
	if err := m.run(); err != nil {
		t.Fatalf("seed %d, operation %d of %d: %v\nthe last operations:\n%s", m.opt.Seed, m.done, m.opt.Operations, err, m.history())
	}
	t.Logf("seed %d: %d operations in %v; %d MiB written, %d MiB read", m.opt.Seed, m.done, time.Since(begin).Round(time.Second),
		m.written>>20, m.read>>20)
}

// A model is what there should be.
type model struct {
	*place
	opt     ModelOptions
	random  *rand.Rand
	noise   []byte // what is written are pieces of it
	buf     []byte
	root    *node
	files   []*node // those that have a name
	dirs    []*node // root first
	handles []*handle
	done    int
	last    [kept]step
	written int64
	read    int64
}

// A step is an operation that was done.
type step struct {
	what string
	path string
	a, b int64
}

// A node is a file or directory.
type node struct {
	parent   *node // nil if it has no name
	name     string
	children map[string]*node // nil if it is a file
	data     []byte
	limit    int // size that it may get
	mode     uint32
	exact    bool          // whether the modification time is known
	mtime    unix.Timespec // if it is
	since    time.Time     // otherwise, when it was modified
}

// A handle is an open file.
type handle struct {
	*node
	fd    int
	flags int
}

func newModel(dir string, opt ModelOptions) *model {
	set(&opt.Operations, 100_000)
	set(&opt.Seed, uint64(time.Now().UnixNano()))
	set(&opt.Files, 12)
	set(&opt.MaxSize, 4<<20)
	m := &model{place: &place{dir: dir}, opt: opt, random: rand.New(rand.NewPCG(opt.Seed, 1))}
	m.root = &node{children: map[string]*node{}}
	m.dirs = []*node{m.root}
	m.noise = make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{byte(opt.Seed)}).Read(m.noise) // never fails
	m.buf = make([]byte, 4<<20)
	return m
}

func set[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// operations are what is done, with how often.
var operations = []struct {
	weight int
	do     func(*model)
}{
	{280, (*model).write}, {60, (*model).append}, {280, (*model).pread}, {30, (*model).readByPath}, {30, (*model).truncate},
	{12, (*model).mapWrite}, {20, (*model).mapRead}, {5, (*model).fsync}, {60, (*model).open}, {50, (*model).closeOne},
	{20, (*model).create}, {12, (*model).unlink}, {22, (*model).rename}, {10, (*model).mkdir}, {8, (*model).rmdir},
	{20, (*model).readdir}, {60, (*model).stat}, {15, (*model).chmod}, {15, (*model).utimens},
}

func (m *model) run() error {
	defer m.close()
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	return m.do(func(*place) {
		for ; m.done < m.opt.Operations; m.done++ {
			m.pause()
			m.note("nothing", "", 0, 0)
			pick := m.random.IntN(total)
			for _, o := range operations {
				if pick -= o.weight; pick < 0 {
					o.do(m)
					break
				}
			}
		}
		m.compareAll()
		m.closeAll()
		m.compareAll()
	})
}

// pause lets things settle now and then.
func (m *model) pause() {
	if m.done == 0 || m.done%settleEvery != 0 {
		return
	}
	if m.opt.Settle != nil {
		m.note("settle", "", 0, 0)
		m.opt.Settle()
	}
	if m.opt.Remount != nil && m.done/settleEvery%remountRate == 0 {
		m.note("remount", "", 0, 0)
		m.closeAll()
		m.opt.Remount()
	}
	m.compareAll()
}

// note remembers an operation that is about to be done.
func (m *model) note(what, path string, a, b int64) { m.last[m.done%kept] = step{what, path, a, b} }

// history tells the last operations, of which each has its number.
func (m *model) history() string {
	var b strings.Builder
	for i := max(0, m.done-kept+1); i <= m.done; i++ {
		s := m.last[i%kept]
		fmt.Fprintf(&b, "%8d %s %.60q %d %d\n", i, s.what, s.path, s.a, s.b)
	}
	return b.String()
}

// chance says yes once in n times.
func (m *model) chance(n int) bool { return m.random.IntN(n) == 0 }

// between returns a number from low to high.
func (m *model) between(low, high int) int { return low + m.random.IntN(high-low+1) }

// pick returns one of some, or the zero value of none.
func pick[T any](m *model, all []T) (one T) {
	if len(all) > 0 {
		one = all[m.random.IntN(len(all))]
	}
	return one
}

// path returns where a node is below the folder, or what it was called if it has no name.
func (n *node) path() string {
	if n.parent == nil {
		return n.name
	}
	if n.parent.name == "" && n.parent.parent == nil {
		return n.name
	}
	return n.parent.path() + "/" + n.name
}

// touch says that a node is modified now.
func (n *node) touch() { n.exact, n.since = false, time.Now() }

// resize makes a file longer by zeros, or shorter.
func (n *node) resize(size int) {
	old := len(n.data)
	if size > cap(n.data) {
		n.data = append(make([]byte, 0, min(n.limit, size+size/2)), n.data...)
	}
	n.data = n.data[:size]
	if size > old {
		clear(n.data[old:])
	}
}
