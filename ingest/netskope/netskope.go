// Package netskope reads events from Netskope's REST API v2.
//
// An iterator request moves Netskope's side of the position before anybody has
// seen the page, so the package keeps three promises. No request is repeated by
// the HTTP stack: each has a connection of its own, HTTP/1.1, no redirects. A
// page counts as whole only when its body was read to the end, is JSON, and
// says that it is good. And every failure is an [ingest.Fault] that tells what
// it leaves in doubt.
//
// The token is sent in a header, to the configured host alone, and is in no
// error.
package netskope

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/linger"
)

// perSecond is how often an endpoint is called, below the 4 a second that
// Netskope allows.
const perSecond = 3

const tokenHeader = "Netskope-Api-Token"

// bodyIdle is how long a body may bring nothing. Time that we spend storing
// what has come does not count.
const bodyIdle = 30 * time.Second

// Config says how to reach a tenant.
type Config struct {
	BaseURL string                 // scheme and host, as https://acme.goskope.com
	Token   func() (string, error) // asked for each request, so that a rotated token takes effect
	Timeout time.Duration          // until the answer begins
	Grace   time.Duration          // how long a request that was made goes on after the order to stop
	Proxy   func(*http.Request) (*url.URL, error)
	TLS     *tls.Config
	Allow   []netip.Prefix // address ranges beyond public ones that the host may have
	Agent   string         // User-Agent
	// Wrap, if set, is put around the transport, to observe requests.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Transport, if set, takes the place of the network.
	Transport http.RoundTripper
}

// A Client talks to one tenant. It may be used by many lanes at once.
type Client struct {
	config Config
	http   *http.Client

	mu     sync.Mutex
	limits map[string]*rate.Limiter // by endpoint
	resume map[string]time.Time     // when Netskope lets an endpoint be called again
	part   float64                  // of the tenant's requests that are ours
	skew   *time.Duration           // Netskope's clock less ours, when it last answered
}

// New returns a client. It sends nothing.
func New(c Config) *Client {
	transport := c.Transport
	if transport == nil {
		transport = newTransport(c)
	}
	if c.Wrap != nil {
		transport = c.Wrap(transport)
	}
	return &Client{
		config: c,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limits: make(map[string]*rate.Limiter),
		resume: make(map[string]time.Time),
		part:   1,
	}
}

// leastPart keeps a client with no part of its own alive.
const leastPart = 0.05

// Share says which part of the tenant's requests is this client's, from 0 to 1:
// other replicas and jobs call the same tenant.
func (c *Client) Share(part float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = max(part, leastPart)
	for _, limiter := range c.limits {
		limiter.SetLimit(rate.Limit(perSecond * c.part))
	}
}

// get makes one request. The body of what it returns is idle-bounded and must
// be closed. A request that has been made outlives ctx by the grace period.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	if err := c.pace(ctx, path); err != nil {
		return nil, err
	}
	token, err := c.config.Token()
	if err != nil {
		return nil, &ingest.Fault{Kind: ingest.Denied, Err: err, Hint: "Mend the token's file or variable"}
	}
	// A request that has left may move Netskope's side of the position even if
	// nobody waits for the answer; so it is waited for when told to stop.
	lingering, cancel := linger.Context(ctx, c.config.Grace)
	asking, abort := context.WithCancelCause(lingering)
	release := func() {
		abort(context.Canceled)
		cancel()
	}
	sent := false // from the moment that there is a connection to send on
	asking = httptrace.WithClientTrace(asking, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})

	req, err := http.NewRequestWithContext(asking, http.MethodGet, c.config.BaseURL+path+"?"+query.Encode(), nil)
	if err != nil {
		release()
		return nil, fmt.Errorf("make request for %s: %w", path, err)
	}
	req.Header.Set(tokenHeader, token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", c.config.Agent)
	resp, err := c.http.Do(req)
	if err != nil {
		release()
		return nil, unanswered(path, err, sent)
	}
	c.heed(path, resp)
	resp.Body = &idleBody{ReadCloser: resp.Body, abort: abort, release: release}
	return resp, nil
}

// pace waits until the endpoint may be called.
func (c *Client) pace(ctx context.Context, path string) error {
	c.mu.Lock()
	limiter, ok := c.limits[path]
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(perSecond*c.part), 1)
		c.limits[path] = limiter
	}
	pause := time.Until(c.resume[path])
	c.mu.Unlock()
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return limiter.Wait(ctx)
}

// Skew returns how far Netskope's clock was ahead of ours at its last answer,
// in whole seconds, and whether there was one.
func (c *Client) Skew() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skew == nil {
		return 0, false
	}
	return *c.skew, true
}

// heed notes what the answer says of the clock and of the rate limit.
func (c *Client) heed(path string, resp *http.Response) {
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := time.Until(date).Round(time.Second)
		c.mu.Lock()
		c.skew = &skew
		c.mu.Unlock()
	}
	if resp.Header.Get("RateLimit-Remaining") != "0" {
		return
	}
	reset, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("RateLimit-Reset")))
	if err != nil || reset < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume[path] = time.Now().Add(min(time.Duration(reset)*time.Second, maxWait))
}

// An idleBody ends a request whose body brings nothing for a while.
type idleBody struct {
	io.ReadCloser
	abort   context.CancelCauseFunc
	release context.CancelFunc
	bytes   int64
	ended   bool // its end was read
}

var errIdle = fmt.Errorf("no byte for %v", bodyIdle)

func (b *idleBody) Read(p []byte) (int, error) {
	idle := time.AfterFunc(bodyIdle, func() { b.abort(errIdle) })
	n, err := b.ReadCloser.Read(p)
	if !idle.Stop() && err != nil && !errors.Is(err, io.EOF) {
		err = errIdle
	}
	b.bytes += int64(n)
	b.ended = errors.Is(err, io.EOF)
	return n, err
}

func (b *idleBody) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}
