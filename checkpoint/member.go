package checkpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The kinds of member. A job, as a backfill, is seen by all and runs no lanes.
const (
	Replica = "replica"
	Job     = "job"
)

// A Member is what a process says of itself to the others.
type Member struct {
	ID   string `json:"id"` // of one process; letters, digits and -_=/ with single dots between
	Kind string `json:"kind"`
	// Avoid are the instances that it cannot reach.
	Avoid []string `json:"avoid,omitempty"`
	// Draining is set by a process that is about to end and takes no lanes.
	Draining bool      `json:"draining,omitempty"`
	Since    time.Time `json:"since"`
}

var memberID = regexp.MustCompile(`^[-_=/a-zA-Z0-9]+(\.[-_=/a-zA-Z0-9]+)*$`)

// A Membership is a process's place among the members.
type Membership struct {
	in   *Leases
	stop func()

	mu     sync.Mutex
	member Member
}

// Join makes m known to all that watch, and keeps it so until Leave, which must
// be called: the end of ctx does not end a membership, since a process that
// drains is still a member. A member that the server forgot, as after it was
// out of reach for longer than the TTL, is back with the next renewal. Two
// processes with one ID look like one member.
func (l *Leases) Join(ctx context.Context, m Member, log *slog.Logger) (*Membership, error) {
	if !memberID.MatchString(m.ID) {
		return nil, fmt.Errorf("join as %q: a member's name has letters, digits and -_=/ with single dots between", m.ID)
	}
	s := &Membership{in: l, member: m}
	if err := s.write(ctx); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &keeper{ttl: l.ttl, every: interval(l.ttl, m.ID), renew: s.write, log: log.With("member", m.ID)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.run(run) // only a lease is lost
	}()
	s.stop = func() {
		cancel()
		<-done
	}
	return s, nil
}

func (s *Membership) key() string { return memberPrefix + s.member.ID }

func (s *Membership) write(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := json.Marshal(s.member)
	if err == nil {
		// On no condition: the key is of nobody else.
		_, err = s.in.put(ctx, s.key(), value)
	}
	if err != nil {
		return fmt.Errorf("announce member %s: %w", s.member.ID, err)
	}
	return nil
}

// Update changes what the process says of itself, but not its ID or since when
// it lives. After an error the others may not know yet; they will with the next
// renewal.
func (s *Membership) Update(ctx context.Context, m Member) error {
	s.mu.Lock()
	m.ID, m.Since = s.member.ID, s.member.Since
	s.member = m
	s.mu.Unlock()
	return s.write(ctx)
}

// Leave ends the membership. After an error it ends with its TTL.
func (s *Membership) Leave(ctx context.Context) error {
	s.stop()
	if err := s.in.bucket.Purge(ctx, s.key(), jetstream.PurgeTTL(markerTTL)); err != nil {
		return fmt.Errorf("leave as %s: %w", s.member.ID, err)
	}
	return nil
}
