package workspace

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"archivecache/tree"
	"archivecache/unixfs/osfs"
)

// rescue keeps what the tree has refused, so that it is not lost.
func (ws *Workspace) rescue(ctx context.Context, r tree.Refusal) {
	if r.Change.Entry == nil {
		ws.log("%s: could not be removed: %v", r.Change.Path, r.Err)
		return
	}
	dst := filepath.Join(ws.Dir(), workspacesFolder, refusedFolder, time.Now().UTC().Format("20060102T150405.000000000Z"), cmp.Or(r.Change.Path.Base(), "file"))
	err := os.MkdirAll(filepath.Dir(dst), 0o700)
	if err == nil {
		err = osfs.Export(ctx, ws.blocks, r.Change.Entry.Cid, dst, osfs.ExportOptions{})
	}
	if err != nil {
		ws.log("%s: could not be committed: %v; and not be kept elsewhere: %v", r.Change.Path, r.Err, err)
		return
	}
	ws.log("%s: could not be committed: %v; what was written is in %s", r.Change.Path, r.Err, dst)
}
