package normalize

import (
	"slices"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// email takes an address, in lower case. Other names of a user are for userName.
func email(keys ...string) line {
	return convert("email", func(m *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		if v.kind != jsonscan.String || strings.IndexByte(v.text, '@') < 1 {
			return "", notMine
		}
		return lowerASCII(v.text), fits
	}, keys)
}

// userName takes a login; of an address it takes the part before the @.
func userName(keys ...string) line {
	return convert("user name", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		name, problem := asText(m, a, v)
		at := strings.IndexByte(name, '@')
		switch {
		case problem != fits || at < 1:
			return name, problem
		case strings.EqualFold(name, a.User.Email):
			return a.User.Email[:at], fits
		}
		return lowerASCII(name[:at]), fits
	}, keys)
}

// userDomain sets the domain of the user's address.
func userDomain(_ *Mapper, a *schema.Artifact) {
	if at := strings.IndexByte(a.User.Email, '@'); at > 0 {
		a.User.Domain = a.User.Email[at+1:]
	}
}

// addressAsHost handles a destination host that is an address: it is the destination's address if no other key has it.
func addressAsHost(key string) func(*Mapper, *schema.Artifact) {
	return func(m *Mapper, a *schema.Artifact) {
		v := m.get(key)
		if v == nil || v.kind != jsonscan.String || !isAddress(v.text) {
			return
		}
		if a.Dst.IP == "" {
			a.Dst.IP = v.text
		}
		if a.Dst.IP == v.text {
			m.use(v, "dst.ip", "address as host")
		}
	}
}

// scheme takes a protocol that is the scheme of URLs, without its version.
func scheme(keys ...string) line {
	return convert("scheme", func(m *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		name, problem := beforeMark(v.text, "/")
		switch name = m.lower(name); name {
		case "http", "https", "ftp", "ftps", "ws", "wss":
			return name, problem
		}
		return "", notMine
	}, keys)
}

// protocol takes the name of a protocol, without its version.
func protocol(keys ...string) line {
	return convert("protocol", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		text, problem := asText(m, a, v)
		if problem != fits {
			return "", problem
		}
		name, problem := beforeMark(text, "/")
		return m.lower(name), problem
	}, keys)
}

// beforeMark returns a text up to a mark, which fits partly if there is more.
func beforeMark(text, mark string) (string, problem) {
	before, _, found := strings.Cut(text, mark)
	if found {
		return before, partly
	}
	return text, fits
}

// httpVersion takes the version out of HTTPS/1.1 or HTTP2.
func httpVersion(keys ...string) line {
	return convert("HTTP version", func(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		s := v.text
		if len(s) < 5 || !strings.EqualFold(s[:4], "http") {
			return "", notMine
		}
		if s = s[4:]; s[0]|0x20 == 's' {
			s = s[1:]
		}
		s = strings.TrimPrefix(s, "/")
		if s == "" || s[0] < '0' || s[0] > '9' || len(s) > 3 {
			return "", notMine
		}
		return s, fits
	}, keys)
}

// transport takes the protocol out of TCP or TCP:443. The port stands in dst.port, or else nowhere.
func transport(keys ...string) line {
	return convert("transport", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		text, problem := asText(m, a, v)
		name, port, found := strings.Cut(text, ":")
		if problem == fits && found && port != strconv.Itoa(a.Dst.Port) {
			problem = partly
		}
		return m.lower(name), problem
	}, keys)
}

// takeURLApart sets the parts of url.full that no key gave. Netskope mostly writes URLs without a scheme, and then sometimes
// a word that is no URL; only what looks like a host counts as one.
func takeURLApart(_ *Mapper, a *schema.Artifact) {
	u := &a.URL
	rest := u.Full
	if before, after, ok := strings.Cut(rest, "://"); ok && isScheme(before) {
		u.Scheme, rest = lowerASCII(before), after
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	name, port := splitPort(authority)
	if !isHost(name) {
		return
	}
	if u.Host == "" {
		u.Host = name
	}
	if u.Port == 0 {
		u.Port = port
	}
	if u.Path == "" {
		u.Path = path
	}
	if u.Query == "" {
		u.Query = query
	}
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && isLetter(s[0])
}

// splitPort splits host:port and [address]:port.
func splitPort(s string) (string, int) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.IndexByte(s[colon:], ']') >= 0 {
		return strings.Trim(s, "[]"), 0
	}
	n, ok := digits(s[colon+1:])
	if !ok || n < 1 || n > 65535 {
		return strings.Trim(s, "[]"), 0
	}
	return strings.Trim(s[:colon], "[]"), int(n)
}

func isHost(s string) bool {
	if s == "localhost" || strings.IndexByte(s, ':') >= 0 {
		return s == "localhost" || isAddress(s)
	}
	if len(s) > 253 || strings.IndexByte(s, '.') < 1 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || strings.IndexByte(`\"'<>(){}|^,;`+"`", c) >= 0 {
			return false
		}
	}
	return true
}

// fileName and fileID take what names a file for certain, and the name or id of the object if the object is a file.
func fileName(keys ...string) line { return convert("file name", asFile, keys) }
func fileID(keys ...string) line   { return convert("file id", asFile, keys) }

func asFile(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
	switch m.plan.keys[v.slot].name {
	case "object", "title", "object_id", "x-cs-app-object-name", "x-cs-app-object-id":
		if !m.aboutFile(a) {
			return "", notMine
		}
	}
	return asText(m, a, v)
}

// fileTypes are the object types that are files, in lower case.
var fileTypes = []string{
	"file", "folder", "document", "attachment", "spreadsheet", "presentation", "pdf", "image", "photo", "video", "audio", "archive",
}

// fileMarks are keys that only an event about a file has.
var fileMarks = []string{"file_type", "file_size", "file_name", "dlp_file", "md5", "sha256", "x-rs-file-type", "x-rs-file-size", "x-rs-file-md5"}

func (m *Mapper) aboutFile(a *schema.Artifact) bool {
	if a.Object.Type != "" {
		return slices.Contains(fileTypes, m.lower(a.Object.Type))
	}
	return slices.ContainsFunc(fileMarks, func(key string) bool { return m.get(key) != nil })
}

// policyID and policyVersion split "<id> <time of the last change>". An id of 0 is none.
func policyID(keys ...string) line {
	return convert("policy id", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		text, problem := asText(m, a, v)
		if problem != fits || text == "0" {
			return "", firstOf(problem, empty)
		}
		id, problem := beforeMark(text, " ")
		if id == "0" {
			return "", notMine
		}
		return id, problem
	}, keys)
}

func policyVersion(keys ...string) line {
	return convert("policy version", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		text, _ := asText(m, a, v)
		_, version, ok := strings.Cut(text, " ")
		if !ok {
			return "", notMine
		}
		return version, fits
	}, keys)
}

// finish sets what depends on everything else.
func (m *Mapper) finish(a *schema.Artifact) {
	if a.Severity == "" {
		a.Severity = schema.SeverityUnknown
	}
	a.Action = m.actionOf(a.ActionRaw)
	if a.Count == 0 {
		a.Count = 1
	}
	m.settleOutcome(a)
	a.Class = m.plan.class(m, a)
	m.identify(a)
	m.out = AppendMessage(m.out[:0], a)
	a.Message = string(m.out)
	m.collectUnmapped(a)
}

// AppendMessage appends the sentence of an artifact: what happened, who did it, where, and what was done about it.
func AppendMessage(dst []byte, a *schema.Artifact) []byte {
	dst = append(append(append(dst, a.Dataset...), '/'), a.Subtype...)
	dst = append(append(dst, ": "...), firstOf(a.Finding.Title, a.ActivityRaw, a.HTTP.Method, a.Dataset)...)
	dst = append(append(dst, " by "...), firstOf(a.User.Email, a.User.Name, "-")...)
	if place := firstOf(a.App.Name, a.URL.Host, a.Dst.Hostname); place != "" {
		dst = append(append(dst, " on "...), place...)
	}
	if a.Action != "" && a.Action != schema.ActionUnknown {
		dst = append(append(append(dst, " ["...), a.Action...), ']')
	}
	return dst
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func always(c schema.Class) func(*Mapper, *schema.Artifact) schema.Class {
	return func(*Mapper, *schema.Artifact) schema.Class { return c }
}
