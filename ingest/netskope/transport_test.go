package netskope

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

func TestNameThatLeadsInsideIsRefused(t *testing.T) {
	for _, c := range []struct {
		address string
		extra   []string
		refused bool
	}{
		{"8.8.8.8:443", nil, false},
		{"[2606:4700::1111]:443", nil, false},
		{"127.0.0.1:443", nil, true},
		{"[::1]:443", nil, true},
		{"[::ffff:127.0.0.1]:443", nil, true},
		{"10.1.2.3:443", nil, true},
		{"[::ffff:10.1.2.3]:443", nil, true},
		{"172.16.0.1:443", nil, true},
		{"192.168.1.1:443", nil, true},
		{"169.254.169.254:80", nil, true},
		{"[fe80::1%eth0]:443", nil, true},
		{"[fd00::1]:443", nil, true},
		{"0.0.0.0:443", nil, true},
		{"100.64.0.1:443", nil, true},
		{"198.18.0.1:443", nil, true},
		{"224.0.0.1:443", nil, true},
		{"[64:ff9b::a00:1]:443", nil, true},
		{"10.1.2.3:443", []string{"10.1.0.0/16"}, false},
		{"10.2.2.3:443", []string{"10.1.0.0/16"}, true},
		{"[::ffff:10.1.2.3]:443", []string{"10.1.0.0/16"}, false},
		{"no-address", nil, true},
	} {
		var extra []netip.Prefix
		for _, p := range c.extra {
			extra = append(extra, netip.MustParsePrefix(p))
		}
		err := allowed(c.address, extra)
		if (err != nil) != c.refused {
			t.Errorf("%s beside %v: %v, want refused: %v", c.address, c.extra, err, c.refused)
		}
		if c.refused && c.address != "no-address" && !strings.Contains(err.Error(), "OUTBOUND_ALLOW") {
			t.Errorf("%s: %v does not say what to do", c.address, err)
		}
	}
}

// rename returns a base URL for the server whose host is a name that leads to
// the loopback address, and is not spelt as one.
func rename(t *testing.T, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return "http://LocalHost:" + u.Port()
}

func TestOutboundPolicyLooksAtTheAddressThatIsDialled(t *testing.T) {
	base := rename(t, serve(t, answers(200, nil, `{"ok":1,"result":[]}`)))
	config := Config{BaseURL: base, Token: func() (string, error) { return secret, nil }, Timeout: 10 * time.Second}
	_, _, err := fetch(t.Context(), New(config).Export("events/page", "i"), ingest.Request{Op: ingest.OpNext})
	f := faultOf(t, err)
	if f.Kind != ingest.Unsent || !strings.Contains(f.Error(), "not a public address") {
		t.Errorf("%s: %v, want it refused", f.Kind, f)
	}
	config.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if _, _, err := fetch(t.Context(), New(config).Export("events/page", "i"), ingest.Request{Op: ingest.OpNext}); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

func TestProxyMayBeInside(t *testing.T) {
	var asked string
	proxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Host
		_, _ = w.Write([]byte(`{"ok":1,"result":[]}`))
	}))
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{BaseURL: "http://acme.invalid", Token: func() (string, error) { return secret, nil }, Timeout: 10 * time.Second, Proxy: http.ProxyURL(u)})
	if _, _, err := fetch(t.Context(), c.Export("events/page", "i"), ingest.Request{Op: ingest.OpNext}); err != nil || asked != "GET acme.invalid" {
		t.Errorf("proxy was asked for %q, %v", asked, err)
	}
}

// A counter counts what a tenant refused for coming too often.
type counter struct {
	http.RoundTripper
	mu       sync.Mutex
	at       []time.Time
	refusals int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.at = append(c.at, time.Now())
	c.mu.Unlock()
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.mu.Lock()
		c.refusals++
		c.mu.Unlock()
	}
	return resp, err
}

func TestEndpointIsNotCalledTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := tenant(netskopesim.Config{Wait: &netskopesim.Wait{}}, "*")
		count := &counter{RoundTripper: sim.Client().Transport}
		c := New(Config{BaseURL: "https://acme.goskope.com", Token: func() (string, error) { return secret, nil }, Transport: count, Grace: time.Second})
		var asking sync.WaitGroup
		for range 3 { // lanes that share an endpoint share its budget
			asking.Go(func() {
				source := c.Export("events/page", "i")
				for range 8 {
					if _, err := source.Fetch(t.Context(), ingest.Request{Op: ingest.OpResend}, func([]byte) error { return nil }); err != nil {
						t.Errorf("%v", err)
					}
				}
			})
		}
		asking.Wait()
		if count.refusals != 0 || len(count.at) != 24 {
			t.Errorf("%d of %d requests were refused", count.refusals, len(count.at))
		}
		for i := 4; i < len(count.at); i++ {
			if within := count.at[i].Sub(count.at[i-4]); within < time.Second {
				t.Errorf("5 requests within %v", within)
			}
		}
	})
}

func TestSpentBudgetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remaining := "0"
		handler := roundTrip(func(*http.Request) *http.Response {
			rec := http.Header{"Ratelimit-Remaining": {remaining}, "Ratelimit-Reset": {"20"}}
			return &http.Response{StatusCode: 204, Header: rec, Body: http.NoBody}
		})
		c := New(Config{BaseURL: "https://acme.goskope.com", Token: func() (string, error) { return secret, nil }, Transport: handler})
		page, audit := c.Export("events/page", "i"), c.Export("events/audit", "i")
		begin := time.Now()
		ask := func(e *Export) time.Duration {
			if _, _, err := fetch(t.Context(), e, ingest.Request{Op: ingest.OpNext}); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		ask(page)
		if after := ask(audit); after > time.Second {
			t.Errorf("another endpoint waited %v", after)
		}
		remaining = "3"
		if after := ask(page); after < 20*time.Second || after > 21*time.Second {
			t.Errorf("the endpoint was called again after %v, want 20s", after)
		}
		if after := ask(page); after > 22*time.Second {
			t.Errorf("with budget left it was called again after %v", after)
		}
	})
}

func TestOrderToStopEndsTheWaitForBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := roundTrip(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 204, Header: http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"600"}}, Body: http.NoBody}
		})
		c := New(Config{BaseURL: "https://acme.goskope.com", Token: func() (string, error) { return secret, nil }, Transport: handler})
		source := c.Export("events/page", "i")
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if _, _, err := fetch(ctx, source, ingest.Request{Op: ingest.OpNext}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, _, err := fetch(ctx, source, ingest.Request{Op: ingest.OpNext}); err == nil || time.Since(begin) > time.Minute {
			t.Errorf("%v after %v, want an error after a minute", err, time.Since(begin))
		}
	})
}

// A roundTrip answers requests without a network.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r)
	resp.Request = r
	return resp, nil
}

func TestBodyThatBringsNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := make(chan struct{})
		sim := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"ok":1,"result":[{"n":1},`))
			<-r.Context().Done()
			close(stall)
			panic(http.ErrAbortHandler)
		})
		tenant := netskopesim.New(netskopesim.Config{})
		tenant.Inject(netskopesim.Match{}, func(_ http.HandlerFunc, w http.ResponseWriter, r *http.Request) { sim(w, r) })
		c := New(Config{BaseURL: "https://acme.goskope.com", Token: func() (string, error) { return secret, nil }, Transport: tenant.Client().Transport, Grace: time.Hour})
		begin := time.Now()
		events, _, err := fetch(t.Context(), c.Export("events/page", "i"), ingest.Request{Op: ingest.OpNext})
		f := faultOf(t, err)
		if took := time.Since(begin); f.Kind != ingest.Broken || len(events) != 1 || took < bodyIdle || took > bodyIdle+time.Second || !strings.Contains(f.Error(), "no byte for") {
			t.Errorf("%s: %v, %d events after %v", f.Kind, f, len(events), took)
		}
		<-stall
	})
}
