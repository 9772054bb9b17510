//go:build linux

package mount

import (
	"context"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// Getxattr implements [fs.NodeGetxattrer].
func (n *node) Getxattr(ctx context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	text, err := n.node.Xattr(uncut(ctx), attr)
	if err != nil {
		return 0, errno(err)
	}
	return answer(text, dest)
}

// Listxattr implements [fs.NodeListxattrer].
func (n *node) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	names, err := n.node.Xattrs(uncut(ctx))
	if err != nil {
		return 0, errno(err)
	}
	var text strings.Builder
	for _, name := range names {
		text.WriteString(name)
		text.WriteByte(0)
	}
	return answer(text.String(), dest)
}

// answer copies text into dest, if it fits, and returns how long it is.
func answer(text string, dest []byte) (uint32, syscall.Errno) {
	if len(dest) < len(text) {
		return uint32(len(text)), syscall.ERANGE
	}
	return uint32(copy(dest, text)), fs.OK
}

// Setxattr implements [fs.NodeSetxattrer]: the tree has no place for them.
func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// Removexattr implements [fs.NodeRemovexattrer].
func (n *node) Removexattr(context.Context, string) syscall.Errno { return syscall.EOPNOTSUPP }
