// Package sim runs many people in one process, who write, cheat and gossip over a network in
// memory, and checks that the honest ones end with the same root.
//
// # What is real
//
// Every person has an Ed25519 identity, and signs references and nodes. What arrives is decoded,
// verified, joined ([state.State.Join]) and checked as package merge does it, by every person for
// himself; edits go through [tree.Root]; forks travel as proofs. Only the disk, the commands and
// HTTP are left out.
//
// # What is simplified
//
//   - Everybody accepts everybody, and begins with a root to which each person has added a first
//     layer, and some an owned directory.
//   - Blocks lie in one map for all. What a person reads of others and has not got yet counts as
//     fetched. The state blocks that nothing needs any more are dropped.
//   - A node that is sent between two publications has a root record with the state of its
//     author, and an empty view: whoever merges a root takes the state and computes the rest. The
//     view, a function of the state, is computed when somebody edits, and in the end: once for
//     each state that occurs, and again from nothing for a sample of people.
//   - Whether the content of a reference is fit for a view is found out once for all people, since
//     it depends on the two references alone.
//   - Nothing is ever unpinned, so content that was published once can be had.
//
// # Time and chance
//
// Time is counted in rounds. In a round those who write do so; each person takes in what has
// arrived, signs a node if that changed anything, and sends the node to some random neighbours in a
// small world. All chance comes from the seed, so that a run can be repeated: the same CIDs follow.
// For that [Run] takes the place of the random source of crypto/rand while somebody edits (new
// versions draw nonces), so no two runs may go on in one process at a time, nor beside anything
// else that needs secrets.
package sim

import (
	"context"
	"fmt"
	"sync"

	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Config says what to simulate. [Standard] fills it.
type Config struct {
	People int     // how many, cheats included; at least 4
	Cheats float64 // share of people who cheat; the kinds take turns
	Kinds  []Cheat // that occur; none are all
	Seed   uint64

	Rounds     int     // in which people write
	Writes     float64 // share of people who publish in such a round; at least one person does
	Owned      float64 // share of people who have an owned directory
	Undo       float64 // share of people who once go back to what they had at the beginning
	Fanout     int     // nodes that each person sends in a round
	Neighbours int     // of each person, in the mean
	Delay      int     // largest delay of a message, in rounds; the smallest is one
	Loss       float64 // share of messages that are lost
	Split      [2]int  // first round in which the network is in two halves, and the first in which it is whole again
	Limit      int     // rounds after the last writing in which all have to become equal
	Sample     int     // people whose root is computed again from nothing
}

// Standard returns the standard run of n people: a tenth cheats.
func Standard(n int, seed uint64) Config {
	return Config{
		People: n, Cheats: 0.1, Seed: seed, Rounds: 10, Writes: 0.005, Owned: 0.25, Undo: 0.01,
		Fanout: 2, Neighbours: 8, Delay: 5, Loss: 0.1, Split: [2]int{3, 8}, Limit: 300, Sample: 3,
	}
}

func (c Config) check() error {
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case c.People < 4 || c.People > 1_000_000:
		return fmt.Errorf("%d people, of 4 to a million", c.People)
	case !share(c.Cheats) || !share(c.Writes) || !share(c.Owned) || !share(c.Undo) || !share(c.Loss):
		return fmt.Errorf("a share is a number from 0 to 1")
	case c.Loss > 0.9:
		return fmt.Errorf("a loss of %g: nothing would arrive; at most 0.9", c.Loss)
	case c.Rounds < 1 || c.Fanout < 1 || c.Neighbours < 2 || c.Delay < 1 || c.Limit < 1:
		return fmt.Errorf("rounds, fanout, delay and limit are at least 1, neighbours 2")
	}
	return nil
}

// A Cost is what one person has taken in.
type Cost struct {
	Messages   int   // nodes received
	References int   // met that are not what the person holds: also stale and refused ones
	Bytes      int64 // of blocks fetched: nodes, states, histories, marks and files
}

// A Result is what became of a run.
type Result struct {
	Config     Config         `json:"config"`
	Cheats     int            `json:"cheats"`
	Rounds     int            `json:"rounds"`    // until all honest people had the same state for good
	Settling   int            `json:"settling"`  // of these, after the last round in which people wrote
	Published  int            `json:"published"` // references signed in those rounds, without those of cheats
	Mean       MeanCost       `json:"mean"`      // of honest people
	Max        Cost           `json:"max"`       // each the largest of an honest person
	Outcomes   map[string]int `json:"outcomes"`  // of all that honest people were offered
	Root       cid.Cid        `json:"-"`         // of all honest people
	RootText   string         `json:"root"`
	Forked     int            `json:"forked"`      // authors who have a forked directory, in that root
	Visible    int            `json:"visible"`     // files of honest authors that it shows
	Hidden     int            `json:"hidden"`      // files of honest authors that marks hide
	LiveBlocks int            `json:"live_blocks"` // of nodes and states, the most that there were at a time
}

// A MeanCost is a mean of costs.
type MeanCost struct {
	Messages, References, Bytes float64
}

var running sync.Mutex // since crypto/rand has one source

// Run runs a simulation. The error says which promise did not hold, or what is wrong with the
// Config.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	running.Lock()
	defer running.Unlock()
	w := newWorld(c)
	defer w.chance()()
	if err := w.begin(ctx); err != nil {
		return nil, fmt.Errorf("the beginning: %w", err)
	}
	last, err := w.gossip(ctx)
	if err != nil {
		return nil, err
	}
	r := w.result(last)
	return r, w.check(ctx, r)
}

// gossip runs rounds until all honest people are equal and stay so, and returns the number of
// the first round after which they were.
func (w *world) gossip(ctx context.Context) (int, error) {
	equal := 0 // rounds since which all are
	for round := 0; ; round++ {
		if err := w.round(ctx, round); err != nil {
			return 0, fmt.Errorf("round %d: %w", round, err)
		}
		equal++
		if w.states() > 1 || round < w.Rounds {
			equal = 0
		}
		if equal > w.Delay { // whatever was on its way has arrived
			return round - equal + 2, nil
		}
		if round > w.Rounds+w.Limit {
			return 0, fmt.Errorf("%d rounds after the last writing there are still %d different states", w.Limit, w.states())
		}
	}
}

func (w *world) round(ctx context.Context, round int) error {
	if err := ctx.Err(); err != nil { // what is in memory does not ask for it
		return err
	}
	if round < w.Rounds {
		if err := w.write(ctx, round); err != nil {
			return err
		}
	}
	if err := w.cheat(ctx, round); err != nil {
		return err
	}
	w.deliver(round)
	if err := w.each(func(p *person) error { return p.turn(ctx, round) }); err != nil {
		return err
	}
	w.keep()
	w.send(round)
	if round%sweepEvery == sweepEvery-1 {
		w.sweep()
	}
	return nil
}

// states returns how many different states honest people have.
func (w *world) states() int {
	all := map[cid.Cid]bool{}
	for _, p := range w.people {
		if p.kind == Honest {
			all[p.state] = true
		}
	}
	return len(all)
}

func (w *world) result(rounds int) *Result {
	r := &Result{
		Config: w.Config, Rounds: rounds, Settling: rounds - w.Rounds, Published: w.published,
		Outcomes: map[string]int{}, LiveBlocks: w.peak,
	}
	honest := 0
	for _, p := range w.people {
		if p.kind != Honest {
			r.Cheats++
			continue
		}
		honest++
		r.Mean.Messages += float64(p.cost.Messages)
		r.Mean.References += float64(p.cost.References)
		r.Mean.Bytes += float64(p.cost.Bytes)
		r.Max.Messages = max(r.Max.Messages, p.cost.Messages)
		r.Max.References = max(r.Max.References, p.cost.References)
		r.Max.Bytes = max(r.Max.Bytes, p.cost.Bytes)
		for outcome, n := range p.outcomes {
			r.Outcomes[outcome] += n
		}
	}
	n := float64(honest)
	r.Mean.Messages, r.Mean.References, r.Mean.Bytes = r.Mean.Messages/n, r.Mean.References/n, r.Mean.Bytes/n
	return r
}

var forum = reference.Founding{Policy: reference.SharedPolicy, Path: "root/forum"}
