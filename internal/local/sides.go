package local

import (
	"cmp"
	"fmt"
	"strings"

	"archivecache/internal/cli"
	"archivecache/tree"
)

// PrintSides prints the sides of conflicts: a line for each with tabs between the columns, or an
// object.
func (env *Env) PrintSides(sides []tree.Side, asJSON bool) error {
	for _, s := range sides {
		err := error(nil)
		if asJSON {
			err = env.JSON(s)
		} else {
			_, err = fmt.Fprintln(env.Stdout, sideLine(s))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sideLine returns the columns of a side; what there is not is a hyphen.
func sideLine(s tree.Side) string {
	var authors, times []string
	for _, c := range s.Authors {
		authors, times = append(authors, c.Author), append(times, cmp.Or(c.Time, "-"))
	}
	size := "-"
	if s.Kind != "directory" {
		size = fmt.Sprint(s.Size)
	}
	columns := []string{
		s.Conflict, s.Plain, s.Path, s.Kind, size, strings.Join(authors, ","), strings.Join(times, ","), s.Version, s.Cid,
	}
	for i, c := range columns {
		columns[i] = cmp.Or(cli.Quote(c), "-")
	}
	return strings.Join(columns, "\t")
}
