package checkpoint

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
)

// kept runs a keeper of 30 s on a fake of what renews, and returns how long its
// context lasted and why it ended.
func kept(t *testing.T, renew func(ctx context.Context, age time.Duration) error) (lasted time.Duration, cause error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sent := begin
		k := &keeper{ttl: 30 * time.Second, every: 7 * time.Second, log: slog.New(slog.DiscardHandler), renew: func(ctx context.Context) error {
			at := time.Now()
			err := renew(ctx, time.Since(begin))
			if err == nil {
				sent = at
			}
			return err
		}}
		held, stop := k.keep(t.Context(), func() time.Time { return sent })
		defer stop()
		<-held.Done()
		lasted, cause = time.Since(begin), context.Cause(held)
	})
	return lasted, cause
}

func TestContextEndsTwoThirdsAfterTheLastRenewal(t *testing.T) {
	away := errors.New("no answer")
	tests := []struct {
		name  string
		renew func(ctx context.Context, age time.Duration) error
		want  time.Duration
	}{
		{"no renewal is granted", func(context.Context, time.Duration) error { return away }, 20 * time.Second},
		{"renewals hang", func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }, 20 * time.Second},
		{"the first hangs, and one is granted after it", func(ctx context.Context, age time.Duration) error {
			switch {
			case age < 8*time.Second:
				<-ctx.Done()
				return ctx.Err()
			case age > 13*time.Second:
				return away
			}
			return nil
		}, (7000+3750+1875)*time.Millisecond + 20*time.Second},
		{"the first two are granted", func(_ context.Context, age time.Duration) error {
			if age > 14*time.Second {
				return away
			}
			return nil
		}, 34 * time.Second},
		{"one is granted late", func(_ context.Context, age time.Duration) error {
			if age < 15*time.Second || age > 20*time.Second {
				return away
			}
			return nil
		}, 7*time.Second + 5*1875*time.Millisecond + 20*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lasted, cause := kept(t, tt.renew)
			if !errors.Is(cause, ErrLost) || lasted != tt.want {
				t.Errorf("it lasted %v and ended with %v, want %v and ErrLost", lasted, cause, tt.want)
			}
		})
	}
}

func TestContextEndsAtOnceWhenTheLeaseIsLost(t *testing.T) {
	lasted, cause := kept(t, func(context.Context, time.Duration) error { return ErrLost })
	if !errors.Is(cause, ErrLost) || lasted != 7*time.Second {
		t.Errorf("it lasted %v and ended with %v, want 7s and ErrLost", lasted, cause)
	}
}

func TestStopEndsTheRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renewals := 0
		k := &keeper{ttl: 30 * time.Second, every: 7 * time.Second, log: slog.New(slog.DiscardHandler), renew: func(context.Context) error {
			renewals++
			return nil
		}}
		sent := time.Now()
		held, stop := k.keep(t.Context(), func() time.Time { return sent })
		<-time.After(15 * time.Second)
		stop()
		<-time.After(time.Minute)
		if renewals != 2 || errors.Is(context.Cause(held), ErrLost) {
			t.Errorf("%d renewals, and the context ended with %v, want 2 and no ErrLost", renewals, context.Cause(held))
		}
	})
}

func TestIntervalIsAFifthToAFourthAndOneOfItsOwn(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, whose := range []string{"host-1 a", "host-2 a", "host-1 b", "host-2 b"} {
		d := interval(20*time.Second, whose)
		if d < 4*time.Second || d > 5*time.Second || seen[d] {
			t.Errorf("interval of %q is %v, want one of its own from 4s to 5s", whose, d)
		}
		seen[d] = true
	}
}

// A muteJetStream and a muteBucket do what they are told, and do not say so.
type (
	muteJetStream struct{ jetstream.JetStream }
	muteBucket    struct{ jetstream.KeyValue }
)

func (m muteJetStream) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if ack, err := m.JetStream.PublishMsg(ctx, msg, opts...); err != nil {
		return ack, err
	}
	return nil, context.DeadlineExceeded
}

func (m muteBucket) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	if rev, err := m.KeyValue.Create(ctx, key, value, opts...); err != nil {
		return rev, err
	}
	return 0, context.DeadlineExceeded
}

func open(t *testing.T, ttl time.Duration) *Leases {
	t.Helper()
	js, _ := natstest.JetStream(t)
	l, err := OpenLeases(t.Context(), js, 1, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLeaseIsOursThoughTheAnswerWasLost(t *testing.T) {
	l := open(t, time.Hour)
	spoken := *l
	l.bucket = muteBucket{l.bucket}
	lease, err := l.Take(t.Context(), "lane", "host")
	if err != nil {
		t.Fatalf("Take = %v, want the lease that is ours", err)
	}
	if err := lease.Renew(t.Context()); err != nil {
		t.Errorf("Renew = %v", err)
	}
	if _, err := spoken.Take(t.Context(), "lane", "host"); !errors.Is(err, ErrHeld) {
		t.Errorf("a second Take of the same owner = %v, want ErrHeld", err)
	}
}

func TestRenewalGoesOnFromOneWhoseAnswerWasLost(t *testing.T) {
	l := open(t, time.Hour)
	lease, err := l.Take(t.Context(), "lane", "host")
	if err != nil {
		t.Fatal(err)
	}
	before := lease.Deadline()
	js := l.js
	l.js = muteJetStream{js}
	if err := lease.Renew(t.Context()); err == nil || errors.Is(err, ErrLost) {
		t.Fatalf("Renew without an answer = %v, want an error that is not ErrLost", err)
	}
	if !lease.Deadline().Equal(before) {
		t.Error("a renewal without an answer moved the deadline")
	}
	l.js = js
	if err := lease.Renew(t.Context()); err != nil {
		t.Errorf("Renew after it = %v, want nil", err)
	}
	if !lease.Deadline().After(before) {
		t.Error("the deadline did not move")
	}
	l.js = muteJetStream{js}
	if err := lease.Renew(t.Context()); err == nil {
		t.Fatal("the renewal had an answer")
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Errorf("Release after it = %v, want nil", err)
	}
}

// What a purge of the whole stream takes away, no watcher is told.
func TestWatchFindsOutWhatItWasNotTold(t *testing.T) {
	l := open(t, time.Hour)
	l.relist = 100 * time.Millisecond
	if _, err := l.Take(t.Context(), "lane", "host"); err != nil {
		t.Fatal(err)
	}
	views, err := l.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := <-views; v.Held["lane"] != "host" {
		t.Fatalf("the first view has %v", v.Held)
	}
	stream, err := l.js.Stream(t.Context(), "KV_"+LeaseBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case v := <-views:
		if len(v.Held) != 0 {
			t.Errorf("the next view has %v, want none", v.Held)
		}
	case <-time.After(10 * time.Second):
		t.Error("the watch still believes in the lease")
	}
}

func TestMemberThatDiesIsForgotten(t *testing.T) {
	l := open(t, time.Second)
	m, err := l.Join(t.Context(), Member{ID: "a", Kind: Replica}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.stop()
	if err := m.write(t.Context()); err != nil { // as a last renewal
		t.Fatal(err)
	}
	views, err := l.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	over := time.After(10 * time.Second)
	for v := <-views; len(v.Members) > 0; {
		select {
		case v = <-views:
		case <-over:
			t.Fatal("it is still a member")
		}
	}
}
