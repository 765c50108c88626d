package netskope

import (
	"fmt"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

// feed gives a tenant n records, stored within the last minutes.
func feed(t *testing.T, sim *netskopesim.Tenant, stream string, n int) {
	t.Helper()
	now := time.Now()
	if err := sim.Feed(stream, n, now.Add(-20*time.Minute), now.Add(-10*time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestPauseIsWhatThePageSaysWithinBounds(t *testing.T) {
	for _, c := range []struct {
		member string
		events bool
		want   time.Duration
	}{
		{``, false, emptyWait},
		{``, true, 0},
		{`,"wait_time":5`, false, 5 * time.Second},
		{`,"wait_time":5`, true, 5 * time.Second},
		{`,"wait_time":"30"`, false, 30 * time.Second},
		{`,"wait_time":"30"`, true, 30 * time.Second},
		{`,"wait_time":1.5`, true, 1500 * time.Millisecond},
		{`,"wait_time":0`, false, time.Second},
		{`,"wait_time":0`, true, 0},
		{`,"wait_time":-7`, false, emptyWait},
		{`,"wait_time":-7`, true, 0},
		{`,"wait_time":null`, false, emptyWait},
		{`,"wait_time":"soon"`, true, 0},
		{`,"wait_time":1e9`, false, maxWait},
		{`,"wait_time":1e9`, true, maxWait},
		{`,"wait_time":1e300`, true, 0},
	} {
		result := ""
		if c.events {
			result = `{"n":1}`
		}
		_, a, err := next(t, serve(t, answers(200, nil, fmt.Sprintf(`{"ok":1,"result":[%s]%s}`, result, c.member))))
		if err != nil || a.Wait != c.want {
			t.Errorf("%q, events %v: wait %v, %v, want %v", c.member, c.events, a.Wait, err, c.want)
		}
	}
}

func TestHighWaterMarkIsInSeconds(t *testing.T) {
	at := time.Unix(1768478400, 0).UTC()
	for member, want := range map[string]time.Time{
		`"timestamp_hwm":1768478400`:   at,
		`"timestamp_hwm":"1768478400"`: at,
		`"timestamp_hwm":0`:            {},
		`"timestamp_hwm":null`:         {},
		`"timestamp_hwm":"x"`:          {},
		`"x":1`:                        {},
	} {
		_, a, err := next(t, serve(t, answers(200, nil, `{`+member+`,"ok":1,"result":[{}]}`)))
		if err != nil || !a.HWM.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", member, a.HWM, err, want)
		}
	}
}

func TestNoContentIsAnEmptyPage(t *testing.T) {
	events, a, err := next(t, serve(t, answers(204, nil, "")))
	if err != nil || len(events) != 0 || a.Wait != emptyWait {
		t.Errorf("%q, %+v, %v", events, a, err)
	}
}

func TestAnswerCarriesTheTenantsClock(t *testing.T) {
	_, a, err := next(t, serve(t, answers(200, map[string]string{"Date": "Thu, 15 Jan 2026 12:00:00 GMT"}, `{"ok":1,"result":[]}`)))
	if want := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC); err != nil || !a.Server.Equal(want) {
		t.Errorf("server %v, %v, want %v", a.Server, err, want)
	}
}

func TestOperationsAreThoseOfTheIterator(t *testing.T) {
	sim := tenant(netskopesim.Config{PageSize: 100, RateLimit: -1}, "*")
	feed(t, sim, "alerts/dlp", 250)
	source := client(serve(t, sim)).Export("alerts/dlp", "skopeflow-x")
	var pages [][]string
	for _, req := range []ingest.Request{
		{Op: ingest.OpStart, From: time.Now().Add(-30 * time.Minute)}, {Op: ingest.OpResend}, {Op: ingest.OpNext}, {Op: ingest.OpNext}, {Op: ingest.OpNext},
	} {
		events, a, err := fetch(t.Context(), source, req)
		if err != nil || len(events) > 0 && a.HWM.IsZero() || a.Bytes == 0 {
			t.Fatalf("%+v: %+v, %v", req, a, err)
		}
		pages = append(pages, events)
	}
	if len(pages[0]) != 100 || fmt.Sprint(pages[0]) != fmt.Sprint(pages[1]) || len(pages[2]) != 100 || len(pages[3]) != 50 || len(pages[4]) != 0 {
		t.Errorf("pages of %d, %d, %d, %d and %d events", len(pages[0]), len(pages[1]), len(pages[2]), len(pages[3]), len(pages[4]))
	}
	var operations []string
	for _, call := range sim.Ledger() {
		operations = append(operations, call.Operation+" "+call.Index)
	}
	if want := "[epoch skopeflow-x resend skopeflow-x next skopeflow-x next skopeflow-x next skopeflow-x]"; fmt.Sprint(operations) != want {
		t.Errorf("operations %v, want %s", operations, want)
	}
}
