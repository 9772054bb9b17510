package tree_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// How many schedules TestLaws plays if ARCHIVECACHE_LAWS does not say, and how many steps one has
// on average.
const (
	lawSchedules = 3000
	lawSteps     = 25
)

// TestLaws plays random schedules of 3 to 5 people who edit, publish, undo, gossip, cheat, and
// trust each other or not, and holds what comes out to the laws of the merge (laws_end_test.go),
// beside a model made of plain maps (laws_model_test.go). ARCHIVECACHE_LAWS is the number
// of schedules, ARCHIVECACHE_LAWS_SEED the number that all of them follow from. To play one again
// that failed, take the -rapid.seed that is printed with it.
func TestLaws(t *testing.T) {
	n, err := strconv.Atoi(orElse(os.Getenv("ARCHIVECACHE_LAWS"), strconv.Itoa(lawSchedules)))
	if err != nil || n < 1 {
		t.Fatalf("ARCHIVECACHE_LAWS is no number of schedules: %v", err)
	}
	seed, err := strconv.ParseUint(orElse(os.Getenv("ARCHIVECACHE_LAWS_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatalf("ARCHIVECACHE_LAWS_SEED: %v", err)
	}
	parts := min(runtime.GOMAXPROCS(0), n)
	if given := flag.Lookup("rapid.seed").Value.String(); given != "0" {
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
		parts = 1
	}
	t.Logf("ARCHIVECACHE_LAWS=%d ARCHIVECACHE_LAWS_SEED=%d, in %d parts", n, seed, parts)
	useLawNonces(t)
	t.Cleanup(func() func() { // blocks come and go
		before := debug.SetGCPercent(1000)
		return func() { debug.SetGCPercent(before) }
	}())
	var mu sync.Mutex // rapid takes its settings from flags, which all parts share
	start, played := time.Now(), new(atomic.Int64)
	t.Run("schedules", func(t *testing.T) {
		for i := range parts {
			checks := (n + parts - 1 - i) / parts
			t.Run(fmt.Sprint("part", i), func(t *testing.T) {
				t.Parallel()
				playLaws(t, &mu, checks, seed+uint64(i)<<48, played)
			})
		}
	})
	took := time.Since(start)
	t.Logf("%d schedules in %v, %.0f a second; %v", played.Load(), took.Round(time.Millisecond),
		float64(played.Load())/took.Seconds(), &lawCounts)
	lawCounts.check(t, n)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// playLaws plays that many schedules. The flags of rapid are set when it has begun with the first.
func playLaws(t *testing.T, mu *sync.Mutex, checks int, seed uint64, played *atomic.Int64) {
	mu.Lock()
	for name, value := range map[string]uint64{"rapid.checks": uint64(checks), "rapid.steps": lawSteps, "rapid.seed": seed} {
		if err := flag.Set(name, fmt.Sprint(value)); err != nil {
			t.Fatal(err)
		}
	}
	var begun sync.Once
	valid := 0
	rapid.Check(t, func(rt *rapid.T) {
		begun.Do(mu.Unlock)
		playSchedule(rt)
		valid++
	})
	played.Add(int64(valid))
	if testing.Short() {
		checks /= 5 // as rapid does
	}
	if valid < checks {
		t.Errorf("only %d of %d schedules were played; is -timeout too short?", valid, checks)
	}
}

// playSchedule plays one schedule.
func playSchedule(t *rapid.T) {
	s := newSchedule(t)
	defer s.close()
	t.Repeat(s.actions())
	s.checkJoin()
	s.finish()
}
