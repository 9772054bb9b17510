package local

import (
	"time"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/merge"
)

// FetchFlags declares the options of commands that fetch blocks; the result is called after the
// command line was parsed.
func (env *Env) FetchFlags() func() (merge.Options, error) {
	var gateways cli.Texts
	env.Flags.Var(&gateways, "gateway", "ask the IPFS gateway at `URL` too; may be given several times")
	private := env.Flags.Bool("allow-private", false, "follow addresses of private networks in messages")
	timeout := env.Flags.Duration("timeout", 20*time.Second, "wait `TIME` for a block, and at most three times that for any news")
	return func() (merge.Options, error) {
		opt := merge.Options{
			Fetch: exchange.Options{
				Policy: exchange.Policy{AllowPrivate: *private}, BlockTimeout: *timeout, Stall: 3 * *timeout,
			},
			Address: func(s exchange.Source) { env.Say("fetching from %s", s.Address) },
			Ignored: func(text string, err error) { env.Say("address %s is not used: %v", text, err) },
		}
		for _, text := range gateways {
			a, err := exchange.ParseAddress(text)
			if err != nil {
				return opt, err
			}
			opt.Gateways = append(opt.Gateways, exchange.Source{Address: a, Who: "gateway"})
		}
		progress := env.NewProgress("fetch")
		opt.Progress = func(s exchange.Stats) { progress.Set(s.Fetched, s.Bytes) }
		return opt, nil
	}
}
