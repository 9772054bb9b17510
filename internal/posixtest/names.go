//go:build linux

package posixtest

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Names are any bytes but zero and the slash; each is kept as it is, and nothing but itself finds it.
var nameChecks = []check{
	named("space", " leading", "trailing ", "a b", " "),
	named("UTF-8", "grüße", "日本語", "😀", "e\u0301", "\u00e9", "\u202e"),
	named("no_UTF-8", "\xff", "a\x80b", "\xc3", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc0\xaf"),
	named("control_characters", "a\nb", "\n", "\t", "\r", "\x01", "\x7f", "\x1b[31m"),
	named("leading_dots", ".a", "..a", "...", "....", ".. ", ". "),
	named("leading_dash", "-", "-rf", "--help"),
	named("special_characters", "*", "?", "\\", "\"", "'", "$x", "`x`", ":", "|", "<", ">", "~", "#", "%2f", "&", "a;b"),
	named("case", "name", "Name", "NAME"),
	named("trailing_dots", "a", "a.", "a..", "a ", "CON", "nul.txt"),
	named("255_bytes", long(255), strings.Repeat("ü", 127)+"x", strings.Repeat("\xff", 255), strings.Repeat(".", 255)),
	// Each byte that may be a name.
	{"names/each_byte", func(p *place) {
		var all []string
		for b := 1; b < 256; b++ {
			if b != '/' && b != '.' {
				all = append(all, string([]byte{byte(b)}))
			}
		}
		p.tryNames(all)
	}},
	// Names in paths and targets too.
	{"names/of_folders", func(p *place) {
		path := "d"
		p.mkdir(path)
		for _, name := range []string{" ", "\xff\xfe", "a\nb", "...", "grüße"} {
			path += "/" + name
			p.mkdir(path)
		}
		p.write(path+"/f", "content")
		p.symlink(path, "l")
		p.content("l/f", "content")
	}},
	// Several slashes are one.
	{"names/slashes", func(p *place) {
		p.mkdir("d")
		p.write("d//f", "content")
		p.content("d///f", "content")
		p.content(".//./d/.//f", "content")
		p.names("d///", "f")
	}},
}

func named(what string, all ...string) check {
	return check{"names/" + what, func(p *place) { p.tryNames(all) }}
}

// tryNames makes files, moves them, and removes them, by names as they are.
func (p *place) tryNames(all []string) {
	p.mkdir("from", "to")
	for i, name := range all {
		fd := p.open("from/"+name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
		p.put(fd, fmt.Sprint(i))
		p.shut(fd)
	}
	p.names("from", append([]string(nil), all...)...)
	for i, name := range all {
		p.content("from/"+name, fmt.Sprint(i))
		p.ok(p.rename("from/"+name, "to/"+name))
		p.absent("from/" + name)
	}
	p.names("from")
	p.names("to", append([]string(nil), all...)...)
	for i, name := range all {
		p.content("to/"+name, fmt.Sprint(i))
		p.unlink("to/" + name)
		p.absent("to/" + name)
	}
	p.names("to")
}
