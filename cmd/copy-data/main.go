// Copy-data copies an entry of the tree.
package main

import (
	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: copy-data [-repo DIR] [-identity PATH] FROM TO

Copy-data makes TO show what FROM shows: values and directories of the local
tree, or files and directories below root. FROM may stand in the root of a
friend's node. Nothing may stand at TO.

Example:

  $ set-value scratch/answer 42
  $ copy-data scratch/answer scratch/number
`

func main() { local.Main(help, local.FromTo((*repo.Tx).Copy)) }
