package netskopesim

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A Fault answers a request in the tenant's place. It may ask the tenant
// first, by calling serve, and may cut the connection by panicking with
// [http.ErrAbortHandler].
type Fault func(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request)

// Match says which requests a fault is for. The zero value is the next request,
// whatever it asks.
type Match struct {
	Endpoint  string // alerts/dlp, events/data/page; empty means any, a final * any rest
	Operation string // epoch, next, resend, head, tail; empty means any
	Index     string // empty means any
	After     int    // matching requests that pass first
	Times     int    // how many requests it strikes; 0 means one, below 0 every one
}

func (m Match) covers(r *http.Request) bool {
	q := r.URL.Query()
	operation, _ := parseOperation(q.Get("operation"))
	name := endpoint(r.URL.Path)
	prefix, wild := strings.CutSuffix(m.Endpoint, "*")
	return (m.Endpoint == "" || m.Endpoint == name || wild && strings.HasPrefix(name, prefix)) &&
		(m.Operation == "" || m.Operation == operation) &&
		(m.Index == "" || m.Index == q.Get("index"))
}

// RandomFaults strikes requests by chance. The chance depends on the seed, the
// endpoint and how many requests the endpoint has had, so a run that asks in
// the same order per endpoint meets the same faults.
type RandomFaults struct {
	Seed   uint64
	Rate   float64 // of requests, 0 to 1
	Faults []Fault // each as likely as the other; nil means those a client must survive
}

// faultPlan decides which fault, if any, answers a request.
type faultPlan struct {
	mu     sync.Mutex
	aimed  []*aimed
	random RandomFaults
	seen   map[string]uint64
}

type aimed struct {
	match Match
	fault Fault
}

// Inject lets the fault answer requests that match. Faults that match the same
// request take turns in the order they were injected.
func (t *Tenant) Inject(m Match, f Fault) {
	if m.Times == 0 {
		m.Times = 1
	}
	t.plan.mu.Lock()
	defer t.plan.mu.Unlock()
	t.plan.aimed = append(t.plan.aimed, &aimed{m, f})
}

// InjectRandom replaces the random faults; a Rate of 0 ends them.
func (t *Tenant) InjectRandom(random RandomFaults) {
	if random.Faults == nil {
		random.Faults = passingFaults()
	}
	t.plan.mu.Lock()
	defer t.plan.mu.Unlock()
	t.plan.random = random
	t.plan.seen = map[string]uint64{}
}

func (p *faultPlan) next(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fault := p.strike(r); fault != nil {
		return fault
	}
	if p.random.Rate <= 0 {
		return nil
	}
	name := endpoint(r.URL.Path)
	p.seen[name]++
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name)) // never fails
	dice := rand.New(rand.NewPCG(p.random.Seed^hash.Sum64(), p.seen[name]))
	if dice.Float64() >= p.random.Rate {
		return nil
	}
	return p.random.Faults[dice.IntN(len(p.random.Faults))]
}

// strike counts the request against every aimed fault that matches, up to the
// first one that is due.
func (p *faultPlan) strike(r *http.Request) Fault {
	for i, a := range p.aimed {
		if !a.match.covers(r) {
			continue
		}
		if a.match.After > 0 {
			a.match.After--
			continue
		}
		if a.match.Times--; a.match.Times == 0 {
			p.aimed = append(p.aimed[:i:i], p.aimed[i+1:]...)
		}
		return a.fault
	}
	return nil
}

// Status answers with the status and the body, as JSON. The index does not
// move.
func Status(code int, body string) Fault {
	return func(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// Throttle refuses a request and asks to come back after so many seconds.
func Throttle(retryAfter int) Fault {
	return func(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Remaining", "0")
		w.Header().Set("RateLimit-Reset", strconv.Itoa(retryAfter))
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		refuse(w, http.StatusTooManyRequests, "API rate limit exceeded")
	}
}

// TokenExpired answers as if the token had expired.
func TokenExpired(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusUnauthorized, "Unauthorized")
}

// HTML answers 502 with a page for people, as a load balancer does.
func HTML(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"))
}

// Empty answers 200 without a body. The index does not move.
func Empty(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}

// NoContent204 answers 204. The index does not move.
func NoContent204(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
}

// NotOK answers 200 with ok:0 and the reason. The index does not move.
func NotOK(reason string) Fault {
	// Numbers and text always marshal.
	body, _ := json.Marshal(map[string]any{"ok": 0, "result": reason})
	return Status(http.StatusOK, string(body))
}

// Reset cuts the connection before the tenant has seen the request. The index
// does not move.
func Reset(http.HandlerFunc, http.ResponseWriter, *http.Request) {
	panic(http.ErrAbortHandler)
}

// HangBefore keeps the request waiting until its client gives up; the index
// does not move.
func HangBefore(_ http.HandlerFunc, _ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// LoseIndex forgets the place of the request's consumer, and then serves it.
func (t *Tenant) LoseIndex(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	t.ForgetIndex(endpoint(r.URL.Path), r.URL.Query().Get("index"))
	serve(w, r)
}
