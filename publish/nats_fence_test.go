package publish_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/publish/publishtest"
	"github.com/skopeflow/skopeflow/schema"
)

const lane = "acme.events.page"

func claim(t *testing.T, n *publish.NATS, epoch uint64, owner string) string {
	t.Helper()
	fence, err := n.Claim(t.Context(), publish.Claim{Lane: lane, Epoch: epoch, Owner: owner, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return fence
}

func fenced(fence string, first, n int) *publish.Batch {
	b := publishtest.Batch(lane, first, n)
	b.Fence = fence
	return b
}

func mustPublish(t *testing.T, n *publish.NATS, b *publish.Batch) {
	t.Helper()
	if err := n.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func mustBeFenced(t *testing.T, err error) {
	t.Helper()
	var refused *publish.FencedError
	if !errors.As(err, &refused) {
		t.Errorf("Publish = %v, want a FencedError", err)
	}
}

func state(t *testing.T, js jetstream.JetStream) jetstream.StreamState {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State
}

// awaitAge waits until every artifact was removed for its age.
func awaitAge(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	natstest.Await(t, 20*time.Second, "there are artifacts", func() bool {
		stream, err := js.Stream(t.Context(), "ARTIFACTS")
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("artifacts.>"))
		return err == nil && len(info.State.Subjects) == 0
	})
}

func TestClaimOutlivesTheAgeLimit(t *testing.T) {
	c := config()
	c.MaxAge = 300 * time.Millisecond
	n, js := open(t, c)
	claim(t, n, 1, "a")
	fence := claim(t, n, 2, "a")
	if msgs := state(t, js).Msgs; msgs != 1 {
		t.Errorf("%d claims of the lane are stored, want the standing one", msgs)
	}
	mustPublish(t, n, fenced(fence, 0, 10))
	awaitAge(t, js)
	mustPublish(t, n, fenced(fence, 10, 10))
	if now := claim(t, n, 2, "a"); now != fence {
		t.Errorf("the fence was %s, and is %s after the age limit", fence, now)
	}
}

func TestClaimThatWasPurgedIsMadeAgain(t *testing.T) {
	n, js := open(t, config())
	before := claim(t, n, 1, "a")
	mustPublish(t, n, fenced(before, 0, 10))
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustBeFenced(t, n.Publish(t.Context(), fenced(before, 10, 10)))
	mustPublish(t, n, fenced(claim(t, n, 1, "a"), 10, 10))
}

func TestStreamMadeAnewIsClaimedAgainAndReadFromItsBeginning(t *testing.T) {
	n, js := open(t, config())
	before := claim(t, n, 1, "a")
	mustPublish(t, n, fenced(before, 0, 10))
	mark, err := n.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "ARTIFACTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Claim(t.Context(), publish.Claim{Lane: lane, Epoch: 2, Owner: "a"}); err == nil {
		t.Error("Claim without a stream = nil")
	}
	n, err = publish.OpenNATS(t.Context(), js, config())
	if err != nil {
		t.Fatal(err)
	}
	mustBeFenced(t, n.Publish(t.Context(), fenced(before, 10, 10)))
	mustPublish(t, n, fenced(claim(t, n, 2, "a"), 10, 20)) // past the sequence of the mark
	found := 0
	if _, err := n.Scan(t.Context(), lane, mark, func(schema.Key) { found++ }); err != nil || found != 20 {
		t.Errorf("scan after a mark of the stream before found %d ids, %v, want all 20", found, err)
	}
	mustMiss(t, n, mark, "made anew")
}

// A cutIn is a connection that does something else in the middle of a batch.
type cutIn struct {
	jetstream.JetStream
	left int // how often it is used until then; 0 is never
	do   func()
}

func (c *cutIn) Conn() *nats.Conn {
	if c.left--; c.left == 0 {
		c.do()
	}
	return c.JetStream.Conn()
}

func TestBatchThatWasHalfSentWhenTheLaneWasClaimedIsRefusedWhole(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   int // of the zombie's messages
		want int // of the zombie's messages
	}{
		{"in the first atomic batch", 200, 0},
		{"in the second, after the first was stored", 600, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			js, _ := natstest.JetStream(t)
			successor, err := publish.OpenNATS(t.Context(), js, config())
			if err != nil {
				t.Fatal(err)
			}
			slow := &cutIn{JetStream: js}
			zombie, err := publish.OpenNATS(t.Context(), slow, config())
			if err != nil {
				t.Fatal(err)
			}
			fence := claim(t, zombie, 1, "a")
			claimed := false
			slow.left, slow.do = tt.at, func() {
				claimed = true
				mustPublish(t, successor, fenced(claim(t, successor, 2, "b"), 0, 7))
			}
			mustBeFenced(t, zombie.Publish(t.Context(), fenced(fence, 7, 900)))
			if got := len(consume(t, js, "ARTIFACTS", "artifacts.>")); !claimed || got != tt.want+7 {
				t.Errorf("%d messages are stored, want %d and the successor's 7; it claimed: %t", got, tt.want, claimed)
			}
		})
	}
}

// An overtaken connection lets somebody else go first before it stores a message.
type overtaken struct {
	jetstream.JetStream
	do func()
}

func (o *overtaken) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if do := o.do; do != nil {
		o.do = nil
		do()
	}
	return o.JetStream.PublishMsg(ctx, m, opts...)
}

func TestClaimThatIsOvertakenWhileItIsMadeDecidesAgain(t *testing.T) {
	js, _ := natstest.JetStream(t)
	other, err := publish.OpenNATS(t.Context(), js, config())
	if err != nil {
		t.Fatal(err)
	}
	slow := &overtaken{JetStream: js}
	n, err := publish.OpenNATS(t.Context(), slow, config())
	if err != nil {
		t.Fatal(err)
	}
	var theirs string
	slow.do = func() { theirs = claim(t, other, 2, "b") }
	_, err = n.Claim(t.Context(), publish.Claim{Lane: lane, Epoch: 1, Owner: "a"})
	var claimed *publish.ClaimedError
	if !errors.As(err, &claimed) || claimed.Standing().Owner != "b" {
		t.Errorf("Claim with epoch 1 = %v, want to hear of b", err)
	}
	slow.do = func() { theirs = claim(t, other, 3, "b") }
	if ours := claim(t, n, 4, "a"); ours == theirs {
		t.Errorf("both have the fence %s", ours)
	}
	mustBeFenced(t, other.Publish(t.Context(), fenced(theirs, 0, 10)))
}

func TestStreamOfSomebodyElseIsMadeFitForClaims(t *testing.T) {
	js, _ := natstest.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ARTIFACTS", Subjects: []string{"artifacts.>"}, Discard: jetstream.DiscardNew, MaxMsgs: 1000}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, err := publish.OpenNATS(t.Context(), js, config())
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, n, fenced(claim(t, n, 1, "a"), 0, 10))
	}
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; len(c.Subjects) != 2 || c.MaxMsgs != 1000 {
		t.Errorf("the stream's subjects are %v, and its limit is %d", c.Subjects, c.MaxMsgs)
	}
}

// BenchmarkClaim claims a lane anew each time.
func BenchmarkClaim(b *testing.B) {
	js, _ := natstest.JetStream(b)
	n, err := publish.OpenNATS(b.Context(), js, config())
	if err != nil {
		b.Fatal(err)
	}
	for epoch := uint64(1); b.Loop(); epoch++ {
		if _, err := n.Claim(b.Context(), publish.Claim{Lane: lane, Epoch: epoch, Owner: "a"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish stores batches of 500 artifacts, with a fence and without.
func BenchmarkPublish(b *testing.B) {
	for _, name := range []string{"fenced", "unfenced"} {
		b.Run(name, func(b *testing.B) {
			js, _ := natstest.JetStream(b)
			n, err := publish.OpenNATS(b.Context(), js, config())
			if err != nil {
				b.Fatal(err)
			}
			fence, err := n.Claim(b.Context(), publish.Claim{Lane: lane, Epoch: 1, Owner: "a"})
			if err != nil {
				b.Fatal(err)
			}
			batch := publishtest.Batch(lane, 0, 500)
			if name == "fenced" {
				batch.Fence = fence
			}
			for b.Loop() {
				if err := n.Publish(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
