package netskopesim

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// feed is a source of generated records. Of a record only its number exists
// until it is written.
type feed struct {
	template *template
	first    int64 // number of the feed's first record in its stream
	arrival  int64
	from     int64 // Unix nanoseconds
	n        int64 // records; 0 means without end
	span     int64 // nanoseconds that n records spread over, or that one takes
}

// Feed stores n generated records whose insertion times spread evenly from the
// one time up to the other; those in the future appear when their time has
// come. Records of events/alert are shared out among the alert types.
func (t *Tenant) Feed(stream string, n int, from, to time.Time) error {
	if n <= 0 || to.Before(from) {
		return fmt.Errorf("feed %s: %d records from %s to %s", stream, n, from, to)
	}
	parts := t.parts(stream)
	for i, part := range parts {
		share := int64(n*(i+1)/len(parts) - n*i/len(parts))
		if share == 0 {
			continue
		}
		if err := t.store.feed(part, feed{from: from.UnixNano(), n: share, span: int64(to.Sub(from))}); err != nil {
			return err
		}
	}
	return nil
}

// FeedLive stores generated records without end, so many a second.
func (t *Tenant) FeedLive(stream string, perSecond float64, from time.Time) error {
	parts := t.parts(stream)
	step := int64(float64(time.Second) * float64(len(parts)) / perSecond)
	if perSecond <= 0 || step <= 0 {
		return fmt.Errorf("feed %s: %g records a second", stream, perSecond)
	}
	for _, part := range parts {
		if err := t.store.feed(part, feed{from: from.UnixNano(), span: step}); err != nil {
			return err
		}
	}
	return nil
}

// parts are the streams that a feed of the stream goes to.
func (t *Tenant) parts(stream string) []string {
	if stream != "events/alert" {
		return []string{stream}
	}
	return slices.DeleteFunc(slices.Clone(t.config.Streams), func(s string) bool {
		return !strings.HasPrefix(s, "alerts/") || t.store.catalog.templates[s] == nil
	})
}

// endless is how far apart the numbers of a live feed and of the next feed of
// its stream are.
const endless = 1 << 40

func (s *store) feed(stream string, f feed) error {
	f.template = s.catalog.templates[stream]
	if f.template == nil {
		return fmt.Errorf("feed %s: no such stream", stream)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[string]int64{}
	}
	s.arrivals++
	f.arrival, f.first = s.arrivals, s.made[stream]
	s.made[stream] += max(f.n, 1)
	if f.n == 0 {
		s.made[stream] += endless
	}
	s.sources = append(s.sources, &f)
	return nil
}

func (f *feed) stream() string { return f.template.stream }

func (f *feed) at(i int64) int64 {
	if f.n == 0 {
		return f.from + i*f.span
	}
	hi, lo := bits.Mul64(uint64(i), uint64(f.span))
	offset, _ := bits.Div64(hi, lo, uint64(f.n))
	return f.from + int64(offset)
}

func (f *feed) length(until int64) int64 {
	if until < f.from {
		return 0
	}
	if f.n == 0 {
		return (until-f.from)/f.span + 1
	}
	return int64(sort.Search(int(f.n), func(i int) bool { return f.at(int64(i)) > until }))
}

func (f *feed) key(i int64) key { return key{at: f.at(i), arrival: f.arrival, seq: i} }

// incidentRepeat is how often an incident's record is a new state of the
// incident before it: with its _id and a later timestamp.
const incidentRepeat = 16

func (f *feed) repeats(i int64) bool {
	return f.template.digits == 64 && i > 0 && (f.first+i)%incidentRepeat == 0
}

// identityOf returns the number that _id is made of, and the timestamp. Most
// records are stored within a minute; one of fifty comes up to three hours
// late.
func (f *feed) identityOf(i int64) (number uint64, timestamp int64) {
	n := uint64(f.first + i)
	stored := f.at(i) / int64(time.Second)
	if f.repeats(i) {
		return n - 1, stored
	}
	r := mix(f.template.key + n)
	lag := int64(1 + r>>8%60)
	if r&0xff < 5 {
		lag += int64(r >> 32 % 10800)
	}
	return n, stored - lag
}

func (f *feed) identity(i int64) Identity {
	n, ts := f.identityOf(i)
	return Identity{Stream: f.template.stream, ID: string(f.template.appendID(nil, n)), Timestamp: ts}
}

func (f *feed) appendEvent(dst []byte, i int64, internals bool) []byte {
	n, ts := f.identityOf(i)
	dst = append(dst, `{"_id":"`...)
	dst = f.template.appendID(dst, n)
	dst = append(dst, '"')
	if internals {
		dst = appendInternals(dst, f.at(i))
	}
	w := writer{dst: dst, state: f.template.key ^ mix(uint64(f.first+i)), ts: ts, plain: f.template.plain}
	w.event = mix(w.state)
	w.write(f.template.pieces)
	return w.dst
}

// appendInternals writes the fields that events/data shows and dataexport does
// not.
func appendInternals(dst []byte, at int64) []byte {
	dst = append(dst, `,"_insertion_epoch_timestamp":`...)
	dst = strconv.AppendInt(dst, at/int64(time.Second), 10)
	dst = append(dst, `,"_raw_event_inserted_at":`...)
	dst = strconv.AppendInt(dst, at/int64(time.Millisecond), 10)
	return append(dst, `,"_session_begin":"0","_skip_geoip_lookup":"yes"`...)
}

// appendID writes an _id. Its first digits are a bijection of the number, so
// no two records of a stream share it.
func (t *template) appendID(dst []byte, n uint64) []byte {
	dst = appendHex(dst, mix(t.key^n), 16)
	for left := t.digits - 16; left > 0; left -= 16 {
		dst = appendHex(dst, mix(t.key+uint64(left)), min(left, 16))
	}
	return dst
}

// writer writes one record.
type writer struct {
	dst   []byte
	state uint64
	event uint64 // draws of lists, equal all over the record
	ts    int64
	plain bool
}

func (w *writer) next() uint64 {
	w.state += 0x9e3779b97f4a7c15
	return mix(w.state)
}

func (w *writer) write(pieces []piece) {
	for i := range pieces {
		p := &pieces[i]
		w.dst = append(w.dst, p.literal...)
		switch p.op {
		case opText:
		case opTime:
			w.dst = strconv.AppendInt(w.dst, w.ts, 10)
		case opPast:
			w.dst = strconv.AppendInt(w.dst, w.ts-int64(below(w.next(), 600)), 10)
		case opISO:
			w.dst = time.Unix(w.ts, 0).UTC().AppendFormat(w.dst, time.RFC3339)
		case opInt:
			w.dst = strconv.AppendInt(w.dst, p.low+int64(below(w.next(), p.span)), 10)
		case opBig:
			w.dst = strconv.AppendUint(w.dst, w.next()>>2|1<<60, 10)
		case opHex:
			for left := int(p.low); left > 0; left -= 16 {
				w.dst = appendHex(w.dst, w.next(), min(left, 16))
			}
		case opOne:
			w.choose(p.choices, w.next())
		case opOdd:
			if r := w.next(); r&15 == 0 && !w.plain {
				w.choose(p.choices[1:], r)
			} else {
				w.write(p.choices[0])
			}
		case opList:
			w.choose(p.choices, skewed(mix(w.event^p.draw)))
		case opRare:
			if w.next()&63 == 0 {
				w.write(p.choices[0])
			}
		}
	}
}

func (w *writer) choose(choices [][]piece, r uint64) {
	w.write(choices[below(r, uint64(len(choices)))])
}

// skewed squares a draw, so that the first values of a list are the usual ones
// as some people and some apps are busier than others.
func skewed(r uint64) uint64 {
	hi, _ := bits.Mul64(r, r)
	return hi
}

// below maps a draw to 0..n-1.
func below(r, n uint64) uint64 {
	hi, _ := bits.Mul64(r, n)
	return hi
}

// mix is the finalizer of splitmix64, a bijection of 64-bit numbers.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// appendHex writes the number's lowest digits, at most 16.
func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}
