package dav

import (
	"context"
	"fmt"
	"mime"
	"os"
	slashpath "path"
	"time"

	"archivecache/unixfs"
	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// An info is what is known of a node.
type info struct {
	name string
	node *workspace.Node // nil in a list
	attr workspace.Attr
}

var (
	_ os.FileInfo         = (*info)(nil)
	_ webdav.ETager       = (*info)(nil)
	_ webdav.ContentTyper = (*info)(nil)
)

func infoOf(name string, n *workspace.Node) *info { return &info{name, n, n.Attr()} }

// Name implements [os.FileInfo].
func (i *info) Name() string { return i.name }

// Size implements [os.FileInfo].
func (i *info) Size() int64 { return i.attr.Size }

// ModTime implements [os.FileInfo].
func (i *info) ModTime() time.Time { return i.attr.Mtime }

// IsDir implements [os.FileInfo].
func (i *info) IsDir() bool { return i.attr.Kind == unixfs.Directory }

// Sys implements [os.FileInfo].
func (i *info) Sys() any { return nil }

// Mode implements [os.FileInfo].
func (i *info) Mode() os.FileMode {
	mode := os.FileMode(i.attr.Mode)
	if i.IsDir() {
		mode |= os.ModeDir
	}
	return mode
}

// ETag implements [webdav.ETager]. It is made of what stays the same when a file that was written is
// committed a moment later.
func (i *info) ETag(context.Context) (string, error) { return etagOf(i.node), nil }

func etagOf(n *workspace.Node) string {
	a := n.Attr()
	return fmt.Sprintf(`"%x-%x"`, a.Size, a.Mtime.UnixNano())
}

// ContentType implements [webdav.ContentTyper].
func (i *info) ContentType(context.Context) (string, error) { return contentType(i.name), nil }

// contentType goes by the name: what is in a file may have to be fetched.
func contentType(name string) string {
	if t := mime.TypeByExtension(slashpath.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
