package publish_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/publish/publishtest"
	"github.com/skopeflow/skopeflow/schema"
)

func cluster() publish.NATSConfig {
	c := config()
	c.Replicas = 3
	return c
}

func openCluster(t *testing.T) (natstest.Nodes, *publish.NATS, jetstream.JetStream) {
	t.Helper()
	nodes := natstest.Cluster(t, 3)
	js, _ := nodes.JetStream(t)
	n, err := publish.OpenNATS(t.Context(), js, cluster())
	if err != nil {
		t.Fatal(err)
	}
	return nodes, n, js
}

func TestClusterKeepsTheContract(t *testing.T) {
	t.Parallel() // most of it is waiting for an election
	publishtest.Run(t, func(t *testing.T) publishtest.Rig {
		_, n, js := openCluster(t)
		return publishtest.Rig{Publisher: n, Consume: func(t *testing.T) []publishtest.Stored { return ofLeader(t, js) }}
	})
}

// ofLeader reads the artifacts from the stream's leader, which a consumer that
// was made just now may not be on.
func ofLeader(t *testing.T, js jetstream.JetStream) []publishtest.Stored {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.AllowDirect = false // which any replica would answer
	if stream, err = js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var all []publishtest.Stored
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject("artifacts.>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		s := publishtest.Stored{ID: m.Header.Get(publish.HeaderID), Lane: m.Header.Get(publish.HeaderLane), Data: m.Data, Header: map[string]string{}}
		for key := range m.Header {
			s.Header[key] = m.Header.Get(key)
		}
		all = append(all, s)
		seq = m.Sequence + 1
	}
}

// store publishes as a lane does: after an error it reads what is stored and
// leaves that out. It returns how often there was one.
func store(t *testing.T, n *publish.NATS, fence string, first, count int) (failed int) {
	t.Helper()
	natstest.Await(t, time.Minute, "the batch is not stored", func() bool {
		stored := map[schema.ID]bool{}
		if _, err := n.Scan(t.Context(), lane, "", func(key schema.Key) { stored[key.ID] = true }); err != nil {
			failed++
			return false
		}
		b := fenced(fence, first, count)
		b.Messages = slices.DeleteFunc(b.Messages, func(m publish.Message) bool { return stored[m.ID] })
		err := n.Publish(t.Context(), b)
		var refused *publish.FencedError
		if errors.As(err, &refused) {
			t.Fatalf("the claim stands, and the batch is refused: %v", err)
		}
		if err != nil {
			failed++
		}
		return err == nil
	})
	return failed
}

// led does something that fails while the stream has no leader, until it does not: a lane tries again, too.
func led(t *testing.T, do func() error) {
	t.Helper()
	var err error
	natstest.Await(t, time.Minute, "the stream has no leader", func() bool {
		err = do()
		return err == nil
	})
}

// mustHold looks that each of the lane's first artifacts is stored once.
func mustHold(t *testing.T, n *publish.NATS, count int) {
	t.Helper()
	var times map[schema.ID]int
	led(t, func() error {
		times = map[schema.ID]int{}
		_, err := n.Scan(t.Context(), lane, "", func(key schema.Key) { times[key.ID]++ })
		return err
	})
	for i := range count {
		if got := times[publishtest.ID(lane, i)]; got != 1 {
			t.Fatalf("artifact %d is stored %d times", i, got)
		}
	}
	if len(times) != count {
		t.Errorf("%d artifacts are stored, want %d", len(times), count)
	}
}

func TestClusterKeepsTheClaimAndEachArtifactWhenItsLeaderGoes(t *testing.T) {
	t.Parallel() // most of it is waiting for an election
	nodes, n, js := openCluster(t)
	stepDown := func() {
		if _, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.ARTIFACTS", nil, 5*time.Second); err != nil {
			t.Error(err)
		}
	}
	standing := func(epoch uint64, owner string) (fence string) {
		led(t, func() (err error) {
			fence, err = n.Claim(t.Context(), publish.Claim{Lane: lane, Epoch: epoch, Owner: owner, At: time.Now()})
			return err
		})
		return fence
	}
	position := func() (at string) {
		led(t, func() (err error) {
			at, err = n.Mark(t.Context())
			return err
		})
		return at
	}
	fence := standing(1, "a")
	at := position()
	stepDown()
	t.Logf("with a leader that stepped down, %d attempts failed", store(t, n, fence, 0, 1200))
	if got := standing(1, "a"); got != fence {
		t.Errorf("the fence was %s, and is %s with another leader", fence, got)
	}
	if now := position(); now[:strings.Index(now, ".")] != at[:strings.Index(at, ".")] {
		t.Errorf("the mark was %s, and is %s with another leader: it is the same stream", at, now)
	}
	at = position()
	slow := &cutIn{JetStream: js, do: stepDown}
	interrupted, err := publish.OpenNATS(t.Context(), slow, cluster())
	if err != nil {
		t.Fatal(err)
	}
	slow.left = 200
	t.Logf("with a leader that stepped down in the middle of a batch, %d attempts failed", store(t, interrupted, fence, 1200, 1200))
	mustHold(t, n, 2400)
	nodes.Leader(t, "ARTIFACTS").Shutdown()
	t.Logf("with a leader that was stopped, %d attempts failed", store(t, n, fence, 2400, 1200))
	var missing string
	led(t, func() (err error) {
		missing, err = n.Missing(t.Context(), at, time.Now())
		return err
	})
	if missing != "" {
		t.Errorf("missing after a leader was stopped: %s", missing)
	}
	standing(2, "b")
	mustBeFenced(t, n.Publish(t.Context(), fenced(fence, 3600, 600)))
	mustHold(t, n, 3600)
}

func TestClusterThatIsBusyWithTheLaneIsAskedAgain(t *testing.T) {
	t.Parallel() // most of it is waiting for an election
	_, n, _ := openCluster(t)
	fence := claim(t, n, 1, "a")
	const batches, size = 40, 25
	errs := make([]error, batches)
	var all sync.WaitGroup
	for i := range batches {
		all.Go(func() { errs[i] = n.Publish(t.Context(), fenced(fence, i*size, size)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	mustHold(t, n, batches*size)
}
