package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// Repairs is where it is written down what a lane has to read again.
type Repairs interface {
	// Repair returns what a lane has to read again, with its revision; 0 is nothing.
	Repair(ctx context.Context, lane string) (checkpoint.Repair, uint64, error)
	// Mended takes back what was read at a revision.
	Mended(ctx context.Context, lane string, revision uint64) error
	// Forget removes the cursor of a job that has ended.
	Forget(ctx context.Context, lane string) error
}

// lookForRepairs is how often a lane looks whether a repair is due.
const lookForRepairs = 20 * time.Second

// Serve runs the lane, and reads again what is written down for it when that is
// due, until ctx is done.
func (l *Lane) Serve(ctx context.Context, repairs Repairs) {
	mending, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.mendWhenDue(mending, repairs)
	}()
	l.Run(ctx)
	stop()
	<-done
}

func (l *Lane) mendWhenDue(ctx context.Context, repairs Repairs) {
	tick := time.NewTicker(lookForRepairs)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r, revision, err := repairs.Repair(ctx, l.Name())
		if err != nil || revision == 0 || time.Now().Before(r.Due) {
			continue // what cannot be read now is read the next time
		}
		if err := l.mend(ctx, repairs, r, revision); err != nil && ctx.Err() == nil {
			l.Log.WarnContext(ctx, "not read again yet", "instance", l.Instance, "stream", l.Stream, "err", err)
		}
	}
}

// mend reads a range again on an index of its own, and stores what is missing.
func (l *Lane) mend(ctx context.Context, repairs Repairs, r checkpoint.Repair, revision uint64) error {
	j := l.job(fmt.Sprintf("mend-%d", r.Epoch), r.From, r.To)
	j.ScanFrom = r.ScanFrom
	if !j.Run(ctx) {
		return nil // told to stop; it goes on from its cursor
	}
	s := j.Status()
	l.mu.Lock()
	l.status.Recovered += s.Stored
	l.mu.Unlock()
	log := l.Log.With("instance", l.Instance, "stream", l.Stream, "from", r.From, "to", r.To, "read", s.Received, "recovered", s.Stored)
	if s.Stored > 0 {
		log.WarnContext(ctx, "read again, and stored what was missing")
	} else {
		log.InfoContext(ctx, "read again, nothing was missing")
	}
	err := repairs.Mended(ctx, l.Name(), revision)
	if errors.Is(err, checkpoint.ErrConflict) { // there is more by now
		err = nil
	}
	return errors.Join(err, repairs.Forget(ctx, j.Key()))
}

// job returns a lane that reads the same stream from one time to another.
func (l *Lane) job(name string, from, to time.Time) *Lane {
	return &Lane{
		Vendor: l.Vendor, Instance: l.Instance, Stream: l.Stream, Owner: l.Owner,
		Open: l.Open, Store: l.Store, Broker: l.Broker, Out: l.Out, Budget: l.Budget, Mend: l.Mend, History: l.History,
		Start: from, Until: to, Every: l.Every, Quarantine: l.Quarantine, Grace: l.Grace, Alone: l.Alone,
		Job: name, Log: l.Log.With("job", name), Trace: l.Trace,
	}
}

// Backfill returns a lane that reads the same stream from one time to another and
// stores what is missing, marked as read on purpose.
func (l *Lane) Backfill(from, to time.Time) *Lane {
	j := l.job(fmt.Sprintf("backfill-%d-%d", from.Unix(), to.Unix()), from, to)
	j.Replay = true
	return j
}
