package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

func TestMisuseIsSaidBeforeAnythingStarts(t *testing.T) {
	tenant := []string{"NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN=" + simToken}
	for _, c := range []struct {
		name  string
		args  []string
		vars  []string
		lines []string // each is part of one line
	}{
		{"no command", nil, nil, []string{"name a command"}},
		{"unknown command", []string{"rum"}, nil, []string{`there is no command "rum"; skopeflow help lists them`}},
		{"unknown flag", []string{"tail", "-x"}, nil, []string{"-x"}},
		{"an argument too many", []string{"run", "now"}, tenant, []string{`"now" is one argument too many`}},
		{"nothing set", []string{"run"}, nil, []string{"set NETSKOPE_BASE_URL and NETSKOPE_API_TOKEN"}},
		{"no token", []string{"run"}, tenant[:1], []string{"NETSKOPE_API_TOKEN: not set; make a token"}},
		{"empty token", []string{"run"}, []string{tenant[0], "NETSKOPE_API_TOKEN= "}, []string{"NETSKOPE_API_TOKEN: "}},
		{"token file that is not there", []string{"run"}, []string{tenant[0], "NETSKOPE_API_TOKEN_FILE=/nowhere/token"}, []string{"NETSKOPE_API_TOKEN_FILE: read token: open /nowhere/token"}},
		{"unknown variable", []string{"run"}, append(tenant, "NETSKOPE_POLL_INTERVALL=5m"), []string{"unknown variable NETSKOPE_POLL_INTERVALL; did you mean NETSKOPE_POLL_INTERVAL?"}},
		{"plain http", []string{"run"}, []string{"NETSKOPE_BASE_URL=http://acme.goskope.com", tenant[1]}, []string{"NETSKOPE_BASE_URL: "}},
		{"malformed variables, all at once", []string{"run"}, append(tenant, "NETSKOPE_POLL_INTERVAL=often", "NATS_MAX_BYTES=lots", "PUBLISH_RAW=perhaps"),
			[]string{"NETSKOPE_POLL_INTERVAL: ", "NATS_MAX_BYTES: ", `PUBLISH_RAW: "perhaps" is neither true nor false; write one of them`}},
		{"malformed variable of check", []string{"check"}, append(tenant, "NETSKOPE_STREAMS=pages"), []string{"NETSKOPE_STREAMS: "}},
		{"malformed variable of status", []string{"status"}, []string{"NATS_LISTEN=here"}, []string{"NATS_LISTEN: "}},
		{"unknown output", []string{"status", "-o", "xml"}, nil, []string{"-o xml: write table or json"}},
		{"cursors without a word", []string{"cursors"}, nil, []string{"say list, show LANE"}},
		{"explain without a stream", []string{"explain"}, nil, []string{"name the stream"}},
		{"explain of no stream", []string{"explain", "pages"}, nil, []string{`there is no stream "pages"; write one such as page or alerts/dlp`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			setEnv(t, append([]string{"DATA_DIR=" + dir}, c.vars...)...)
			code, stdout, stderr := call(t, c.args...)
			if code != exitMisuse {
				t.Errorf("exit code %d, want %d", code, exitMisuse)
			}
			for _, want := range c.lines {
				if !strings.Contains(stderr, want) {
					t.Errorf("said %q, want %q", stderr, want)
				}
			}
			if strings.Contains(stderr+stdout, simToken) {
				t.Errorf("said the token: %q", stderr)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("made %s", dir)
			}
		})
	}
}

// faulty puts a fault in front of a tenant's endpoints until it is mended.
type faulty struct {
	tenant *netskopesim.Tenant
	faults map[string]http.HandlerFunc // by the end of the path
	mended atomic.Bool
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for end, fault := range f.faults {
		if strings.HasSuffix(r.URL.Path, end) && !f.mended.Load() {
			fault(w, r)
			return
		}
	}
	f.tenant.ServeHTTP(w, r)
}

func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// closedPort returns an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestBadAnswersAreOneSentenceEachAndLoseNothing(t *testing.T) {
	events := map[string]int{"events/page": 700, "events/application": 300, "events/audit": 200, "events/network": 100, "alerts/dlp": 50}
	front := &faulty{tenant: simTenant(t, events, "*"), faults: map[string]http.HandlerFunc{
		"/events/page":        says(200, "text/html", "<!DOCTYPE html><title>Sign in</title>"),
		"/events/application": says(200, "application/json", `{"ok":1,"result":[{"_id":"1","timestamp":17`),
		"/events/audit":       says(200, "application/json", `upstream timed out`),
		"/events/network":     says(200, "application/json", `{"ok":0,"result":"your licence does not cover this"}`),
		"/alerts/dlp":         says(503, "text/html", "<html>busy</html>"),
	}}
	gone := closedPort(t)
	vars := collectorEnv(t,
		"NETSKOPE_INSTANCES=acme,gone,intruder",
		"NETSKOPE_ACME_BASE_URL="+serveLocal(t, front), "NETSKOPE_ACME_API_TOKEN="+simToken, "NETSKOPE_ACME_START=1h", "NETSKOPE_ACME_POLL_INTERVAL=1s",
		"NETSKOPE_ACME_MODE=dataexport", "NETSKOPE_ACME_STREAMS=page,application,audit,network,alerts/dlp",
		"NETSKOPE_GONE_BASE_URL=http://"+gone, "NETSKOPE_GONE_API_TOKEN="+simToken, "NETSKOPE_GONE_START=1h", "NETSKOPE_GONE_STREAMS=page",
		"NETSKOPE_INTRUDER_BASE_URL="+serveLocal(t, simTenant(t, map[string]int{"events/page": 40}, "*")), "NETSKOPE_INTRUDER_API_TOKEN=wrong-t0ken", "NETSKOPE_INTRUDER_START=1h", "NETSKOPE_INTRUDER_STREAMS=page",
	)
	c := startCollector(t, vars...)
	want := map[string]struct {
		state     ingest.Word // once it goes on
		why, hint string
	}{
		"acme.events.page":        {ingest.Blocked, "HTML", "check the base URL and the proxy"},
		"acme.events.application": {ingest.Blocked, "unexpected EOF", "asked for again"},
		"acme.events.audit":       {ingest.Blocked, "parse JSON at byte 0", "asked for again"},
		"acme.events.network":     {ingest.Blocked, "your licence does not cover this", "licence"},
		"acme.alerts.dlp":         {ingest.Blocked, "503 Service Unavailable", ""},
		"gone.events.page":        {ingest.Unreachable, "connection refused", "Check the base URL, DNS, the proxy and the firewall"},
		"intruder.events.page":    {ingest.NotAuthenticated, "401 Unauthorized", "API token"},
	}
	all := c.awaitLanes(t, func(all map[string]laneState) bool {
		for lane, w := range want {
			if all[lane].State != w.state {
				return false
			}
		}
		return true
	})
	for lane, w := range want {
		if l := all[lane]; !strings.Contains(l.Why, w.why) || !strings.Contains(l.Hint, w.hint) || l.Stored != 0 || strings.ContainsAny(l.Why, "\n<") {
			t.Errorf("%s: %s", lane, l.Sentence())
		}
	}
	front.mended.Store(true)
	c.awaitLanes(t, holds(map[string]uint64{
		"acme.events.page": 700, "acme.events.application": 300, "acme.events.audit": 200, "acme.events.network": 100, "acme.alerts.dlp": 50,
	}))
	if code := c.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	if text := c.log.String(); strings.Contains(text, simToken) || strings.Contains(text, "wrong-t0ken") {
		t.Error("a token stands in the log")
	}

	// What was misconfigured is mended by the next start, and nothing of it is
	// missing.
	back := serveLocal(t, simTenant(t, map[string]int{"events/page": 30}, "*"))
	for i, v := range vars {
		vars[i] = strings.Replace(strings.Replace(v, "wrong-t0ken", simToken, 1), "http://"+gone, back, 1)
	}
	c = startCollector(t, vars...)
	c.awaitLanes(t, holds(map[string]uint64{"gone.events.page": 30, "intruder.events.page": 40}))
	ids := artifactIDs(t, 1350+70)
	if len(ids) != 1350+70 {
		t.Errorf("%d artifacts, want %d", len(ids), 1350+70)
	}
}

func TestEventThatIsNoObjectIsSetAside(t *testing.T) {
	tenant := simTenant(t, map[string]int{"events/page": 100}, "*")
	for i, raw := range []string{`7`, `"x"`, `[]`} {
		tenant.Add("events/page", time.Now().Add(-9*time.Minute+time.Duration(i)*time.Second), []byte(raw))
	}
	c := startCollector(t, collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1s")...)
	all := c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].DeadLettered == 3 })
	if l := all["acme.events.page"]; l.Stored != 100 || !l.State.Well() {
		t.Errorf("%+v, want 100 stored and the lane well", l)
	}
	if text := c.log.String(); strings.Count(text, "event went to the dead letters") != 3 || !strings.Contains(text, "not a JSON object") {
		t.Error("the log does not say what went to the dead letters and why")
	}
	if code := c.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestFullBrokerMakesTheLaneWaitAndLosesNothing(t *testing.T) {
	tenant := simTenant(t, map[string]int{"events/page": 2500}, "*")
	vars := collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1s", "NATS_MAX_BYTES=3MiB")
	c := startCollector(t, vars...)
	all := c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].State == ingest.BrokerFull })
	l := all["acme.events.page"]
	if !strings.Contains(l.Hint, "NATS_MAX_BYTES") || !strings.Contains(l.Hint, "nothing is lost") || l.Stored >= 2500 {
		t.Errorf("%s, %d stored", l.Sentence(), l.Stored)
	}
	if code := c.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}

	// What the hint advises helps.
	c = startCollector(t, append(vars, "NATS_MAX_BYTES=64MiB")...)
	c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].State == ingest.CaughtUp })
	if ids := artifactIDs(t, 2500); len(ids) != 2500 {
		t.Errorf("%d artifacts, want 2500", len(ids))
	}
	if code := c.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestStreamThatShrinksKeepsWhatItHolds(t *testing.T) {
	tenant := simTenant(t, map[string]int{"events/page": 1000}, "*")
	vars := collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1s")
	c := startCollector(t, vars...)
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": 1000}))
	c.stop()
	c = startCollector(t, append(vars, "NATS_MAX_BYTES=1MiB")...)
	c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].State == ingest.BrokerFull })
	if ids := artifactIDs(t, 1000); len(ids) != 1000 {
		t.Errorf("%d artifacts, want 1000", len(ids))
	}
}

func TestSecondProcessOnOneDirectoryEndsAtOnce(t *testing.T) {
	tenant := simTenant(t, map[string]int{"events/page": 50}, "*")
	vars := collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1s")
	c := startCollector(t, vars...)
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": 50}))
	code, _, said := call(t, "run")
	want := fmt.Sprintf("skopeflow: another skopeflow (process %d) uses DATA_DIR %s: stop it, or set another DATA_DIR\n", os.Getpid(), os.Getenv("DATA_DIR"))
	if code != exitFailed || !strings.HasSuffix(said, want) {
		t.Errorf("exit code %d, said %q, want %q", code, said, want)
	}
	if err := tenant.Feed("events/page", 20, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": 70})) // the first one goes on
}

func TestAddressThatIsTakenIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, variable := range []string{"NATS_LISTEN", "HTTP_ADDR", "PROBE_ADDR"} {
		setEnv(t, append(collectorEnv(t, acme...), variable+"="+l.Addr().String())...)
		code, _, said := call(t, "run")
		if code != exitFailed || !strings.Contains(said, "skopeflow: "+variable+": "+l.Addr().String()+" cannot be listened on") || !strings.Contains(said, "set another address") {
			t.Errorf("%s: exit code %d, said %q", variable, code, said)
		}
	}
}

func TestDirectoryThatCannotBeMadeIsSaid(t *testing.T) {
	file := writeFile(t, "in the way", 0o600)
	setEnv(t, append(acme, "DATA_DIR="+filepath.Join(file, "data"), "NATS_LISTEN=none", "HTTP_ADDR=127.0.0.1:0")...)
	code, _, said := call(t, "run")
	if code != exitFailed || !strings.Contains(said, "skopeflow: make DATA_DIR: ") {
		t.Errorf("exit code %d, said %q", code, said)
	}
}

func TestBrokerThatDoesNotAnswerIsSaid(t *testing.T) {
	setEnv(t, append(acme, "NATS_URL=nats://"+closedPort(t), "HTTP_ADDR=127.0.0.1:0")...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said lockedBuffer
	if code := exitCode(run(ctx, []string{"run"}, &said, &said), &said); code != exitFailed || !strings.Contains(said.String(), "connect to NATS_URL: ") || !strings.Contains(said.String(), "check that the server runs") {
		t.Errorf("exit code %d, said %q", code, said.String())
	}
}
