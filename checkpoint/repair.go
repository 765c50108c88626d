package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// RepairBucket is the KV bucket of the repairs that stand, a key per lane. It is
// apart from the cursors: whoever lists those finds nothing else among them, and
// the two are written by different hands at the same time.
const RepairBucket = "skopeflow_repairs"

// maxReasons bounds the reasons that are kept of a repair: the last ones.
const maxReasons = 8

// A Repair is a range of a lane that is to be read once more, since a request
// may have been answered without anybody to hear it.
type Repair struct {
	// From and To bound the range in the vendor's time, Due is when it may be
	// read: when no such request can be alive any more.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Due  time.Time `json:"due"`
	// ScanFrom is the broker's position from which on all that the lane stored
	// of the range is found. Empty is the beginning of what the broker holds.
	ScanFrom string `json:"scan_from,omitempty"`
	// Reasons say in sentences why, the last 8, each once.
	Reasons []string `json:"reasons,omitempty"`
	// Epoch is the claim under which the lane last asked for a repair.
	Epoch uint64 `json:"epoch"`
}

// merge returns the repair that serves both.
func (r Repair) merge(s Repair) Repair {
	if s.From.Before(r.From) {
		r.From, r.ScanFrom, s.ScanFrom = s.From, s.ScanFrom, r.ScanFrom
	}
	if s.ScanFrom == "" { // it did not know, and the beginning serves everybody
		r.ScanFrom = ""
	}
	r.To = latest(r.To, s.To)
	r.Due = latest(r.Due, s.Due)
	r.Epoch = max(r.Epoch, s.Epoch)
	r.Reasons = bounded(append(slices.Clone(r.Reasons), s.Reasons...))
	return r
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// bounded returns the last reasons, each once.
func bounded(reasons []string) []string {
	var kept []string
	for _, reason := range reasons {
		if !slices.Contains(kept, reason) {
			kept = append(kept, reason)
		}
	}
	return kept[max(0, len(kept)-maxReasons):]
}

// swapTries bounds how often a write is tried again on top of another's. The
// pause grows with each, to 2.5 s in all.
const swapTries = 32

// swapping makes a write until it is not refused for another's write.
func swapping(ctx context.Context, write func() error) error {
	for try := 0; ; try++ {
		err := write()
		if conflict := errors.Is(err, ErrConflict) || errors.Is(err, jetstream.ErrKeyExists) || refused(err); !conflict {
			return err
		}
		if try == swapTries || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		wait(ctx, time.Duration(try)*5*time.Millisecond)
	}
}

// Mend asks for a repair of a lane. If one stands already, the one that stands
// after it serves both. After an error it may or may not stand, and asking again
// does no harm.
func (s *KV) Mend(ctx context.Context, lane string, r Repair) error {
	err := swapping(ctx, func() error {
		stands, revision, err := s.Repair(ctx, lane)
		if err != nil {
			return err
		}
		merged := stands.merge(r)
		if revision == 0 {
			merged = r
			merged.Reasons = bounded(r.Reasons)
		}
		value, err := json.Marshal(merged)
		switch {
		case err != nil:
			return err
		case revision == 0:
			_, err = s.repairs.Create(ctx, lane, value)
		default:
			_, err = s.repairs.Update(ctx, lane, value, revision)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save repair of %s: %w", lane, err)
	}
	return nil
}

// Repair returns the repair of a lane that stands, and its revision, which is 0
// if none does.
func (s *KV) Repair(ctx context.Context, lane string) (Repair, uint64, error) {
	entry, err := s.repairs.Get(ctx, lane)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Repair{}, 0, nil
	}
	if err != nil {
		return Repair{}, 0, fmt.Errorf("read repair of %s: %w", lane, err)
	}
	r, err := readRepair(entry)
	return r.Repair, r.Revision, err
}

// Mended takes away the repair read at revision. ErrConflict means that it has
// changed since, or is gone already.
func (s *KV) Mended(ctx context.Context, lane string, revision uint64) error {
	if revision == 0 { // to the server, no condition
		return ErrConflict
	}
	err := s.repairs.Delete(ctx, lane, jetstream.LastRevision(revision))
	if wrongRevision(err) {
		return ErrConflict
	}
	if err != nil {
		return fmt.Errorf("remove repair of %s: %w", lane, err)
	}
	return nil
}

// A LaneRepair is a repair as it stands.
type LaneRepair struct {
	Lane     string `json:"lane"`
	Revision uint64 `json:"revision"`
	Repair
}

// Repairs returns the repairs that stand, in no order.
func (s *KV) Repairs(ctx context.Context) ([]LaneRepair, error) {
	w, err := s.repairs.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list repairs: %w", err)
	}
	return collect(ctx, w, readRepair)
}

func readRepair(entry jetstream.KeyValueEntry) (LaneRepair, error) {
	r := LaneRepair{Lane: entry.Key(), Revision: entry.Revision()}
	if err := json.Unmarshal(entry.Value(), &r.Repair); err != nil {
		return LaneRepair{}, fmt.Errorf("read repair of %s at revision %d: %w", r.Lane, r.Revision, err)
	}
	return r, nil
}
