package sim

import (
	"slices"

	"github.com/ipfs/go-cid"
)

// A message is a node on its way.
type message struct {
	to   int
	node cid.Cid
}

// connect makes a small world: everybody knows those beside them on a ring, and, for a quarter of
// the acquaintances, somebody anywhere.
func (w *world) connect() {
	n := len(w.people)
	for i, p := range w.people {
		for step := 1; step <= w.Neighbours/2; step++ {
			other := (i + step) % n
			if w.rng.IntN(4) == 0 {
				other = w.rng.IntN(n)
			}
			if other != i && !slices.Contains(p.neighbours, other) {
				p.neighbours = append(p.neighbours, other)
				w.people[other].neighbours = append(w.people[other].neighbours, i)
			}
		}
	}
}

// send puts the nodes of all people on their way to some of their neighbours.
func (w *world) send(round int) {
	split := round >= w.Split[0] && round < w.Split[1]
	for i, p := range w.people {
		w.rng.Shuffle(len(p.neighbours), func(a, b int) { p.neighbours[a], p.neighbours[b] = p.neighbours[b], p.neighbours[a] })
		for _, to := range p.neighbours[:min(w.Fanout, len(p.neighbours))] {
			due := round + 1 + w.rng.IntN(w.Delay)
			lost := w.rng.Float64() < w.Loss || split && i%2 != to%2
			if node := p.outgoing(to, round); node.Defined() && !lost {
				w.onTheWay[due] = append(w.onTheWay[due], message{to, node})
			}
		}
	}
}

// deliver hands out what arrives in a round.
func (w *world) deliver(round int) {
	for _, m := range w.onTheWay[round] {
		w.people[m.to].inbox = append(w.people[m.to].inbox, m.node)
	}
	delete(w.onTheWay, round)
}

// sweep drops the nodes and states that nobody has and nobody is sent any more.
func (w *world) sweep() {
	w.peak = max(w.peak, len(w.heap.young))
	var roots []cid.Cid
	for _, messages := range w.onTheWay {
		for _, m := range messages {
			roots = append(roots, m.node)
		}
	}
	for _, p := range w.people {
		roots = append(roots, p.state, p.proofs)
		roots = append(roots, p.sent[:]...)
		roots = append(roots, p.loot...)
		for _, node := range p.seen {
			roots = append(roots, node.History.Target())
		}
		for _, node := range p.nodes {
			if node != nil {
				roots = append(roots, node.History.Target())
			}
		}
	}
	w.heap.sweep(slices.DeleteFunc(roots, func(c cid.Cid) bool { return !c.Defined() }))
}
