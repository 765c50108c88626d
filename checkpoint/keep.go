package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"
)

// Keep renews the lease until ctx is done or stop is called, and returns a
// context that ends with it: with ErrLost as its cause when the lease is lost,
// or was not renewed for two thirds of its TTL. The last third is for what is
// done under that context to end, before another replica can take the lease.
//
// stop ends the renewals and waits for the last one. It must be called; the
// lease is then still held, and is to be released when the work has ended. A
// lane that finishes its page after it was told to stop needs a ctx that lasts
// as long.
func (t *Lease) Keep(ctx context.Context, log *slog.Logger) (held context.Context, stop func()) {
	k := keeper{
		ttl:   t.in.ttl,
		every: interval(t.in.ttl, t.owner+" "+t.lane),
		renew: t.Renew,
		log:   log.With("lane", t.lane),
	}
	return k.keep(ctx, func() time.Time { return *t.sent.Load() })
}

// interval is how often a key is renewed: every fifth to fourth of its TTL,
// which depends on whose it is, so that renewals do not come all at once.
func interval(ttl time.Duration, whose string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(whose)) // it never fails
	spread := ttl / 20
	return ttl/4 - spread*time.Duration(h.Sum32()%1024)/1024
}

// A keeper renews one key.
type keeper struct {
	ttl   time.Duration
	every time.Duration
	renew func(ctx context.Context) error
	log   *slog.Logger
}

// keep runs the keeper, and ends held two thirds of the TTL after sent, which
// tells when the last granted renewal was asked for.
func (k *keeper) keep(ctx context.Context, sent func() time.Time) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	left := func() time.Duration { return time.Until(sent().Add(k.ttl * 2 / 3)) }
	// A timer of its own, since a renewal can hang.
	down := time.AfterFunc(left(), func() {
		cancel(fmt.Errorf("%w: it was not renewed for %v", ErrLost, k.ttl*2/3))
	})
	renew := k.renew
	k.renew = func(ctx context.Context) error {
		err := renew(ctx)
		if err == nil {
			down.Reset(left())
		}
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer down.Stop()
		if err := k.run(held); err != nil {
			cancel(err)
		}
	}()
	return held, func() {
		cancel(context.Canceled)
		<-done
	}
}

// run renews until ctx is done, and then returns nil. It returns ErrLost if that
// is what a renewal says; every other error is logged, and tried again soon.
func (k *keeper) run(ctx context.Context) error {
	timer := time.NewTimer(k.every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		try, cancel := context.WithTimeout(ctx, k.ttl/8)
		err := k.renew(try)
		cancel()
		switch {
		case errors.Is(err, ErrLost):
			return err
		case err != nil && ctx.Err() == nil:
			k.log.WarnContext(ctx, "a lease was not renewed, and is tried again", "error", err)
			timer.Reset(k.ttl / 16)
		default:
			timer.Reset(k.every)
		}
	}
}
