package publish_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/publish/publishtest"
	"github.com/skopeflow/skopeflow/schema"
)

func mark(t *testing.T, n *publish.NATS) string {
	t.Helper()
	m, err := n.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mustMiss holds Missing to a sentence with these words, or to none if why is
// empty.
func mustMiss(t *testing.T, n *publish.NATS, mark, why string) {
	t.Helper()
	got, err := n.Missing(t.Context(), mark, time.Now())
	if err != nil || (got == "") != (why == "") || !strings.Contains(got, why) {
		t.Errorf("Missing(%q) = %q, %v, want %q in it", mark, got, err, why)
	}
}

func purge(t *testing.T, js jetstream.JetStream, opts ...jetstream.StreamPurgeOpt) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), opts...); err != nil {
		t.Fatal(err)
	}
}

func TestPurgeIsMissedIfItTookTheLastArtifactOfTheMark(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		purge     []jetstream.StreamPurgeOpt
	}{
		{"everything", "purged", nil},
		{"by the instance's subject", "purged", []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject("artifacts.acme.>")}},
		{"another instance", "", []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject("artifacts.other.>")}},
		{"all but the last artifacts", "", []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject("artifacts.>"), jetstream.WithPurgeKeep(5)}},
		{"the claims", "", []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject("skopeflow.>")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, js := open(t, config())
			fence := claim(t, n, 1, "a")
			mustPublish(t, n, fenced(fence, 0, 10))
			at := mark(t, n)
			purge(t, js, tt.purge...)
			mustMiss(t, n, at, tt.why)
			fence = claim(t, n, 2, "a")
			mustMiss(t, n, at, tt.why)
			mustPublish(t, n, fenced(fence, 10, 3))
			mustMiss(t, n, at, tt.why)
			mustMiss(t, n, mark(t, n), "")
		})
	}
}

func TestWhatIsTooOldIsNotMissed(t *testing.T) {
	c := config()
	c.MaxAge = 300 * time.Millisecond
	n, js := open(t, c)
	claim(t, n, 1, "a")
	before := mark(t, n)
	mustPublish(t, n, publishtest.Batch(lane, 0, 10))
	at := mark(t, n)
	awaitAge(t, js)
	claim(t, n, 2, "a") // and nothing is left of before, though the mark is fresh
	mustMiss(t, n, at, "")
	mustMiss(t, n, before, "")
	mustMiss(t, n, mark(t, n), "")
}

func TestMarkWithoutArtifactsOwesNone(t *testing.T) {
	c := config()
	c.MaxAge = 0
	n, js := open(t, c)
	claim(t, n, 1, "a")
	at := mark(t, n)
	claim(t, n, 2, "a") // and the message at the mark is gone
	mustMiss(t, n, at, "")
	purge(t, js)
	mustMiss(t, n, at, "")
	mustPublish(t, n, publishtest.Batch(lane, 0, 1))
	at = mark(t, n)
	purge(t, js)
	mustMiss(t, n, at, "purged")
}

func TestPlainNumberIsAMarkToo(t *testing.T) {
	n, js := open(t, config())
	mustPublish(t, n, publishtest.Batch(lane, 0, 10))
	mustPublish(t, n, publishtest.Batch(lane, 10, 4))
	found := 0
	if _, err := n.Scan(t.Context(), lane, "10", func(schema.Key) { found++ }); err != nil || found != 4 {
		t.Errorf("scan after 10 found %d ids, %v, want 4", found, err)
	}
	mustMiss(t, n, "10", "")
	mustMiss(t, n, "15", "ends at message 14")
	purge(t, js)
	mustMiss(t, n, "10", "purged")
	if why, err := n.Missing(t.Context(), "10", time.Now().Add(-2*config().MaxAge)); why != "" || err != nil {
		t.Errorf("Missing of a mark older than the age limit = %q, %v, want nothing", why, err)
	}
	for _, bad := range []string{"x", "-1", "1.x", "1.2.!", ".", "1.2.3.4"} {
		if _, err := n.Scan(t.Context(), lane, bad, func(schema.Key) {}); err == nil {
			t.Errorf("scan after %q = nil", bad)
		}
	}
}

func TestStreamWithAnotherLimitThanAgeOwesNothing(t *testing.T) {
	n, js := open(t, config())
	mustPublish(t, n, publishtest.Batch(lane, 0, 10))
	at := mark(t, n)
	stream, err := js.Stream(t.Context(), "ARTIFACTS")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.MaxMsgsPerSubject = 2
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, n, publishtest.Batch(lane, 10, 10))
	mustMiss(t, n, at, "")
}

// serve runs a server on dir for as long as use takes.
func serve(t *testing.T, dir string, use func(n *publish.NATS)) {
	t.Helper()
	server, err := natsrun.Start(natsrun.Config{Dir: dir, Listen: natsrun.None, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.Connect(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	n, err := publish.OpenNATS(t.Context(), js, config())
	if err != nil {
		t.Fatal(err)
	}
	use(n)
}

func TestBackupThatWasRestoredIsMissed(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	var old, at, later string
	serve(t, dir, func(n *publish.NATS) {
		mustPublish(t, n, publishtest.Batch(lane, 0, 10))
		old = mark(t, n)
	})
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(dir, "nats"))); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, func(n *publish.NATS) {
		mustMiss(t, n, old, "")
		mustPublish(t, n, publishtest.Batch(lane, 10, 10))
		at = mark(t, n)
		mustPublish(t, n, publishtest.Batch(lane, 20, 10))
		later = mark(t, n)
	})
	if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "nats"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, func(n *publish.NATS) {
		mustMiss(t, n, at, "ends at message 10")
		mustPublish(t, n, publishtest.Batch(lane, 100, 12)) // another lane has gone on
		mustMiss(t, n, at, "not the one")
		mustMiss(t, n, later, "ends at message 22")
		mustMiss(t, n, old, "")
	})
}
