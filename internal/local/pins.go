package local

import (
	"context"
	"fmt"
	"strings"
	"time"

	"archivecache/internal/cli"
	"archivecache/upkeep"
)

// WaitFlag declares the option -wait of commands that have pinning services keep what is published.
func (env *Env) WaitFlag() *time.Duration {
	return env.Flags.Duration("wait", time.Minute, "wait `TIME` until pinning services, if there are any, have everything")
}

// RenewPins has the pinning services keep what is published, says how they do, and returns an error
// with a status of its own if that is not enough. It opens the repository itself: one that has
// written keeps gc waiting as long as it is open.
func (env *Env) RenewPins(ctx context.Context, wait time.Duration) error {
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	all, err := upkeep.RenewPins(ctx, r, wait)
	if err != nil {
		return err
	}
	for _, k := range all {
		env.Say("%s: %s", k.Service.Name, PinText(k))
	}
	return PinStatus(all)
}

// PinText says how a service keeps a node.
func PinText(k upkeep.Kept) string {
	text := fmt.Sprintf("node %d of %s, %s", k.Node.Node.Sequence, k.Node.Author, pinned(k))
	if k.Err != nil {
		text += fmt.Sprintf("; %v", explain(k.Err))
	}
	if len(k.Old) > 0 {
		text += "; beside " + cli.Plural(len(k.Old), "other node") + " of it"
	}
	return text
}

func pinned(k upkeep.Kept) string {
	switch {
	case k.Pin == nil && k.Err != nil:
		return "it is not known whether it is kept"
	case k.Pin == nil:
		return "not pinned"
	}
	text := fmt.Sprintf("pinned at %d of %s", k.Pin.Pinned(), cli.Plural(k.Want(), "place"))
	var places []string
	for _, at := range k.Pin.Places {
		place := at.Name + " " + string(at.State)
		if at.Why != "" {
			place += " (" + at.Why + ")"
		}
		places = append(places, place)
	}
	if len(places) > 0 {
		text += ": " + strings.Join(places, ", ")
	}
	return text
}

// PinStatus returns nil if everything is pinned at enough places.
func PinStatus(all []upkeep.Kept) error {
	for _, k := range all {
		if k.Enough() && k.Err == nil {
			continue
		}
		err := fmt.Errorf("what is published is not everywhere where it should be")
		return &cli.StatusError{Status: cli.ExitPartial, Err: cli.WithHint(err, "pins shows where it is, and pins -recover asks the services again")}
	}
	return nil
}
