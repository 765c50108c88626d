package netskopesim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var epoch = time.Unix(1_767_225_600, 0)

// clock is a tenant's clock that a test sets.
type clock struct{ nanos atomic.Int64 }

func clockAt(at time.Time) *clock {
	c := &clock{}
	c.nanos.Store(at.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// answer is what a client got. err is that of the request or of its body.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func ask(t testing.TB, tenant *Tenant, path string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://sim.goskope.com/api/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Netskope-Api-Token", DemoToken)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := tenant.Client().Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body, err}
}

// export is a decoded page of an iterator.
type export struct {
	OK     int
	Result []row
	Wait   *int   `json:"wait_time"`
	HWM    *int64 `json:"timestamp_hwm"`
	raw    []byte
}

type row struct {
	ID        string `json:"_id"`
	Timestamp int64
	Inserted  int64  `json:"_insertion_epoch_timestamp"`
	AlertType string `json:"alert_type"`
}

func (a answer) page(t testing.TB) export {
	t.Helper()
	if a.err != nil || a.status != http.StatusOK {
		t.Fatalf("answer is %d %.200s, %v; want a page", a.status, a.body, a.err)
	}
	p := export{raw: a.body}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("decode %.200s: %v", a.body, err)
	}
	return p
}

func iterate(t testing.TB, tenant *Tenant, stream, operation string) export {
	t.Helper()
	return ask(t, tenant, "events/dataexport/"+stream+"?index=i&operation="+operation).page(t)
}

func TestUnknownRoutesAnswerAsTheGatewayDoes(t *testing.T) {
	tenant := New(Config{Streams: []string{"events/page"}})
	for _, path := range []string{"policy/deploy", "events/dataexport/alerts/none", "events/dataexport/alerts/dlp", "events/data/incident", "events/datasearch/alert"} {
		got := ask(t, tenant, path+"?operation=next&index=i")
		if got.status != 404 || string(got.body) != `{"message":"no Route matched with those values"}` {
			t.Errorf("%s answers %d %s", path, got.status, got.body)
		}
	}
}

func TestEveryAnswerNamesRequestRateAndTime(t *testing.T) {
	tenant := New(Config{Clock: clockAt(epoch).now})
	ids := map[string]bool{}
	tenant.Inject(Match{Endpoint: "events/page"}, Status(500, "{}"))
	for _, path := range []string{"nowhere", "events/dataexport/events/page", "events/dataexport/events/audit?operation=next&index=i"} {
		h := ask(t, tenant, path).header
		ids[h.Get("X-Request-Id")] = true
		if h.Get("Date") != "Thu, 01 Jan 2026 00:00:00 GMT" {
			t.Errorf("%s: date is %q", path, h.Get("Date"))
		}
		if path != "events/dataexport/events/page" && (h.Get("RateLimit-Limit") != "4" || h.Get("RateLimit-Remaining") != "3" || h.Get("RateLimit-Reset") != "1") {
			t.Errorf("%s: headers are %v", path, h)
		}
	}
	if len(ids) != 3 || ids[""] {
		t.Errorf("request ids are %v", ids)
	}
}

func TestTrailingSlashAndExtraParametersAreIgnored(t *testing.T) {
	tenant := New(Config{})
	got := ask(t, tenant, "events/dataexport/events/page/?operation=next&index=i&limit=7")
	if got.status != 200 {
		t.Fatalf("answer is %d %s", got.status, got.body)
	}
	if got := ask(t, tenant, "events/dataexport/events/page?operation=resend&index=i").status; got != 200 {
		t.Fatalf("answer without the slash is %d", got)
	}
	if calls := tenant.Ledger(); calls[0].Endpoint != calls[1].Endpoint {
		t.Errorf("endpoints are %s and %s", calls[0].Endpoint, calls[1].Endpoint)
	}
}

func TestBodyIsChunkedAndCompressedOnRequest(t *testing.T) {
	tenant := New(Config{RateLimit: -1, Clock: clockAt(epoch).now})
	if err := tenant.Feed("events/page", 50, epoch.Add(-time.Minute), epoch); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(tenant)
	defer server.Close()
	size := map[string]int{}
	for _, encoding := range []string{"gzip", "identity"} {
		r, err := http.NewRequest(http.MethodGet, server.URL+"/api/v2/events/dataexport/events/page?operation=head&index=i", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+DemoToken)
		r.Header.Set("Accept-Encoding", encoding)
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || len(response.TransferEncoding) != 1 || response.TransferEncoding[0] != "chunked" {
			t.Fatalf("%s: transfer encoding %v, %v", encoding, response.TransferEncoding, err)
		}
		if compressed := bytes.HasPrefix(body, []byte{0x1f, 0x8b}); compressed != (encoding == "gzip") || compressed != (response.Header.Get("Content-Encoding") == "gzip") {
			t.Errorf("%s: body begins with %x", encoding, body[:2])
		}
		size[encoding] = len(body)
	}
	if size["gzip"]*2 > size["identity"] {
		t.Errorf("sizes are %v", size)
	}
}

func TestTokenDecidesWhoMayRead(t *testing.T) {
	limited := Token{Grants: []Grant{{Path: "events/dataexport/alerts/*"}, {Path: "events/dataexport/events/page"}}, Expires: epoch.Add(time.Hour)}
	tests := []struct {
		name, path, header, value string
		late                      time.Duration
		off                       bool
		status                    int
		message                   string
	}{
		{"by header", "alerts/dlp", "Netskope-Api-Token", "limited", 0, false, 200, ""},
		{"as bearer", "alerts/dlp", "Authorization", "Bearer limited", 0, false, 200, ""},
		{"exact grant", "events/page", "Netskope-Api-Token", "limited", 0, false, 200, ""},
		{"no grant", "events/audit", "Netskope-Api-Token", "limited", 0, false, 403, "You cannot consume this service"},
		{"no token", "alerts/dlp", "X-None", "1", 0, false, 401, "No API key found in request"},
		{"unknown token", "alerts/dlp", "Netskope-Api-Token", "other", 0, false, 401, "Unauthorized"},
		{"expired token", "alerts/dlp", "Netskope-Api-Token", "limited", time.Hour, false, 401, "Unauthorized"},
		{"switched off", "alerts/dlp", "Netskope-Api-Token", "limited", 0, true, 403, "REST API is disabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant := New(Config{Tokens: map[string]Token{"limited": limited}, Clock: clockAt(epoch.Add(tt.late)).now})
			tenant.SetAPI(!tt.off)
			got := ask(t, tenant, "events/dataexport/"+tt.path+"?operation=next&index=i", "Netskope-Api-Token", "", tt.header, tt.value)
			if got.status != tt.status || !strings.Contains(string(got.body), tt.message) {
				t.Errorf("answer is %d %s, want %d %s", got.status, got.body, tt.status, tt.message)
			}
		})
	}
}

func TestTokensChangeWhileTheTenantServes(t *testing.T) {
	tenant := New(Config{RateLimit: -1, InvalidTokenStatus: 403})
	path := "events/dataexport/events/page?operation=next&index=i"
	tenant.RemoveToken(DemoToken)
	if got := ask(t, tenant, path).status; got != 403 {
		t.Errorf("a removed token gets %d, want 403", got)
	}
	tenant.SetToken(DemoToken, Token{Grants: []Grant{{Path: "*"}}})
	if got := ask(t, tenant, path).status; got != 200 {
		t.Errorf("a new token gets %d, want 200", got)
	}
	if (Grant{Path: "*"}).covers("policy/urllist", http.MethodPost) || !(Grant{Path: "*", Write: true}).covers("policy/urllist", http.MethodPost) {
		t.Error("a grant to read lets write, or one to write does not")
	}
}

func TestFifthRequestInASecondIsThrottled(t *testing.T) {
	c := clockAt(epoch)
	tenant := New(Config{Clock: c.now})
	path := "events/dataexport/events/page?operation=next&index=i"
	for range 4 {
		if got := ask(t, tenant, path).status; got != 200 {
			t.Fatalf("answer is %d", got)
		}
	}
	got := ask(t, tenant, path)
	if got.status != 429 || got.header.Get("Retry-After") != "1" || got.header.Get("RateLimit-Remaining") != "0" || !strings.Contains(string(got.body), "API rate limit exceeded") {
		t.Errorf("fifth answer is %d %v %s", got.status, got.header, got.body)
	}
	if got := ask(t, tenant, "events/dataexport/events/audit?operation=next&index=i").status; got != 200 {
		t.Errorf("another endpoint answers %d", got)
	}
	c.advance(time.Second)
	if got := ask(t, tenant, path).status; got != 200 {
		t.Errorf("a second later the answer is %d", got)
	}
	if n := len(tenant.Ledger()); n != 6 {
		t.Errorf("the ledger has %d calls, want 6", n)
	}
}

func TestGlobalLimitCountsAllEndpoints(t *testing.T) {
	tenant := New(Config{Clock: clockAt(epoch).now, RateLimit: -1, GlobalRateLimit: 2})
	var got []int
	for _, stream := range []string{"page", "audit", "network"} {
		got = append(got, ask(t, tenant, "events/dataexport/events/"+stream+"?operation=next&index=i").status)
	}
	if got[0] != 200 || got[1] != 200 || got[2] != 429 {
		t.Errorf("answers are %v", got)
	}
}
