package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// A Fleet runs each lane on one of the replicas that live. A lane is run by
// whoever holds its lease, and one term of a lease is one run of the lane, which
// begins with a claim of its own. Who should hold which lease is computed from
// who lives, by each replica alike; a replica that should not hold a lane any more
// finishes the page in hand and hands it over.
type Fleet struct {
	ID    string // of this replica; no two that live have the same
	Lanes []*Lane
	// Leases is nil where no other replica can be: then every lane runs here.
	Leases  *checkpoint.Leases
	Repairs Repairs
	Log     *slog.Logger
	// Share, if set, is told which part of an instance's requests is this
	// replica's, from 0 to 1.
	Share func(instance string, part float64)

	terms   map[string]*term // by lane
	given   chan struct{}    // a lane was given up, and may be ours again by now
	running sync.WaitGroup
}

// A term is one run of a lane under one lease.
type term struct {
	stop context.CancelCauseFunc
	done chan struct{}
}

var errHandOver = errors.New("another replica's turn")

// How often a fleet looks at its lanes when nothing has changed, and how long an
// instance has to be out of this replica's reach until others are asked to read it.
const (
	look     = 5 * time.Second
	cutOff   = 2 * time.Minute
	avoiding = 10 * time.Minute
)

// jobShare is the part of an instance's requests that is left to jobs, as long as
// there are any: live lanes go first.
const jobShare = 0.2

// Run runs the lanes that are this replica's until ctx is done and each of them
// has been given up. The error says why it could not begin.
func (f *Fleet) Run(ctx context.Context) error {
	if f.Leases == nil {
		for _, l := range f.Lanes {
			f.running.Go(func() { l.Serve(ctx, f.Repairs) })
		}
		f.running.Wait()
		return nil
	}
	f.terms, f.given = make(map[string]*term), make(chan struct{}, 1)
	me := checkpoint.Member{ID: f.ID, Kind: checkpoint.Replica, Since: time.Now().UTC()}
	membership, err := f.Leases.Join(ctx, me, f.Log)
	if err != nil {
		return err
	}
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	views, err := f.Leases.Watch(watching)
	if err != nil {
		return errors.Join(err, f.leave(ctx, membership))
	}
	f.follow(ctx, views, membership, me)

	me.Draining = true
	if err := f.announce(ctx, membership, me); err != nil {
		f.Log.WarnContext(ctx, "the other replicas do not know that this one ends", "err", err)
	}
	f.running.Wait()
	return f.leave(ctx, membership)
}

// follow starts and stops lanes as the view changes, until ctx is done.
func (f *Fleet) follow(ctx context.Context, views <-chan checkpoint.View, membership *checkpoint.Membership, me checkpoint.Member) {
	var view checkpoint.View
	avoid := newAvoidance(f.Lanes)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case view = <-views:
		case <-f.given:
		case <-tick.C:
			if names, changed := avoid.look(time.Now(), f.holds); changed {
				me.Avoid = names
				if err := f.announce(ctx, membership, me); err != nil {
					f.Log.WarnContext(ctx, "the other replicas do not know which tenants are out of reach here", "err", err)
				}
			}
		}
		if len(view.Members) > 0 {
			f.arrange(ctx, view)
		}
	}
}

// arrange starts the lanes that are ours and free, and stops those that are not.
func (f *Fleet) arrange(ctx context.Context, view checkpoint.View) {
	instances := make(map[string]string, len(f.Lanes))
	names := make([]string, 0, len(f.Lanes))
	for _, l := range f.Lanes {
		names = append(names, l.Name())
		instances[l.Name()] = l.Instance
	}
	turn := checkpoint.Share(names, view.Members, func(lane string) string { return instances[lane] })
	f.tellShares(turn, view.Members)
	for _, l := range f.Lanes {
		name := l.Name()
		t := f.terms[name]
		if t != nil && t.over() {
			delete(f.terms, name)
			t = nil
		}
		switch mine := turn[name] == f.ID; {
		case mine && t == nil && view.Held[name] == "":
			f.begin(ctx, l)
		case !mine && t != nil:
			t.stop(errHandOver)
		case t == nil:
			l.elsewhere(view.Held[name])
		}
	}
}

// tellShares tells which part of each instance's requests is ours: that of the
// lanes that are, less what is left to jobs.
func (f *Fleet) tellShares(turn map[string]string, members []checkpoint.Member) {
	if f.Share == nil {
		return
	}
	all, mine := make(map[string]int), make(map[string]int)
	for _, l := range f.Lanes {
		all[l.Instance]++
		if turn[l.Name()] == f.ID {
			mine[l.Instance]++
		}
	}
	live := 1.0
	for _, m := range members {
		if m.Kind == checkpoint.Job {
			live = 1 - jobShare
		}
	}
	for instance, n := range all {
		f.Share(instance, live*float64(mine[instance])/float64(n))
	}
}

func (f *Fleet) holds(l *Lane) bool {
	t := f.terms[l.Name()]
	return t != nil && !t.over()
}

func (t *term) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// begin runs a lane for one term, if its lease is to be had. It ends with ctx, by
// hand-over, or with the lease.
func (f *Fleet) begin(ctx context.Context, l *Lane) {
	ctx, stop := context.WithCancelCause(ctx)
	t := &term{stop: stop, done: make(chan struct{})}
	f.terms[l.Name()] = t
	f.running.Go(func() {
		defer stop(nil)
		released := f.serve(ctx, l)
		close(t.done)
		if !released { // there is nothing to be had before the view changes
			return
		}
		select {
		case f.given <- struct{}{}:
		default: // it is told already
		}
	})
}

// serve takes the lease, runs the lane, and gives the lease back when the lane has
// ended, which it reports. The lease is kept while the lane finishes what it has in
// hand.
func (f *Fleet) serve(ctx context.Context, l *Lane) (released bool) {
	// Told to stop meanwhile, it would not know whether it has the lease, and then
	// nobody could take it until it expires.
	taking, taken := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	lease, err := f.Leases.Take(taking, l.Name(), f.ID)
	taken()
	if errors.Is(err, checkpoint.ErrHeld) {
		return false
	}
	if err != nil {
		f.Log.WarnContext(ctx, "lease not taken, and is tried again", "lane", l.Name(), "err", err)
		return false
	}
	held, stop := lease.Keep(context.WithoutCancel(ctx), f.Log)
	running, cancel := context.WithCancelCause(held)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	defer cancel(nil)
	l.Serve(running, f.Repairs)
	lost := errors.Is(context.Cause(held), checkpoint.ErrLost)
	stop()
	if lost {
		f.Log.WarnContext(ctx, "lease lost, the lane is another's", "lane", l.Name())
		return false
	}
	release, done := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer done()
	if err := lease.Release(release); err != nil {
		f.Log.WarnContext(ctx, "lease not given back, it ends by itself", "lane", l.Name(), "err", err)
		return false
	}
	return true
}

func (f *Fleet) announce(ctx context.Context, membership *checkpoint.Membership, me checkpoint.Member) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return membership.Update(ctx, me)
}

func (f *Fleet) leave(ctx context.Context, membership *checkpoint.Membership) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return membership.Leave(ctx)
}

// An avoidance finds the instances that are out of this replica's reach.
type avoidance struct {
	lanes []*Lane
	until map[string]time.Time
}

func newAvoidance(lanes []*Lane) *avoidance {
	return &avoidance{lanes: lanes, until: make(map[string]time.Time)}
}

// look returns the instances to avoid, and whether they have changed. One is
// avoided when every lane of it that runs here has been unreachable for cutOff, and
// for as long as avoiding says.
func (v *avoidance) look(now time.Time, runs func(*Lane) bool) (names []string, changed bool) {
	reach := make(map[string]bool)
	for _, l := range v.lanes {
		if !runs(l) {
			continue
		}
		s := l.Status()
		cut := s.State == Unreachable && now.Sub(s.Since) > cutOff
		before, seen := reach[l.Instance]
		reach[l.Instance] = before && seen || !cut
	}
	for instance, reachable := range reach {
		if !reachable && !now.Before(v.until[instance]) {
			v.until[instance], changed = now.Add(avoiding), true
		}
	}
	for instance, end := range v.until {
		if now.Before(end) {
			names = append(names, instance)
			continue
		}
		delete(v.until, instance)
		changed = true
	}
	return names, changed
}
