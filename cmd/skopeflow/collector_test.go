package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

// A collector is a `skopeflow run` in this process, by the settings of the
// environment.
type collector struct {
	stop func() int // ends it, and returns its exit code
	log  *lockedBuffer
}

// collectorEnv is what a test's `skopeflow run` needs beside its tenant: a
// directory of its own and no fixed ports.
func collectorEnv(t *testing.T, vars ...string) []string {
	t.Helper()
	return append([]string{
		"DATA_DIR=" + t.TempDir(), "NATS_LISTEN=none", "HTTP_ADDR=127.0.0.1:0", "NATS_MAX_BYTES=256MiB", "LOG_FORMAT=json",
	}, vars...)
}

// startCollector starts a collector with these settings alone.
func startCollector(t *testing.T, vars ...string) *collector {
	t.Helper()
	setEnv(t, vars...)
	ctx, cancel := context.WithCancel(t.Context())
	c := &collector{log: new(lockedBuffer)}
	ended := make(chan int, 1)
	go func() { ended <- exitCode(run(ctx, []string{"run"}, c.log, c.log), c.log) }()
	stopped := false
	code := 0
	c.stop = func() int {
		cancel()
		if !stopped {
			code, stopped = <-ended, true
		}
		return code
	}
	t.Cleanup(func() { c.stop() })
	return c
}

// call runs a command to its end, and returns its exit code and what it said.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = exitCode(run(ctx, args, &out, &errs), &errs)
	return code, out.String(), errs.String()
}

// lanes asks the collector how its lanes are, by name; nil while it does not
// answer.
func lanes(t *testing.T) map[string]laneState {
	t.Helper()
	code, out, _ := call(t, "status")
	if code != exitOK {
		return nil
	}
	all := make(map[string]laneState)
	for line := range strings.Lines(out) {
		var l laneState
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("status line %q: %v", line, err)
		}
		all[l.Lane] = l
	}
	return all
}

// awaitLanes waits until the lanes satisfy the fact, and returns them.
func (c *collector) awaitLanes(t *testing.T, fact func(map[string]laneState) bool) map[string]laneState {
	t.Helper()
	var last map[string]laneState
	if !eventually(90*time.Second, func() bool {
		last = lanes(t)
		return len(last) > 0 && fact(last)
	}) {
		text := c.log.String()
		t.Fatalf("lanes %+v\nlog:\n%s", last, text[max(0, len(text)-4<<10):])
	}
	return last
}

// holds is the fact that each lane has stored so many events.
func holds(want map[string]uint64) func(map[string]laneState) bool {
	return func(all map[string]laneState) bool {
		got := make(map[string]uint64)
		for lane := range want {
			got[lane] = all[lane].Stored
		}
		return maps.Equal(got, want)
	}
}

const simToken = "sim-t0ken-of-the-tests"

// simTenant returns a tenant that holds so many events of each stream, and
// allows simToken all that is granted.
func simTenant(t *testing.T, events map[string]int, grants ...string) *netskopesim.Tenant {
	t.Helper()
	var token netskopesim.Token
	for _, path := range grants {
		token.Grants = append(token.Grants, netskopesim.Grant{Path: path})
	}
	tenant := netskopesim.New(netskopesim.Config{Wait: &netskopesim.Wait{}, Tokens: map[string]netskopesim.Token{simToken: token}})
	now := time.Now()
	for stream, n := range events {
		if err := tenant.Feed(stream, n, now.Add(-20*time.Minute), now.Add(-10*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return tenant
}

func serveLocal(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// artifactIDs reads every artifact there is with tail, and returns how often
// each id came. The tenants of the tests share a host, so the instance's name
// belongs to the id.
func artifactIDs(t *testing.T, n int) map[string]int {
	t.Helper()
	code, out, errs := call(t, "tail", "-all", "-n", fmt.Sprint(n))
	if code != exitOK {
		t.Fatalf("tail: exit %d, %s", code, errs)
	}
	ids := make(map[string]int)
	for line := range strings.Lines(out) {
		var a struct{ ID, Tenant string }
		if err := json.Unmarshal([]byte(line), &a); err != nil || a.ID == "" {
			t.Fatalf("tail line %.200q: %v", line, err)
		}
		ids[a.Tenant+" "+a.ID]++
	}
	return ids
}
