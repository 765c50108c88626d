package publishtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/publish"
)

// claim of the lane, with what makes it comparable.
func claim(epoch uint64, owner string) publish.Claim {
	at := time.Unix(1_767_225_600, 0).UTC().Add(time.Duration(epoch) * time.Second) //nolint:gosec // a small number
	return publish.Claim{Lane: lane, Epoch: epoch, Owner: owner, HWM: at.Add(-time.Hour), At: at}
}

func mustClaim(t *testing.T, r Rig, c publish.Claim) string {
	t.Helper()
	fence, err := r.Publisher.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if fence == "" {
		t.Fatalf("the fence of %+v is empty, which is no fence", c)
	}
	return fence
}

// fenced is a batch as a lane publishes it under a claim.
func fenced(fence string, first, n int) *publish.Batch {
	b := Batch(lane, first, n)
	b.Fence = fence
	return b
}

func claims(t *testing.T, r Rig) {
	first := mustClaim(t, r, claim(1, "a"))
	if again := mustClaim(t, r, claim(1, "a")); again != first {
		t.Errorf("the fence of the same claim is %q, and then %q", first, again)
	}
	second := mustClaim(t, r, claim(2, "b"))
	if second == first {
		t.Errorf("two claims have the fence %q", second)
	}
	for _, late := range []publish.Claim{claim(1, "a"), claim(1, "b"), claim(2, "a")} {
		_, err := r.Publisher.Claim(t.Context(), late)
		var claimed *publish.ClaimedError
		if !errors.As(err, &claimed) {
			t.Fatalf("claim with epoch %d of %s where %s has claimed with 2: %v, want a ClaimedError", late.Epoch, late.Owner, "b", err)
		}
		if claimed.Standing() != claim(2, "b") {
			t.Errorf("the standing claim is %+v, want %+v", claimed.Standing(), claim(2, "b"))
		}
		if owner, epoch, hwm := claimed.ClaimedBy(); owner != "b" || epoch != 2 || !hwm.Equal(claim(2, "b").HWM) {
			t.Errorf("ClaimedBy = %s, %d, %v", owner, epoch, hwm)
		}
	}
	if now := mustClaim(t, r, claim(2, "b")); now != second {
		t.Errorf("claims that came too late moved the fence from %q to %q", second, now)
	}
	other := claim(1, "a")
	other.Lane = "acme.events.audit"
	mustClaim(t, r, other)
}

func races(t *testing.T, r Rig) {
	for epoch := range uint64(20) {
		race(t, r, epoch+1)
	}
}

func race(t *testing.T, r Rig, epoch uint64) {
	t.Helper()
	const n = 8
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, errs[i] = r.Publisher.Claim(t.Context(), claim(epoch, fmt.Sprint(i))) })
	}
	all.Wait()
	winner := ""
	for i, err := range errs {
		if err == nil && winner != "" {
			t.Errorf("epoch %d: both %s and %d have the claim", epoch, winner, i)
		}
		if err == nil {
			winner = fmt.Sprint(i)
		}
	}
	for i, err := range errs {
		var claimed *publish.ClaimedError
		if err != nil && (!errors.As(err, &claimed) || claimed.Standing().Owner != winner) {
			t.Errorf("epoch %d: claim of %d, where %q was first: %v", epoch, i, winner, err)
		}
	}
}

func fences(t *testing.T, r Rig) {
	first := mustClaim(t, r, claim(1, "a"))
	if err := r.Publisher.Publish(t.Context(), fenced(first, 0, 600)); err != nil {
		t.Fatal(err)
	}
	second := mustClaim(t, r, claim(2, "b"))
	mustBeFenced(t, r, fenced(first, 600, 1))
	mustBeFenced(t, r, fenced(first, 600, 600))
	if got := len(r.Consume(t)); got != 600 {
		t.Errorf("%d messages are stored, want the 600 from before the second claim", got)
	}
	if err := r.Publisher.Publish(t.Context(), fenced(second, 600, 600)); err != nil {
		t.Errorf("publish under the second claim: %v", err)
	}
	if err := r.Publisher.Publish(t.Context(), Batch(lane, 1200, 3)); err != nil {
		t.Errorf("publish without a fence: %v", err)
	}
	named := fenced(second, 1203, 3)
	named.Lane, named.Claim = "acme.events.other", lane
	if err := r.Publisher.Publish(t.Context(), named); err != nil {
		t.Errorf("publish for another lane under the claim: %v", err)
	}
	if got := len(r.Consume(t)); got != 1206 {
		t.Errorf("%d messages are stored, want 1206", got)
	}
}

func mustBeFenced(t *testing.T, r Rig, b *publish.Batch) {
	t.Helper()
	err := r.Publisher.Publish(t.Context(), b)
	var refused *publish.FencedError
	if !errors.As(err, &refused) || !refused.Fenced() || refused.Lane != lane {
		t.Errorf("publishing under an overtaken claim = %v, want a FencedError", err)
	}
}

// overtakes publishes while the lane is claimed time and again: what a batch
// stored it stored whole, and what was refused is not there.
func overtakes(t *testing.T, r Rig) {
	fence := mustClaim(t, r, claim(1, "a"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var stored int
	var err error
	var old sync.WaitGroup
	old.Go(func() {
		for ; err == nil && ctx.Err() == nil; stored++ {
			err = r.Publisher.Publish(ctx, fenced(fence, 10*stored, 10))
		}
		stored--
	})
	mustClaim(t, r, claim(2, "b"))
	atClaim := len(r.Consume(t))
	old.Wait()
	var refused *publish.FencedError
	if !errors.As(err, &refused) {
		t.Fatalf("the overtaken owner stopped with %v, want a FencedError", err)
	}
	if got := len(r.Consume(t)); got != atClaim || got != 10*stored {
		t.Errorf("%d messages are stored, %d were when the second claim stood, and %d are of acknowledged batches", got, atClaim, 10*stored)
	}
}

func misses(t *testing.T, r Rig) {
	mustKeep := func(mark string) {
		t.Helper()
		if why, err := r.Publisher.Missing(t.Context(), mark, time.Now()); why != "" || err != nil {
			t.Errorf("Missing(%q) = %q, %v, want nothing", mark, why, err)
		}
	}
	mustKeep("")
	empty, err := r.Publisher.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustClaim(t, r, claim(1, "a"))
	claimed, err := r.Publisher.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := publishAndMark(t, r, Batch(lane, 0, 10))
	mustClaim(t, r, claim(2, "b"))
	second := publishAndMark(t, r, Batch(lane, 10, 10))
	mustClaim(t, r, claim(3, "a"))
	third := publishAndMark(t, r, Batch(lane, 20, 0)) // the claim is what was stored last
	mustClaim(t, r, claim(4, "b"))
	for _, mark := range []string{empty, claimed, first, second, third} {
		mustKeep(mark)
	}
	if _, err := r.Publisher.Missing(t.Context(), "no mark", time.Now()); err == nil {
		t.Error("Missing of what is no mark = nil")
	}
	if got := scan(t, r, lane, claimed); !sameIDs(got, lane, 0, 20) {
		t.Errorf("scan after a claim found %d ids, want 20", len(got))
	}
}
