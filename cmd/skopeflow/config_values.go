package main

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A BaseURL is scheme, host and perhaps a port of a tenant, such as
// https://acme.goskope.com. It has neither path nor trailing slash.
type BaseURL string

// UnmarshalText reads what people call their tenant: acme, acme.goskope.com, or
// the whole URL. Its errors do not quote the value, which may hold a password.
func (b *BaseURL) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	bare := !strings.Contains(value, "://")
	if bare {
		value = "https://" + value
	}
	u, err := url.Parse(value)
	if err != nil {
		return errors.New("not a URL; write the tenant, such as acme or https://acme.goskope.com")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %s is not known here; write https://", u.Scheme)
	case u.User != nil:
		return errors.New("a URL with a user or password is not accepted; give the token in its own variable")
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("leave out the path %s; the host is enough", u.Path)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("leave out what follows the host")
	case !validHost(host) || strings.Contains(host, "%"):
		return errors.New("the host is not a host name; write the tenant, such as acme or https://acme.goskope.com")
	case !validPort(u):
		return errors.New("the port is not a number from 1 to 65535")
	case u.Scheme == "http" && !loopback(host):
		return fmt.Errorf("http to %s would send the token in the clear; write https://%s", host, host)
	}
	if bare && !strings.ContainsAny(host, ".:") && host != "localhost" {
		host += ".goskope.com"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	*b = BaseURL(u.Scheme + "://" + host)
	return nil
}

// Host returns the host without its port.
func (b BaseURL) Host() string {
	u, err := url.Parse(string(b))
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// validPort also refuses a colon with nothing behind it.
func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// A ProxyURL is the proxy of an instance. It may carry a password, so only
// scheme and host print; the pointer keeps fmt from looking behind that.
type ProxyURL struct{ u *url.URL }

// UnmarshalText accepts the schemes that net/http can use as a proxy.
func (p *ProxyURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil || u.Hostname() == "" || !validPort(u) {
		return errors.New("not a URL; write one such as http://proxy:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return fmt.Errorf("the scheme %s is none of a proxy; write http://, https:// or socks5://", u.Scheme)
	}
	p.u = u
	return nil
}

// URL returns nil when no proxy was set, and the environment's HTTPS_PROXY is
// to be used.
func (p ProxyURL) URL() *url.URL { return p.u }

func (p ProxyURL) String() string {
	if p.u == nil {
		return ""
	}
	return p.u.Scheme + "://" + p.u.Host
}

// A Duration is written as Go writes one, and may begin with days: 90s, 5m, 7d,
// 1d12h.
type Duration struct{ time.Duration }

func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	d.Duration = v
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a length of time; write one such as 30s, 5m, 24h or 7d", s)
	var days time.Duration
	rest := s
	if number, after, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, bad
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, bad
	}
	return days + d, nil
}

// A Size is a number of bytes. It is written 1073741824, 1GiB or 1Gi for powers
// of 1024, and 1GB or 1G for powers of 1000.
type Size int64

func (s *Size) UnmarshalText(text []byte) error {
	m := sizeForm.FindStringSubmatch(strings.TrimSpace(string(text)))
	if m == nil {
		return fmt.Errorf("%q is not a size; write one such as 256MiB or 10GB", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return fmt.Errorf("%q is not a size; write one such as 256MiB or 10GB", text)
	}
	base := 1000.0
	if m[3] != "" {
		base = 1024
	}
	n *= math.Pow(base, float64(strings.Index(" KMGT", strings.ToUpper(m[2] + " ")[:1])))
	if n < 1 || n >= math.MaxInt64 {
		return fmt.Errorf("%q is out of range; write a size such as 256MiB or 10GB", text)
	}
	*s = Size(n)
	return nil
}

var sizeForm = regexp.MustCompile(`(?i)^(\d+(?:\.\d+)?) *(?:([KMGT])(i)?)?B?$`)

// A Start says where a lane without a cursor begins. The zero Start is now.
type Start struct {
	at  time.Time     // set when a time was given
	ago time.Duration // else how long before the moment of asking
}

// UnmarshalText reads now, a time as in RFC 3339, or an age such as 24h or 7d.
func (s *Start) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	if value == "now" {
		*s = Start{}
		return nil
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		*s = Start{at: at}
		return nil
	}
	ago, err := parseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is no start; write now, a time such as 2026-01-31T08:00:00Z, or an age such as 24h or 7d", value)
	}
	*s = Start{ago: ago}
	return nil
}

// Resolve returns the time that is meant when it is now.
func (s Start) Resolve(now time.Time) time.Time {
	if !s.at.IsZero() {
		return s.at
	}
	return now.Add(-s.ago)
}

// Prefixes are address ranges, masked.
type Prefixes []netip.Prefix

// UnmarshalText reads ranges with commas between. An address alone is the range
// that holds nothing else.
func (p *Prefixes) UnmarshalText(text []byte) error {
	var list Prefixes
	for item := range strings.SplitSeq(string(text), ",") {
		item = strings.TrimSpace(item)
		if addr, err := netip.ParseAddr(item); err == nil && addr.Zone() == "" {
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return fmt.Errorf("%q is not an address range; write ranges such as 10.0.0.0/8,fd00::/8", item)
		}
		list = append(list, prefix.Masked())
	}
	*p = list
	return nil
}
