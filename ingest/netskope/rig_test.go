package netskope

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

const secret = "s3cr3t-t0ken-value"

// serve answers at a loopback address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// client returns a client of the tenant at base that dials as a program's does.
func client(base string) *Client {
	return New(Config{
		BaseURL: base, Token: func() (string, error) { return secret, nil },
		Timeout: 30 * time.Second, Grace: 10 * time.Second, Agent: "skopeflow/test",
	})
}

// tenant returns a tenant whose token is ours and may read the given paths.
func tenant(c netskopesim.Config, grants ...string) *netskopesim.Tenant {
	var token netskopesim.Token
	for _, g := range grants {
		token.Grants = append(token.Grants, netskopesim.Grant{Path: g})
	}
	c.Tokens = map[string]netskopesim.Token{secret: token}
	return netskopesim.New(c)
}

// fetch makes one request, and returns the events with its outcome.
func fetch(ctx context.Context, s ingest.Source, req ingest.Request) ([]string, ingest.Answer, error) {
	var events []string
	a, err := s.Fetch(ctx, req, func(e []byte) error {
		events = append(events, string(e))
		return nil
	})
	return events, a, err
}

func next(t *testing.T, base string) ([]string, ingest.Answer, error) {
	t.Helper()
	return fetch(t.Context(), client(base).Export("events/page", "skopeflow-test"), ingest.Request{Op: ingest.OpNext})
}

// answers is a handler with one answer.
func answers(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// faultOf checks that err is a fault that tells no secret.
func faultOf(t *testing.T, err error) *ingest.Fault {
	t.Helper()
	var f *ingest.Fault
	if !errors.As(err, &f) {
		t.Fatalf("error is a %T (%v), want a fault", err, err)
	}
	for _, text := range []string{f.Error(), f.Hint} {
		if strings.Contains(text, secret) {
			t.Errorf("the token stands in %q", text)
		}
	}
	return f
}
