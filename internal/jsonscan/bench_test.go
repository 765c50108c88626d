package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// eventKeys are the fields of an application event, more or less, in no particular order.
var eventKeys = strings.Fields(`_id access_method acked action activity alert alert_name alert_type app app_session_id
	appcategory browser browser_session_id browser_version category cci ccl connection_id count device
	device_classification dlp_file dlp_incident_id dlp_parent_id dlp_profile dlp_rule dlp_rule_count dlp_rule_severity
	dst_country dst_latitude dst_location dst_longitude dst_region dst_timezone dst_zipcode dstip dstport file_size
	file_type from_user hostname instance_id managed_app managementID md5 object object_id object_type
	organization_unit os os_version other_categories page page_site policy policy_id request_id severity site
	src_country src_latitude src_location src_longitude src_region srcip timestamp title traffic_type
	transaction_id type ur_normalized url user userip supporting_data`)

// appendEvent appends an event of about 2.2 KB that looks like Netskope's: numbers, 64-bit ids, short and long text,
// in every third event with escapes, and two nested values.
func appendEvent(dst []byte, r *rand.Rand) []byte {
	escaped := r.IntN(3) == 0
	dst = append(dst, '{')
	for i, key := range eventKeys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), key...), '"', ':')
		switch {
		case key == "other_categories":
			dst = append(dst, `["Cloud Storage","Business",{"id":17,"weights":[0.5,1,-2e3]}]`...)
		case key == "supporting_data":
			dst = append(dst, `{"data_type":"user","data_values":["admin@example.com","10.0.0.7",null,true]}`...)
		case key == "url" || key == "page":
			dst = fmt.Appendf(dst, `"https://drive-%d.example.com/files/%x/%x?view=list"`, r.IntN(90), r.Uint64(), r.Uint64())
		case key == "title" && escaped:
			dst = append(dst, `"Quartalsbericht \u00fcber Ums\u00e4tze \/ \"Entwurf\" \ud83d\ude00"`...)
		case key == "title":
			dst = append(dst, `"Bericht über Umsätze – Entwurf 日本語"`...)
		case strings.HasSuffix(key, "tude"):
			dst = fmt.Appendf(dst, "%.6f", r.Float64()*180-90)
		case strings.HasSuffix(key, "_id") && i%2 == 0:
			dst = fmt.Appendf(dst, "%d", r.Uint64()>>1)
		case i%5 == 0:
			dst = fmt.Appendf(dst, "%d", r.IntN(1<<31))
		case i%7 == 0:
			dst = append(dst, `""`...)
		default:
			dst = fmt.Appendf(dst, `"%s %x"`, key[:len(key)/2], r.Uint32()>>8)
		}
	}
	return append(dst, '}')
}

func eventPage(events int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	page := []byte(`{"ok":1,"result":[`)
	for i := range events {
		if i > 0 {
			page = append(page, ',')
		}
		page = appendEvent(page, r)
	}
	return append(page, `],"wait_time":5,"timestamp_hwm":1767225603}`...)
}

func benchEvent(b *testing.B) []byte {
	event := appendEvent(nil, rand.New(rand.NewPCG(1, 4)))
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	return event
}

func BenchmarkCheck(b *testing.B) {
	event := benchEvent(b)
	for b.Loop() {
		if _, err := Check(event); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMembers(b *testing.B) {
	event := benchEvent(b)
	n := 0
	for b.Loop() {
		if err := Members(event, func([]byte, Value) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n/b.N), "members/op")
}

// BenchmarkReader reads a page of 10,000 events in pieces of 32 KiB.
func BenchmarkReader(b *testing.B) {
	const events = 10_000
	page := eventPage(events)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	var d Reader
	n := 0
	for b.Loop() {
		err := d.Read(&pieces{rest: page, size: func() int { return 32 << 10 }}, "result",
			func([]byte) error { n++; return nil },
			func([]byte, Value) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	if n != b.N*events {
		b.Fatalf("saw %d events in %d pages", n, b.N)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

func BenchmarkEncodingJSONValid(b *testing.B) {
	event := benchEvent(b)
	for b.Loop() {
		if !json.Valid(event) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkAppendString(b *testing.B) {
	text := strings.Repeat("Bericht über Umsätze, \"Entwurf\"\n of the quarter", 4)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendString(dst[:0], text)
	}
}

// pieces is a reader that returns at most size() bytes a call, and the error at the end, io.EOF if it is nil.
type pieces struct {
	rest []byte
	size func() int
	err  error
}

func (p *pieces) Read(buf []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		return 0, io.EOF
	}
	n := copy(buf[:min(len(buf), p.size())], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func TestBenchmarkEventsLookLikeNetskopes(t *testing.T) {
	page := eventPage(200)
	if size := len(page) / 200; size < 2000 || size > 2500 {
		t.Errorf("an event has %d bytes, want about 2,240", size)
	}
	if !json.Valid(page) {
		t.Error("the page is not valid JSON")
	}
	if !bytes.Contains(page, []byte(`\ud83d`)) {
		t.Error("no event has escapes")
	}
}
