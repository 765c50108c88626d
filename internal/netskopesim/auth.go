package netskopesim

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Token is what one API token may do and until when.
type Token struct {
	Grants  []Grant
	Expires time.Time // zero means never
}

// Grant gives a token one endpoint. Path is below /api/v2/, for example
// "events/dataexport/alerts/dlp"; a final * stands for any rest. Without Write
// only GET is allowed.
type Grant struct {
	Path  string
	Write bool
}

func (g Grant) covers(path, method string) bool {
	if method != http.MethodGet && !g.Write {
		return false
	}
	prefix, wild := strings.CutSuffix(g.Path, "*")
	return path == g.Path || wild && strings.HasPrefix(path, prefix)
}

// guard checks tokens as the tenant's gateway does.
type guard struct {
	mu      sync.Mutex
	tokens  map[string]Token
	off     bool
	invalid int
}

func newGuard(c Config) guard {
	return guard{tokens: maps.Clone(c.Tokens), invalid: c.InvalidTokenStatus}
}

// SetToken adds a token or replaces what it may do.
func (t *Tenant) SetToken(name string, token Token) {
	t.guard.mu.Lock()
	defer t.guard.mu.Unlock()
	t.guard.tokens[name] = token
}

// RemoveToken revokes a token.
func (t *Tenant) RemoveToken(name string) {
	t.guard.mu.Lock()
	defer t.guard.mu.Unlock()
	delete(t.guard.tokens, name)
}

// SetAPI is the tenant's switch "REST API Status": while it is off, no token
// works.
func (t *Tenant) SetAPI(on bool) {
	t.guard.mu.Lock()
	defer t.guard.mu.Unlock()
	t.guard.off = !on
}

// admit reports whether the request's token allows it, and answers it if not.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	name := r.Header.Get("Netskope-Api-Token")
	if name == "" {
		name, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	g.mu.Lock()
	token, known := g.tokens[name]
	off := g.off
	g.mu.Unlock()
	switch {
	case name == "":
		w.Header().Set("WWW-Authenticate", "Key")
		refuse(w, http.StatusUnauthorized, "No API key found in request")
	case off:
		refuse(w, http.StatusForbidden, "REST API is disabled")
	case !known || !token.Expires.IsZero() && !now.Before(token.Expires):
		refuse(w, g.invalid, "Unauthorized")
	case !token.allows(r):
		refuse(w, http.StatusForbidden, "You cannot consume this service")
	default:
		return true
	}
	return false
}

func (t Token) allows(r *http.Request) bool {
	path := strings.TrimPrefix(r.URL.Path, "/api/v2/")
	for _, grant := range t.Grants {
		if grant.covers(path, r.Method) {
			return true
		}
	}
	return false
}
