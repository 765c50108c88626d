package netskopesim

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// feedOf makes a finished feed of one stream.
func feedOf(t testing.TB, tenant *Tenant, stream string, n int) source {
	t.Helper()
	from := time.Unix(1_767_225_600, 0)
	if err := tenant.Feed(stream, n, from, from.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	return tenant.store.of(stream)[0]
}

func TestEveryStreamGeneratesValidUniqueRecords(t *testing.T) {
	const perStream = 1000
	for _, stream := range Streams() {
		if stream == "events/alert" {
			continue
		}
		src := feedOf(t, New(Config{Seed: 7}), stream, perStream)
		seen := map[Identity]bool{}
		for i := range int64(perStream) {
			raw := src.appendEvent(nil, i, i%2 == 0)
			var r struct {
				ID        string `json:"_id"`
				Timestamp int64  `json:"timestamp"`
			}
			if err := json.Unmarshal(raw, &r); err != nil {
				t.Fatalf("%s %d: %v\n%s", stream, i, err, raw)
			}
			id := src.identity(i)
			if r.ID != id.ID || r.Timestamp != id.Timestamp {
				t.Fatalf("%s %d: identity %v, record has %s %d", stream, i, id, r.ID, r.Timestamp)
			}
			if seen[id] {
				t.Fatalf("%s %d: %v appears twice", stream, i, id)
			}
			seen[id] = true
			if bytes.Contains(raw, []byte("$(")) {
				t.Fatalf("%s %d: a placeholder is left in %s", stream, i, raw)
			}
		}
	}
}

func TestGeneratedRecordsArePureFunctionsOfTheirNumber(t *testing.T) {
	a, b := feedOf(t, New(Config{Seed: 3}), "events/page", 100), feedOf(t, New(Config{Seed: 3}), "events/page", 100)
	other := feedOf(t, New(Config{Seed: 4}), "events/page", 100)
	for _, i := range []int64{99, 0, 42, 0} {
		if !bytes.Equal(a.appendEvent(nil, i, false), b.appendEvent(nil, i, false)) {
			t.Fatalf("record %d differs between two tenants of one seed", i)
		}
		if a.identity(i) == other.identity(i) {
			t.Fatalf("record %d is the same under another seed", i)
		}
	}
}

func TestRecordsLookLikeThoseOfARealTenant(t *testing.T) {
	src := feedOf(t, New(Config{}), "alerts/dlp", 5000)
	var all []byte
	late := 0
	for i := range int64(5000) {
		all = src.appendEvent(all, i, false)
		if src.key(i).at/1e9-src.identity(i).Timestamp > 3600 {
			late++
		}
	}
	if size := len(all) / 5000; size < 1500 || size > 4500 {
		t.Errorf("a record has %d bytes", size)
	}
	if late == 0 {
		t.Error("no record arrives late")
	}
	for _, oddity := range []string{
		`"cci":""`, `"cci":null`, `"cci":"91"`, `"8.12.xxx.x"`, `:null`, `"None"`, `&quot;`, "設計書", "отчёт",
		`x_ns_preview`, `"src_longitude":"`, `|`, `"custom_attr":{}`, `"smtp_to":[]`,
	} {
		if !bytes.Contains(all, []byte(oddity)) {
			t.Errorf("%s never appears", oddity)
		}
	}
	if n := strings.Count(string(src.appendEvent(nil, 1, false)), `":`); n < 75 || n > 160 {
		t.Errorf("a record has %d keys", n)
	}
}

func TestPlainRecordsKeepToTheDocumentedTypes(t *testing.T) {
	src := feedOf(t, New(Config{Plain: true}), "alerts/dlp", 2000)
	for i := range int64(2000) {
		var r struct {
			CCI  int     `json:"cci"`
			Lat  float64 `json:"src_latitude"`
			Port int     `json:"dstport"`
		}
		raw := src.appendEvent(nil, i, false)
		if err := json.Unmarshal(raw, &r); err != nil || bytes.Contains(raw, []byte("x_ns")) {
			t.Fatalf("record %d: %v\n%s", i, err, raw)
		}
	}
}

func TestFeedsOfOneStreamShareNoRecord(t *testing.T) {
	tenant := New(Config{Clock: clockAt(epoch.Add(time.Minute)).now})
	for range 3 {
		if err := tenant.Feed("events/page", 50, epoch, epoch.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := tenant.FeedLive("events/page", 1, epoch); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]bool{}
	for id := range tenant.Stored("events/page") {
		ids[id.ID] = true
	}
	if want := 3 * (50 + 61); len(ids) != want || tenant.Count("events/page") != int64(want) {
		t.Errorf("%d ids of %d records, want %d", len(ids), tenant.Count("events/page"), want)
	}
}

func TestLiveFeedGrowsWithTheClock(t *testing.T) {
	tenant := New(Config{})
	from := time.Unix(1_767_225_600, 0)
	if err := tenant.FeedLive("events/page", 4, from); err != nil {
		t.Fatal(err)
	}
	src := tenant.store.of("events/page")[0]
	for seconds, want := range map[int]int64{-1: 0, 0: 1, 1: 5, 10: 41} {
		if got := src.length(from.Add(time.Duration(seconds) * time.Second).UnixNano()); got != want {
			t.Errorf("after %d s there are %d records, want %d", seconds, got, want)
		}
	}
	if tenant.FeedLive("events/page", 0, from) == nil || tenant.FeedLive("events/none", 1, from) == nil {
		t.Error("a feed that cannot be is accepted")
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, stream := range []string{"events/page", "alerts/dlp"} {
		b.Run(stream, func(b *testing.B) {
			src := feedOf(b, New(Config{Seed: 1}), stream, 1<<40)
			var buf []byte
			size := 0
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				buf = src.appendEvent(buf[:0], i, false)
				size += len(buf)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(size)/float64(b.N), "bytes/event")
		})
	}
}
