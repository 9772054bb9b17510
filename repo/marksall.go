package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/sqlite"
	"archivecache/tree/reference"

	"github.com/ncruces/go-sqlite3"
)

// Marks calls fn for every mark. It holds one of them at a time.
func (r *Repo) Marks(ctx context.Context, fn func(reference.Slot, Mark) error) error {
	slots, err := r.slots(ctx)
	if err != nil {
		return fmt.Errorf("marks: %w", explain(err))
	}
	for _, slot := range slots {
		m, err := r.Mark(ctx, slot)
		if err == nil {
			err = fn(slot, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// slots returns the slots that have a mark.
func (r *Repo) slots(ctx context.Context) (slots []reference.Slot, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		slots = nil
		s, err := sqlite.Stmt(c, "SELECT slot FROM mark")
		for err == nil && s.Step() {
			var slot reference.Slot
			slot, err = reference.ParseSlot(s.ColumnBlob(0, nil))
			slots = append(slots, slot)
		}
		if err != nil {
			return err
		}
		return errors.Join(s.Err(), s.Reset())
	})
	return slots, err
}
