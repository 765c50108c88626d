package admin

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 1 << 20

// Server returns a server for handler that no client can hold for long. The
// caller sets where it listens and where it logs.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(handler, maxBody),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// LoopbackHosts returns the names by which a server that listens at addr
// (host:port) may be called, for [Config.Hosts]: those of this machine if it
// listens for this machine alone, else none, which allows any.
func LoopbackHosts(addr string) []string {
	host := hostname(addr)
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil
	}
	return []string{"localhost", "127.0.0.1", "::1", host}
}

// allowHosts refuses requests that were meant for another name. A page on the
// web can point a name of its own at this machine, and would be let in by the
// browser as if it had come from here.
func allowHosts(hosts []string, next http.Handler) http.Handler {
	if len(hosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(hosts, hostname(r.Host)) {
			writeText(w, http.StatusMisdirectedRequest, "this server is not called by that name\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns the host of "host:port", "host", "[::1]:port" or "[::1]".
func hostname(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// secure sets headers under which a page can neither load nor be loaded by
// anything foreign. A handler may relax Cache-Control.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
