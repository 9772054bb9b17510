// Move moves an entry of the tree.
package main

import (
	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: move [-repo DIR] [-identity PATH] FROM TO

Move makes TO show what FROM shows, and FROM nothing. An owned directory that
moves to another place below root stays the same directory, for everybody.
Nothing may stand at TO.

Example:

  $ set-value scratch/answer 42
  $ move scratch/answer scratch/number
`

func main() { local.Main(help, local.FromTo((*repo.Tx).Move)) }
