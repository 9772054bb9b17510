package dav

import (
	"encoding/xml"
	"net/http"

	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// lastModified is the property by which Windows sets the time of a file.
var lastModified = xml.Name{Space: "urn:schemas-microsoft-com:", Local: "Win32LastModifiedTime"}

var _ webdav.DeadPropsHolder = (*file)(nil)

// DeadProps implements [webdav.DeadPropsHolder].
func (f *file) DeadProps() (map[xml.Name]webdav.Property, error) {
	text := f.node.Attr().Mtime.UTC().Format(http.TimeFormat)
	return map[xml.Name]webdav.Property{lastModified: {XMLName: lastModified, InnerXML: []byte(text)}}, nil
}

// Patch implements [webdav.DeadPropsHolder].
func (f *file) Patch(patches []webdav.Proppatch) ([]webdav.Propstat, error) {
	set, not := webdav.Propstat{Status: http.StatusOK}, webdav.Propstat{Status: http.StatusForbidden}
	for _, patch := range patches {
		for _, p := range patch.Props {
			if !patch.Remove && p.XMLName == lastModified && f.setTime(string(p.InnerXML)) == nil {
				set.Props = append(set.Props, p)
			} else {
				not.Props = append(not.Props, p)
			}
		}
	}
	var all []webdav.Propstat
	for _, stat := range []webdav.Propstat{set, not} {
		if len(stat.Props) > 0 {
			all = append(all, stat)
		}
	}
	return all, nil
}

func (f *file) setTime(text string) error {
	at, err := http.ParseTime(text)
	if err != nil {
		return err
	}
	return f.node.SetAttr(f.ctx, workspace.Setting{Mtime: &at})
}
