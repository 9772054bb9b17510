// Package mount shows a workspace as a file system of the machine, by FUSE.
//
// What is in the kernel's caches stays there until the workspace says that somebody else has changed
// it. Locks on files are the kernel's own, and so hold among the programs of one machine that use
// one mount.
package mount
