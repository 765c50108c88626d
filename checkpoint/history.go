package checkpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// HourBucket is the KV bucket of the hourly snapshots of the cursors. Its keys
// are <lane>.<hour>, the hour in UTC as 2006010215.
const HourBucket = "skopeflow_cursor_hours"

const (
	hourFormat = "2006010215"
	hoursKept  = 30 * 24 * time.Hour
	// hourTimeout is how long a snapshot may hold up a Save.
	hourTimeout = 500 * time.Millisecond
)

// A Revision is a cursor as it stood at some moment.
type Revision struct {
	Lane     string    `json:"lane"`
	Revision uint64    `json:"revision"`
	Created  time.Time `json:"created"`
	// Snapshot is set if it is known from the snapshot of its hour only. Created
	// is then when that was taken, right after the cursor was saved.
	Snapshot bool `json:"snapshot,omitempty"`
	Cursor
}

// List returns the cursors of all lanes, in no order.
func (s *KV) List(ctx context.Context) ([]Revision, error) {
	w, err := s.bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list cursors: %w", err)
	}
	return collect(ctx, w, readRevision)
}

// History returns what is kept of a lane's cursor, oldest first: its last 64
// revisions, and of each hour of the last 30 days the first.
func (s *KV) History(ctx context.Context, lane string) ([]Revision, error) {
	w, err := s.bucket.Watch(ctx, lane, jetstream.IgnoreDeletes(), jetstream.IncludeHistory())
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", lane, err)
	}
	all, err := collect(ctx, w, readRevision)
	if err != nil {
		return nil, err
	}
	if w, err = s.hours.Watch(ctx, lane+".*", jetstream.IgnoreDeletes()); err != nil {
		return nil, fmt.Errorf("read snapshots of %s: %w", lane, err)
	}
	snapshots, err := collect(ctx, w, readSnapshot)
	if err != nil {
		return nil, err
	}
	revisions := all
	for _, snapshot := range snapshots {
		// A bucket of cursors that was made anew counts its revisions from 1 again.
		same := func(r Revision) bool { return r.Revision == snapshot.Revision && r.Cursor == snapshot.Cursor }
		if !slices.ContainsFunc(revisions, same) {
			all = append(all, snapshot)
		}
	}
	slices.SortStableFunc(all, func(a, b Revision) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Revision, b.Revision))
	})
	return all, nil
}

// collect takes what a watcher has now, and ends it.
func collect[T any](ctx context.Context, w jetstream.KeyWatcher, read func(jetstream.KeyValueEntry) (T, error)) ([]T, error) {
	defer drain(w)
	var all []T
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, errors.New("list bucket: the connection ended")
			case entry == nil: // all that was there has been sent
				return all, nil
			}
			one, err := read(entry)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
}

func readRevision(entry jetstream.KeyValueEntry) (Revision, error) {
	c, err := decode(entry.Key(), entry)
	return Revision{Lane: entry.Key(), Revision: entry.Revision(), Created: entry.Created(), Cursor: c}, err
}

// A snapshot is a cursor with the revision at which it was saved.
type snapshot struct {
	Revision uint64 `json:"revision"`
	Cursor
}

func readSnapshot(entry jetstream.KeyValueEntry) (Revision, error) {
	lane := entry.Key()[:strings.LastIndexByte(entry.Key(), '.')]
	c, err := decode(lane, entry)
	if err != nil {
		return Revision{}, err
	}
	var at snapshot
	if err := json.Unmarshal(entry.Value(), &at); err != nil {
		return Revision{}, fmt.Errorf("read snapshot %s: %w", entry.Key(), err)
	}
	return Revision{Lane: lane, Revision: at.Revision, Created: entry.Created(), Snapshot: true, Cursor: c}, nil
}

// hours remembers of which hour each lane has its snapshot.
type hours struct {
	jetstream.KeyValue

	mu    sync.Mutex
	taken map[string]string
}

// snap keeps the cursor as the snapshot of the hour, if the hour has none. If it
// fails the hour still has none, and the next Save tries again.
func (h *hours) snap(ctx context.Context, lane string, at snapshot, now time.Time) error {
	hour := now.UTC().Format(hourFormat)
	h.mu.Lock()
	taken := h.taken[lane] == hour
	h.mu.Unlock()
	if taken {
		return nil
	}
	value, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("keep snapshot of %s: %w", lane, err)
	}
	ctx, cancel := context.WithTimeout(ctx, hourTimeout)
	defer cancel()
	// On condition that there is none: another process may have had the lane.
	_, err = h.Update(ctx, lane+"."+hour, value, 0)
	if err != nil && !wrongRevision(err) {
		return fmt.Errorf("keep snapshot of %s: %w", lane, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken[lane] = hour
	return nil
}
