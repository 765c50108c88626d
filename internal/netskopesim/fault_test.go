package netskopesim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// path of the iterator that the faults strike.
const pagePath = "events/dataexport/events/page?index=i&operation="

func TestFaultsSpoilAnAnswerAndMoveTheIndexOrNot(t *testing.T) {
	broken := func(a answer) bool { return a.err != nil }
	status := func(code int, body string) func(answer) bool {
		return func(a answer) bool {
			return a.err == nil && a.status == code && bytes.Contains(a.body, []byte(body))
		}
	}
	tests := []struct {
		name  string
		fault Fault
		moves bool
		seen  func(answer) bool
	}{
		{"throttle", Throttle(7), false, func(a answer) bool {
			return a.status == 429 && a.header.Get("Retry-After") == "7" && a.header.Get("RateLimit-Remaining") == "0"
		}},
		{"status", Status(503, "busy"), false, status(503, "busy")},
		{"token expired", TokenExpired, false, status(401, "Unauthorized")},
		{"html", HTML, false, func(a answer) bool { return a.status == 502 && a.header.Get("Content-Type") == "text/html" }},
		{"empty", Empty, false, func(a answer) bool { return a.status == 200 && a.err == nil && len(a.body) == 0 }},
		{"no content", NoContent204, false, func(a answer) bool { return a.status == 204 && len(a.body) == 0 }},
		{"not ok", NotOK("no disk"), false, status(200, `{"ok":0,"result":"no disk"}`)},
		{"reset", Reset, false, func(a answer) bool { return a.err != nil && a.status == 0 }},
		{"reply lost", LoseReply, true, func(a answer) bool { return a.err != nil && a.status == 0 }},
		{"cut at once", CutBody(0), true, func(a answer) bool { return a.err != nil && a.status == 200 && len(a.body) == 0 }},
		{"cut later", CutBody(100), true, func(a answer) bool { return a.err != nil && a.status == 200 }},
		{"truncated", Truncate, true, func(a answer) bool {
			return a.err == nil && a.status == 200 && len(a.body) > 1000 && !json.Valid(a.body)
		}},
		{"broken gzip", BrokenGzip, true, broken},
		{"wrong content type", WrongContentType, true, func(a answer) bool {
			return a.header.Get("Content-Type") == "text/html" && json.Valid(a.body)
		}},
		{"no wait time", NoWaitTime, true, func(a answer) bool {
			return json.Valid(a.body) && !bytes.Contains(a.body, []byte("wait_time")) && bytes.Contains(a.body, []byte("timestamp_hwm"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant := tenantWith(t, Config{PageSize: 10, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 100, epoch, epoch.Add(time.Minute))
			stored := slices.Collect(tenant.Stored("events/page"))
			iterate(t, tenant, "events/page", at(0))
			tenant.Inject(Match{Operation: "next"}, tt.fault)
			if got := ask(t, tenant, pagePath+"next"); !tt.seen(got) {
				t.Errorf("answer is %d %v %.200s, %v", got.status, got.header, got.body, got.err)
			}
			last, next := 0, 10
			if tt.moves {
				last, next = 10, 20
			}
			if p := iterate(t, tenant, "events/page", "resend"); p.Result[0].ID != stored[last].ID || len(p.Result) != 10 {
				t.Errorf("resend begins with %v, want record %d", p.Result[0], last)
			}
			if p := iterate(t, tenant, "events/page", "next"); p.Result[0].ID != stored[next].ID {
				t.Errorf("next begins with %v, want record %d", p.Result[0], next)
			}
			if tt.moves {
				whole := tt.name == "wrong content type" || tt.name == "no wait time"
				if call := tenant.Ledger()[1]; call.Operation != "next" || call.Complete != whole {
					t.Errorf("the ledger has %+v", call)
				}
			}
		})
	}
}

func TestCutIsSeenOverASocket(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 200, epoch, epoch.Add(time.Minute))
	server := httptest.NewServer(tenant)
	defer server.Close()
	tenant.Inject(Match{}, CutBody(5000))
	r, err := http.NewRequest(http.MethodGet, server.URL+"/api/v2/"+pagePath+at(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Netskope-Api-Token", DemoToken)
	r.Header.Set("Accept-Encoding", "identity")
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 5000 {
		t.Errorf("read %d bytes, %v", len(body), err)
	}
	if p := iterate(t, tenant, "events/page", "resend"); len(p.Result) != 200 {
		t.Errorf("resend has %d records", len(p.Result))
	}
}

func TestBrokenGzipIsGzipInNameOnly(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 5, epoch, epoch.Add(time.Minute))
	for _, encoding := range []string{"gzip", "identity"} {
		tenant.Inject(Match{}, BrokenGzip)
		got := ask(t, tenant, pagePath+at(0), "Accept-Encoding", encoding)
		if got.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: headers are %v", encoding, got.header)
		}
		gz, err := gzip.NewReader(bytes.NewReader(got.body))
		if err == nil {
			_, err = io.Copy(io.Discard, gz)
		}
		if err == nil {
			t.Errorf("%s: the body can be decoded", encoding)
		}
	}
}

func TestFaultsStrikeWhatTheyMatch(t *testing.T) {
	tenant := New(Config{RateLimit: -1})
	tenant.Inject(Match{Endpoint: "alerts/*", After: 1, Times: 2}, Status(500, ""))
	tenant.Inject(Match{Endpoint: "events/audit", Index: "x", Times: -1}, Status(501, ""))
	tenant.Inject(Match{Endpoint: "events/data/page"}, Status(502, ""))
	for i, tt := range []struct {
		path string
		want int
	}{
		{"dataexport/alerts/dlp?operation=next&index=i", 200},
		{"dataexport/events/page?operation=next&index=i", 200},
		{"dataexport/alerts/uba?operation=next&index=i", 500},
		{"dataexport/alerts/dlp/?operation=next&index=i", 500},
		{"dataexport/alerts/dlp?operation=next&index=i", 200},
		{"dataexport/events/audit?operation=next&index=i", 200},
		{"dataexport/events/audit?operation=next&index=x", 501},
		{"dataexport/events/audit?operation=resend&index=x", 501},
		{"data/page?limit=1", 502},
		{"data/page?limit=1", 200},
	} {
		if got := ask(t, tenant, "events/"+tt.path).status; got != tt.want {
			t.Errorf("request %d, %s, answers %d, want %d", i, tt.path, got, tt.want)
		}
	}
}

func TestLostIndexStartsAfresh(t *testing.T) {
	now := epoch.Add(3 * time.Hour)
	tenant := tenantWith(t, Config{PageSize: 10, Clock: clockAt(now).now}, "events/page", 300, epoch, now)
	iterate(t, tenant, "events/page", at(0))
	tenant.Inject(Match{}, tenant.LoseIndex)
	p := iterate(t, tenant, "events/page", "next")
	if want := slices.Collect(tenant.Stored("events/page"))[200].ID; p.Result[0].ID != want {
		t.Errorf("next begins with %s, want %s of an hour ago", p.Result[0].ID, want)
	}
}

func TestHungRequestEndsWithItsClient(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Fault
		moved int
	}{"before": {HangBefore, 0}, "after": {HangAfter, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tenant := New(Config{})
				tenant.Inject(Match{}, tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sim/api/v2/"+pagePath+"next", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Netskope-Api-Token", DemoToken)
				begin := time.Now()
				if _, err := tenant.Client().Do(r); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the request ends with %v", err)
				}
				if took := time.Since(begin); took != time.Minute {
					t.Errorf("it took %v", took)
				}
				if n := len(tenant.Ledger()); n != tt.moved {
					t.Errorf("the ledger has %d calls, want %d", n, tt.moved)
				}
			})
		})
	}
}

func TestSlowBodyTakesItsTimeAndEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := New(Config{RateLimit: -1})
		tenant.Add("events/page", time.Now(), bytes.Repeat([]byte("x"), 10<<10))
		tenant.Inject(Match{Times: 2}, SlowBody(time.Second))
		begin := time.Now()
		got := ask(t, tenant, pagePath+"next", "Accept-Encoding", "identity")
		if took := time.Since(begin); took != 11*time.Second || got.err != nil || len(got.body) < 10<<10 {
			t.Errorf("%d bytes took %v, %v", len(got.body), took, got.err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sim/api/v2/"+pagePath+"resend", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Netskope-Api-Token", DemoToken)
		r.Header.Set("Accept-Encoding", "identity")
		response, err := tenant.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if len(body) != 3<<10 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read %d bytes, %v", len(body), err)
		}
		synctest.Wait()
		if calls := tenant.Ledger(); !calls[0].Complete || calls[1].Complete {
			t.Errorf("the ledger has %+v", calls)
		}
	})
}

func TestRandomFaultsAreTheSameForOneSeed(t *testing.T) {
	run := func(seed uint64, rate float64) (string, int) {
		tenant := New(Config{RateLimit: -1})
		tenant.InjectRandom(RandomFaults{Seed: seed, Rate: rate})
		trace, struck := "", 0
		for range 200 {
			a := ask(t, tenant, pagePath+"next")
			trace += http.StatusText(a.status) + "," + http.StatusText(len(a.body)%7+200) + ";"
			if a.status != 200 || a.err != nil {
				struck++
			}
		}
		return trace, struck
	}
	a, struck := run(1, 0.3)
	if again, _ := run(1, 0.3); again != a {
		t.Error("two runs of one seed differ")
	}
	if other, _ := run(2, 0.3); other == a {
		t.Error("another seed has the same faults")
	}
	if struck < 30 || struck > 80 {
		t.Errorf("%d of 200 requests went wrong at a rate of 0.3", struck)
	}
	if _, struck := run(1, 0); struck != 0 {
		t.Errorf("%d requests went wrong at a rate of 0", struck)
	}
}

// TestReaderWhoResendsAfterFaultsMissesNothing is what the simulator is for: a reader that
// asks for a resend after whatever went wrong reads every record.
func TestReaderWhoResendsAfterFaultsMissesNothing(t *testing.T) {
	tenant := tenantWith(t, Config{PageSize: 20, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 1000, epoch, epoch.Add(time.Minute))
	iterate(t, tenant, "events/page", at(0))
	tenant.InjectRandom(RandomFaults{Seed: 5, Rate: 0.5})
	got := map[string]bool{}
	operation := "resend"
	for range 1000 {
		a := ask(t, tenant, pagePath+operation)
		var p export
		if a.err != nil || a.status != 200 || json.Unmarshal(a.body, &p) != nil || p.OK != 1 {
			operation = "resend"
			continue
		}
		for _, r := range p.Result {
			got[r.ID] = true
		}
		if len(p.Result) == 0 {
			break
		}
		operation = "next"
	}
	if len(got) != 1000 || tenant.counts.faults.Load() < 20 {
		t.Errorf("read %d of 1000 records through %d faults", len(got), tenant.counts.faults.Load())
	}
}
