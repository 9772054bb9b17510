package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Restoring says what to restore, and where.
type Restoring struct {
	Version string    // the first digits of the version's id, in hexadecimal; "" if there is one only
	To      path.Path // another path for it; the top is none
	Replace bool      // write over what is shown at the path
}

// Restored tells what a restore did.
type Restored struct {
	Below     bool       // it was a directory, with all below
	Paths     []string   // what is shown again
	Ambiguous []HiddenAt // where nothing was restored, as it is not clear which version
}

// HiddenAt are the versions that are hidden at a path.
type HiddenAt struct {
	Path     string
	Versions []shared.HiddenVersion
}

// Restore shows hidden versions again, as new versions of author, so that everybody who merges
// them sees them, whatever hid them. The change is a draft. If p is a file, it is that one; if it
// is a directory, or was one, everything below of which nothing is shown now.
func (r *Root) Restore(ctx context.Context, author cid.Cid, p path.Path, what Restoring) (Restored, error) {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return Restored{}, err
	}
	var report Restored
	d, names := Governor(dirs, p)
	switch {
	case d == nil:
		report.Below = true
		err := r.restoreDirectories(ctx, author, dirs, p, what, &report)
		return report, err
	case !d.Shared():
		return report, fmt.Errorf("%s: %w: only shared directories hide something; undo takes back changes of your own", p, ErrForbidden)
	}
	editor := shared.NewEditor(r.blocks, d.shared(), d.Content, author)
	files, err := hiddenFiles(ctx, editor, names)
	if err != nil {
		return report, fmt.Errorf("%s: %w", p, err)
	}
	if len(files) > 0 || what.Version != "" {
		return r.restoreFile(ctx, author, d, editor, names, what)
	}
	report.Below = true
	if err := what.checkDirectory(p); err != nil {
		return report, err
	}
	if err := r.restoreBelow(ctx, author, d, editor, names, &report); err != nil {
		return report, err
	}
	return report, report.checkAny(p)
}

// checkDirectory refuses options that are for one file.
func (what Restoring) checkDirectory(p path.Path) error {
	if what.Version != "" || !what.To.IsTop() || what.Replace {
		return fmt.Errorf("%s: %w: no file is hidden there, and for what is hidden below, the version, another path and replacing cannot be chosen", p, ErrForbidden)
	}
	return nil
}

func (report Restored) checkAny(p path.Path) error {
	if len(report.Paths)+len(report.Ambiguous) == 0 {
		return fmt.Errorf("%s: %w: nothing of which no version is shown; list -hidden tells what is hidden", p, shared.ErrNotHidden)
	}
	return nil
}

// hiddenFiles returns what is hidden at names, but empty directories.
func hiddenFiles(ctx context.Context, editor *shared.Editor, names []string) ([]shared.HiddenVersion, error) {
	var files []shared.HiddenVersion
	err := editor.HiddenAt(ctx, names, func(h shared.HiddenVersion) error {
		if h.Kind != unixfs.Directory {
			files = append(files, h)
		}
		return nil
	})
	return files, err
}

// restoreDirectories restores what is hidden in all shared directories below p.
func (r *Root) restoreDirectories(ctx context.Context, author cid.Cid, dirs []*Directory, p path.Path, what Restoring, report *Restored) error {
	if err := what.checkDirectory(p); err != nil {
		return err
	}
	found := false
	for _, d := range dirs {
		if _, below := d.Shown.Below(p); !below || !d.Shared() || d.Shown.IsTop() {
			continue
		}
		found = true
		editor := shared.NewEditor(r.blocks, d.shared(), d.Content, author)
		if err := r.restoreBelow(ctx, author, d, editor, nil, report); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s: %w: there is no shared directory", p, ErrNotFound)
	}
	return report.checkAny(p)
}

func (r *Root) restoreBelow(ctx context.Context, author cid.Cid, d *Directory, editor *shared.Editor, names []string, report *Restored) error {
	shown := func(at string) string { return d.Shown.String() + "/" + at }
	restored := 0
	layer, err := editor.RestoreBelow(ctx, names,
		func(h shared.HiddenVersion) {
			restored++
			report.Paths = append(report.Paths, shown(h.Path))
		},
		func(all []shared.HiddenVersion) {
			report.Ambiguous = append(report.Ambiguous, HiddenAt{shown(all[0].Path), all})
		})
	if err == nil && restored == 0 {
		return nil
	}
	return r.setLayer(ctx, d, author, layer, err)
}

// restoreFile restores one version.
func (r *Root) restoreFile(ctx context.Context, author cid.Cid, d *Directory, editor *shared.Editor, names []string, what Restoring) (Restored, error) {
	at := d.Shown.String() + "/" + strings.Join(names, "/")
	h, err := pick(ctx, editor, names, what.Version)
	if err != nil {
		return Restored{}, fmt.Errorf("%s: %w", at, err)
	}
	if !what.To.IsTop() {
		return Restored{Paths: []string{what.To.String()}}, r.restoreTo(ctx, author, editor, names, h, what)
	}
	layer, err := editor.Restore(ctx, names, h.ID, what.Replace)
	if errors.Is(err, shared.ErrExists) {
		return Restored{}, fmt.Errorf("%s: %w; -replace writes over it, -to PATH puts the hidden version elsewhere", at, shared.ErrExists)
	}
	return Restored{Paths: []string{at}}, r.setLayer(ctx, d, author, layer, err)
}

func (r *Root) restoreTo(ctx context.Context, author cid.Cid, editor *shared.Editor, names []string, h shared.HiddenVersion, what Restoring) error {
	_, err := r.Lookup(ctx, what.To)
	switch {
	case err == nil && !what.Replace:
		return fmt.Errorf("%s: %w; -replace writes over it", what.To, shared.ErrExists)
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	entry, err := editor.HiddenEntry(ctx, names, h.ID)
	if err != nil {
		return err
	}
	return r.Put(ctx, author, what.To, entry, true)
}

// pick returns the hidden version at names with the id that begins with the given digits. Without
// digits all that are hidden there have to have the same content.
func pick(ctx context.Context, editor *shared.Editor, names []string, digits string) (shared.HiddenVersion, error) {
	var all, fit []shared.HiddenVersion
	err := editor.HiddenAt(ctx, names, func(h shared.HiddenVersion) error {
		all = append(all, h)
		if strings.HasPrefix(h.ID.String(), strings.ToLower(digits)) {
			fit = append(fit, h)
		}
		return nil
	})
	switch {
	case err != nil:
		return shared.HiddenVersion{}, err
	case len(all) == 0:
		return shared.HiddenVersion{}, shared.ErrNotHidden
	case len(fit) == 0:
		return shared.HiddenVersion{}, fmt.Errorf("%w %s; there are %s", shared.ErrNotHidden, digits, VersionsText(all))
	}
	for _, h := range fit[1:] {
		if digits != "" || !h.Content.Equals(fit[0].Content) {
			return shared.HiddenVersion{}, fmt.Errorf("%w: %s; -version names one", shared.ErrAmbiguous, VersionsText(fit))
		}
	}
	return fit[0], nil
}

// VersionsText names versions by their ids and authors.
func VersionsText(all []shared.HiddenVersion) string {
	var texts []string
	for _, h := range all {
		texts = append(texts, fmt.Sprintf("%s by %s", h.ID, h.Author))
	}
	return strings.Join(texts, ", ")
}
