package main

import (
	"strings"
	"testing"
)

// startBehind starts a collector that begins 12 minutes ago, at a tenant that holds 100 events of the ten minutes that end
// ten minutes ago.
func startBehind(t *testing.T) *collector {
	t.Helper()
	tenant := simTenant(t, map[string]int{"events/page": 100}, "*")
	c := startCollector(t, collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=15m", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1s")...)
	c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].Stored >= 49 })
	return c
}

func TestBackfillStoresWhatIsMissingOnceAndMarksIt(t *testing.T) {
	c := startBehind(t)
	live := c.awaitLanes(t, func(map[string]laneState) bool { return true })["acme.events.page"].Stored
	code, out, said := call(t, "backfill", "-stream", "page", "-from", "30m")
	if code != exitOK || !strings.Contains(out, "that were missing") {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	replayed := 0
	for _, msg := range storedMessages(t, 100) {
		if msg.Headers().Get("replay") == "true" {
			replayed++
		}
	}
	if replayed == 0 || replayed+int(live) != 100 {
		t.Errorf("%d live and %d replayed of 100", live, replayed)
	}
	if code, out, said := call(t, "backfill", "-stream", "page", "-from", "30m"); code != exitOK || !strings.Contains(out, "stored 0 that were missing, 100 were there") {
		t.Errorf("again: exit %d, %s%s", code, out, said)
	}
	for id, copies := range artifactIDs(t, 100) {
		if copies != 1 {
			t.Errorf("%s is stored %d times", id, copies)
		}
	}
}

func TestBackfillSaysWhatItLacks(t *testing.T) {
	startBehind(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "does not collect"},
		{[]string{"-stream", "page"}, "say -from"},
		{[]string{"-stream", "network", "-from", "1h"}, "it collects: events/page"},
		{[]string{"-stream", "page", "-from", "1m"}, "is empty"},
		{[]string{"-stream", "page", "-from", "soon"}, "say -from"},
		{[]string{"-instance", "acne", "-stream", "page", "-from", "1h"}, "there are: acme"},
	} {
		if code, _, said := call(t, append([]string{"backfill"}, c.args...)...); code != exitMisuse || !strings.Contains(said, c.want) {
			t.Errorf("backfill %q: exit %d, %s, want %q", c.args, code, said, c.want)
		}
	}
}

func TestRewoundLaneFillsGapsAndReplaysWhenAsked(t *testing.T) {
	c := startBehind(t)
	if code, _, said := call(t, "cursors", "rewind", "-to", "30m", "-confirm", "acme.events.pages", "acme.events.page"); code != exitMisuse || !strings.Contains(said, "nothing was changed") {
		t.Errorf("a wrong name: exit %d, %s", code, said)
	}
	if code, out, said := call(t, "cursors", "rewind", "-to", "30m", "-confirm", "acme.events.page", "acme.events.page"); code != exitOK || !strings.Contains(out, "begins again") {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].Stored == 100 })
	for id, copies := range artifactIDs(t, 100) {
		if copies != 1 {
			t.Errorf("%s is stored %d times after a rewind that fills gaps", id, copies)
		}
	}
	if code, out, _ := call(t, "cursors", "history", "acme.events.page"); code != exitOK || !strings.Contains(out, `"owner":"rewind by `) {
		t.Errorf("the history does not tell who rewound it: %s", out)
	}

	if code, out, said := call(t, "cursors", "rewind", "-replay", "-to", "30m", "-confirm", "acme.events.page", "acme.events.page"); code != exitOK {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	c.awaitLanes(t, func(all map[string]laneState) bool { return all["acme.events.page"].Stored == 200 })
	twice := artifactIDs(t, 200)
	if len(twice) != 100 {
		t.Errorf("%d ids after a replay, want the same 100", len(twice))
	}
}
