package netskopesim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// dataTypes lists the types that events/data serves.
func dataTypes() []string {
	return []string{"alert", "page", "application", "audit", "infrastructure", "network"}
}

// window is which records an events/data request asks for. The insertion bounds
// are inclusive; event times lie after their start and up to their end.
type window struct {
	insertedFrom, insertedTo int64 // Unix nanoseconds
	after, upTo              int64 // event time in seconds
	byEvent                  bool
	match                    condition // nil means all
	offset, limit            int64
}

// serveData answers a query. Rows come in the order of storage, although
// clients should not rely on any.
func (t *Tenant) serveData(w http.ResponseWriter, r *http.Request, kind string) {
	q := r.URL.Query()
	win, problem := t.window(q, kind)
	if problem != "" {
		NotOK(problem)(nil, w, r)
		return
	}
	sources := t.store.of("events/" + kind)
	switch q.Get("fields") {
	case "event_count:count(id)", "event_count:count(_id)":
		win.limit, win.offset = -1, 0
		b := t.begin(w, r)
		b.buf = append(b.buf, `{"ok":1,"result":[{"event_count":`...)
		b.buf = strconv.AppendInt(b.buf, win.each(sources, func(ref) {}), 10)
		b.buf = append(b.buf, `}]}`...)
		b.end()
		return
	}
	var rows []ref
	win.each(sources, func(r ref) { rows = append(rows, r) })
	served := t.ledger.record(indexKey{endpoint: "events/data/" + kind}, "data", page{refs: rows}, t.now())
	if t.writeRows(w, r, rows) && !asked(r.Context(), breaksOff) {
		t.ledger.completed(served)
	}
}

// writeRows streams an answer, and reports whether all of it was written.
func (t *Tenant) writeRows(w http.ResponseWriter, r *http.Request, rows []ref) bool {
	b := t.begin(w, r)
	b.buf = append(b.buf, `{"ok":1,"result":[`...)
	for i, row := range rows {
		if i > 0 {
			b.buf = append(b.buf, ',')
		}
		b.buf = row.from.appendEvent(b.buf, row.i, true)
		if !b.drain(flushSize) {
			return false
		}
	}
	t.counts.events.Add(int64(len(rows)))
	b.buf = append(b.buf, `]}`...)
	return b.end()
}

// window reads the parameters. What it returns as problem is the tenant's
// sentence. Insertion time wins where both times are given.
func (t *Tenant) window(q url.Values, kind string) (win window, problem string) {
	most := int64(10000)
	if kind == "audit" || kind == "infrastructure" {
		most = 5000
	}
	now := t.now()
	read := func(name string, otherwise int64) int64 {
		if q.Get(name) == "" {
			return otherwise
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 || n > maxEpoch {
			problem = "invalid value for " + name
		}
		return n
	}
	win.limit = min(read("limit", most), most)
	win.offset = read("offset", 0)
	from, to := read("insertionstarttime", 0), read("insertionendtime", now.Unix())
	if t.config.ExclusiveStart && q.Has("insertionstarttime") {
		from++
	}
	win.byEvent = !q.Has("insertionstarttime") && !q.Has("insertionendtime") && (q.Has("starttime") || q.Has("endtime"))
	win.after, win.upTo = read("starttime", 0), read("endtime", now.Unix())
	win.insertedFrom = max(from*int64(time.Second), now.Add(-t.config.Retention).UnixNano())
	win.insertedTo = min((to+1)*int64(time.Second)-1, now.UnixNano())
	if text := q.Get("query"); text != "" && problem == "" {
		match, err := parseQuery(text)
		if err != nil {
			problem = err.Error()
		}
		win.match = match
	}
	if kind == "alert" && q.Has("type") {
		win.match = both(win.match, alertType(q.Get("type")))
	}
	return win, problem
}

// alertType is the type parameter of the alert feed. Records spell types in
// several cases.
func alertType(name string) condition {
	return func(record map[string]any) bool {
		kind, _ := lookUp(record, "alert_type")
		return strings.EqualFold(kind, name)
	}
}

func both(a, b condition) condition {
	if a == nil {
		return b
	}
	return func(record map[string]any) bool { return a(record) && b(record) }
}

// each calls do for every record of the window's page, and returns how many
// there were. A limit below zero is none.
func (win *window) each(sources []source, do func(ref)) int64 {
	skip, n := win.offset, int64(0)
	after := key{at: win.insertedFrom}
	if len(sources) == 1 && !win.byEvent && win.match == nil {
		// One source without a filter: its numbers tell where the page begins.
		if i, end := seek(sources[0], after, win.insertedTo); skip > 0 && i+skip <= end {
			after, skip = sources[0].key(i+skip-1), 0
		}
	}
	const step = 2000
	for {
		refs, last := read(sources, after, win.insertedTo, step)
		for _, r := range refs {
			if win.limit >= 0 && n == win.limit {
				return n
			}
			if !win.holds(r) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			n++
			do(r)
		}
		if len(refs) < step {
			return n
		}
		after = last
	}
}

func (win *window) holds(r ref) bool {
	if win.byEvent {
		if ts := r.from.identity(r.i).Timestamp; ts <= win.after || ts > win.upTo {
			return false
		}
	}
	if win.match == nil {
		return true
	}
	var record map[string]any
	if json.Unmarshal(r.from.appendEvent(nil, r.i, true), &record) != nil {
		return false
	}
	return win.match(record)
}
