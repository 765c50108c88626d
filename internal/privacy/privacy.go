// Package privacy hashes or removes fields of an artifact before it is encoded, so that what must not leave the house does not.
//
// Rules name fields (user.email), whole groups (user), or an alias:
//
//	identity   every field that names a person (see identity in this package); of audit.object and audit.values all but IP addresses,
//	           which takes commands and numbers too; and the user and password in each URL, which are removed, never hashed
//	ip         every field of type ip, src.forwarded_for, and the IP addresses that stand in audit.object, audit.values, for a host
//	           name, or for the host of a URL
//	url_query  url.query goes, and so does everything in each URL from the first question mark, semicolon or number sign on: queries,
//	           path parameters and fragments; can only be removed
//
// A field that is to be both hashed and removed is removed. The fields that identify or route an artifact cannot be named.
//
// A hash is HMAC-SHA-256 with a secret key over the value in lower case, cut to 128 bits. Equal values stay equal, in every
// field and on every instance with the same key, so that joins still work; without the key a guess cannot be tested.
// What a value is stays visible: an address becomes an IPv6 address in fd00::/8, an e-mail address becomes
// h-<32 hex digits>@hashed.invalid, and anything else h-<32 hex digits>. Lists are hashed element by element. The hashes of user.email
// and user.name of one person differ, because the values do: nothing says that they belong together but the artifact.
//
// As soon as there is any rule, Apply also promises:
//   - raw and unmapped go: they hold what the fields held. raw_size and raw_sha256 stay, because copies of an event are told by them.
//     The sum does not give the event back, but who can guess a whole event byte for byte can confirm the guess. The same holds
//     of id, entity_id and revision, which are digests of parts of it.
//   - warnings keep the name of the field and lose the value that they quote. Enrichments of a named field go. message is written anew.
//   - A named value of at least 4 bytes that stands as a whole word in another field, in whatever case, is replaced there too: by
//     its hash, or by [removed]. In activity and finding.status it may also be spelt with underscores, as in jane_doe. Where a
//     field of identity holds a list ("bob@x.example; Eve"), its parts are looked for too, and so are the texts in JSON that is removed.
//     At most 256 values of an artifact are looked for, and not the logins that name a role, such as
//     admin: "Edit admin record" says what was done. Fields with a fixed vocabulary, digests of files, times and the fields
//     that cannot be named are left alone.
//
// In a text that is no URL field, a URL is known by its scheme and lasts until the next space.
//
// It does not promise to find what no named field holds, or holds in another spelling: a name in the subject of an e-mail, a part
// of a name, a device that is called after its owner. Name those fields too where that matters.
package privacy

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

const (
	// mark stands where a removed value stood in a text.
	mark = "[removed]"

	// minWord is the least length of a value that is looked for in other fields, in bytes. Shorter ones are parts of speech.
	minWord = 4

	// maxWords bounds how many values are looked for.
	maxWords = 256
)

// Rules say what to hash and what to remove. Nil Rules change nothing. They serve many goroutines at once.
type Rules struct {
	steps   []step
	named   map[string]bool // every field that a step is about
	notes   []string
	queries bool // URLs lose their queries
	logins  bool // URLs lose their users and passwords
	texts   []func(*schema.Artifact) *string
	verbs   []func(*schema.Artifact) *string // texts in snake_case
	lists   []func(*schema.Artifact) *[]string
	addrs   []func(*schema.Artifact) *string
	macs    sync.Pool
}

// Notes returns what an operator should know of rules that are valid and may not do what was meant. Each is one sentence.
func (r *Rules) Notes() []string {
	if r == nil {
		return nil
	}
	return r.notes
}

// A deed is what happens to a value. The greater one wins.
type deed uint8

const (
	leave deed = iota
	hashed
	removed
)

// A step is what happens to one field. One of text, list, json and clear is set.
type step struct {
	addresses deed // values that are IP addresses
	others    deed
	within    bool // an IP address as the host in a value is one of addresses too
	parts     bool // a value may be a list of persons
	comma     bool // the text is a list with commas
	text      func(*schema.Artifact) *string
	list      func(*schema.Artifact) *[]string
	json      func(*schema.Artifact) *schema.RawJSON
	clear     func(*schema.Artifact)
}

// Apply changes the artifact, which stays valid. Lists of it are replaced, never written to.
func (r *Rules) Apply(a *schema.Artifact) {
	if r == nil {
		return
	}
	w := words{queries: r.queries, logins: r.logins}
	a.Raw, a.RawFormat, a.Unmapped = "", "", ""
	logins := w.cutURLs(a)
	for i := range r.steps {
		r.take(&r.steps[i], a, &w)
	}
	for _, login := range logins {
		w.add(strings.ToLower(login), mark)
	}
	for i := range r.steps {
		if s := &r.steps[i]; s.json != nil { // last, because JSON may hold more texts than are looked for
			w.addJSON(string(*s.json(a)))
			*s.json(a) = ""
		}
	}
	a.Warnings = unquoted(a.Warnings)
	a.Enrichments = slices.DeleteFunc(slices.Clone(a.Enrichments), func(e schema.Enrichment) bool { return r.named[e.Field] })
	w.sort()
	r.scrub(a, &w)
	a.Message = string(normalize.AppendMessage(nil, a))
}

func (r *Rules) take(s *step, a *schema.Artifact, w *words) {
	switch {
	case s.text != nil && s.comma:
		at := s.text(a)
		*at = strings.Join(r.all(s, strings.Split(*at, ","), w), ", ")
	case s.text != nil:
		at := s.text(a)
		*at = r.value(s, *at, w)
	case s.list != nil:
		at := s.list(a)
		*at = r.all(s, *at, w)
	case s.clear != nil:
		s.clear(a)
	}
}

func (r *Rules) all(s *step, list []string, w *words) []string {
	var kept []string
	for _, v := range list {
		if v = r.value(s, v, w); v != "" {
			kept = append(kept, v)
		}
	}
	return kept
}

// value returns what stands for v in its own field, "" if nothing does, and notes v to be replaced elsewhere.
func (r *Rules) value(s *step, v string, w *words) string {
	lower := strings.ToLower(strings.TrimSpace(v))
	if lower == "" {
		return ""
	}
	if s.within {
		if host := hostAddress(lower); host != "" {
			w.add(host, r.standIn(s.addresses, host))
		}
	}
	what := s.others
	if isAddress(lower) {
		what = s.addresses
	}
	if what == leave {
		return v
	}
	stands := r.standIn(what, lower)
	w.add(lower, stands)
	if s.parts {
		for _, part := range parts(lower) {
			if part != lower {
				w.add(part, r.standIn(what, part))
			}
		}
	}
	if what == removed {
		return ""
	}
	return stands
}

// standIn returns what stands for a value in other fields.
func (r *Rules) standIn(d deed, v string) string {
	if d == hashed {
		return r.token(v)
	}
	return mark
}

// token is the hash of a value in lower case, as a value of the same kind. Two spellings of an address have one hash.
func (r *Rules) token(v string) string {
	address, err := netip.ParseAddr(v)
	if err == nil {
		address = address.Unmap()
		v = address.String()
	}
	mac := r.macs.Get().(hash.Hash)
	defer r.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(v))
	var space [sha256.Size]byte
	sum := mac.Sum(space[:0])
	if err == nil {
		sum[0] = 0xfd
		return netip.AddrFrom16([16]byte(sum[:16])).String()
	}
	const suffix = "@hashed.invalid"
	text := hex.AppendEncode(append(make([]byte, 0, 34+len(suffix)), "h-"...), sum[:16])
	if isEmail(v) {
		text = append(text, suffix...)
	}
	return string(text)
}

// isEmail says whether a value is one address and nothing more.
func isEmail(v string) bool {
	at := strings.IndexByte(v, '@')
	return at > 0 && at < len(v)-1 && !strings.ContainsAny(v, " \t\r\n,;<>()\"/")
}

// unquoted returns the warnings without the values that they quote.
func unquoted(warnings []string) []string {
	var kept []string
	for _, s := range warnings {
		s, _, _ = strings.Cut(s, " '")
		kept = append(kept, s)
	}
	return kept
}
