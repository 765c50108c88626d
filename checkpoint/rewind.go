package checkpoint

import (
	"context"
	"fmt"
	"time"
)

// Rewind makes a lane begin again at a time it has passed, on the same index, and
// returns the cursor it then has. A process that runs the lane finds out when it
// next saves: it gets ErrConflict, and starts over from here.
//
// The cursor knows of no position at the broker any more, so that all that the
// lane ever stored and the broker still holds is known: what is read again fills
// gaps, or, with replay, is sent again and marked as such. by is who rewinds, for
// the record. It is refused, in a sentence, where the lane has no cursor, and for
// a time that it has not reached, since that would leave a gap.
func (s *KV) Rewind(ctx context.Context, lane string, to time.Time, replay bool, by string) (Cursor, error) {
	var c Cursor
	err := swapping(ctx, func() error {
		var revision uint64
		var err error
		if c, revision, err = s.Load(ctx, lane); err != nil {
			return err
		}
		if revision == 0 {
			return fmt.Errorf("rewind %s: it has no cursor, so it has not begun", lane)
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		if c, err = c.rewound(to.UTC(), now); err != nil {
			return fmt.Errorf("rewind %s: %w", lane, err)
		}
		c.Replay, c.Owner = replay, by
		if replay {
			c.ScanFrom = c.Mark // what is stored before is not to be known, and is sent again
		}
		_, err = s.Save(ctx, lane, c, revision)
		return err
	})
	if err != nil {
		return Cursor{}, err
	}
	return c, nil
}

// rewound returns the cursor as it begins again at a time. Its epoch stays: the
// one who runs the lane claims it anew, and need not wait for a request of its own.
func (c Cursor) rewound(to, now time.Time) (Cursor, error) {
	reached := latest(c.HWM, c.Through)
	switch {
	case to.After(now):
		return c, fmt.Errorf("%s is in the future", to.Format(time.RFC3339))
	case to.After(reached):
		return c, fmt.Errorf("%s is after %s, which is as far as the lane has come; what lies between would be left out", to.Format(time.RFC3339), reached.Format(time.RFC3339))
	}
	c.Reached = latest(c.Reached, reached)
	c.Start, c.Through, c.HWM = to, to, time.Time{}
	c.Page, c.Events, c.ScanFrom = 0, 0, ""
	c.Version, c.Saved = Version, now
	return c, nil
}
