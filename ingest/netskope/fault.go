package netskope

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// maxWait bounds what Netskope may ask us to wait.
const maxWait = 15 * time.Minute

// unanswered makes a fault of a request to which no status line came.
func unanswered(path string, err error, sent bool) *ingest.Fault {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL
	}
	f := &ingest.Fault{Kind: ingest.Unsent, Err: fmt.Errorf("%s: %w", path, err), Hint: "Check the base URL, DNS, the proxy and the firewall: only outbound 443 to the tenant is needed"}
	if sent {
		f.Kind = ingest.Lost
		f.Hint = "Netskope may have moved on; the page is asked for again when the request can no longer be alive"
	}
	return f
}

// refused makes a fault of an answer that is not 200.
func refused(stream, path string, resp *http.Response) *ingest.Fault {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	text := words(resp, message(body))
	err := fmt.Errorf("%s: %d %s", path, resp.StatusCode, http.StatusText(resp.StatusCode))
	if text != "" {
		err = fmt.Errorf("%w: %q", err, text)
	}
	f := &ingest.Fault{Kind: ingest.Refused, Err: err, After: retryAfter(resp.Header)}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		f.Kind, f.Hint = ingest.Denied, tokenHint
	case code == http.StatusForbidden:
		f.Kind, f.Hint = ingest.Forbidden, scopeHint(stream, path)
	case code == http.StatusNotFound:
		f.Kind, f.Hint = ingest.Missing, "The tenant has no such feed: check the base URL, or take "+stream+" out of NETSKOPE_STREAMS"
	case code == http.StatusConflict:
		f.Kind, f.Hint = ingest.Conflict, "Somebody else reads by the same index, or an earlier request is still running"
	case code == http.StatusTooManyRequests:
		f.Kind, f.Hint = ingest.Throttled, "Netskope allows 4 requests a second to each endpoint; if nothing else uses this token, it passes by itself"
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		// A gateway has given up on the request, and what is behind it may not have.
		f.Kind = ingest.Lost
	case code >= http.StatusInternalServerError:
		f.Kind = ingest.Invalid
	case code >= 300 && code < 400:
		f.Hint = "Redirects are not followed, since they would carry the token to another host; set the base URL to where the tenant is now"
		if u, err := resp.Location(); err == nil {
			f.Err = fmt.Errorf("%w to %s://%s", f.Err, u.Scheme, u.Host)
		}
	}
	return f
}

const tokenHint = "Make a new token in Netskope (Settings > Tools > REST API v2, or a service account under RBAC v3) and set it as this instance's API token (a variable needs a restart, a token file does not); check that REST API access is on"

// scopeHint names what a token must be granted.
func scopeHint(stream, path string) string {
	return fmt.Sprintf("Give the token the scope %s (Read); under RBAC v3 give its service account's role the function %q (View). If the token has it, it may have expired", path, function(stream))
}

// function names the RBAC v3 function that covers a stream. The section of the
// role editor it stands in differs between releases.
func function(stream string) string {
	family, feed, _ := strings.Cut(stream, "/")
	switch {
	case family == "alerts" || feed == "alert":
		return "Alerts"
	case feed == "audit":
		return "Audit Log"
	case feed == "incident":
		return "DLP Incidents"
	}
	return strings.ToUpper(feed[:1]) + feed[1:] + " Events"
}

// retryAfter reads how long to wait, in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		value = strings.TrimSpace(h.Get("RateLimit-Reset"))
	}
	if n, err := strconv.Atoi(value); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), maxWait)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), maxWait)
	}
	return 0
}

// broken makes a fault of a body that did not turn out to be a page, whether or
// not it came to its end.
func broken(path string, err error, ended bool) error {
	var bad *jsonscan.SyntaxError
	var corrupt flate.CorruptInputError
	f := &ingest.Fault{Kind: ingest.Invalid, Err: fmt.Errorf("%s: %w", path, err), Hint: "The page is asked for again; nothing moves until it is whole"}
	switch {
	case errors.As(err, &bad) && strings.Contains(bad.Msg, "HTML"):
		f.Hint = "A proxy or a login page answered instead of Netskope: check the base URL and the proxy"
	case ended, bad != nil, errors.As(err, &corrupt), errors.Is(err, jsonscan.ErrTooLarge), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
	default:
		f.Kind = ingest.Broken
		f.Hint = "The connection was cut while the page came; it is asked for again. If that goes on, look at the proxy and the firewall"
	}
	return f
}

// mostWords bounds what is quoted of an answer, in bytes.
const mostWords = 512

// words returns text of the answer as it may be quoted: short, and without the
// token should the answer repeat it.
func words(resp *http.Response, text string) string {
	if token := resp.Request.Header.Get(tokenHeader); token != "" {
		text = strings.ReplaceAll(text, token, "[secret]")
	}
	if len(text) > mostWords {
		text = strings.ToValidUTF8(text[:mostWords], "") + "…"
	}
	return text
}

// message finds Netskope's own words in the body of an answer that is not a
// page. It looks where they are known to stand, and quotes no HTML.
func message(body []byte) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	for _, key := range []string{"message", "error", "error_message", "errorMsg", "msg", "reason", "result", "detail"} {
		var text string
		if json.Unmarshal(m[key], &text) == nil && text != "" {
			return text
		}
	}
	return ""
}
