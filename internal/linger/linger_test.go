package linger_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/internal/linger"
)

func TestContextOutlivesItsParentByTheGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("told to stop")
		parent, stop := context.WithCancelCause(t.Context())
		ctx, cancel := linger.Context(parent, 20*time.Second)
		defer cancel()

		begin := time.Now()
		stop(reason)
		<-ctx.Done()
		if got := time.Since(begin); got != 20*time.Second {
			t.Errorf("ended after %v, want 20s", got)
		}
		if !errors.Is(context.Cause(ctx), reason) {
			t.Errorf("cause is %v, want %v", context.Cause(ctx), reason)
		}
	})
}

func TestContextEndsWhenItsWorkIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithCancel(t.Context())
		ctx, cancel := linger.Context(parent, time.Hour)
		begin := time.Now()
		stop()
		cancel()
		<-ctx.Done()
		if got := time.Since(begin); got != 0 {
			t.Errorf("ended after %v, want at once", got)
		}
	})
}
