package netskope

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

func TestEveryRefusalSaysWhatItLeavesInDoubt(t *testing.T) {
	type header = map[string]string
	const html = "<!DOCTYPE html><html><body>Sign in</body></html>"
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		kind    ingest.Kind
		says    string // in the error
		advises string // in the hint
	}{
		{"401", answers(401, nil, `{"message":"Unauthorized"}`), ingest.Denied, `401 Unauthorized: "Unauthorized"`, "API token"},
		{"403", answers(403, nil, `{"message":"You cannot consume this service"}`), ingest.Forbidden, "You cannot consume this service", "scope /api/v2/events/dataexport/events/page (Read)"},
		{"403 names the function", answers(403, nil, ""), ingest.Forbidden, "403 Forbidden", `function "Page Events" (View)`},
		{"404", answers(404, nil, `{"message":"no Route matched with those values"}`), ingest.Missing, "no Route matched", "take events/page out of NETSKOPE_STREAMS"},
		{"409", answers(409, nil, `{"message":"Concurrency conflict, retry later."}`), ingest.Conflict, "Concurrency conflict", "same index"},
		{"400", answers(400, nil, `{"message":"Invalid operation"}`), ingest.Refused, "Invalid operation", ""},
		{"429", answers(429, nil, ``), ingest.Throttled, "429 Too Many Requests", ""},
		{"500", answers(500, nil, `{"error":"boom"}`), ingest.Invalid, `500 Internal Server Error: "boom"`, ""},
		{"502 in HTML", answers(502, header{"Content-Type": "text/html"}, html), ingest.Lost, "502 Bad Gateway", ""},
		{"HTML and 200", answers(200, header{"Content-Type": "text/html"}, html), ingest.Invalid, "HTML", "proxy or a login page"},
		{"ok 0 with words", answers(200, nil, `{"ok":0,"result":"licence expired"}`), ingest.Invalid, "licence expired", "licence"},
		{"ok 0 with events", answers(200, nil, `{"ok":0,"result":[]}`), ingest.Invalid, "ok is 0", ""},
		{"ok false", answers(200, nil, `{"ok":false,"result":[]}`), ingest.Invalid, "ok is false", ""},
		{"status error", answers(200, nil, `{"status":"error","errorMsg":"x","result":[]}`), ingest.Invalid, "Netskope answered 200", ""},
		{"JSON that ends early", answers(200, nil, `{"ok":1,"result":[{"a":1},{"b"`), ingest.Invalid, "", "asked for again"},
		{"not JSON", answers(200, nil, `Service temporarily unavailable`), ingest.Invalid, "", "asked for again"},
		{"no page but JSON", answers(200, nil, `[]`), ingest.Invalid, "", ""},
		{"empty body", answers(200, nil, ``), ingest.Invalid, "", ""},
		{"gzip that is none", answers(200, header{"Content-Encoding": "gzip"}, `{"ok":1,"result":[]}`), ingest.Invalid, "", ""},
		{"an encoding not asked for", answers(200, header{"Content-Encoding": "br"}, `x`), ingest.Invalid, `"br"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := next(t, serve(t, c.answer))
			f := faultOf(t, err)
			if f.Kind != c.kind || !strings.Contains(f.Error(), c.says) || !strings.Contains(f.Hint, c.advises) {
				t.Errorf("fault %q: %v. %s\nwant %q: …%s…. …%s…", f.Kind, f, f.Hint, c.kind, c.says, c.advises)
			}
			if !strings.HasPrefix(f.Error(), "/api/v2/events/dataexport/events/page: ") || strings.Contains(f.Error(), "<") {
				t.Errorf("error %q should begin with the path and quote no HTML", f)
			}
		})
	}
}

func TestScopeSentenceNamesPathAndFunctionOfEachStream(t *testing.T) {
	for stream, function := range map[string]string{
		"alerts/dlp": `"Alerts"`, "events/alert": `"Alerts"`, "events/audit": `"Audit Log"`,
		"events/incident": `"DLP Incidents"`, "events/application": `"Application Events"`,
	} {
		base := serve(t, tenant(netskopesim.Config{}))
		_, _, err := fetch(t.Context(), client(base).Export(stream, "i"), ingest.Request{Op: ingest.OpNext})
		f := faultOf(t, err)
		if f.Kind != ingest.Forbidden || !strings.Contains(f.Hint, "/api/v2/events/dataexport/"+stream+" ") || !strings.Contains(f.Hint, function) {
			t.Errorf("%s: %s: %s", stream, f.Kind, f.Hint)
		}
	}
}

func TestThrottledAnswerSaysHowLong(t *testing.T) {
	in := time.Now().Add(100 * time.Second).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		header, value string
		atLeast, most time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second, 7 * time.Second},
		{"Retry-After", in, 60 * time.Second, 100 * time.Second},
		{"Retry-After", "-5", 0, 0},
		{"Retry-After", "soon", 0, 0},
		{"Retry-After", "99999999", maxWait, maxWait},
		{"RateLimit-Reset", "3", 3 * time.Second, 3 * time.Second},
		{"X-Other", "3", 0, 0},
	} {
		_, _, err := next(t, serve(t, answers(429, map[string]string{c.header: c.value}, "")))
		f := faultOf(t, err)
		if f.Kind != ingest.Throttled || f.After < c.atLeast || f.After > c.most {
			t.Errorf("%s: %s: %s after %v, want %v to %v", c.header, c.value, f.Kind, f.After, c.atLeast, c.most)
		}
	}
}

func TestRedirectIsNotFollowedAndTheTokenStays(t *testing.T) {
	var visits atomic.Int32
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		_, _ = w.Write([]byte(`{"ok":1,"result":[]}`))
	}))
	for _, status := range []int{301, 302, 303, 307, 308} {
		_, _, err := next(t, serve(t, http.RedirectHandler(other+"/login?x=y", status)))
		f := faultOf(t, err)
		if f.Kind != ingest.Refused || !strings.Contains(f.Error(), other) || strings.Contains(f.Error(), "x=y") || !strings.Contains(f.Hint, "Redirects are not followed") {
			t.Errorf("%d: %s: %v. %s", status, f.Kind, f, f.Hint)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestTokenIsInAHeaderAndNowhereElse(t *testing.T) {
	var got *http.Request
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte(`{"ok":1,"result":[],"wait_time":1}`))
	}))
	if _, _, err := next(t, base); err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Netskope-Api-Token") != secret || strings.Contains(got.URL.String(), secret) {
		t.Errorf("header %v, URL %s", got.Header, got.URL)
	}
	if got.URL.Query().Get("operation") != "next" || got.URL.Query().Get("index") != "skopeflow-test" || got.Header.Get("User-Agent") != "skopeflow/test" {
		t.Errorf("URL %s, header %v", got.URL, got.Header)
	}
}

func TestAnswerThatRepeatsTheTokenIsQuotedWithoutIt(t *testing.T) {
	said := "no such token " + secret + strings.Repeat(" what a pity", 500)
	for _, status := range []int{200, 401, 500} {
		_, _, err := next(t, serve(t, answers(status, nil, `{"ok":0,"result":"`+said[:3000]+`"}`)))
		f := faultOf(t, err)
		if !strings.Contains(f.Error(), "no such token [secret] what a pity") || len(f.Error()) > mostWords+200 {
			t.Errorf("%d: %v", status, f)
		}
	}
}

func TestTokenThatCannotBeReadIsAFault(t *testing.T) {
	c := New(Config{BaseURL: "http://127.0.0.1:1", Token: func() (string, error) { return "", errors.New("open /run/token: no such file") }})
	_, _, err := fetch(t.Context(), c.Export("events/page", "i"), ingest.Request{Op: ingest.OpNext})
	if f := faultOf(t, err); f.Kind != ingest.Denied || !strings.Contains(f.Hint, "token") {
		t.Errorf("%s: %v. %s", f.Kind, f, f.Hint)
	}
}

func TestRequestThatNeverLeftIsUnsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{closed, "https://tenant.invalid"} {
		_, _, err := next(t, base)
		f := faultOf(t, err)
		if f.Kind != ingest.Unsent || !strings.Contains(f.Hint, "Check the base URL") || strings.Contains(f.Error(), "operation=") {
			t.Errorf("%s: %s: %v. %s", base, f.Kind, f, f.Hint)
		}
	}
}

func TestHandshakeThatFailsIsUnsent(t *testing.T) {
	server := httptest.NewUnstartedServer(answers(200, nil, "")) // of an authority that nobody trusts
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, _, err := next(t, server.URL)
	if f := faultOf(t, err); f.Kind != ingest.Unsent || !strings.Contains(f.Error(), "certificate") {
		t.Errorf("%s: %v", f.Kind, f)
	}
}

func TestReplyThatIsLostIsInDoubt(t *testing.T) {
	for name, fault := range map[string]netskopesim.Fault{"reset": netskopesim.Reset, "lost reply": netskopesim.LoseReply} {
		sim := tenant(netskopesim.Config{}, "*")
		sim.Inject(netskopesim.Match{}, fault)
		_, _, err := next(t, serve(t, sim))
		if f := faultOf(t, err); f.Kind != ingest.Lost {
			t.Errorf("%s: %s: %v", name, f.Kind, f)
		}
	}
}

func TestAnswerThatDoesNotBeginInTimeIsInDoubt(t *testing.T) {
	sim := tenant(netskopesim.Config{}, "*")
	sim.Inject(netskopesim.Match{}, netskopesim.HangAfter)
	c := New(Config{BaseURL: serve(t, sim), Token: func() (string, error) { return secret, nil }, Timeout: 100 * time.Millisecond, Grace: time.Second})
	_, _, err := fetch(t.Context(), c.Export("events/page", "i"), ingest.Request{Op: ingest.OpNext})
	if f := faultOf(t, err); f.Kind != ingest.Lost || !strings.Contains(f.Hint, "asked for again") {
		t.Errorf("%s: %v. %s", f.Kind, f, f.Hint)
	}
}

func TestRequestThatHasLeftIsWaitedForAfterTheOrderToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stop()
		_, _ = w.Write([]byte(`{"ok":1,"result":[{"n":1}]}`))
	}))
	events, _, err := fetch(ctx, client(base).Export("events/page", "i"), ingest.Request{Op: ingest.OpNext})
	if err != nil || len(events) != 1 {
		t.Errorf("%d events, %v, want the page, since the index has moved", len(events), err)
	}
}

func TestAnswerThatHasBegunIsReadToItsEndAfterTheOrderToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ok":1,"result":[{"n":1},`))
		_ = http.NewResponseController(w).Flush()
		<-ctx.Done()
		_, _ = w.Write([]byte(`{"n":2}],"wait_time":0}`))
	}))
	n := 0
	_, err := client(base).Export("events/page", "i").Fetch(ctx, ingest.Request{Op: ingest.OpNext}, func([]byte) error {
		n++
		stop()
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d events, %v, want 2 and no error", n, err)
	}
}

func TestBodyThatBreaksOffIsBroken(t *testing.T) {
	for name, fault := range map[string]netskopesim.Fault{"at once": netskopesim.CutBody(0), "half-way": netskopesim.CutBody(3000)} {
		sim := tenant(netskopesim.Config{}, "*")
		feed(t, sim, "events/page", 3000)
		sim.Inject(netskopesim.Match{}, fault)
		_, _, err := next(t, serve(t, sim))
		if f := faultOf(t, err); f.Kind != ingest.Broken || !strings.Contains(f.Hint, "connection was cut") {
			t.Errorf("%s: %s: %v. %s", name, f.Kind, f, f.Hint)
		}
	}
}

func TestPageBreaksOffHalfWay(t *testing.T) {
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ok":1,"result":[{"n":1},{"n":2},`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	events, _, err := next(t, base)
	if f := faultOf(t, err); f.Kind != ingest.Broken || len(events) != 2 {
		t.Errorf("%s: %v after %q, want the two events and broken", f.Kind, f, events)
	}
}

func TestGzipThatIsDamagedIsNoPage(t *testing.T) {
	for name, fault := range map[string]netskopesim.Fault{"damaged": netskopesim.BrokenGzip, "truncated": netskopesim.Truncate, "empty": netskopesim.Empty} {
		sim := tenant(netskopesim.Config{}, "*")
		feed(t, sim, "events/page", 300)
		sim.Inject(netskopesim.Match{}, fault)
		_, _, err := next(t, serve(t, sim))
		if f := faultOf(t, err); f.Kind != ingest.Invalid || !strings.Contains(f.Hint, "asked for again") {
			t.Errorf("%s: %s: %v. %s", name, f.Kind, f, f.Hint)
		}
	}
}

func TestErrorOfTheReceiverIsReturnedAsItIs(t *testing.T) {
	full := errors.New("no room")
	base := serve(t, answers(200, nil, `{"ok":1,"result":[{"n":1},{"n":2}]}`))
	_, err := client(base).Export("events/page", "i").Fetch(t.Context(), ingest.Request{Op: ingest.OpNext}, func([]byte) error { return full })
	var f *ingest.Fault
	if !errors.Is(err, full) || errors.As(err, &f) {
		t.Errorf("error %v, want the receiver's", err)
	}
}

// A closer is a server that answers each connection's first request, and hangs
// up on a second one after it has counted it: what a load balancer does that
// has closed an idle connection.
type closer struct {
	mu       sync.Mutex
	asked    int
	seen     map[string]int // requests by connection
	position int
}

func (c *closer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked++
	c.position++ // the index moves before anybody has seen the page
	c.seen[r.RemoteAddr]++
	again := c.seen[r.RemoteAddr] > 1
	position := c.position
	c.mu.Unlock()
	if again {
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, `{"ok":1,"result":[{"n":%d}],"wait_time":0}`, position)
}

func TestEachNextReachesNetskopeOnce(t *testing.T) {
	server := &closer{seen: make(map[string]int)}
	source := client(serve(t, server)).Export("events/page", "i")
	var got []string
	for i := range 4 {
		events, _, err := fetch(t.Context(), source, ingest.Request{Op: ingest.OpNext})
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		got = append(got, events...)
	}
	if server.asked != 4 || len(server.seen) != 4 || strings.Join(got, "") != `{"n":1}{"n":2}{"n":3}{"n":4}` {
		t.Errorf("4 calls of next were %d requests on %d connections, and brought %q", server.asked, len(server.seen), got)
	}
}
