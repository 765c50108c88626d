package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/admin"
	"github.com/skopeflow/skopeflow/normalize"
)

func lane(stream string, state ingest.Word) ingest.Status {
	return ingest.Status{Lane: ingest.LaneName("acme", "events/"+stream), Instance: "acme", Stream: "events/" + stream, State: state}
}

func config(lanes ...ingest.Status) admin.Config {
	return admin.Config{
		Version:  "1.2.3",
		Started:  time.Now().Add(-90 * time.Second),
		Statuses: func() []ingest.Status { return lanes },
		Drift:    func() []normalize.DriftCount { return nil },
		Ready:    func(context.Context) error { return nil },
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "skopeflow_build_info 1\n") }),
	}
}

func request(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, http.NoBody))
	return w
}

// page returns the status page with its white space folded.
func page(t *testing.T, c admin.Config) string {
	t.Helper()
	w := request(admin.Handler(c), http.MethodGet, "/")
	if w.Code != http.StatusOK {
		t.Fatalf("GET / = %d: %s", w.Code, w.Body)
	}
	return strings.Join(strings.Fields(w.Body.String()), " ")
}

func TestHeadlineSaysWhetherSomebodyIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh, stale, off := lane("page", ingest.CaughtUp), lane("alert", ingest.CatchingUp), lane("audit", ingest.Disabled)
		fresh.HWM, stale.HWM, off.HWM = time.Now().Add(-12*time.Second), time.Now().Add(-41*time.Second), time.Now().Add(-time.Hour)
		denied := lane("audit", ingest.NotAuthenticated)
		denied.Why, denied.Hint = "Netskope refused the token", "Make a new one."
		blocked := lane("zeta", ingest.Blocked)

		tests := []struct {
			name  string
			lanes []ingest.Status
			want  string
		}{
			{"none", nil, "There are no lanes."},
			{"all well, and a disabled lane is not old", []ingest.Status{fresh, stale, off}, "All 3 lanes are well; oldest data 41 s."},
			{"one", []ingest.Status{fresh}, "The lane is well; oldest data 12 s."},
			{"nothing read yet", []ingest.Status{lane("page", ingest.Starting)}, "The lane is well."},
			{"one of two in need", []ingest.Status{fresh, denied}, "1 of 2 lanes needs you: acme / events/audit: not authenticated: Netskope refused the token. Make a new one."},
			{"two of three in need", []ingest.Status{blocked, fresh, denied}, "2 of 3 lanes need you; the first: acme / events/audit: not authenticated"},
		}
		for _, tt := range tests {
			if got := page(t, config(tt.lanes...)); !strings.Contains(got, `role="status">`+tt.want) {
				t.Errorf("%s: the page lacks %q:\n%s", tt.name, tt.want, got)
			}
		}
	})
}

func TestPageShowsTheWorstLaneFirstInColourAndWords(t *testing.T) {
	got := page(t, config(lane("b", ingest.CaughtUp), lane("off", ingest.Disabled), lane("a", ingest.CaughtUp), lane("z", ingest.Unreachable), lane("c", ingest.RateLimited), lane("m", ingest.CatchingUp)))
	at := 0
	for _, want := range []string{"acme / events/c<", "acme / events/z<", "acme / events/m<", "acme / events/a<", "acme / events/b<", "acme / events/off<"} {
		i := strings.Index(got[at:], `data-label="Lane">`+want)
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, got[at:])
		}
		at += i
	}
	for _, want := range []string{`<span class="state bad"><span aria-hidden="true">✗</span> unreachable</span>`, `<span class="state well"><span aria-hidden="true">✓</span> caught up</span>`} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageShowsFiguresWithUnitsAndZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock starts at midnight, 2000-01-01 UTC
		s := lane("page", ingest.Waiting)
		s.Mode = "dataexport"
		s.HWM, s.LastSuccess, s.NextTry = time.Now().Add(-49*time.Hour), time.Now().Add(-61*time.Second), time.Now().Add(4*time.Minute)
		s.Stored, s.Duplicates, s.Filtered, s.DeadLettered = 1234567, 1000, 23456, 3
		c := config(s)
		got := page(t, c)
		for _, want := range []string{
			`data-label="Mode">dataexport<`,
			`data-label="Newest event">2 d 1 h ago<br><small>1999-12-29 23:00:00 UTC<`,
			`data-label="Last success">1 min 1 s ago<br><small>1999-12-31 23:58:59 UTC<`,
			`data-label="Stored" class="n">1` + "\u202f234\u202f567<", `data-label="Duplicates" class="n">1` + "\u202f000<",
			`data-label="Filtered" class="n">23` + "\u202f456<", `data-label="Dead letters" class="n bad">3<`,
			`data-label="Next try">in 4 min 0 s<`,
			"Rendered 2000-01-01 00:00:00 UTC", "Skopeflow 1.2.3, up 1 min 30 s",
			`<meta http-equiv="refresh" content="5">`,
		} {
			if !strings.Contains(got, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("the page lacks %q:\n%s", want, got)
			}
		}
	})
}

func TestPageShowsForeignTextAsText(t *testing.T) {
	const attack = `<script>alert("x")</script>`
	s := ingest.Status{Lane: attack, Instance: attack, Stream: attack, Mode: attack, State: attack, Why: attack, Hint: attack}
	c := config(s)
	c.Version = attack
	c.Drift = func() []normalize.DriftCount {
		return []normalize.DriftCount{{Drift: normalize.Drift{Kind: attack, Dataset: attack, Field: attack, Example: attack}, Count: 1}}
	}
	if got := page(t, c); strings.Contains(got, "<script") || strings.Count(got, "&lt;script&gt;") < 14 {
		t.Errorf("the page holds foreign text as markup, or not at all:\n%s", got)
	}
}

func TestReadyzFailsWithTheReasonAndNotForATenant(t *testing.T) {
	denied := lane("page", ingest.NotAuthenticated)
	denied.Why = "Netskope refused the token"
	c := config(denied, lane("audit", ingest.CaughtUp))
	const listed = "acme.events.page: not authenticated: Netskope refused the token\nacme.events.audit: caught up\n"
	if w := request(admin.Handler(c), http.MethodGet, "/readyz?verbose"); w.Code != http.StatusOK || w.Body.String() != "ready\n"+listed {
		t.Errorf("GET /readyz?verbose = %d %q", w.Code, w.Body)
	}
	c.Ready = func(context.Context) error {
		return errors.Join(errors.New("broker: no connection"), errors.New("leases: no store"))
	}
	const reason = "not ready: broker: no connection; leases: no store\n"
	for target, want := range map[string]string{"/readyz": reason, "/readyz?verbose": reason + listed} {
		if w := request(admin.Handler(c), http.MethodGet, target); w.Code != http.StatusServiceUnavailable || w.Body.String() != want {
			t.Errorf("GET %s = %d %q, want 503 %q", target, w.Code, w.Body, want)
		}
	}
	if w := request(admin.Handler(c), http.MethodGet, "/healthz"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("GET /healthz = %d %q while not ready", w.Code, w.Body)
	}
}

func TestReadyzDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		w := request(admin.Handler(c), http.MethodGet, "/readyz")
		if w.Code != http.StatusServiceUnavailable || time.Since(begin) != 3*time.Second {
			t.Errorf("GET /readyz = %d after %v, want 503 after 3s", w.Code, time.Since(begin))
		}
	})
}

func TestStatusIsTheLanesAsJSON(t *testing.T) {
	s := lane("page", ingest.Waiting)
	s.Received = 7
	var got struct {
		Version string
		Started time.Time
		Lanes   []ingest.Status
	}
	w := request(admin.Handler(config(s)), http.MethodGet, "/api/v1/status")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "1.2.3" || got.Started.IsZero() || len(got.Lanes) != 1 || got.Lanes[0] != s {
		t.Errorf("status is %+v, want lane %+v", got, s)
	}
	if w := request(admin.Handler(config()), http.MethodGet, "/api/v1/status"); !strings.Contains(w.Body.String(), `"lanes":[]`) {
		t.Errorf("without lanes the status is %s", w.Body)
	}
}

func drifts() []normalize.DriftCount {
	return []normalize.DriftCount{
		{Drift: normalize.Drift{Kind: normalize.DriftKey, Dataset: "page", Field: "x_quantum"}, Count: 12345},
		{Drift: normalize.Drift{Kind: normalize.DriftValue, Dataset: "alert", Field: "severity", Example: "dire"}, Count: 7},
	}
}

func TestPageListsWhatTheTablesDoNotKnow(t *testing.T) {
	const caption = "What Netskope sends and the tables do not know."
	c := config(lane("page", ingest.CaughtUp))
	if got := page(t, c); strings.Contains(got, caption) || strings.Contains(got, `data-label="Field"`) {
		t.Errorf("without drift the page has a table of it:\n%s", got)
	}
	c.Drift = drifts
	got := page(t, c)
	for _, want := range []string{
		caption + " Nothing of it is lost: it stands in unmapped, or in raw.</caption>",
		`<tr><td data-label="Dataset">page</td><th scope="row" data-label="Field">x_quantum</th><td data-label="What">new_key</td><td data-label="Events" class="n">12345</td><td data-label="Example">–</td></tr>`,
		`<tr><td data-label="Dataset">alert</td><th scope="row" data-label="Field">severity</th><td data-label="What">new_value</td><td data-label="Events" class="n">7</td><td data-label="Example">dire</td></tr>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s:\n%s", want, got)
		}
	}
	if strings.Index(got, "x_quantum") > strings.Index(got, "dire") {
		t.Error("the drifts are not in the order given")
	}
}

func TestStatusHasTheDriftAsJSON(t *testing.T) {
	c := config(lane("page", ingest.CaughtUp))
	if w := request(admin.Handler(c), http.MethodGet, "/api/v1/status"); strings.Contains(w.Body.String(), "drift") {
		t.Errorf("without drift the status is %s", w.Body)
	}
	c.Drift = drifts
	w := request(admin.Handler(c), http.MethodGet, "/api/v1/status")
	const want = `"drift":[{"kind":"new_key","dataset":"page","field":"x_quantum","count":12345},{"kind":"new_value","dataset":"alert","field":"severity","example":"dire","count":7}]`
	if !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `"filtered":0`) {
		t.Errorf("the status is %s, want %s", w.Body, want)
	}
}

func TestProbesServeNothingElse(t *testing.T) {
	c := config()
	c.Hosts = []string{"localhost"}
	h := admin.Probes(c)
	for target, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/api/v1/status": 404} {
		if w := request(h, http.MethodGet, "http://10.1.2.3:9090"+target); w.Code != want {
			t.Errorf("GET %s = %d, want %d", target, w.Code, want)
		}
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	h := admin.Handler(config())
	for _, target := range []string{"/", "/healthz", "/readyz", "/metrics", "/api/v1/status"} {
		for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405, http.MethodOptions: 405} {
			if w := request(h, method, target); w.Code != want {
				t.Errorf("%s %s = %d, want %d", method, target, w.Code, want)
			}
		}
	}
	if w := request(h, http.MethodGet, "/nowhere"); w.Code != http.StatusNotFound {
		t.Errorf("GET /nowhere = %d, want 404", w.Code)
	}
}

func TestForeignHostIsRefusedOnLoopback(t *testing.T) {
	c := config()
	c.Hosts = admin.LoopbackHosts("127.0.0.1:8080")
	h := admin.Handler(c)
	for host, want := range map[string]int{
		"localhost:8080": 200, "LOCALHOST": 200, "localhost.": 200, "127.0.0.1:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example:8080": 421, "localhost.evil.example": 421, "10.0.0.1": 421, "": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q = %d, want %d", host, w.Code, want)
		}
	}
	for addr, loopback := range map[string]bool{"localhost:8080": true, "127.0.0.2:80": true, "[::1]:8080": true, ":8080": false, "0.0.0.0:8080": false, "192.0.2.1:8080": false, "skopeflow.example:80": false} {
		if got := admin.LoopbackHosts(addr); (got != nil) != loopback {
			t.Errorf("LoopbackHosts(%q) = %v", addr, got)
		}
	}
}

func TestAnswersAreSealedAgainstForeignPages(t *testing.T) {
	for _, h := range []http.Handler{admin.Handler(config()), admin.Probes(config())} {
		got := request(h, http.MethodGet, "/readyz").Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
		} {
			if got.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.Get(name), want)
			}
		}
	}
}

func TestPageNamesAStyleSheetThatIsServed(t *testing.T) {
	_, rest, _ := strings.Cut(page(t, config()), `<link rel="stylesheet" href="`)
	name, _, _ := strings.Cut(rest, `"`)
	w := request(admin.Handler(config()), http.MethodGet, name)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || !strings.Contains(w.Body.String(), "prefers-color-scheme: dark") {
		t.Errorf("GET %q = %d %s", name, w.Code, w.Header())
	}
}

func TestServerServesWithinBounds(t *testing.T) {
	srv := admin.Server(admin.Handler(config()))
	if srv.ReadHeaderTimeout != 5*time.Second || srv.ReadTimeout != 15*time.Second || srv.WriteTimeout != 30*time.Second || srv.IdleTimeout == 0 || srv.MaxHeaderBytes != 16<<10 {
		t.Errorf("the server's bounds are %v %v %v %v %d", srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout, srv.MaxHeaderBytes)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET /healthz = %d", resp.StatusCode)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
}
