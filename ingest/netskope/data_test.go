package netskope

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

func TestWindowIsPagedThroughWithBothEndsIncluded(t *testing.T) {
	sim := tenant(netskopesim.Config{RateLimit: -1}, "events/data/*")
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	to := from.Add(20 * time.Minute)
	add := func(n int, at time.Time) {
		sim.Add("events/page", at, fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"n":%d}`, n, at.Unix(), n))
	}
	add(-1, from.Add(-time.Second))
	add(0, from)
	for n := 1; n < 11999; n++ {
		add(n, from.Add(time.Duration(n)*100*time.Millisecond))
	}
	add(11999, to)
	add(12000, to.Add(time.Second))
	events, a, err := fetch(t.Context(), client(serve(t, sim)).Data("events/page"), ingest.Request{Op: ingest.OpWindow, From: from, To: to})
	if err != nil || a.Server.IsZero() || a.Bytes == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	seen := make(map[int]int)
	for _, e := range events {
		var row struct{ N int }
		if err := json.Unmarshal([]byte(e), &row); err != nil {
			t.Fatal(err)
		}
		seen[row.N]++
	}
	for n := range 12000 {
		if seen[n] != 1 {
			t.Fatalf("row %d came %d times", n, seen[n])
		}
	}
	if len(events) != 12000 {
		t.Errorf("%d rows, want 12000: those outside of the window are not asked for", len(events))
	}
	if calls := sim.Ledger(); len(calls) != 3 || calls[0].Count != 10000 || calls[1].Count != 2000 {
		t.Errorf("%d calls, want one of 10000 rows, one of 2000 and an empty one", len(calls))
	}
}

func TestAlertStreamIsTheAlertFeedByType(t *testing.T) {
	for stream, want := range map[string]string{"alerts/dlp": "DLP", "alerts/compromisedcredential": "Compromised Credential", "alerts/uba": "uba", "events/alert": ""} {
		var got *http.Request
		base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			_, _ = w.Write([]byte(`{"ok":1,"result":[]}`))
		}))
		at := time.Unix(1768478400, 0)
		if _, _, err := fetch(t.Context(), client(base).Data(stream), ingest.Request{Op: ingest.OpWindow, From: at, To: at.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		q := got.URL.Query()
		if got.URL.Path != "/api/v2/events/data/alert" || q.Get("type") != want || q.Get("insertionstarttime") != "1768478400" || q.Get("insertionendtime") != "1768478460" || q.Get("offset") != "0" {
			t.Errorf("%s: asked for %s", stream, got.URL)
		}
	}
}

func TestStreamThatTheQueryAPILacksIsMissing(t *testing.T) {
	_, _, err := fetch(t.Context(), client("http://127.0.0.1:1").Data("events/incident"), ingest.Request{Op: ingest.OpWindow})
	if f := faultOf(t, err); f.Kind != ingest.Missing || !strings.Contains(f.Hint, "dataexport") {
		t.Errorf("%s: %v. %s", f.Kind, f, f.Hint)
	}
}

func TestAutoTakesTheFirstWayThatIsGranted(t *testing.T) {
	for _, c := range []struct {
		name, stream, mode, kept string
		grants                   []string
		want                     string
		refused                  ingest.Kind
		calls                    int
	}{
		{"both", "events/page", Auto, "", []string{"*"}, ModeExport, "", 1},
		{"the query API only", "events/page", Auto, "", []string{"events/data/*"}, ModeData, "", 1},
		{"the query API only, by type", "alerts/dlp", Auto, "", []string{"events/data/*"}, ModeData, "", 1},
		{"neither", "events/page", Auto, "", nil, "", ingest.Forbidden, 0},
		{"no query API has it", "events/incident", Auto, "", []string{"events/data/*"}, "", ingest.Forbidden, 0},
		{"kept by the cursor, though refused now", "events/page", Auto, ModeExport, nil, ModeExport, "", 0},
		{"named", "events/page", ModeData, "", nil, ModeData, "", 0},
		{"named otherwise than kept", "events/page", ModeData, ModeExport, nil, ModeData, "", 0},
	} {
		sim := tenant(netskopesim.Config{}, c.grants...)
		way, err := client(serve(t, sim)).Open(t.Context(), c.stream, "skopeflow-x", c.mode, c.kept)
		if c.refused != "" {
			if f := faultOf(t, err); f.Kind != c.refused || !strings.Contains(f.Hint, "/api/v2/events/dataexport/"+c.stream) {
				t.Errorf("%s: %s: %v. %s", c.name, f.Kind, f, f.Hint)
			}
			continue
		}
		if err != nil || way.Mode != c.want || way.Source == nil || way.Windows != (c.want == ModeData) || (way.Index != "") != (c.want == ModeExport) {
			t.Errorf("%s: %+v, %v, want mode %s", c.name, way, err, c.want)
		}
		for _, call := range sim.Ledger() {
			if call.Index == "skopeflow-x" {
				t.Errorf("%s: the probe moved the index in use", c.name)
			}
		}
		if n := len(sim.Ledger()); n != c.calls {
			t.Errorf("%s: %d calls that were answered, want %d", c.name, n, c.calls)
		}
	}
}

func TestAutoDoesNotTakeATenantThatIsAwayForOneThatRefuses(t *testing.T) {
	sim := tenant(netskopesim.Config{}, "*")
	sim.Inject(netskopesim.Match{Endpoint: "events/page"}, netskopesim.Status(503, ""))
	_, err := client(serve(t, sim)).Open(t.Context(), "events/page", "i", Auto, "")
	if f := faultOf(t, err); f.Kind != ingest.Invalid {
		t.Errorf("%s: %v", f.Kind, f)
	}
	if n := len(sim.Ledger()); n != 0 {
		t.Errorf("%d calls went to the query API", n)
	}
}
