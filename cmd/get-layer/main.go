// Get-layer prints what stands at a path as JSON.
package main

import (
	"archivecache/internal/local"
)

const help = `usage: get-layer [-repo DIR] PATH

Get-layer prints what stands at PATH as JSON, with its direct entries;
directories below are pointers. Values are printed as they are, directories as
objects; files, and what is not opened, as objects with a policy and a CID. The
path . is the top of the tree.

Example:

  $ set-value scratch/answer 42
  $ get-layer scratch
`

func main() { local.Main(help, local.PrintData(false)) }
