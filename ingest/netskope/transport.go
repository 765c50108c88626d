package netskope

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// newTransport returns a transport that makes a connection for each request
// and never sends a request twice. A reused connection that turns out closed
// makes net/http repeat a GET, and a repeated "next" loses a page.
func newTransport(c Config) *http.Transport {
	return &http.Transport{
		Proxy:                  c.Proxy,
		DialContext:            dial(c),
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  c.Timeout,
		DisableKeepAlives:      true,
		DisableCompression:     true, // we ask for gzip and undo it ourselves
		ForceAttemptHTTP2:      false,
		Protocols:              http1(),
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// dial returns a dialer that refuses addresses which are not public, unless
// they were allowed or the base URL itself names a loopback address. It looks
// at the address that is being connected to, after the name was resolved, so a
// name cannot lead elsewhere. A proxy was configured by the operator and may be
// anywhere; it is the proxy that then resolves the tenant's name.
func dial(c Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	base, err := url.Parse(c.BaseURL)
	open := err == nil && (isLoopback(base.Hostname()) || proxied(c, base))
	if !open {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return allowed(address, c.Allow) }
	}
	return dialer.DialContext
}

// proxied reports whether requests to the tenant go by a proxy.
func proxied(c Config, base *url.URL) bool {
	if c.Proxy == nil {
		return false
	}
	proxy, err := c.Proxy(&http.Request{URL: base})
	return err == nil && proxy != nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// special lists ranges that are neither private nor public and lead nowhere a
// tenant can be: shared address space, benchmarks, documentation, 6to4, NAT64.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

func allowed(address string, extra []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %s: not an address", address)
	}
	addr := ap.Addr().Unmap().WithZone("")
	for _, p := range extra {
		if p.Contains(addr) {
			return nil
		}
	}
	public := addr.IsGlobalUnicast() && !addr.IsPrivate()
	for _, p := range special {
		public = public && !p.Contains(addr)
	}
	if !public {
		return fmt.Errorf("the name leads to %s, which is not a public address; if that is meant, add it to OUTBOUND_ALLOW", addr)
	}
	return nil
}
