// Package admin shows how the program is: a page for people, JSON and metrics
// for machines, probes for orchestrators.
//
// It reads and never acts. It needs no JavaScript, and everything that comes
// from outside, as names and error texts do, is shown as text.
package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/normalize"
)

// probeTime bounds what /readyz waits for.
const probeTime = 3 * time.Second

// Config is what the pages show. Its functions are called for each request.
type Config struct {
	Version  string
	Started  time.Time
	Statuses func() []ingest.Status
	// Drift says what came from Netskope that the tables do not know.
	Drift func() []normalize.DriftCount
	// Ready returns nil if the program can do its work. It must not depend on
	// any tenant: one refused token is no reason to restart the process.
	Ready   func(ctx context.Context) error
	Metrics http.Handler
	// Hosts are the names by which the server may be called, without a port;
	// any if empty. See [LoopbackHosts].
	Hosts []string
}

var (
	//go:embed status.html
	statusHTML string
	//go:embed style.css
	styleCSS []byte
)

// Handler serves the status page, the API, the metrics and the probes.
func Handler(c Config) http.Handler {
	style := styleName()
	page := template.Must(template.New("status").Parse(statusHTML))
	mux := probes(c)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { c.servePage(w, page, style) })
	mux.HandleFunc("GET "+style, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(styleCSS) // the reader has gone
	})
	mux.HandleFunc("GET /api/v1/status", c.serveStatus)
	return allowHosts(c.Hosts, secure(mux))
}

// Probes serves /healthz, /readyz and /metrics alone, for an address that is
// reachable from elsewhere. Orchestrators call it by addresses that nobody
// knows beforehand, so it does not look at Hosts.
func Probes(c Config) http.Handler { return secure(probes(c)) }

func probes(c Config) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", c.serveReady)
	mux.Handle("GET /metrics", c.Metrics)
	return mux
}

// styleName holds a digest of the style sheet, so that a browser keeps it until
// it changes.
func styleName() string {
	sum := sha256.Sum256(styleCSS)
	return "/style-" + hex.EncodeToString(sum[:6]) + ".css"
}

func (c Config) servePage(w http.ResponseWriter, page *template.Template, style string) {
	v := newView(c, c.Statuses(), time.Now())
	v.Drift = c.Drift()
	v.Style = style
	var html bytes.Buffer
	if err := page.Execute(&html, v); err != nil {
		http.Error(w, "render page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = html.WriteTo(w) // the reader has gone
}

// status is the answer of /api/v1/status.
type status struct {
	Version string                 `json:"version"`
	Started time.Time              `json:"started"`
	Lanes   []ingest.Status        `json:"lanes"`
	Drift   []normalize.DriftCount `json:"drift,omitempty"`
}

func (c Config) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s := status{Version: c.Version, Started: c.Started.UTC(), Lanes: c.Statuses(), Drift: c.Drift()}
	if s.Lanes == nil {
		s.Lanes = []ingest.Status{}
	}
	text, err := json.Marshal(s)
	if err != nil {
		http.Error(w, "encode status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the reader has gone
}

// serveReady says whether the program can work, and with ?verbose also how each
// lane is, which the answer does not depend on.
func (c Config) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTime)
	defer cancel()
	code, text := http.StatusOK, "ready\n"
	if err := c.Ready(ctx); err != nil {
		code, text = http.StatusServiceUnavailable, "not ready: "+reason(err)+"\n"
	}
	if r.URL.Query().Has("verbose") {
		var lanes strings.Builder
		for _, s := range worstFirst(c.Statuses()) {
			fmt.Fprintf(&lanes, "%s: %s\n", s.Lane, s.Sentence())
		}
		text += lanes.String()
	}
	writeText(w, code, text)
}

func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("%v (looked for %v)", err, probeTime)
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the reader has gone
}
