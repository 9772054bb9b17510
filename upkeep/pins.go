package upkeep

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"archivecache/repo"
	"archivecache/store/pinning"
)

// A Kept says how a pinning service keeps a node that was published.
type Kept struct {
	Service repo.PinningService
	Node    repo.Published
	Pin     *pinning.Pin  // of the node; nil if the service has none, or does not say
	Old     []pinning.Pin // of what else was pinned for the same identity
	Err     error         // why the service does not say, or did not do what it was asked
}

// Want returns at how many places the node is to be.
func (k Kept) Want() int { return max(1, k.Service.Replicas) }

// Enough reports whether the node is at so many places.
func (k Kept) Enough() bool { return k.Pin != nil && k.Pin.Pinned() >= k.Want() }

// OpenService returns a pinning service of a repository.
func OpenService(s repo.PinningService, token string) (pinning.Service, error) {
	if s.Replicas > 0 {
		return pinning.OpenCluster(s.Address, s.Replicas, pinning.Options{Token: token})
	}
	return pinning.OpenRemote(s.Address, pinning.Options{Token: token})
}

// Pins asks all pinning services of r how they keep what its identities have published last. The
// results stand in the order of the services, and for each in the order of the identities.
func Pins(ctx context.Context, r *repo.Repo) ([]Kept, error) {
	return eachPin(ctx, r, func(all []*keeper) {
		for _, k := range all {
			k.do(func() error { return k.look(ctx) })
		}
	})
}

// RenewPins is Pins, but has services keep what they do not keep at enough places, waits for at most
// the time wait until they do, and lets go of older nodes once the newest one is. The new pin comes
// before the old one goes, so it may be stopped at any moment.
func RenewPins(ctx context.Context, r *repo.Repo, wait time.Duration) ([]Kept, error) {
	end := time.Now().Add(wait)
	addresses := sync.OnceValues(func() ([]string, error) { return r.Origins(ctx) })
	return eachPin(ctx, r, func(all []*keeper) {
		origins, err := addresses() // without the daemon nobody could have the blocks
		for _, k := range all {
			k.do(func() error { return err })
			k.do(func() error { return k.ask(ctx, origins) })
		}
		for _, k := range all {
			k.do(func() error { return k.wait(ctx, end, origins) })
			k.do(func() error { return k.letGo(ctx) })
		}
	})
}

// eachPin does what do does with the nodes at each service, with several services at a time.
func eachPin(ctx context.Context, r *repo.Repo, do func([]*keeper)) ([]Kept, error) {
	services, err := r.PinningServices(ctx)
	if err != nil || len(services) == 0 {
		return nil, err
	}
	nodes, err := r.Published(ctx)
	if err != nil {
		return nil, err
	}
	keepers := make([][]*keeper, len(services))
	var group sync.WaitGroup
	for i, s := range services {
		service, err := openService(r, s)
		for _, node := range nodes {
			keepers[i] = append(keepers[i], &keeper{Kept: Kept{Service: s, Node: node, Err: err}, repo: r, service: service})
		}
		group.Go(func() { do(keepers[i]) })
	}
	group.Wait()
	var all []Kept
	for _, k := range slices.Concat(keepers...) {
		all = append(all, k.Kept)
	}
	return all, ctx.Err()
}

func openService(r *repo.Repo, s repo.PinningService) (pinning.Service, error) {
	token, err := r.PinningToken(s.Name)
	if err != nil {
		return nil, err
	}
	return OpenService(s, token)
}

// A keeper has one service keep one node.
type keeper struct {
	Kept
	repo    *repo.Repo
	service pinning.Service
}

// do goes on with fn unless something has failed.
func (k *keeper) do(fn func() error) {
	if k.Err == nil {
		k.Err = fn()
	}
}

// pinName is what the pins of an identity's nodes are called, at whatever service.
func (k *keeper) pinName() string { return "archivecache/" + k.Node.Author.String() + "/node" }

// look asks the service what it keeps.
func (k *keeper) look(ctx context.Context) error {
	pins, err := k.service.Pins(ctx, k.pinName())
	if err != nil {
		return err
	}
	k.Pin, k.Old = nil, nil
	for i, p := range pins {
		switch {
		case !p.Root.Equals(k.Node.Cid):
			k.Old = append(k.Old, p)
		case k.Pin == nil || p.Pinned() > k.Pin.Pinned(): // a service may have two requests for one root
			k.Pin = &pins[i]
		}
	}
	return nil
}

// ask has the service keep the node, if it does not at enough places.
func (k *keeper) ask(ctx context.Context, origins []string) error {
	if err := k.look(ctx); err != nil || k.Enough() {
		return err
	}
	return k.pin(ctx, origins)
}

func (k *keeper) pin(ctx context.Context, origins []string) error {
	p, err := k.service.Pin(ctx, k.Node.Cid, k.pinName(), origins)
	if err == nil {
		k.Pin = &p
	}
	return err
}

const (
	// pollEvery is how often a service is asked how far it is.
	pollEvery = 500 * time.Millisecond
	// againEvery is how often it is asked once more for what has failed, or for more places.
	againEvery = 5 * time.Second
)

// wait looks until the node is at enough places, or the time is over.
func (k *keeper) wait(ctx context.Context, end time.Time, origins []string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for again := time.Now().Add(againEvery); !k.Enough() && time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		lacks := k.Pin.Failed() > 0 || len(k.Pin.Places) < k.Want()
		if lacks && time.Now().After(again) {
			again = time.Now().Add(againEvery)
			if err := k.pin(ctx, origins); err != nil {
				return err
			}
			continue
		}
		p, err := k.service.Look(ctx, *k.Pin)
		if err != nil {
			return err
		}
		k.Pin = &p
	}
	return nil
}

// letGo unpins older nodes, which the node continues, if it is at enough places. Another one, such as
// of a copy of the repository that has published since, is not this one's to take away.
func (k *keeper) letGo(ctx context.Context) error {
	if !k.Enough() {
		return nil
	}
	var stay []pinning.Pin
	for _, p := range k.Old {
		replaced, err := k.Node.Replaced(ctx, k.repo.Store(), p.Root)
		if err != nil || !replaced {
			stay = append(stay, p) // it cannot be told
			continue
		}
		if err := k.service.Unpin(ctx, p); err != nil {
			return fmt.Errorf("unpin %s: %w", p.Root, err)
		}
	}
	k.Old = stay
	return nil
}
