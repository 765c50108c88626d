package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/schema"
)

func TestCommandsOfARunningCollector(t *testing.T) {
	tenant := simTenant(t, map[string]int{"events/page": 60, "alerts/dlp": 40}, "*")
	c := startCollector(t, collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page,alerts/dlp", "NETSKOPE_POLL_INTERVAL=1s")...)
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": 60, "acme.alerts.dlp": 40}))

	t.Run("tail prints artifacts as JSON lines in a pipe", func(t *testing.T) {
		if ids := artifactIDs(t, 100); len(ids) != 100 {
			t.Errorf("%d artifacts, want 100", len(ids))
		}
	})
	t.Run("tail prints a line for a person", func(t *testing.T) {
		code, out, _ := call(t, "tail", "-all", "-n", "3", "-o", "table")
		if code != exitOK || strings.Count(out, "\n") != 3 || strings.Contains(out, "{") {
			t.Errorf("exit %d, %q", code, out)
		}
	})
	t.Run("tail takes a subject", func(t *testing.T) {
		code, out, _ := call(t, "tail", "-all", "-n", "40", "-subject", "artifacts.*.netskope.alert.>")
		if code != exitOK || strings.Count(out, `"dataset":"alert"`) != 40 {
			t.Errorf("exit %d, %d alerts of 40", code, strings.Count(out, `"dataset":"alert"`))
		}
	})
	t.Run("status has a JSON line for each lane", func(t *testing.T) {
		code, out, _ := call(t, "status")
		if code != exitOK || strings.Count(out, "\n") != 2 {
			t.Fatalf("exit %d, %q", code, out)
		}
		for line := range strings.Lines(out) {
			var l struct {
				Lane, State, Mode string
				HWM               string `json:"high_water_mark"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.State == "" || l.Mode != "dataexport" || l.HWM == "" {
				t.Errorf("%q: %+v, %v", line, l, err)
			}
		}
	})
	t.Run("status has a table for a person", func(t *testing.T) {
		code, out, _ := call(t, "status", "-o", "table")
		if code != exitOK || !strings.HasPrefix(out, "LANE ") || !strings.Contains(out, "acme.alerts.dlp") {
			t.Errorf("exit %d, %q", code, out)
		}
	})
	t.Run("cursors list", func(t *testing.T) {
		code, out, _ := call(t, "cursors", "list")
		if code != exitOK || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"acme.events.page"`) {
			t.Errorf("exit %d, %q", code, out)
		}
		if code, out, _ := call(t, "cursors", "list", "-o", "table"); code != exitOK || !strings.HasPrefix(out, "LANE ") {
			t.Errorf("exit %d, %q", code, out)
		}
	})
	t.Run("cursors show", func(t *testing.T) {
		code, out, _ := call(t, "cursors", "show", "acme.events.page")
		var cursor struct {
			Lane     string
			Revision uint64
			Epoch    uint64
			Index    string
		}
		if err := json.Unmarshal([]byte(out), &cursor); code != exitOK || err != nil {
			t.Fatalf("exit %d, %q, %v", code, out, err)
		}
		if cursor.Lane != "acme.events.page" || cursor.Revision == 0 || cursor.Epoch != 1 || !strings.HasSuffix(cursor.Index, "-acme-events-page") {
			t.Errorf("%+v", cursor)
		}
	})
	t.Run("cursors show of no lane", func(t *testing.T) {
		code, _, said := call(t, "cursors", "show", "acme.events.pages")
		if code != exitNotFound || !strings.Contains(said, `"acme.events.pages": not found; skopeflow cursors list has the names`) {
			t.Errorf("exit %d, %q", code, said)
		}
	})
}

func TestCommandsSayWhenNothingRuns(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"status"}, {"tail"}, {"cursors", "list"}, {"cursors", "show", "acme.events.page"}} {
		setEnv(t, "DATA_DIR="+dir)
		code, _, said := call(t, args...)
		if code != exitFailed || !strings.Contains(said, "no skopeflow runs with DATA_DIR "+dir+"; start one with skopeflow run") {
			t.Errorf("%s: exit %d, %q", args[0], code, said)
		}
	}
}

func TestExplainShowsWhatBecomesOfAnEvent(t *testing.T) {
	setEnv(t)
	file := filepath.Join(t.TempDir(), "event.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"_id":"5182808a2a99fc688d4a8057","timestamp":1768478400,"alert_type":"DLP","user":"jane@acme.example","x_new":"kept"}`)
	code, out, _ := call(t, "explain", "alerts/dlp", file)
	var a map[string]any
	if err := json.Unmarshal([]byte(out), &a); code != exitOK || err != nil {
		t.Fatalf("exit %d, %q, %v", code, out, err)
	}
	if a["id"] != "77a0f8e9-8b21-5abf-a57c-dee87c72828e" || a["dataset"] != "alert" || a["subtype"] != "dlp" {
		t.Errorf("artifact %v", a)
	}
	code, out, _ = call(t, "explain", "-o", "table", "alerts/dlp", file)
	if code != exitOK || !strings.HasPrefix(out, "NETSKOPE ") || !strings.Contains(out, "subject artifacts.acme.netskope.alert.dlp") {
		t.Errorf("exit %d, %q", code, out)
	}
	row := ""
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "x_new ") {
			row = line
		}
	}
	if !strings.Contains(row, "unmapped") {
		t.Errorf("the key that no table knows is shown as %q", row)
	}
	if code, _, _ = call(t, "explain", "-tenant", "globex.goskope.com", "alerts/dlp", file); code != exitOK {
		t.Errorf("exit %d", code)
	}
	for text, want := range map[string]string{`[]`: "not a JSON object", `{"a":`: "map event", "  ": "the input is empty"} {
		write(text)
		if code, _, said := call(t, "explain", "page", file); code != exitFailed || !strings.Contains(said, want) {
			t.Errorf("%q: exit %d, %q", text, code, said)
		}
	}
	if code, _, said := call(t, "explain", "page", file+"x"); code != exitFailed || !strings.Contains(said, "read event: open ") {
		t.Errorf("exit %d, %q", code, said)
	}
}

func TestSchemaAndVersionArePrinted(t *testing.T) {
	setEnv(t)
	if code, out, _ := call(t, "schema"); code != exitOK || out != string(schema.JSON) {
		t.Errorf("schema: exit %d, %d bytes", code, len(out))
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, out, _ := call(t, args...); code != exitOK || !strings.HasPrefix(out, "skopeflow ") || !strings.Contains(out, "schema "+schema.Version) {
			t.Errorf("%v: exit %d, %q", args, code, out)
		}
	}
	if code, out, _ := call(t, "help"); code != exitOK || !strings.Contains(out, "Exit codes: 0 ok, 1 failed, 2 misuse") {
		t.Errorf("help: exit %d, %q", code, out)
	}
	if code, _, said := call(t, "status", "-h"); code != exitOK || !strings.Contains(said, "-o") {
		t.Errorf("status -h: exit %d, %q", code, said)
	}
}

func TestCheckSaysALineForEachFactAndTheWorstIsTheExitCode(t *testing.T) {
	granted := serveLocal(t, simTenant(t, nil, "*"))
	partly := serveLocal(t, simTenant(t, nil, "events/dataexport/events/page"))
	byData := serveLocal(t, simTenant(t, nil, "events/data/*"))
	for _, c := range []struct {
		name, base, token string
		vars              []string
		code              int
		says              []string
	}{
		{"all granted", granted, simToken, nil, exitOK, []string{"ok    acme events/page", "granted, read by dataexport", "All is well"}},
		{"by the query API", byData, simToken, nil, exitOK, []string{"granted, read by data, since dataexport is refused", "All is well"}},
		{"wrong token", granted, "wr0ng", nil, exitNotAuthenticated, []string{"no    acme events/page", "401 Unauthorized", "set it as this instance's API token"}},
		{"a grant is missing", partly, simToken, nil, exitNotAllowed, []string{"ok    acme events/page", "no    acme events/audit", "scope /api/v2/events/dataexport/events/audit (Read)", `"Audit Log"`}},
		{"a named mode that is not granted", partly, simToken, []string{"NETSKOPE_MODE=data"}, exitNotAllowed, []string{"no    acme events/page", "scope /api/v2/events/data/page (Read)"}},
		{"a feed the tenant lacks", serveLocal(t, netskopesim.New(netskopesim.Config{Streams: []string{"events/page"}, Tokens: map[string]netskopesim.Token{simToken: {}}})), simToken, []string{"NETSKOPE_STREAMS=incident"}, exitNotFound, []string{"404 Not Found", "NETSKOPE_STREAMS"}},
		{"unreachable", "http://" + closedPort(t), simToken, []string{"NETSKOPE_STREAMS=page"}, exitFailed, []string{"connection refused", "Check the base URL"}},
		{"HTML", serveLocal(t, says(200, "text/html", "<html>Sign in</html>")), simToken, []string{"NETSKOPE_STREAMS=page"}, exitFailed, []string{"A proxy or a login page answered"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setEnv(t, append(collectorEnv(t, "NETSKOPE_BASE_URL="+c.base, "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+c.token), c.vars...)...)
			code, out, said := call(t, "check")
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, said)
			}
			for _, want := range c.says {
				if !strings.Contains(out, want) {
					t.Errorf("said\n%swant %q", out, want)
				}
			}
			if strings.Contains(out+said, c.token) {
				t.Errorf("said the token: %s%s", out, said)
			}
			if c.code != exitOK && !strings.Contains(said, "checks say no: ") {
				t.Errorf("ended with %q", said)
			}
		})
	}
}

func TestEventsAreBelievedAsFarBackAsTheirInstanceBegins(t *testing.T) {
	cfg := mustLoad(t, "NETSKOPE_INSTANCES=far,near", "NETSKOPE_FAR_BASE_URL=acme", "NETSKOPE_FAR_API_TOKEN=t0ken", "NETSKOPE_FAR_START=80d",
		"NETSKOPE_NEAR_BASE_URL=globex", "NETSKOPE_NEAR_API_TOKEN=t0ken")
	const day = 24 * time.Hour
	if got := lateness(cfg, time.Now()); got["far"] != 110*day || got["near"] != 30*day {
		t.Errorf("lateness %v, want 110 days and 30 days", got)
	}
}
