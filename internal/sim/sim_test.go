package sim

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"archivecache/tree/state"
)

// small returns a run of n people whom every test can afford.
func small(n int, seed uint64, kinds ...Cheat) Config {
	c := Standard(n, seed)
	c.Kinds, c.Undo, c.Sample = kinds, 0.05, 1
	if len(kinds) > 0 {
		c.Cheats = 0.2
	}
	return c
}

func simulate(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("seed %d: %v", c.Seed, err)
	}
	if r.Visible == 0 || r.Published < c.Rounds {
		t.Errorf("%d files shown, %d publications: nothing was tried", r.Visible, r.Published)
	}
	return r
}

// TestHonest also shows that without cheats nothing is refused and nobody is told to have forked,
// though some people undo what they have merged and published.
func TestHonest(t *testing.T) {
	c := small(40, 2)
	c.Cheats = 0
	r := simulate(t, c)
	for _, outcome := range []state.Outcome{state.Forked, state.Incomplete, state.RefusedForm, state.RefusedProof, state.RefusedSignature} {
		if n := r.Outcomes[string(outcome)]; n != 0 {
			t.Errorf("%d references are %s among honest people", n, outcome)
		}
	}
	if r.Forked != 0 || r.Cheats != 0 {
		t.Errorf("%d forks, %d cheats", r.Forked, r.Cheats)
	}
}

// TestKinds lets a fifth of the people cheat in one way, and looks for what that has to lead to,
// if it is seen at all. That honest people end equal, and lose nothing, Run checks.
func TestKinds(t *testing.T) {
	want := map[Cheat]string{
		Replay:  "node stale",
		Fork:    string(state.Forked),
		Forge:   string(state.RefusedSignature),
		Move:    string(state.RefusedOwner),
		Squat:   string(state.RefusedOwner),
		Leap:    string(state.Forked),
		Phantom: string(state.Incomplete),
	}
	for i, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			r := simulate(t, small(20, uint64(i), kind))
			if outcome, seen := want[kind]; seen && r.Outcomes[outcome] == 0 {
				t.Errorf("nothing is %s: %v", outcome, r.Outcomes)
			}
			if forks := r.Forked == r.Cheats; forks != kind.Forks() {
				t.Errorf("%d forked authors, %d cheats", r.Forked, r.Cheats)
			}
			firstFiles := r.Config.People - r.Cheats
			if wiped := r.Hidden >= firstFiles; wiped != (kind == Wipe) {
				t.Errorf("%d files are hidden", r.Hidden)
			}
		})
	}
}

func TestAllKinds(t *testing.T) {
	c := small(60, 3)
	c.Cheats, c.Kinds = 0.3, Kinds
	r := simulate(t, c)
	if r.Cheats != 18 || r.Forked != 4 {
		t.Errorf("%d cheats and %d forked authors, want 18 and 4", r.Cheats, r.Forked)
	}
}

// TestSeed wants the same run from the same seed, and another from another.
func TestSeed(t *testing.T) {
	var texts []string
	for _, seed := range []uint64{7, 7, 8} {
		data, err := json.Marshal(simulate(t, small(20, seed)))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	if texts[0] != texts[1] {
		t.Errorf("two runs differ:\n%s\n%s", texts[0], texts[1])
	}
	if texts[0] == texts[2] {
		t.Error("two seeds make the same run")
	}
}

// TestNotice breaks what Run promises, and wants to be told.
func TestNotice(t *testing.T) {
	finished := func(t *testing.T) *world {
		w := newWorld(small(12, 4))
		defer w.chance()()
		if err := w.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.gossip(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w
	}
	for name, spoil := range map[string]func(*world){
		"a person who lags behind": func(w *world) { w.someone().state = w.begun },
		"a publication that is missing": func(w *world) {
			for number, e := range w.newest {
				later := *e.reference
				later.Signature = make([]byte, 64)
				e.reference = &later
				w.newest[number] = e
				return
			}
		},
		"a fork that is not known": func(w *world) { w.someone().kind = Fork },
		"a slot of nobody":         func(w *world) { clear(w.number) },
	} {
		t.Run(name, func(t *testing.T) {
			w := finished(t)
			if err := w.check(t.Context(), w.result(0)); err != nil {
				t.Fatalf("before: %v", err)
			}
			spoil(w)
			if err := w.check(t.Context(), w.result(0)); err == nil {
				t.Error("nobody noticed")
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, spoil := range []func(*Config){
		func(c *Config) { c.People = 3 },
		func(c *Config) { c.Cheats = 1.5 },
		func(c *Config) { c.Loss = 1 },
		func(c *Config) { c.Fanout = 0 },
	} {
		c := Standard(10, 1)
		spoil(&c)
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestPlot(t *testing.T) {
	var svg, table strings.Builder
	results := []Measured{{Result: simulate(t, small(10, 1))}, {Result: simulate(t, small(20, 1))}}
	if err := errors.Join(Plot(&svg, results), Table(&table, results)); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(table.String(), "\n"); lines != 4 {
		t.Errorf("a table of %d lines:\n%s", lines, table.String())
	}
	circles := 0
	for d := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 5*len(results) {
		t.Errorf("%d points in the plot, of %d", circles, 5*len(results))
	}
}

// TestThousand is the run of the size that the project promises; make sim runs it.
func TestThousand(t *testing.T) {
	if os.Getenv("ARCHIVECACHE_SIM") == "" {
		t.Skip("a thousand people take some minutes; ARCHIVECACHE_SIM=1 (make sim, and CI) runs it")
	}
	r := simulate(t, Standard(1000, 1))
	if r.Cheats != 100 {
		t.Errorf("%d cheats", r.Cheats)
	}
}
