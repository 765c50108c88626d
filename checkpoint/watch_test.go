package checkpoint_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
)

func watch(t *testing.T, l *checkpoint.Leases) <-chan checkpoint.View {
	t.Helper()
	views, err := l.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return views
}

// until reads views until one says what is wanted: its members' IDs, and who
// holds what.
func until(t *testing.T, views <-chan checkpoint.View, members string, held map[string]string) checkpoint.View {
	t.Helper()
	over := time.After(soon)
	last := checkpoint.View{}
	for {
		select {
		case last = <-views:
			if ids(last) == members && maps.Equal(last.Held, held) {
				return last
			}
		case <-over:
			t.Fatalf("no view of members %q and %v within %v; the last has %q and %v", members, held, soon, ids(last), last.Held)
		}
	}
}

func ids(v checkpoint.View) string {
	var ids []string
	for _, m := range v.Members {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func join(t *testing.T, l *checkpoint.Leases, m checkpoint.Member) *checkpoint.Membership {
	t.Helper()
	s, err := l.Join(t.Context(), m, silent)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWatchShowsWhoComesAndGoes(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Hour)
	views := watch(t, l)
	until(t, views, "", nil)
	a := join(t, l, checkpoint.Member{ID: "a.example", Kind: checkpoint.Replica, Since: time.Unix(1767225600, 0).UTC()})
	until(t, views, "a.example", nil)
	b := join(t, l, checkpoint.Member{ID: "b", Kind: checkpoint.Job})
	lease := take(t, l, "b")
	until(t, views, "a.example b", map[string]string{lane: "b"})

	// One that comes later sees the same at once.
	until(t, watch(t, l), "a.example b", map[string]string{lane: "b"})

	if err := a.Update(t.Context(), checkpoint.Member{Kind: checkpoint.Replica, Avoid: []string{"acme"}, Draining: true}); err != nil {
		t.Fatal(err)
	}
	v := within(t, views, "a view of the change")
	if m := v.Members[0]; m.ID != "a.example" || m.Since.Unix() != 1767225600 || !m.Draining || !slices.Equal(m.Avoid, []string{"acme"}) {
		t.Errorf("after the update the member is %+v", m)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*checkpoint.Membership{a, b} {
		if err := m.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, views, "", nil)
}

func TestWatchShowsWhatExpires(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Second)
	views := watch(t, l)
	living := join(t, l, checkpoint.Member{ID: "living", Kind: checkpoint.Replica})
	defer living.Leave(t.Context())
	take(t, l, "dead")
	until(t, views, "living", map[string]string{lane: "dead"})
	until(t, views, "living", nil)
}

func TestMemberIsRenewed(t *testing.T) {
	js, _ := natstest.JetStream(t)
	m := join(t, openLeases(t, js, time.Second), checkpoint.Member{ID: "a", Kind: checkpoint.Replica})
	w, err := bucketOf(t, js, checkpoint.LeaseBucket).Watch(t.Context(), "member.a", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	for range 7 { // more than a TTL has at a fourth of it each
		if entry := within(t, w.Updates(), "a renewal"); entry.Operation() != jetstream.KeyValuePut {
			t.Fatal("the member is gone")
		}
	}
	if err := m.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for entry := within(t, w.Updates(), "the end"); entry.Operation() == jetstream.KeyValuePut; {
		entry = within(t, w.Updates(), "the end")
	}
}

func TestRenewalsAreNoChange(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Hour)
	lease := take(t, l, "host")
	views := watch(t, l)
	until(t, views, "", map[string]string{lane: "host"})
	for range 5 {
		if err := lease.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := within(t, views, "a view"); len(v.Held) != 0 {
		t.Errorf("the view after the first has %v, want that of the release", v.Held)
	}
}

func TestSlowReaderGetsTheNewestView(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Hour)
	slow, quick := watch(t, l), watch(t, l)
	want := map[string]string{}
	for i := range 20 {
		name := fmt.Sprintf("lane-%d", i)
		want[name] = "host"
		if _, err := l.Take(t.Context(), name, "host"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, quick, "", want)
	// The slow one may be an entry behind the quick one, but not twenty.
	for n := 1; ; n++ {
		if v := within(t, slow, "a view"); maps.Equal(v.Held, want) {
			if n > 3 {
				t.Errorf("the newest view was the %dth that the slow reader got", n)
			}
			return
		}
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	for name, end := range map[string]func(*nats.Conn){
		"with a connection": func(*nats.Conn) {},
		"without one":       (*nats.Conn).Close,
	} {
		t.Run(name, func(t *testing.T) {
			js, nc := natstest.JetStream(t)
			ctx, cancel := context.WithCancel(t.Context())
			views, err := openLeases(t, js, time.Hour).Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			within(t, views, "the first view")
			end(nc)
			cancel()
			if _, ok := <-views; ok {
				t.Error("a view came though nothing changed")
			}
		})
	}
}

func TestWatchOutlivesARestartOfTheServer(t *testing.T) {
	dir := t.TempDir()
	serve := func(listen string) *natsrun.Server {
		s, err := natsrun.Start(natsrun.Config{Dir: dir, Listen: listen, Log: silent})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := serve("127.0.0.1:0")
	nc, err := natsrun.Attach(t.Context(), dir, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(nc.ConnectedUrl(), "nats://")
	l := openLeases(t, js, 3*time.Second)
	member := join(t, l, checkpoint.Member{ID: "a", Kind: checkpoint.Replica})
	take(t, l, "dead")
	views := watch(t, l)
	until(t, views, "a", map[string]string{lane: "dead"})
	server.Shutdown()
	server = serve(addr)
	t.Cleanup(server.Shutdown)
	until(t, views, "a", nil)
	if err := member.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, views, "", nil)
}

func TestMemberNeedsANameThatIsAKey(t *testing.T) {
	js, _ := natstest.JetStream(t)
	l := openLeases(t, js, time.Hour)
	for _, id := range []string{"", "a b", "*", ">", "a..b", ".a", "a.", "a\x00"} {
		if _, err := l.Join(t.Context(), checkpoint.Member{ID: id}, silent); err == nil {
			t.Errorf("Join as %q was accepted", id)
		}
	}
}
