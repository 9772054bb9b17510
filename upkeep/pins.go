package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archivecache/repo"
	"archivecache/store/pinning"

	"golang.org/x/sync/errgroup"
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

// failed reports whether waiting longer leads nowhere.
func (k Kept) failed() bool { return k.Err != nil || k.Pin != nil && k.Pin.Failed() > 0 && !k.Enough() }

// PinOptions says how [RenewPins] goes about it.
type PinOptions struct {
	// Wait is how long services are given until all of a node is at enough places; at 0 they are
	// told, and that is all.
	Wait time.Duration
	// Progress, if it is not nil, is told now and then what there is by then, by one goroutine at a
	// time.
	Progress func(Kept)
}

// pollEvery is how often a service is asked how far it is.
const pollEvery = 500 * time.Millisecond

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
	return eachPin(ctx, r, (*keeper).look)
}

// RenewPins is Pins, but has services keep what they do not keep at enough places, and lets go of
// older nodes once the newest one is. The new pin comes before the old one goes, so it may be
// stopped at any moment.
func RenewPins(ctx context.Context, r *repo.Repo, opt PinOptions) ([]Kept, error) {
	origins, noDaemon := r.Origins(ctx)
	return eachPin(ctx, r, func(k *keeper, ctx context.Context) error {
		if errors.Is(noDaemon, repo.ErrNoDaemon) {
			return noDaemon
		}
		return k.renew(ctx, origins, opt)
	})
}

// eachPin does what do does with each service and each node, with several at a time.
func eachPin(ctx context.Context, r *repo.Repo, do func(*keeper, context.Context) error) ([]Kept, error) {
	services, err := r.PinningServices(ctx)
	if err != nil || len(services) == 0 {
		return nil, err
	}
	nodes, err := r.Published(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Kept, len(services)*len(nodes))
	var group errgroup.Group
	for i, s := range services {
		group.Go(func() error {
			service, err := openService(r, s)
			for n, node := range nodes {
				k := &keeper{Kept: Kept{Service: s, Node: node, Err: err}, repo: r, service: service}
				if err == nil {
					k.Err = do(k, ctx)
				}
				all[i*len(nodes)+n] = k.Kept
			}
			return nil
		})
	}
	return all, errors.Join(group.Wait(), ctx.Err())
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
		if p.Root.Equals(k.Node.Cid) {
			k.Pin = &pins[i]
		} else {
			k.Old = append(k.Old, p)
		}
	}
	return nil
}

func (k *keeper) renew(ctx context.Context, origins []string, opt PinOptions) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	if !k.Enough() {
		if err := k.service.Pin(ctx, k.Node.Cid, k.pinName(), origins); err != nil {
			return err
		}
		if err := k.wait(ctx, opt); err != nil {
			return err
		}
	}
	if !k.Enough() {
		return nil
	}
	return k.letGo(ctx)
}

// wait looks until the node is at enough places, it is clear that it will not be, or the time is over.
func (k *keeper) wait(ctx context.Context, opt PinOptions) error {
	end := time.Now().Add(opt.Wait)
	for tick := time.NewTicker(pollEvery); ; {
		if err := k.look(ctx); err != nil {
			return err
		}
		if opt.Progress != nil {
			opt.Progress(k.Kept)
		}
		if k.Enough() || k.failed() || !time.Now().Before(end) {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

// letGo unpins older nodes, which the node continues. Another one, such as of a copy of the
// repository that has published since, is not this one's to take away.
func (k *keeper) letGo(ctx context.Context) error {
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
