package ecs

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// appendText appends a text, or nothing if it is empty.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return dst
	}
	return jsonscan.AppendString(dst, s)
}

// appendLower appends a text in lower case, which ECS demands where values are compared across sources.
func appendLower(dst []byte, s string) []byte {
	start := len(dst)
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return appendText(dst, strings.ToLower(s))
		}
	}
	dst = appendText(dst, s)
	for i, c := range dst[start:] {
		if 'A' <= c && c <= 'Z' {
			dst[start+i] = c + 'a' - 'A'
		}
	}
	return dst
}

func isLower(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return s == strings.ToLower(s)
		}
		if 'A' <= s[i] && s[i] <= 'Z' {
			return false
		}
	}
	return true
}

func appendApplication(dst []byte, a *schema.Artifact) []byte { return appendLower(dst, a.App.Name) }

func appendTransport(dst []byte, a *schema.Artifact) []byte {
	return appendLower(dst, a.Net.Transport)
}

func appendProtocol(dst []byte, a *schema.Artifact) []byte { return appendLower(dst, a.Net.Protocol) }

func appendDataset(dst []byte, a *schema.Artifact) []byte {
	if a.Dataset == "" {
		return dst
	}
	dst = append(dst, `"netskope.`...)
	end := len(dst)
	dst = jsonscan.AppendString(dst, a.Dataset)
	return slices.Delete(dst, end, end+1) // the quote that a text begins with
}

// severities are what Elastic's own Netskope integration writes in event.severity, by severity_id. Unknown has no number.
var severities = [...]int64{1: 21, 2: 21, 3: 47, 4: 73, 5: 99}

func appendSeverity(dst []byte, a *schema.Artifact) []byte {
	if a.SeverityID < 1 || a.SeverityID >= len(severities) {
		return dst
	}
	return strconv.AppendInt(dst, severities[a.SeverityID], 10)
}

// appendDuration appends nanoseconds. What has more than a long can hold is no duration.
func appendDuration(dst []byte, a *schema.Artifact) []byte {
	if a.DurationMS <= 0 || a.DurationMS > math.MaxInt64/int64(time.Millisecond) {
		return dst
	}
	return strconv.AppendInt(dst, a.DurationMS*int64(time.Millisecond), 10)
}

// appendMAC appends the address as ECS wants it, 00-00-5E-00-53-23, in a list. One of another form stays as it is.
func appendMAC(dst []byte, a *schema.Artifact) []byte {
	if a.Device.MAC == "" {
		return dst
	}
	var space [17]byte
	mac := space[:0]
	for i := range len(a.Device.MAC) {
		c := a.Device.MAC[i]
		switch {
		case c == ':' || c == '-' || c == '.':
			continue
		case len(mac) == len(space) || !isHex(c):
			return appendWords(dst, a.Device.MAC)
		case len(mac)%3 == 2:
			mac = append(mac, '-')
		}
		if c >= 'a' {
			c -= 'a' - 'A'
		}
		mac = append(mac, c)
	}
	if len(mac) != len(space) {
		return appendWords(dst, a.Device.MAC)
	}
	return append(jsonscan.AppendString(append(dst, '['), mac), ']')
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func appendForwarded(dst []byte, a *schema.Artifact) []byte { return appendText(dst, forwarded(a)) }

// forwarded is the first address of X-Forwarded-For, which is the client's. ECS has room for one, and Elasticsearch refuses a
// document with anything but an address there.
func forwarded(a *schema.Artifact) string {
	for part := range strings.SplitSeq(a.Src.ForwardedFor, ",") {
		if part = strings.TrimSpace(part); isAddress(part) {
			return part
		}
	}
	return ""
}

func isAddress(s string) bool {
	if len(s) < 2 || strings.IndexByte(s, '%') >= 0 {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// located reports whether both coordinates of a side are known.
func located(side string) func(*schema.Artifact) bool {
	lat, lon := schema.Place[float64](side+".lat"), schema.Place[float64](side+".lon")
	return func(a *schema.Artifact) bool { return *lat(a) != 0 && *lon(a) != 0 }
}

func isAbsolute(a *schema.Artifact) bool { return strings.Contains(a.URL.Full, "://") }

func appendTLSVersion(dst []byte, a *schema.Artifact) []byte {
	_, number := tlsVersion(a.TLS.Version)
	return appendText(dst, number)
}

func appendTLSProtocol(dst []byte, a *schema.Artifact) []byte {
	protocol, _ := tlsVersion(a.TLS.Version)
	return appendText(dst, protocol)
}

// tlsVersion splits TLSv1.3 into the protocol's name and the number, which ECS has two places for.
func tlsVersion(s string) (protocol, number string) {
	if len(s) < len("TLS1") {
		return "", s
	}
	switch number = strings.TrimLeft(s[3:], "vV "); {
	case number == "" || number[0] < '0' || number[0] > '9':
		return "", s
	case strings.EqualFold(s[:3], "tls"):
		return "tls", number
	case strings.EqualFold(s[:3], "ssl"):
		return "ssl", number
	}
	return "", s
}

func appendIndicatorType(dst []byte, a *schema.Artifact) []byte {
	return appendText(dst, indicatorType(a))
}

// indicatorType is the name that STIX has for what Netskope calls url, domain and ip; nothing for another word.
func indicatorType(a *schema.Artifact) string {
	switch strings.ToLower(a.Threat.IndicatorType) {
	case "url":
		return "url"
	case "domain":
		return "domain-name"
	case "ip":
		switch ip, err := netip.ParseAddr(a.Threat.Indicator); {
		case err != nil:
		case ip.Is4():
			return "ipv4-addr"
		default:
			return "ipv6-addr"
		}
	}
	return ""
}

// appendConfidence appends the word that appendix A of STIX 2.1 has for a confidence of 1 to 100.
func appendConfidence(dst []byte, a *schema.Artifact) []byte {
	switch n := a.Threat.Confidence; {
	case n < 1 || n > 100:
		return dst
	case n < 30:
		return appendText(dst, "Low")
	case n < 70:
		return appendText(dst, "Medium")
	}
	return appendText(dst, "High")
}

func appendRelatedIPs(dst []byte, a *schema.Artifact) []byte {
	return appendSet(dst, []string{a.Src.IP, a.Dst.IP, a.Device.IP, a.Net.ProxyEgressIP, forwarded(a)})
}

func appendRelatedUsers(dst []byte, a *schema.Artifact) []byte {
	users := []string{a.User.Email, a.User.Name, a.User.UPN, a.TargetUser.Email, a.App.User, a.Cred.Username, a.File.Owner}
	return appendSet(dst, append(users, a.File.SharedWith...))
}

func appendRelatedHashes(dst []byte, a *schema.Artifact) []byte {
	return appendSet(dst, []string{a.File.MD5, a.File.SHA1, a.File.SHA256, a.Process.Hash, a.TLS.JA3, a.TLS.JA3S})
}

func appendRelatedHosts(dst []byte, a *schema.Artifact) []byte {
	return appendSet(dst, []string{a.Device.Hostname, a.Infra.Host, a.Dst.Hostname, a.URL.Host, a.TLS.SNI, a.DNS.Query})
}

// appendSet appends the texts that are not empty, sorted and each once. It reorders them.
func appendSet(dst []byte, texts []string) []byte {
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if len(texts) > 0 && texts[0] == "" {
		texts = texts[1:]
	}
	return appendWords(dst, texts...)
}
