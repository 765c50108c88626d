package netskopesim

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// Call is one answered read in the ledger: what left the tenant, whether or
// not it arrived.
type Call struct {
	Endpoint  string // alerts/dlp, events/page, events/data/page
	Index     string // empty for events/data
	Operation string // epoch, next, head, tail, resend; data for events/data
	Page      int    // counts an index's pages from 1; a resend has its page's number
	Count     int
	HWM       int64 // epoch seconds; 0 for events/data
	At        time.Time
	Complete  bool // the whole body was written, and no fault spoiled it

	spans []span
}

// Moved reports whether the call moved its index.
func (c Call) Moved() bool { return c.Operation != "resend" && c.Operation != "data" }

// Events yields what the call returned, in order of the source it came from
// and not in order of the page.
func (c Call) Events() iter.Seq[Identity] {
	return func(yield func(Identity) bool) {
		for _, s := range c.spans {
			for i := s.from; i < s.to; i++ {
				if !yield(s.source.identity(i)) {
					return
				}
			}
		}
	}
}

// span is a run of consecutive records of one source, to exclusive. A ledger
// of spans is small however many records were served.
type span struct {
	source   source
	from, to int64
}

func spansOf(refs []ref) []span {
	var spans []span
	open := map[source]int{}
	for _, r := range refs {
		if at, ok := open[r.from]; ok && spans[at].to == r.i {
			spans[at].to++
			continue
		}
		open[r.from] = len(spans)
		spans = append(spans, span{r.from, r.i, r.i + 1})
	}
	return spans
}

type ledger struct {
	mu    sync.Mutex
	calls []Call
}

// record enters a call before its body is written, and returns its number.
func (l *ledger) record(k indexKey, operation string, p page, at time.Time) int {
	call := Call{
		Endpoint: k.endpoint, Index: k.index, Operation: operation,
		Page: p.number, Count: len(p.refs), HWM: p.hwm, At: at,
		spans: spansOf(p.refs),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, call)
	return len(l.calls) - 1
}

func (l *ledger) completed(call int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[call].Complete = true
}

// Ledger lists every call that was answered with records or an empty page, in
// order.
func (t *Tenant) Ledger() []Call {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	return slices.Clone(t.ledger.calls)
}

// Summary says what one consumer of one endpoint was served.
type Summary struct {
	Endpoint string `json:"endpoint"`
	Index    string `json:"index"`
	Calls    int    `json:"calls"`
	Pages    int    `json:"pages"`    // calls that moved the index
	Events   int64  `json:"events"`   // of those calls, repeats included
	Distinct int64  `json:"distinct"` // different records, by any call
	HWM      int64  `json:"timestamp_hwm"`
}

// Summaries adds the ledger up by endpoint and index.
func (t *Tenant) Summaries() []Summary {
	sums, spans := map[indexKey]*Summary{}, map[indexKey][]span{}
	for _, c := range t.Ledger() {
		k := indexKey{c.Endpoint, c.Index}
		sum := sums[k]
		if sum == nil {
			sum = &Summary{Endpoint: c.Endpoint, Index: c.Index}
			sums[k] = sum
		}
		sum.Calls++
		if c.Moved() {
			sum.Pages++
			sum.Events += int64(c.Count)
			sum.HWM = c.HWM
		}
		spans[k] = append(spans[k], c.spans...)
	}
	for k, sum := range sums {
		sum.Distinct = distinct(spans[k])
	}
	return slices.SortedFunc(func(yield func(Summary) bool) {
		for sum := range maps.Values(sums) {
			if !yield(*sum) {
				return
			}
		}
	}, func(a, b Summary) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Index, b.Index))
	})
}

func distinct(spans []span) int64 {
	bySource := map[source][]span{}
	for _, s := range spans {
		bySource[s.source] = append(bySource[s.source], s)
	}
	var n int64
	for _, list := range bySource {
		slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		var end int64
		for _, s := range list {
			n += max(0, s.to-max(s.from, end))
			end = max(end, s.to)
		}
	}
	return n
}

// Stored yields what the endpoint holds so far, source by source.
func (t *Tenant) Stored(endpoint string) iter.Seq[Identity] {
	now := t.now().UnixNano()
	return func(yield func(Identity) bool) {
		for _, src := range t.store.of(endpoint) {
			for i := range src.length(now) {
				if !yield(src.identity(i)) {
					return
				}
			}
		}
	}
}

// Count is how many records the endpoint holds so far.
func (t *Tenant) Count(endpoint string) int64 {
	var n int64
	now := t.now().UnixNano()
	for _, src := range t.store.of(endpoint) {
		n += src.length(now)
	}
	return n
}

// Records yields the events that the endpoint holds so far, as dataexport shows
// them. The bytes are good until the next one.
func (t *Tenant) Records(endpoint string) iter.Seq[[]byte] {
	now := t.now().UnixNano()
	return func(yield func([]byte) bool) {
		var event []byte
		for _, src := range t.store.of(endpoint) {
			for i := range src.length(now) {
				if event = src.appendEvent(event[:0], i, false); !yield(event) {
					return
				}
			}
		}
	}
}
