package netskopesim

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// batch is how much insertion time one page covers at most.
const batch = time.Hour

// Streams lists the dataexport endpoints a tenant has unless told otherwise.
func Streams() []string {
	return []string{
		"events/alert", "events/application", "events/audit", "events/infrastructure", "events/network",
		"events/page", "events/incident", "events/connection", "events/endpoint",
		"alerts/compromisedcredential", "alerts/ctep", "alerts/dlp", "alerts/malsite", "alerts/malware",
		"alerts/policy", "alerts/quarantine", "alerts/remediation", "alerts/securityassessment",
		"alerts/uba", "alerts/watchlist", "alerts/device", "alerts/content", "alerts/ips", "alerts/c2",
	}
}

type indexKey struct{ endpoint, index string }

// index is what the tenant remembers for one consumer of one endpoint.
type index struct {
	busy     bool
	started  bool
	position key
	last     page
}

// page is one answer of an iterator. It is enough to write the same bytes
// again.
type page struct {
	number int
	refs   []ref
	hwm    int64 // epoch seconds
	wait   int   // seconds
}

// indexes is the index table. An entry that is busy belongs to the request
// that made it so.
type indexes struct {
	mu      sync.Mutex
	entries map[indexKey]*index
}

func (x *indexes) acquire(k indexKey) (*index, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry := x.entries[k]
	if entry == nil {
		entry = &index{}
		x.entries[k] = entry
	}
	if entry.busy {
		return nil, false
	}
	entry.busy = true
	return entry, true
}

func (x *indexes) release(entry *index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry.busy = false
}

// ForgetIndex makes the tenant lose a consumer's place, as if its retention
// had passed.
func (t *Tenant) ForgetIndex(endpoint, index string) {
	t.indexes.mu.Lock()
	defer t.indexes.mu.Unlock()
	delete(t.indexes.entries, indexKey{endpoint, index})
}

// serveExport answers an iterator call. The index has moved when the headers
// leave: a reader who loses the body finds it again with resend only.
func (t *Tenant) serveExport(w http.ResponseWriter, r *http.Request, stream string) {
	q := r.URL.Query()
	operation, at := parseOperation(q.Get("operation"))
	if q.Get("index") == "" {
		refuse(w, http.StatusBadRequest, "index is required")
		return
	}
	if operation == "" {
		refuse(w, http.StatusBadRequest, "Invalid operation")
		return
	}
	k := indexKey{stream, q.Get("index")}
	entry, ok := t.indexes.acquire(k)
	if !ok {
		refuse(w, http.StatusConflict, "Concurrency conflict, retry later.")
		return
	}
	defer t.indexes.release(entry)

	if operation != "resend" {
		t.turn(entry, stream, operation, at)
	}
	served := t.ledger.record(k, operation, entry.last, t.now())
	if t.writePage(w, r, entry.last) && !asked(r.Context(), breaksOff) {
		t.ledger.completed(served)
	}
}

// parseOperation returns "epoch" and the time for a number, "" for what is no
// operation.
func parseOperation(s string) (string, time.Time) {
	if slices.Contains([]string{"next", "resend", "head", "tail"}, s) {
		return s, time.Time{}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || seconds > maxEpoch {
		return "", time.Time{}
	}
	return "epoch", time.Unix(seconds, 0)
}

// maxEpoch is the last second whose nanoseconds fit 64 bits.
const maxEpoch = 9_223_372_035

// turn moves the index to its next page.
func (t *Tenant) turn(entry *index, stream, operation string, at time.Time) {
	now := t.now()
	sources := t.store.of(stream)
	position := t.start(entry, sources, operation, at, now)
	var repeated []ref
	if operation == "next" && t.config.Overlap > 0 {
		n := len(entry.last.refs)
		repeated = entry.last.refs[n-min(n, t.config.Overlap, t.config.PageSize-1):]
	}
	limit := t.config.PageSize - len(repeated)

	// A page ends with its batch of insertion time; the instant where the
	// batch ends belongs to the next one.
	end := before(time.Unix(0, position.at).Add(batch))
	live := end.at >= now.UnixNano()
	if live {
		end = key{at: max(now.UnixNano(), position.at)}
	}
	until := end.at - 1
	if live {
		until = now.UnixNano()
	}
	refs, last := read(sources, position, until, limit)
	entry.position = last
	if len(refs) < limit && end.compare(last) > 0 {
		entry.position = end
	}
	entry.started = true
	entry.last = page{
		number: entry.last.number + 1,
		refs:   slices.Concat(repeated, refs),
		hwm:    entry.position.at / int64(time.Second),
		wait:   t.config.Wait.of(len(repeated)+len(refs), t.config.PageSize),
	}
}

// start is the position an operation reads from. What is older than the
// retention is gone: a place there is the place of the oldest record held.
func (t *Tenant) start(entry *index, sources []source, operation string, at, now time.Time) key {
	horizon := before(now.Add(-t.config.Retention))
	first, held := oldest(sources, horizon, now.UnixNano())
	if !held {
		first = before(now)
	}
	var position key
	switch {
	case operation == "epoch":
		position = before(at)
	case operation == "head", operation == "next" && !entry.started && t.config.FromHead:
		return first
	case operation == "tail", !entry.started:
		position = before(now.Add(-batch))
	default:
		position = entry.position
	}
	if position.compare(horizon) < 0 {
		return first
	}
	return position
}

func (w *Wait) of(n, full int) int {
	switch n {
	case 0:
		return w.Empty
	case full:
		return w.Full
	}
	return w.Partial
}

type contextKey int

const (
	withoutWaitTime contextKey = iota
	breaksOff                  // whatever is written, the client does not get all of it
)

// writePage streams a page. Nothing is computed before the headers have left
// but which records it holds. It reports whether all of it was written.
func (t *Tenant) writePage(w http.ResponseWriter, r *http.Request, p page) bool {
	b := t.begin(w, r)
	b.buf = append(b.buf, `{"ok":1,"result":[`...)
	for i, record := range p.refs {
		if i > 0 {
			b.buf = append(b.buf, ',')
		}
		b.buf = record.from.appendEvent(b.buf, record.i, false)
		if !b.drain(flushSize) {
			return false
		}
	}
	t.counts.events.Add(int64(len(p.refs)))
	b.buf = append(b.buf, ']')
	if !t.config.Wait.Absent && !asked(r.Context(), withoutWaitTime) {
		b.buf = append(b.buf, `,"wait_time":`...)
		b.buf = strconv.AppendInt(b.buf, int64(p.wait), 10)
	}
	b.buf = append(b.buf, `,"timestamp_hwm":`...)
	b.buf = strconv.AppendInt(b.buf, p.hwm, 10)
	b.buf = append(b.buf, '}')
	return b.end()
}

func asked(ctx context.Context, k contextKey) bool { return ctx.Value(k) != nil }
