package shared

// A graph of marks has an arrow from the version that a mark is by to the one that it is on. Two
// versions are in one circle if each has a way to the other. As the version that a mark is by has a
// way to the one it is on, that one has a way back if and only if they are in one circle; and
// circles are found in time that follows the number of marks, however authors have woven them.

// circles returns a number, not 0, for each version of g and for what they have a way to; those of
// one circle have the same.
func (g *group) circles() map[string]int {
	c := &circler{out: g.arrows(), order: map[string]int{}, low: map[string]int{}, circle: map[string]int{}}
	for _, v := range g.versions {
		if c.order[string(v.id)] == 0 {
			c.from(string(v.id))
		}
	}
	return c.circle
}

// A circler is Tarjan's algorithm for strongly connected components, without recursion.
type circler struct {
	out    map[string][]VersionID
	order  map[string]int // in which a version was met, from 1
	low    map[string]int // the first version met that it is known to have a way to
	circle map[string]int // from 1
	open   []string       // met, and not in a circle yet
	path   []step         // from the start to here
}

// A step is a version, and how many of its arrows were followed.
type step struct {
	version  string
	followed int
}

func (c *circler) from(start string) {
	c.meet(start)
	for len(c.path) > 0 {
		at := &c.path[len(c.path)-1]
		if arrows := c.out[at.version]; at.followed < len(arrows) {
			next := string(arrows[at.followed])
			at.followed++
			if c.order[next] == 0 {
				c.meet(next)
			} else if c.circle[next] == 0 {
				c.low[at.version] = min(c.low[at.version], c.order[next])
			}
			continue
		}
		c.leave(at.version)
	}
}

func (c *circler) meet(v string) {
	n := len(c.order) + 1
	c.order[v], c.low[v] = n, n
	c.open = append(c.open, v)
	c.path = append(c.path, step{version: v})
}

// leave goes one step back from v, and closes the circle of which v was the first that was met.
func (c *circler) leave(v string) {
	c.path = c.path[:len(c.path)-1]
	if len(c.path) > 0 {
		before := c.path[len(c.path)-1].version
		c.low[before] = min(c.low[before], c.low[v])
	}
	if c.low[v] < c.order[v] {
		return
	}
	for {
		last := c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
		c.circle[last] = c.order[v]
		if last == v {
			return
		}
	}
}
