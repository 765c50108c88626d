package checkpoint_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
)

const lane = "acme.events.page"

// soon is how long a test waits for a fact before it says that it is none.
const soon = 10 * time.Second

var silent = slog.New(slog.DiscardHandler)

func openLeases(t *testing.T, js jetstream.JetStream, ttl time.Duration) *checkpoint.Leases {
	t.Helper()
	l, err := checkpoint.OpenLeases(t.Context(), js, 1, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func take(t *testing.T, l *checkpoint.Leases, owner string) *checkpoint.Lease {
	t.Helper()
	lease, err := l.Take(t.Context(), lane, owner)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func bucketOf(t *testing.T, js jetstream.JetStream, name string) jetstream.KeyValue {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// gone returns a channel on which the time comes when the lease's key goes.
func gone(t *testing.T, js jetstream.JetStream) <-chan time.Time {
	t.Helper()
	w, err := bucketOf(t, js, checkpoint.LeaseBucket).Watch(t.Context(), "lane."+lane, jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	at := make(chan time.Time, 1)
	go func() {
		for entry := range w.Updates() {
			if entry != nil && entry.Operation() != jetstream.KeyValuePut {
				at <- time.Now()
				return
			}
		}
	}()
	return at
}

// within returns what comes on the channel soon.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatalf("%s: not within %v", what, soon)
	}
	return *new(T)
}

func TestLeaseIsTakenByOneOfMany(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, 30*time.Second)
	var won, held atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch _, err := l.Take(t.Context(), lane, "host"); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, checkpoint.ErrHeld):
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || held.Load() != 7 {
		t.Errorf("%d of 8 took the lease and %d were told that it is held, want 1 and 7", won.Load(), held.Load())
	}
	if _, err := l.Take(t.Context(), lane, "other"); err == nil || !strings.Contains(err.Error(), `"host"`) {
		t.Errorf("Take = %v, want who holds it", err)
	}
}

func TestRenewedLeaseStillExpires(t *testing.T) {
	js, _ := natstest.JetStream(t)
	lease := take(t, openLeases(t, js, time.Second), "host")
	at := gone(t, js)
	renewed := time.Now()
	if err := lease.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	lasted := within(t, at, "the lease that nobody renews any more expires").Sub(renewed)
	if lasted < time.Second || lasted > 3*time.Second {
		t.Errorf("it lasted %v after its renewal, want 1s and little more", lasted)
	}
	if !lease.Deadline().Before(renewed.Add(lasted)) {
		t.Errorf("its deadline was %v after it was gone", lease.Deadline().Sub(renewed.Add(lasted)))
	}
}

func TestExpiredLeaseIsLostAndFree(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Second)
	at := gone(t, js)
	lease := take(t, l, "host")
	within(t, at, "the lease expires")
	if err := lease.Renew(t.Context()); !errors.Is(err, checkpoint.ErrLost) {
		t.Errorf("Renew = %v, want ErrLost", err)
	}
	next := take(t, l, "host")
	if err := lease.Renew(t.Context()); !errors.Is(err, checkpoint.ErrLost) {
		t.Errorf("Renew of the term before = %v, want ErrLost, though it has the same owner", err)
	}
	if err := lease.Release(t.Context()); !errors.Is(err, checkpoint.ErrLost) {
		t.Errorf("Release of the term before = %v, want ErrLost", err)
	}
	if err := next.Renew(t.Context()); err != nil {
		t.Errorf("the term that stands cannot be renewed: %v", err)
	}
}

func TestReleasedLeaseIsFreeAtOnce(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Hour)
	lease := take(t, l, "host")
	if err := lease.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := gone(t, js)
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, at, "a watcher sees the release")
	take(t, l, "other")
}

func TestDeadlineMovesWithRenewalsThatAreGranted(t *testing.T) {
	js, _ := natstest.JetStream(t)
	lease := take(t, openLeases(t, js, 20*time.Second), "host")
	first := lease.Deadline()
	if left := time.Until(first); left > 19*time.Second || left < 15*time.Second {
		t.Errorf("a lease of 20s has %v left, want a little under 19s", left)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lease.Renew(over); err == nil || errors.Is(err, checkpoint.ErrLost) {
		t.Errorf("Renew without time = %v, want an error that is not ErrLost", err)
	}
	if !lease.Deadline().Equal(first) {
		t.Error("a renewal that was not granted moved the deadline")
	}
	if err := lease.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !lease.Deadline().After(first) {
		t.Error("a renewal did not move the deadline")
	}
}

func TestKeptLeaseOutlivesItsTTL(t *testing.T) {
	js, _ := natstest.JetStream(t)
	lease := take(t, openLeases(t, js, 2*time.Second), "host")
	w, err := bucketOf(t, js, checkpoint.LeaseBucket).Watch(t.Context(), "lane."+lane, jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	held, stop := lease.Keep(t.Context(), silent)
	for range 6 { // more than a TTL has at a fourth of it each
		if entry := within(t, w.Updates(), "a renewal"); entry.Operation() != jetstream.KeyValuePut {
			t.Fatal("the lease is gone while it is kept")
		}
	}
	if held.Err() != nil {
		t.Errorf("the context ended: %v", context.Cause(held))
	}
	// Another hand frees the lane, as an operator may.
	if err := bucketOf(t, js, checkpoint.LeaseBucket).Purge(t.Context(), "lane."+lane); err != nil {
		t.Fatal(err)
	}
	within(t, held.Done(), "the context ends with the lease")
	if !errors.Is(context.Cause(held), checkpoint.ErrLost) {
		t.Errorf("the context ended with %v, want ErrLost", context.Cause(held))
	}
	stop()
}

func TestLeaseOutlivesARestartOfTheServer(t *testing.T) {
	dir := t.TempDir()
	connect := func() (jetstream.JetStream, func()) {
		server, err := natsrun.Start(natsrun.Config{Dir: dir, Listen: natsrun.None, Log: silent})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := server.Connect(t.Name())
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		return js, func() { nc.Close(); server.Shutdown() }
	}
	js, shutdown := connect()
	take(t, openLeases(t, js, 3*time.Second), "host")
	shutdown()

	js, shutdown = connect()
	defer shutdown()
	at := gone(t, js)
	l := openLeases(t, js, 3*time.Second)
	if _, err := l.Take(t.Context(), lane, "other"); !errors.Is(err, checkpoint.ErrHeld) {
		t.Errorf("Take = %v, want ErrHeld", err)
	}
	within(t, at, "the lease expires after the restart")
	take(t, l, "other")
}

func TestTTLIsInWholeSeconds(t *testing.T) {
	js, _ := natstest.JetStream(t)
	if _, err := checkpoint.OpenLeases(t.Context(), js, 1, 900*time.Millisecond); err == nil {
		t.Error("a TTL under a second was accepted")
	}
	if ttl := openLeases(t, js, 2900*time.Millisecond).TTL(); ttl != 2*time.Second {
		t.Errorf("a TTL of 2.9s counts as %v, want 2s, which is what the server makes of it", ttl)
	}
}

func TestReplicasOpenTheLeasesAtTheSameTime(t *testing.T) {
	js, _ := natstest.JetStream(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := checkpoint.OpenLeases(t.Context(), js, 1, time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
