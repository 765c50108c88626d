package netskopesim

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// control calls the control handler and returns the status and the lines.
func control(t *testing.T, tenant *Tenant, method, path string) (int, []string) {
	t.Helper()
	w := httptest.NewRecorder()
	tenant.Control().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, strings.Split(strings.TrimSpace(w.Body.String()), "\n")
}

func TestControlScriptsATenantAndTellsWhatItServed(t *testing.T) {
	tenant := New(Config{RateLimit: -1, PageSize: 2, Clock: clockAt(epoch).now})
	if code, lines := control(t, tenant, "POST", "/feed?stream=events/page&n=3"); code != 204 {
		t.Fatalf("feed answers %d %v", code, lines)
	}
	if code, lines := control(t, tenant, "POST", "/fault?name=status&number=503&text=no&endpoint=events/page&operation=next&after=1&times=1"); code != 204 {
		t.Fatalf("fault answers %d %v", code, lines)
	}
	read := iterate(t, tenant, "events/page", at(0)).Result
	read = append(read, iterate(t, tenant, "events/page", "next").Result...)
	if got := ask(t, tenant, pagePath+"next"); got.status != 503 || string(got.body) != "no" {
		t.Errorf("the fault answers %d %s", got.status, got.body)
	}
	iterate(t, tenant, "events/page", "resend")
	_, lines := control(t, tenant, "GET", "/ledger")
	if len(lines) != 3 {
		t.Fatalf("the ledger has %d lines, want 3: %v", len(lines), lines)
	}
	for i, line := range lines {
		var got servedLine
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if want := (servedLine{"events/page", "i", i/2 + 1, read[i].ID, read[i].Timestamp}); got != want {
			t.Errorf("line %d is %+v, want %+v", i, got, want)
		}
	}
	_, lines = control(t, tenant, "GET", "/ledger?summary=1")
	if want := `{"endpoint":"events/page","index":"i","calls":3,"pages":2,"events":3,"distinct":3,"timestamp_hwm":1767225600}`; len(lines) != 1 || lines[0] != want {
		t.Errorf("summary is %v, want %s", lines, want)
	}
	_, lines = control(t, tenant, "GET", "/stats")
	var stats struct {
		Requests, Faults, Events int
		Held                     map[string]int
	}
	if err := json.Unmarshal([]byte(lines[0]), &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Requests != 4 || stats.Faults != 1 || stats.Events != 4 || stats.Held["events/page"] != 3 || len(stats.Held) != 1 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestControlRefusesWhatItCannotDo(t *testing.T) {
	tenant := New(Config{})
	for _, path := range []string{"/feed?stream=events/page", "/feed?stream=events/page&n=x", "/feed?stream=none&n=1", "/fault", "/fault?name=none", "/fault?name=status", "/fault?name=reset&after=x"} {
		if code, lines := control(t, tenant, "POST", path); code != 400 || !strings.HasPrefix(lines[0], `{"message":"`) {
			t.Errorf("%s answers %d %v", path, code, lines)
		}
	}
}

func TestEveryFaultHasAName(t *testing.T) {
	for _, name := range strings.Fields("throttle status cutbody slowbody notok loseindex losereply html empty nocontent204 truncate brokengzip wrongcontenttype nowaittime hangbefore hangafter tokenexpired reset") {
		if fault, err := New(Config{}).FaultNamed(name, 500, ""); fault == nil || err != nil {
			t.Errorf("FaultNamed(%q) = %v", name, err)
		}
	}
}

func TestExportedAuthorityIsAllThatAClientNeedsToTrust(t *testing.T) {
	authority, err := SelfSigned("tenant.example.com")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{authority.Leaf}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: New(Config{}), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(l) // until it is closed
	}()
	defer func() {
		_ = server.Close()
		<-stopped
	}()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.PEM) {
		t.Fatal("the PEM has no certificate")
	}
	for _, name := range []string{"127.0.0.1", "localhost", "sim.goskope.com", "tenant.example.com"} {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := conn.Write([]byte("GET /api/v2/x HTTP/1.1\r\nHost: " + name + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "404") {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		conn.Close()
	}
	if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "other.example.com", MinVersion: tls.VersionTLS12}); err == nil {
		t.Error("another name is trusted")
	}
}
