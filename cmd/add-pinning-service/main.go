// Add-pinning-service has somebody else keep what is published, too.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/upkeep"
)

const help = `usage: add-pinning-service [-repo DIR] [-token-file FILE] [-wait TIME] -cluster [-replicas N] NAME ADDRESS
       add-pinning-service [-repo DIR] [-token-file FILE] [-wait TIME] NAME URL

Add-pinning-service makes a service known under NAME, which from then on keeps
the newest node of each of your identities with all that hangs from it: new-node
tells it, and pins shows how it does. What is published already it is told at
once; the exit status is 3 if it does not have everything in TIME. It takes the
blocks from the IPFS daemon that is the store of the repository; they have to
reach each other.

With -cluster that is an IPFS Cluster, whose REST API is at ADDRESS, such as
/ip4/127.0.0.1/tcp/9094; it keeps everything on N of its machines, or on as many
as it has by then, which is not enough. Without, it is any service with the Pinning Service API, at a URL such as
https://pinning.example.org/psa.

What the service knows you by stands in FILE, or comes from standard input if
that is "-": a bearer token, or NAME:PASSWORD for a cluster. It is kept in the
folder tokens of the repository, where only you can read it.

Example:

  $ add-pinning-service -cluster -replicas 2 ours /ip4/127.0.0.1/tcp/9094 || true
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	cluster := env.Flags.Bool("cluster", false, "it is an IPFS Cluster")
	replicas := env.Flags.Int("replicas", 2, "keep everything on `N` machines of the cluster")
	file := env.Flags.String("token-file", "", "the token is in `FILE`")
	wait := env.WaitFlag()
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	s := repo.PinningService{Name: args[0], Address: args[1]}
	switch {
	case *cluster && (*replicas < 1 || *replicas > 1000):
		return cli.Usage("-replicas %d: from 1 to 1000", *replicas)
	case *cluster:
		s.Replicas = *replicas
	case env.Given("replicas"):
		return cli.Usage("-replicas is for clusters; other services do not say on how many machines they keep something")
	}
	token, err := readToken(env, *file)
	if err != nil {
		return err
	}
	if err := add(ctx, env, s, token); err != nil {
		return err
	}
	return env.RenewPins(ctx, *wait)
}

// add makes the service known if it is there.
func add(ctx context.Context, env *local.Env, s repo.PinningService, token string) error {
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.CheckPinningService(ctx, s.Name); err != nil {
		return err
	}
	service, err := upkeep.OpenService(s, token)
	if err != nil {
		return err
	}
	if err := service.Check(ctx); err != nil {
		return err
	}
	return r.AddPinningService(ctx, s, token)
}

func readToken(env *local.Env, file string) (string, error) {
	const limit = 64 << 10
	var from io.Reader = env.Stdin
	switch file {
	case "":
		return "", nil
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, limit))
	if err != nil {
		return "", err
	}
	token, err := repo.CheckToken(string(data))
	if err == nil && token == "" {
		err = fmt.Errorf("%s: there is no token in it", file)
	}
	return token, err
}
