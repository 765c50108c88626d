package netskopesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func rows(t testing.TB, tenant *Tenant, kind, query string) []row {
	t.Helper()
	return ask(t, tenant, "events/data/"+kind+"?"+query).page(t).Result
}

func TestInsertionWindowIncludesBothEnds(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		tenant := New(Config{RateLimit: -1, ExclusiveStart: exclusive, Clock: clockAt(epoch.Add(time.Minute)).now})
		for i := range 6 {
			tenant.Add("events/page", epoch.Add(time.Duration(i)*500*time.Millisecond), fmt.Appendf(nil, `{"_id":"%d"}`, i))
		}
		var got []string
		for _, r := range rows(t, tenant, "page", "insertionstarttime="+at(0)+"&insertionendtime="+at(time.Second)) {
			got = append(got, r.ID)
		}
		want := []string{"0", "1", "2", "3"}
		if exclusive {
			want = want[2:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("exclusive start %v: records are %v, want %v", exclusive, got, want)
		}
	}
}

func TestOffsetPagesTileTheWindow(t *testing.T) {
	for _, kind := range []string{"page", "alert"} {
		tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(2 * time.Minute)).now}, "events/"+kind, 5500, epoch, epoch.Add(time.Minute))
		window := "insertionstarttime=" + at(0) + "&insertionendtime=" + at(59*time.Second)
		seen := map[string]bool{}
		for offset := range 6 {
			page := rows(t, tenant, kind, fmt.Sprintf("%s&limit=1000&offset=%d", window, offset*1000))
			if want := min(1000, 5500-offset*1000); len(page) != want {
				t.Errorf("%s: offset %d has %d rows, want %d", kind, offset*1000, len(page), want)
			}
			for _, r := range page {
				seen[r.ID] = true
			}
		}
		if len(seen) != 5500 {
			t.Errorf("%s: the pages have %d different records", kind, len(seen))
		}
		if n := len(rows(t, tenant, kind, window+"&offset=9000")); n != 0 {
			t.Errorf("%s: behind the end there are %d rows", kind, n)
		}
		got := ask(t, tenant, "events/data/"+kind+"?"+window+"&fields="+url.QueryEscape("event_count:count(id)"))
		if string(got.body) != `{"ok":1,"result":[{"event_count":5500}]}` {
			t.Errorf("%s: count is %s", kind, got.body)
		}
	}
}

func TestLimitIsCapped(t *testing.T) {
	for kind, most := range map[string]int{"page": 10000, "audit": 5000, "infrastructure": 5000} {
		tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/"+kind, 10100, epoch, epoch.Add(time.Minute))
		for _, query := range []string{"limit=20000", ""} {
			body := ask(t, tenant, "events/data/"+kind+"?"+query).body
			if n := bytes.Count(body, []byte(`{"_id":"`)); n != most {
				t.Errorf("%s?%s has %d rows, want %d", kind, query, n, most)
			}
		}
	}
}

func TestRowsCarryTheirInsertionTimeAndNoCursor(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/application", 50, epoch, epoch.Add(time.Minute))
	got := ask(t, tenant, "events/data/application")
	p := got.page(t)
	if p.Wait != nil || p.HWM != nil || len(p.Result) != 50 {
		t.Errorf("answer is %.200s", got.body)
	}
	for i, r := range p.Result {
		if want := epoch.Add(time.Duration(i) * time.Minute / 50).Unix(); r.Inserted != want || r.Timestamp >= r.Inserted {
			t.Errorf("row %d is %+v, want insertion time %d", i, r, want)
		}
	}
	exported := iterate(t, tenant, "events/application", at(0))
	if bytes.Contains(exported.raw, []byte(`"_insertion`)) || exported.Result[7].ID != p.Result[7].ID {
		t.Errorf("dataexport has %.300s", exported.raw)
	}
}

func TestEventTimeWindow(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch.Add(time.Hour)).now})
	for i := range 5 {
		tenant.Add("events/audit", epoch.Add(time.Duration(5-i)*time.Minute), fmt.Appendf(nil, `{"_id":"%d","timestamp":%d}`, i, epoch.Unix()+int64(i)))
	}
	var got []string
	for _, r := range rows(t, tenant, "audit", "starttime="+at(time.Second)+"&endtime="+at(3*time.Second)) {
		got = append(got, r.ID)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("records are %v, want those after second 1 up to second 3", got)
	}
	if n := len(rows(t, tenant, "audit", "starttime="+at(time.Hour)+"&insertionstarttime="+at(0))); n != 5 {
		t.Errorf("with both windows there are %d rows, want those of the insertion window", n)
	}
}

func TestQueriesAndTypesSelectRows(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch).now})
	for _, raw := range []string{
		`{"_id":"1","alert_type":"DLP","app":"Dropbox","severity":"high","n":9,"s":{"t":"x y"}}`,
		`{"_id":"2","alert_type":"dlp","app":"Box","severity":"High","n":10}`,
		`{"_id":"3","alert_type":"uba","app":"Slack","n":11}`,
	} {
		tenant.Add("alerts/dlp", epoch.Add(-time.Minute), []byte(raw))
	}
	for query, want := range map[string]string{
		`query=severity eq "high"`:                               "1",
		`query=app eq Dropbox or app eq 'Box'`:                   "1 2",
		`query=app ne Box and (n gt 10 or n lt 10)`:              "1 3",
		`query=app in ["Box", "Slack"] AND n le 10`:              "2",
		`query=app like "*ox*"`:                                  "1 2",
		`query=s.t eq "x y"`:                                     "1",
		`query=_id eq "3"`:                                       "3",
		`type=dlp`:                                               "1 2",
		`type=uba&query=app eq Slack`:                            "3",
		`query=n ge 10&limit=1&offset=1`:                         "3",
		`query=_id eq "1"&insertionstarttime=` + at(time.Second): "",
	} {
		values, err := url.ParseQuery(strings.ReplaceAll(query, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows(t, tenant, "alert", values.Encode()) {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s selects %v, want %s", query, got, want)
		}
	}
}

func TestBadQueriesFailInsideAGoodStatus(t *testing.T) {
	tenant := New(Config{RateLimit: -1})
	for _, query := range []string{"limit=x", "insertionstarttime=-1", "query=app+eq", "query=(app+eq+x", "query=app+near+x"} {
		var failure struct {
			OK     int
			Result string
		}
		got := ask(t, tenant, "events/data/page?"+query)
		if err := json.Unmarshal(got.body, &failure); err != nil || got.status != 200 || failure.OK != 0 || failure.Result == "" {
			t.Errorf("%s answers %d %s", query, got.status, got.body)
		}
	}
}

func TestLedgerHasWhatQueriesServed(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 100, epoch, epoch.Add(time.Minute))
	read := rows(t, tenant, "page", "limit=40&offset=20")
	calls := tenant.Ledger()
	if len(calls) != 1 || calls[0].Endpoint != "events/data/page" || calls[0].Moved() || !calls[0].Complete {
		t.Fatalf("the ledger has %+v", calls)
	}
	served := slices.Collect(calls[0].Events())
	if len(served) != 40 || served[0].ID != read[0].ID || served[39].ID != read[39].ID {
		t.Errorf("the ledger has %d records, the answer %d", len(served), len(read))
	}
}

func TestLedgerLeavesOutWhatAQueryPassedOver(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch.Add(time.Minute)).now})
	for i := range 6 {
		tenant.Add("events/page", epoch, fmt.Appendf(nil, `{"_id":"%d","n":%d}`, i, i%3))
	}
	rows(t, tenant, "page", "query=n+gt+0")
	var served []string
	for id := range tenant.Ledger()[0].Events() {
		served = append(served, id.ID)
	}
	if !slices.Equal(served, []string{"1", "2", "4", "5"}) {
		t.Errorf("the ledger has %v", served)
	}
	if n := tenant.Summaries()[0].Distinct; n != 4 {
		t.Errorf("%d different records, want 4", n)
	}
}
