package netskopesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

func tenantWith(t testing.TB, c Config, stream string, n int, from, to time.Time) *Tenant {
	t.Helper()
	c.RateLimit = -1
	tenant := New(c)
	if err := tenant.Feed(stream, n, from, to); err != nil {
		t.Fatal(err)
	}
	return tenant
}

func at(offset time.Duration) string {
	return strconv.FormatInt(epoch.Add(offset).Unix(), 10)
}

func TestLedgerIsWhatAClientRead(t *testing.T) {
	tenant := tenantWith(t, Config{PageSize: 1000, Clock: clockAt(epoch.Add(30 * time.Minute)).now}, "events/page", 2500, epoch, epoch.Add(30*time.Minute))
	var read []Identity
	var sizes, waits []int
	hwm := int64(0)
	for _, operation := range []string{at(0), "next", "next", "next"} {
		p := iterate(t, tenant, "events/page", operation)
		sizes, waits = append(sizes, len(p.Result)), append(waits, *p.Wait)
		if *p.HWM < hwm {
			t.Errorf("the mark goes back from %d to %d", hwm, *p.HWM)
		}
		hwm = *p.HWM
		for _, r := range p.Result {
			read = append(read, Identity{"events/page", r.ID, r.Timestamp})
		}
	}
	if !slices.Equal(sizes, []int{1000, 1000, 500, 0}) || !slices.Equal(waits, []int{0, 0, 5, 30}) {
		t.Errorf("pages of %v, waits of %v", sizes, waits)
	}
	if hwm != epoch.Add(30*time.Minute).Unix() {
		t.Errorf("the mark is %d", hwm)
	}
	var served []Identity
	for i, call := range tenant.Ledger() {
		if call.Page != i+1 || call.Count != sizes[i] || !call.Moved() || !call.Complete || len(call.spans) > 1 {
			t.Errorf("call %d is %+v", i, call)
		}
		served = slices.AppendSeq(served, call.Events())
	}
	if !slices.Equal(read, served) || !slices.Equal(read, slices.Collect(tenant.Stored("events/page"))) {
		t.Error("what was read, served and stored differs")
	}
	want := Summary{Endpoint: "events/page", Index: "i", Calls: 4, Pages: 4, Events: 2500, Distinct: 2500, HWM: hwm}
	if got := tenant.Summaries(); len(got) != 1 || got[0] != want {
		t.Errorf("summaries are %+v, want %+v", got, want)
	}
}

func TestResendIsByteIdenticalAndLeavesTheIndex(t *testing.T) {
	c := clockAt(epoch.Add(time.Minute))
	tenant := tenantWith(t, Config{PageSize: 10, Clock: c.now}, "events/alert", 100, epoch, epoch.Add(time.Minute))
	if err := tenant.FeedLive("events/alert", 30, epoch); err != nil {
		t.Fatal(err)
	}
	iterate(t, tenant, "events/alert", at(0))
	second := iterate(t, tenant, "events/alert", "next")
	c.advance(time.Hour)
	tenant.Add("alerts/dlp", epoch.Add(time.Second), []byte(`{"_id":"new"}`))
	for range 2 {
		if again := iterate(t, tenant, "events/alert", "resend"); !bytes.Equal(again.raw, second.raw) {
			t.Fatalf("resend differs:\n%.300s\n%.300s", again.raw, second.raw)
		}
	}
	third := iterate(t, tenant, "events/alert", "next")
	if len(third.Result) != 10 || third.Result[0].ID == second.Result[0].ID {
		t.Errorf("the page after resend begins with %s", third.Result[0].ID)
	}
	sum := tenant.Summaries()[0]
	if sum.Calls != 5 || sum.Pages != 3 || sum.Events != 30 || sum.Distinct != 30 {
		t.Errorf("summary is %+v", sum)
	}
}

func TestPageHoldsAtMostAnHour(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(5 * time.Hour)).now}, "events/page", 20, epoch, epoch.Add(2*time.Hour))
	if err := tenant.Feed("events/page", 7, epoch.Add(4*time.Hour), epoch.Add(4*time.Hour+time.Minute)); err != nil {
		t.Fatal(err)
	}
	operation := at(0)
	for hour, want := range []int{10, 10, 0, 0, 7, 0} {
		p := iterate(t, tenant, "events/page", operation)
		mark := epoch.Add(min(time.Duration(hour+1), 5) * time.Hour).Unix()
		if len(p.Result) != want || *p.HWM != mark {
			t.Errorf("page %d has %d records and the mark %d, want %d and %d", hour, len(p.Result), *p.HWM, want, mark)
		}
		operation = "next"
	}
}

func TestEpochIsInclusive(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch.Add(time.Minute)).now})
	for i := range 3 {
		tenant.Add("events/audit", epoch.Add(time.Duration(i)*time.Second), fmt.Appendf(nil, `{"_id":"%d","timestamp":%d}`, i, i))
	}
	if p := iterate(t, tenant, "events/audit", at(time.Second)); len(p.Result) != 2 || p.Result[0].ID != "1" {
		t.Errorf("records are %v, want 1 and 2", p.Result)
	}
}

func TestWhereAnOperationStarts(t *testing.T) {
	now := epoch.Add(200 * 24 * time.Hour)
	old, recent := now.Add(-24*time.Hour), now.Add(-time.Minute)
	tests := []struct {
		name, operation string
		fromHead        bool
		want            string
	}{
		{"head is the oldest record held", "head", false, "old"},
		{"tail is an hour ago", "tail", false, "recent"},
		{"first next is an hour ago", "next", false, "recent"},
		{"first next is the oldest record", "next", true, "old"},
		{"an epoch before the retention is the oldest record", at(0), false, "old"},
		{"a future epoch is empty", strconv.FormatInt(now.Unix()+60, 10), false, ""},
		{"resend without a page before is empty", "resend", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant := New(Config{RateLimit: -1, Clock: clockAt(now).now, FromHead: tt.fromHead})
			tenant.Add("events/page", epoch, []byte(`{"_id":"gone"}`))
			tenant.Add("events/page", old, []byte(`{"_id":"old"}`))
			tenant.Add("events/page", recent, []byte(`{"_id":"recent"}`))
			got := ""
			if p := iterate(t, tenant, "events/page", tt.operation); len(p.Result) > 0 {
				got = p.Result[0].ID
			}
			if got != tt.want {
				t.Errorf("%s begins with %q, want %q", tt.operation, got, tt.want)
			}
		})
	}
}

func TestWrongParametersAreRefusedAndMoveNothing(t *testing.T) {
	tenant := New(Config{RateLimit: -1})
	for _, query := range []string{"", "operation=next", "operation=back&index=i", "index=i", "operation=-5&index=i", "operation=99999999999999&index=i"} {
		got := ask(t, tenant, "events/dataexport/events/page?"+query)
		if got.status != 400 || !bytes.HasPrefix(got.body, []byte(`{"message":"`)) {
			t.Errorf("%q answers %d %s", query, got.status, got.body)
		}
	}
	if n := len(tenant.Ledger()); n != 0 {
		t.Errorf("the ledger has %d calls", n)
	}
}

func TestOverlappingCallsOnOneIndexConflict(t *testing.T) {
	tenant := tenantWith(t, Config{PageSize: 100, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 300, epoch, epoch.Add(time.Minute))
	first := iterate(t, tenant, "events/page", at(0))
	r, err := http.NewRequest(http.MethodGet, "http://sim/api/v2/events/dataexport/events/page?index=i&operation=next", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Netskope-Api-Token", DemoToken)
	open, err := tenant.Client().Do(r) // its body waits to be read
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"next", "resend", at(0)} {
		got := ask(t, tenant, "events/dataexport/events/page?index=i&operation="+operation)
		if got.status != 409 || string(got.body) != `{"message":"Concurrency conflict, retry later."}` {
			t.Errorf("%s answers %d %s", operation, got.status, got.body)
		}
	}
	if got := ask(t, tenant, "events/dataexport/events/page?index=other&operation=next").status; got != 200 {
		t.Errorf("another index answers %d", got)
	}
	body, err := io.ReadAll(open.Body)
	if err != nil {
		t.Fatal(err)
	}
	second := answer{status: 200, body: body}.page(t)
	third := iterate(t, tenant, "events/page", "next")
	ids := map[string]bool{}
	for _, p := range []export{first, second, third} {
		for _, r := range p.Result {
			ids[r.ID] = true
		}
	}
	if len(ids) != 300 {
		t.Errorf("three pages have %d different records, want 300", len(ids))
	}
}

func TestLateArrivalIsOnALaterPageWithItsOldTimestamp(t *testing.T) {
	c := clockAt(epoch.Add(time.Minute))
	tenant := tenantWith(t, Config{Clock: c.now}, "events/page", 5, epoch, epoch.Add(time.Minute))
	iterate(t, tenant, "events/page", at(0))
	tenant.Add("events/page", c.now(), fmt.Appendf(nil, `{"_id":"late","timestamp":%d}`, epoch.Unix()-7200))
	p := iterate(t, tenant, "events/page", "next")
	if len(p.Result) != 1 || p.Result[0].ID != "late" || p.Result[0].Timestamp != epoch.Unix()-7200 {
		t.Errorf("records are %v", p.Result)
	}
}

func TestRecordsStoredAtAnInstantAlreadyReadComeNext(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch).now})
	add := func(stream, id string) { tenant.Add(stream, epoch, fmt.Appendf(nil, `{"_id":%q}`, id)) }
	add("alerts/dlp", "1")
	add("alerts/uba", "2")
	first := iterate(t, tenant, "events/alert", at(0))
	add("alerts/dlp", "3")
	if err := tenant.Feed("alerts/uba", 4, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	second := iterate(t, tenant, "events/alert", "next")
	if len(first.Result) != 2 || len(second.Result) != 5 || second.Result[0].ID != "3" {
		t.Errorf("pages are %v and %v", first.Result, second.Result)
	}
}

func TestEventsAlertIsTheUnionOfAllAlertTypes(t *testing.T) {
	tenant := tenantWith(t, Config{Clock: clockAt(epoch.Add(time.Minute)).now}, "events/alert", 200, epoch, epoch.Add(time.Minute))
	union, parts := map[string]bool{}, map[string]bool{}
	for _, r := range iterate(t, tenant, "events/alert", at(0)).Result {
		union[r.ID] = true
	}
	kinds := 0
	for _, stream := range Streams() {
		if stream[:7] != "alerts/" {
			continue
		}
		kinds++
		for _, r := range iterate(t, tenant, stream, at(0)).Result {
			if !union[r.ID] {
				t.Errorf("%s has %s, which events/alert has not", stream, r.ID)
			}
			parts[r.ID] = true
		}
	}
	if len(union) != 200 || len(parts) != 200 || kinds != 15 {
		t.Errorf("events/alert has %d records, the %d types have %d, want 200", len(union), kinds, len(parts))
	}
}

func TestOverlapRepeatsTheEndOfThePageBefore(t *testing.T) {
	tenant := tenantWith(t, Config{PageSize: 10, Overlap: 3, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 17, epoch, epoch.Add(time.Minute))
	first := iterate(t, tenant, "events/page", at(0))
	second := iterate(t, tenant, "events/page", "next")
	if len(second.Result) != 10 || !slices.Equal(second.Result[:3], first.Result[7:]) {
		t.Errorf("pages are\n%v\n%v", first.Result, second.Result)
	}
	if sum := tenant.Summaries()[0]; sum.Events != 20 || sum.Distinct != 17 {
		t.Errorf("summary is %+v", sum)
	}
}

func TestWaitTimeCanBeSetAndLeftOut(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Wait: &Wait{Empty: 45}})
	if p := iterate(t, tenant, "events/page", "next"); p.Wait == nil || *p.Wait != 45 {
		t.Errorf("wait_time is %v, want 45", p.Wait)
	}
	tenant = New(Config{RateLimit: -1, Wait: &Wait{Absent: true}})
	if p := iterate(t, tenant, "events/page", "next"); p.Wait != nil || p.HWM == nil {
		t.Errorf("page is %s", p.raw)
	}
}

func TestEachEndpointKeepsItsOwnIndex(t *testing.T) {
	tenant := tenantWith(t, Config{PageSize: 5, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/page", 20, epoch, epoch.Add(time.Minute))
	if err := tenant.Feed("events/audit", 20, epoch, epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	iterate(t, tenant, "events/page", at(0))
	iterate(t, tenant, "events/page", "next")
	if p := iterate(t, tenant, "events/audit", at(0)); p.Result[0].ID != slices.Collect(tenant.Stored("events/audit"))[0].ID {
		t.Errorf("events/audit begins with %s", p.Result[0].ID)
	}
}

func TestPublishedRecordsAreServedByteForByte(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the published events are not beside the repository: ", err)
	}
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch).now})
	n, err := tenant.Load(dir, epoch.Add(-time.Minute), time.Millisecond)
	if err != nil || n != 32 {
		t.Fatalf("Load = %d, %v, want 32 records", n, err)
	}
	served := 0
	for stream, file := range map[string]string{
		"events/network": "demisto_content/network.ndjson", "alerts/dlp": "demisto_content/alert_dlp.ndjson",
		"events/alert": "demisto_content_readme/alert_test.ndjson",
	} {
		body := ask(t, tenant, "events/dataexport/"+stream+"?index=i&operation="+at(-time.Hour)).body
		err := eachLine(filepath.Join(dir, file), func(line []byte) {
			if served++; !bytes.Contains(body, line) {
				t.Errorf("%s lacks %.80s", stream, line)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if served != 4 {
		t.Errorf("compared %d records, want 4", served)
	}
}

func TestHundredThousandRecordsTakeALedgerOfAFewSpans(t *testing.T) {
	const n = 100_000
	tenant := tenantWith(t, Config{PageSize: 25_000, Clock: clockAt(epoch.Add(time.Minute)).now}, "events/audit", n, epoch, epoch.Add(time.Minute))
	operation, read := at(0), 0
	for range 5 {
		var p struct{ Result []json.RawMessage }
		if err := json.Unmarshal(ask(t, tenant, "events/dataexport/events/audit?index=i&operation="+operation).body, &p); err != nil {
			t.Fatal(err)
		}
		read += len(p.Result)
		operation = "next"
	}
	spans := 0
	for _, call := range tenant.Ledger() {
		spans += len(call.spans)
	}
	if sum := tenant.Summaries()[0]; read != n || sum.Distinct != n || spans != 4 {
		t.Errorf("read %d, summary %+v, %d spans", read, sum, spans)
	}
}

func BenchmarkServePage(b *testing.B) {
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			tenant := tenantWith(b, Config{Clock: clockAt(epoch.Add(time.Hour)).now}, "events/page", 1<<30, epoch, epoch.Add(time.Hour))
			r, err := http.NewRequest(http.MethodGet, "http://sim/api/v2/events/dataexport/events/page?index=i&operation="+at(0), nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Netskope-Api-Token", DemoToken)
			r.Header.Set("Accept-Encoding", encoding)
			for b.Loop() {
				tenant.ServeHTTP(discard{}, r)
			}
			b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(tenant.counts.bytes.Load())/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}
