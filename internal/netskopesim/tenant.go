// Package netskopesim is a Netskope tenant that fits in a process: an
// http.Handler that answers the export iterators (events/dataexport) and the
// query API (events/data) the way the public record says a tenant does,
// including what goes wrong.
//
// A tenant keeps its records by the time they were stored, which trails the
// time they happened, and remembers what it served to whom. What it generates
// is a pure function of its seed, the stream and the record's number: nothing
// but numbers is stored, a page that is sent again has the same bytes, and two
// tenants with the same Config and the same feeds hold the same records.
//
// It promises nothing about the parts of the API it does not serve; those
// answer as a gateway answers an unknown route.
package netskopesim

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DemoToken is the token of a tenant whose Config names none. It may read and
// write everything.
const DemoToken = "demo-token"

// Config says what kind of tenant it is. The zero value is a tenant with an
// empty store, pages of 10,000, four requests a second per endpoint, and
// DemoToken.
type Config struct {
	Seed     uint64           // of everything generated
	PageSize int              // records per dataexport page; 0 means 10,000
	Tokens   map[string]Token // nil means DemoToken for everything
	Clock    func() time.Time // nil means time.Now

	RateLimit       int // requests a second per endpoint; 0 means 4, below 0 unlimited
	GlobalRateLimit int // requests a second over all endpoints; 0 means unlimited

	Wait      *Wait         // nil means 0, 5 and 30 seconds
	Retention time.Duration // how long records are held; 0 means 90 days

	FromHead       bool // a first bare "next" starts at the oldest record, not an hour ago
	Overlap        int  // records of a page that its next page repeats
	ExclusiveStart bool // events/data leaves out the first second of an insertion window

	InvalidTokenStatus int      // status for an unknown or expired token; 0 means 401
	Streams            []string // dataexport endpoints that exist; nil means Streams()
	Plain              bool     // generated records keep to the documented types
}

// Wait holds the wait_time, in seconds, that a page carries by how full it is.
type Wait struct {
	Full, Partial, Empty int
	Absent               bool // pages carry none
}

// Tenant is a Netskope tenant. It serves /api/v2 below its root. All methods
// may be called at any time, also while it serves.
type Tenant struct {
	config  Config
	mux     *http.ServeMux
	store   store
	indexes indexes
	guard   guard
	limits  limits
	plan    faultPlan
	ledger  ledger
	gzips   sync.Pool
	counts  counts
}

// New makes a tenant without records.
func New(c Config) *Tenant {
	if c.PageSize == 0 {
		c.PageSize = 10000
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.RateLimit == 0 {
		c.RateLimit = 4
	}
	if c.Wait == nil {
		c.Wait = &Wait{Full: 0, Partial: 5, Empty: 30}
	}
	if c.Retention == 0 {
		c.Retention = 90 * 24 * time.Hour
	}
	if c.Tokens == nil {
		c.Tokens = map[string]Token{DemoToken: {Grants: []Grant{{Path: "*", Write: true}}}}
	}
	if c.InvalidTokenStatus == 0 {
		c.InvalidTokenStatus = http.StatusUnauthorized
	}
	if c.Streams == nil {
		c.Streams = Streams()
	}
	t := &Tenant{
		config:  c,
		mux:     http.NewServeMux(),
		store:   store{catalog: newCatalog(c.Seed, c.Plain)},
		indexes: indexes{entries: map[indexKey]*index{}},
		guard:   newGuard(c),
		limits:  newLimits(c),
	}
	t.routes()
	return t
}

// routes is the routing table. Patterns are those of http.ServeMux; whatever
// none matches is a 404 of the gateway.
func (t *Tenant) routes() {
	for _, stream := range t.config.Streams {
		t.mux.HandleFunc("GET /api/v2/events/dataexport/"+stream, func(w http.ResponseWriter, r *http.Request) {
			t.serveExport(w, r, stream)
		})
	}
	for _, kind := range dataTypes() {
		t.mux.HandleFunc("GET /api/v2/events/data/"+kind, func(w http.ResponseWriter, r *http.Request) {
			t.serveData(w, r, kind)
		})
	}
}

// ServeHTTP answers one request, through the fault that awaits it if there is
// one.
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.counts.requests.Add(1)
	r = trimSlash(r)
	if fault := t.plan.next(r); fault != nil {
		t.counts.faults.Add(1)
		t.stamp(w)
		fault(t.serve, w, r)
		return
	}
	t.serve(w, r)
}

// serve is the gateway: route, token, rate, and only then the endpoint.
func (t *Tenant) serve(w http.ResponseWriter, r *http.Request) {
	t.stamp(w)
	_, pattern := t.mux.Handler(r)
	admitted := t.limits.admit(w.Header(), pattern, t.now())
	switch {
	case pattern == "":
		refuse(w, http.StatusNotFound, "no Route matched with those values")
	case !t.guard.admit(w, r, t.now()):
	case !admitted:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "API rate limit exceeded")
	default:
		t.mux.ServeHTTP(w, r)
	}
}

// stamp sets what every answer carries. The date is the tenant's, so that a
// tenant with another clock can be told by it.
func (t *Tenant) stamp(w http.ResponseWriter) {
	n := t.counts.ids.Add(1)
	id := appendHex(nil, mix(t.config.Seed^uint64(n)), 16)
	w.Header().Set("X-Request-Id", string(appendHex(id, mix(uint64(n)), 16)))
	w.Header().Set("Date", t.now().UTC().Format(http.TimeFormat))
}

func (t *Tenant) now() time.Time { return t.config.Clock() }

// counts are what GET /stats reports.
type counts struct {
	requests, ids, faults, events, bytes atomic.Int64
}

// refuse answers in the words of the gateway.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A string always marshals, and whether the client still listens does not
	// change what the tenant does.
	body, _ := json.Marshal(map[string]string{"message": message})
	_, _ = w.Write(body)
}

// trimSlash makes /x/ the same route as /x, as the documented URLs demand.
func trimSlash(r *http.Request) *http.Request {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path == r.URL.Path || path == "" {
		return r
	}
	trimmed, u := *r, *r.URL
	u.Path, u.RawPath = path, ""
	trimmed.URL = &u
	return &trimmed
}

// endpoint is the stream a path of the API names, such as alerts/dlp or
// events/data/page, and the path itself where it names none.
func endpoint(path string) string {
	path = strings.TrimPrefix(path, "/api/v2/")
	return strings.TrimPrefix(path, "events/dataexport/")
}
