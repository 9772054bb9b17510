//go:build !linux

// Mount shows the tree as a file system of this machine, if that runs Linux.
package main

import (
	"context"
	"errors"

	"archivecache/internal/cli"
)

const help = `usage: mount MOUNTPOINT

Mount works on Linux only. serve -webdav shows the same tree everywhere.

Example:

  $ mount tree
`

func main() {
	cli.Main(help, func(context.Context, *cli.Env) error {
		return cli.WithHint(errors.New("mount works on Linux only"), "serve -webdav shows the same tree")
	})
}
