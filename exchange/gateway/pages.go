package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"archivecache/internal/web"
	"archivecache/store"
	"archivecache/unixfs"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
)

// pages shows files and directories.
type pages struct {
	opt  Options
	next http.Handler
}

// serve says whether pages are for whoever sent r.
func (p *pages) serve(r *http.Request) bool {
	return p != nil && (p.opt.Pages == AllPages || web.IsLocalHost(r.Host))
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	web.Secure(w.Header())
	if r.URL.Query().Has("uri") { // boxo would lead elsewhere
		http.Error(w, "the parameter uri is not supported", http.StatusBadRequest)
		return
	}
	p.next.ServeHTTP(w, r)
}

func (p *pages) root(w http.ResponseWriter, r *http.Request) {
	web.Secure(w.Header())
	if p.opt.Root == nil {
		http.NotFound(w, r)
		return
	}
	c, err := p.opt.Root(r.Context())
	if err != nil {
		http.Error(w, "root cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/ipfs/"+c.String()+"/", http.StatusFound)
}

// maxListed is how many entries a directory may have to be shown as a page, which is made in
// memory.
const maxListed = 10_000

// bounded is boxo's backend that refuses to list a large directory.
type bounded struct {
	*boxo.BlocksBackend
	store store.Store
}

// Get implements [boxo.IPFSBackend].
func (b *bounded) Get(ctx context.Context, p path.ImmutablePath, ranges ...boxo.ByteRange) (boxo.ContentPathMetadata, *boxo.GetResponse, error) {
	md, err := b.ResolvePath(ctx, p)
	if err != nil {
		return md, nil, err
	}
	if err := b.checkSize(ctx, md.LastSegment.RootCid()); err != nil {
		return md, nil, boxo.NewErrorStatusCode(err, http.StatusNotImplemented)
	}
	return b.BlocksBackend.Get(ctx, p, ranges...)
}

var errMany = fmt.Errorf("the directory has more than %d entries: name one of them, or ask with format=car", maxListed)

// checkSize returns errMany if c is a directory with too many entries. Other troubles are for
// boxo to find.
func (b *bounded) checkSize(ctx context.Context, c cid.Cid) error {
	if c.Type() != cid.DagProtobuf {
		return nil
	}
	dir, err := unixfs.OpenDir(ctx, b.store, c)
	if err != nil {
		return nil
	}
	n := 0
	err = dir.Each(ctx, func(unixfs.Entry) error {
		if n++; n > maxListed {
			return errMany
		}
		return nil
	})
	if errors.Is(err, errMany) {
		return errMany
	}
	return nil
}
