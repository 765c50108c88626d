package privacy

import (
	"net/netip"
	"strings"
	"unicode"

	"github.com/skopeflow/skopeflow/schema"
)

// cutURLs cuts the fields that are URLs, which mostly have no scheme. It notes the queries, and returns the users and passwords.
func (w *words) cutURLs(a *schema.Artifact) []string {
	var logins []string
	if w.queries {
		w.add(strings.ToLower(a.URL.Query), mark)
		a.URL.Query = ""
	}
	for _, at := range []*string{&a.URL.Full, &a.URL.Path, &a.URL.Referrer, &a.URL.Page, &a.URL.Site, &a.URL.Host, &a.Threat.Indicator} {
		if w.logins {
			start := startOfHost(*at)
			login, rest := cutLogin((*at)[start:])
			*at = (*at)[:start] + rest
			user, password, _ := strings.Cut(strings.TrimSuffix(login, "@"), ":")
			logins = append(logins, user, password)
		}
		if end := w.endOfPath(*at); end < len(*at) {
			gone := strings.ToLower((*at)[end+1:])
			*at = (*at)[:end]
			parameters, query, _ := strings.Cut(gone, "?")
			w.add(gone, mark)
			w.add(parameters, mark)
			w.add(query, mark)
		}
	}
	return logins
}

// startOfHost returns where a URL that may lack a scheme has its host, or the user before that.
func startOfHost(url string) int {
	if n := strings.IndexAny(url, ":/?#"); n >= 0 && strings.HasPrefix(url[n:], "://") {
		return n + len("://")
	}
	return 0
}

// cutLogin cuts a text that begins with the host of a URL behind the @ that ends user and password.
func cutLogin(text string) (login, rest string) {
	authority := text
	if n := strings.IndexAny(text, "/?#\\ \t\r\n"); n >= 0 {
		authority = text[:n]
	}
	end := strings.LastIndexByte(authority, '@') + 1
	return text[:end], text[end:]
}

// endOfPath returns where that of a URL begins which must go.
func (w *words) endOfPath(url string) int {
	if n := strings.IndexAny(url, "?;#"); n >= 0 && w.queries {
		return n
	}
	return len(url)
}

// hostAddress returns the IP address that is the host of a URL, or "".
func hostAddress(url string) string {
	_, host := cutLogin(url[startOfHost(url):])
	if n := strings.IndexAny(host, "/?#;"); n >= 0 {
		host = host[:n]
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		host = host[:strings.LastIndexByte(host, ':')]
	}
	if host = strings.Trim(host, "[]"); isAddress(host) {
		return host
	}
	return ""
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// bareURLsIn cuts the URLs in a text. Only what has a scheme is known to be a URL.
func (w *words) bareURLsIn(text string) string {
	if !w.queries && !w.logins || !strings.Contains(text, "://") {
		return text
	}
	if w.logins {
		text = eachURL(text, func(_, rest string) (done, left string) {
			_, left = cutLogin(rest)
			return "", left
		})
	}
	if w.queries {
		text = eachURL(text, w.bare)
	}
	return text
}

// eachURL calls cut for the text before and after each "://", and puts what it returns for the latter in its place: what is done
// and what is still to be looked at.
func eachURL(text string, cut func(before, rest string) (done, left string)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "://")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		done, left := cut(before, rest)
		out.WriteString("://" + done)
		text = left
	}
}

// bare cuts a URL to its path. A quote or bracket that was opened before the URL and closes it stays; one within it does not end it.
func (w *words) bare(before, rest string) (done, left string) {
	url := rest
	if n := strings.IndexAny(rest, " \t\r\n"); n >= 0 {
		url = rest[:n]
	}
	end := w.endOfPath(url)
	gone := url[end:]
	opener := strings.TrimRightFunc(before, func(r rune) bool { return isWordRune(r) || r == '+' || r == '-' || r == '.' })
	for _, pair := range []string{`""`, "''", "<>", "()"} {
		closer := strings.LastIndexByte(gone, pair[1])
		if closer >= 0 && strings.HasSuffix(opener, pair[:1]) && !strings.ContainsFunc(gone[closer:], func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			return url[:end] + gone[closer:], rest[len(url):]
		}
	}
	return url[:end], rest[len(url):]
}
