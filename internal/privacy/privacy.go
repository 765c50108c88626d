// Package privacy hashes or removes fields of an artifact before it is encoded, so that what must not leave the house does not.
//
// Rules name fields (user.email), whole groups (user), or an alias:
//
//	identity   every field that names a person; see identity in this package
//	ip         every field of type ip, and src.forwarded_for
//	url_query  url.query goes, and so does everything from the question mark on in each URL; can only be removed
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
//     its hash, or by [removed]. At most 256 values of an artifact are looked for, and not the logins that name a role, such as
//     admin: "Edit admin record" says what was done. Fields with a fixed vocabulary, digests of files, times and the fields
//     that cannot be named are left alone.
//
// It does not promise to find what no named field holds, or holds in another spelling: a name in the subject of an e-mail, a part
// of a name, a device that is called after its owner. Name those fields too where that matters.
package privacy

import (
	"cmp"
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
	queries bool            // URLs lose their queries
	texts   []func(*schema.Artifact) *string
	lists   []func(*schema.Artifact) *[]string
	addrs   []func(*schema.Artifact) *string
	macs    sync.Pool
}

// A step is what happens to one field. One of text, list and clear is set.
type step struct {
	hash  bool
	mail  bool // only e-mail addresses are meant: the field also holds what names no person
	comma bool // the text is a list with commas
	text  func(*schema.Artifact) *string
	list  func(*schema.Artifact) *[]string
	clear func(*schema.Artifact)
}

// Apply changes the artifact, which stays valid. Lists of it are replaced, never written to.
func (r *Rules) Apply(a *schema.Artifact) {
	if r == nil {
		return
	}
	w := words{queries: r.queries}
	a.Raw, a.RawFormat, a.Unmapped = "", "", ""
	if r.queries {
		cutQueries(a, &w)
	}
	for i := range r.steps {
		r.take(&r.steps[i], a, &w)
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
	default:
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
	if s.mail && !isEmail(v) {
		return v
	}
	v = strings.ToLower(strings.TrimSpace(v))
	switch {
	case v == "":
		return ""
	case s.hash:
		hashed := r.token(v)
		w.add(v, hashed)
		return hashed
	}
	w.add(v, mark)
	return ""
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

// roles are logins that name no person, and are words of the vendor's own besides. In their own fields they go as any other.
var roles = []string{"admin", "administrator", "anonymous", "default", "guest", "none", "root", "service", "system", "test", "unknown", "user"}

// words are the values to be replaced in the fields that are not named, in lower case, with what replaces them.
type words struct {
	queries bool
	list    []word
}

type word struct{ from, to string }

// add also notes an e-mail address as URLs spell it.
func (w *words) add(from, to string) {
	if isEmail(from) {
		w.note(strings.Replace(from, "@", "%40", 1), to)
	}
	w.note(from, to)
}

func (w *words) note(from, to string) {
	if len(from) < minWord || len(w.list) == maxWords || slices.Contains(roles, from) || slices.ContainsFunc(w.list, func(x word) bool { return x.from == from }) {
		return
	}
	w.list = append(w.list, word{from, to})
}

// sort puts a value before those that are parts of it: an e-mail address before the login in it.
func (w *words) sort() {
	slices.SortStableFunc(w.list, func(x, y word) int { return cmp.Compare(len(y.from), len(x.from)) })
}
