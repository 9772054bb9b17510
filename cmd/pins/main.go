// Pins shows where what is published is kept.
package main

import (
	"context"
	"fmt"
	"time"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/upkeep"
)

const help = `usage: pins [-repo DIR] [-recover] [-wait TIME] [-json]

Pins shows how each pinning service keeps the newest node of each of your
identities, with all that hangs from it: on how many machines it is, which those
are, and how far the others are. The exit status is 3 if that is not enough.

With -recover the services are asked once more for what they do not have at
enough places, and older nodes, which the newest one continues, are let go when
that has come. new-node does the same by itself.

Example:

  $ pins
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print a line of JSON for each service and node")
	recover := env.Flags.Bool("recover", false, "ask the services again for what they lack")
	wait := env.WaitFlag()
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	all, err := pins(ctx, env, r, *recover, *wait)
	if err != nil {
		return err
	}
	for _, k := range all {
		if *asJSON {
			err = env.JSON(lineOf(k))
		} else {
			_, err = fmt.Fprintf(env.Stdout, "%s: %s\n", k.Service.Name, cli.Quote(local.PinText(k)))
		}
		if err != nil {
			return err
		}
	}
	return local.PinStatus(all)
}

func pins(ctx context.Context, env *local.Env, r *repo.Repo, recover bool, wait time.Duration) ([]upkeep.Kept, error) {
	services, err := r.PinningServices(ctx)
	if err != nil {
		return nil, err
	}
	if len(services) == 0 {
		env.Say("there is no pinning service; add-pinning-service makes one known")
	}
	if recover {
		return upkeep.RenewPins(ctx, r, wait)
	}
	return upkeep.Pins(ctx, r)
}

// line is what -json prints.
type line struct {
	Service  string   `json:"service"`
	Address  string   `json:"address"`
	Author   string   `json:"author"`
	Node     string   `json:"node"`
	Sequence uint64   `json:"sequence"`
	Pinned   int      `json:"pinned"`
	Want     int      `json:"want"`
	Enough   bool     `json:"enough"`
	Places   []place  `json:"places"`
	Others   []string `json:"others"`
	Error    string   `json:"error,omitempty"`
}

type place struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

func lineOf(k upkeep.Kept) line {
	l := line{
		Service: k.Service.Name, Address: k.Service.Address, Author: k.Node.Author.String(), Node: k.Node.Cid.String(),
		Sequence: k.Node.Node.Sequence, Want: k.Want(), Enough: k.Enough(), Places: []place{}, Others: []string{},
	}
	if k.Pin != nil {
		l.Pinned = k.Pin.Pinned()
		for _, at := range k.Pin.Places {
			l.Places = append(l.Places, place{at.Name, string(at.State), at.Why})
		}
	}
	for _, p := range k.Old {
		l.Others = append(l.Others, p.Root.String())
	}
	if k.Err != nil {
		l.Error = k.Err.Error()
	}
	return l
}
