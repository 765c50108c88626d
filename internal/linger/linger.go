// Package linger lets work that has begun outlive the order to stop.
package linger

import (
	"context"
	"time"
)

// Context returns a copy of parent that is cancelled d after parent is, with
// parent's cause. A shutdown thus lets begun work finish, but does not wait for
// it forever.
func Context(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(parent))
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
