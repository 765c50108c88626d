package normalize

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// An Envelope is what surrounds an event: what configuration and the page say of it.
type Envelope struct {
	Tenant       string // our name of the instance, a slug
	SourceTenant string // the tenant's host, acme.goskope.com
	Connector    string // the instance's name
	Dataset      string // canonical; see Dataset
	Subtype      string // where the stream fixes it (alerts/dlp → dlp) and the event does not say
	SourceAPI    string // v1, v2_data, v2_dataexport, v2_datasearch, transaction
	Collected    time.Time
	Late         time.Duration // how late an event may be and still be believed; 0 means 30 days
	KeepRaw      bool
}

// A Mapper turns raw events into artifacts. It is reused from event to event and serves one goroutine.
type Mapper struct {
	Drift *DriftCounter // counts what departs from Netskope's published schema; may be nil, and shared with other Mappers

	plans map[string]*plan

	env     *Envelope
	plan    *plan
	text    string // the event; every string of the artifact that needs no unescaping is a part of it
	members []member
	slots   []int   // slot → index of the member in members, plus one
	object  *object // the object whose members are being read; nil at the top
	names   []byte  // the keys that no table knows, one after the other
	unknown []int   // their members
	seen    map[unknownKey]int
	held    []span   // object → the members that its key has given last: its own, or one where its value is no object
	out     []byte   // what is being written
	name    []byte   // what the artifact's id is the id of
	strings []string // a slab that lists are cut from
	folded  map[string]string
	drifts  []drifted // what the event has drifted by, but for new keys
	trace   *trace    // set while an event is explained
}

// A member is one key of the event with its value.
type member struct {
	slot    int // -1 for a key that no table knows
	object  *object
	name    span // the key, where slot is -1
	kind    jsonscan.Kind
	missing bool // it holds nothing: null, "", [], {}, or a placeholder such as N/A
	used    bool // a field has it, or it says what a field says
	dead    bool // the key came again
	escaped bool
	raw     []byte // as it stands in the event
	text    string // the text of a string, unescaped; as it stands for other kinds
}

func (v *member) value() jsonscan.Value {
	return jsonscan.Value{Kind: v.kind, Raw: v.raw, Escaped: v.escaped}
}

type span struct{ start, end int }

// An unknownKey is a key that no table knows, of an object or of the event itself.
type unknownKey struct {
	object *object
	name   string
}

// NewMapper returns a Mapper. It prepares the table of a dataset when the first event of the dataset comes.
func NewMapper() *Mapper {
	return &Mapper{plans: make(map[string]*plan), folded: make(map[string]string), seen: make(map[unknownKey]int)}
}

// Map fills a from raw, which must be one JSON object; a is reset first and does not refer to raw afterwards.
// The error says why raw is no event. A value that does not fit its field is a warning in the artifact, and stays in Unmapped.
func (m *Mapper) Map(env *Envelope, raw []byte, a *schema.Artifact) error {
	*a = schema.Artifact{}
	p, err := m.planOf(env.Dataset)
	if err != nil {
		return err
	}
	m.begin(env, p)
	if err := m.read(raw); err != nil {
		return err
	}
	m.envelope(a, raw)
	for i := range p.steps {
		p.steps[i].apply(m, a, &p.steps[i])
	}
	for _, derive := range p.derive {
		derive(m, a)
	}
	m.finish(a)
	m.noteDrift(a)
	return nil
}

func (m *Mapper) planOf(name string) (*plan, error) {
	if p := m.plans[name]; p != nil {
		return p, nil
	}
	d, ok := datasetOf(name)
	if !ok {
		return nil, fmt.Errorf("map event: unknown dataset %q", name)
	}
	p := compile(d)
	m.plans[name] = p
	return p, nil
}

func (m *Mapper) begin(env *Envelope, p *plan) {
	m.env, m.plan, m.object = env, p, nil
	clear(m.seen)
	m.members, m.names, m.unknown, m.drifts = m.members[:0], m.names[:0], m.unknown[:0], m.drifts[:0]
	if cap(m.slots) < len(p.keys) {
		m.slots = make([]int, len(p.keys))
	}
	m.slots = m.slots[:len(p.keys)]
	clear(m.slots)
	m.held = append(m.held[:0], make([]span, len(p.objects))...)
}

var errNoObject = errors.New("map event: not a JSON object")

// read takes the event apart. It works on a copy, because raw belongs to a buffer that will be used again.
func (m *Mapper) read(raw []byte) error {
	m.text = string(raw)
	data := bytesOf(m.text)
	if err := jsonscan.Members(data, m.add); err != nil {
		if v, bad := jsonscan.Check(data); bad == nil && v.Kind != jsonscan.Object {
			return errNoObject
		}
		return fmt.Errorf("map event: %w", err)
	}
	return nil
}

// bytesOf and stringOf look at the same bytes without a copy. They are applied to m.text and parts of it only, which nothing writes to.
func bytesOf(s string) []byte  { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // see above
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above

// add notes one member. Where a key comes twice, the last one counts, as with most readers of JSON.
func (m *Mapper) add(name []byte, v jsonscan.Value) error {
	slots := m.plan.slots
	if m.object != nil {
		slots = m.object.slots
	} else if len(m.plan.objects) > 0 {
		if o := m.plan.objects[string(name)]; o != nil {
			m.forget(o)
			m.held[o.number] = span{len(m.members), len(m.members) + 1}
			if v.Kind == jsonscan.Object {
				return m.enter(o, v)
			}
		}
	}
	mem := member{slot: -1, object: m.object, kind: v.Kind, escaped: v.Escaped, raw: v.Raw}
	slot, known := slots[string(name)]
	if known {
		mem.slot = slot
		if old := m.slots[slot]; old != 0 {
			m.members[old-1].dead = true
		}
		m.slots[slot] = len(m.members) + 1
	} else {
		m.forgetUnknown(name)
		mem.name = span{len(m.names), len(m.names) + len(name)}
		m.names = append(m.names, name...)
		m.unknown = append(m.unknown, len(m.members))
	}
	mem.text = textOf(v)
	mem.missing = missing(v, mem.text) && !(known && m.plan.keys[slot].literal && mem.text == "NA")
	m.members = append(m.members, mem)
	return nil
}

// enter notes the members of an object that has keys of its own in the tables.
func (m *Mapper) enter(o *object, v jsonscan.Value) error {
	m.object = o
	err := jsonscan.Members(v.Raw, m.add)
	m.object = nil
	m.held[o.number].end = len(m.members)
	return err
}

// forget takes back what an earlier object, or another value, of the object's key left.
func (m *Mapper) forget(o *object) {
	for i := m.held[o.number].start; i < m.held[o.number].end; i++ {
		mem := &m.members[i]
		mem.dead = true
		if mem.slot >= 0 && m.slots[mem.slot] == i+1 {
			m.slots[mem.slot] = 0
		}
	}
}

// forgetUnknown takes back an earlier value of a key that no table knows, and makes the next member its holder. A few keys
// are compared one by one; where an event has very many, a map keeps the work proportional to their number.
func (m *Mapper) forgetUnknown(name []byte) {
	const few = 64
	if len(m.unknown) < few {
		for _, i := range m.unknown {
			if mem := &m.members[i]; mem.object == m.object && string(m.unknownName(mem)) == string(name) {
				mem.dead = true
			}
		}
		return
	}
	if len(m.seen) == 0 {
		for _, i := range m.unknown {
			mem := &m.members[i]
			m.seen[unknownKey{mem.object, string(m.unknownName(mem))}] = i
		}
	}
	key := unknownKey{m.object, string(name)}
	if i, ok := m.seen[key]; ok {
		m.members[i].dead = true
	}
	m.seen[key] = len(m.members)
}

func (m *Mapper) unknownName(mem *member) []byte {
	return m.names[mem.name.start:mem.name.end]
}

func textOf(v jsonscan.Value) string {
	switch {
	case v.Kind != jsonscan.String:
		return stringOf(v.Raw)
	case v.Escaped:
		return strings.Trim(string(jsonscan.AppendText(nil, v)), "\x00")
	}
	return stringOf(v.Raw[1 : len(v.Raw)-1])
}

// at returns the member in a slot; nil if there is none, or none with a value.
func (m *Mapper) at(slot int) *member {
	if i := m.slots[slot]; i != 0 && !m.members[i-1].missing {
		return &m.members[i-1]
	}
	return nil
}

// get returns the member of a key that some line names; nil if there is none, or none with a value.
func (m *Mapper) get(name string) *member {
	if slot, ok := m.plan.lookup(name); ok {
		return m.at(slot)
	}
	return nil
}

func (m *Mapper) keyOf(v *member) string {
	if v.slot >= 0 {
		return m.plan.keys[v.slot].name
	}
	name := string(m.unknownName(v))
	if v.object != nil {
		return v.object.name + "." + name
	}
	return name
}

// use notes that a field has the value.
func (m *Mapper) use(v *member, field, rule string) {
	v.used = true
	m.note(v, field, rule)
}

// note tells whoever has the event explained that a field has the value, or a part of it.
func (m *Mapper) note(v *member, field, rule string) {
	if m.trace != nil {
		m.trace.used(v, field, rule)
	}
}

// warn notes that a value did not fit its field.
func (m *Mapper) warn(a *schema.Artifact, v *member, field, problem string) {
	warning := field + ": " + problem + " '" + shortened(v.text) + "'"
	a.Warnings = append(a.Warnings, warning)
	if m.trace != nil {
		m.trace.warned(v, warning)
	}
	if kind, example := m.driftOf(v, problem); kind != "" {
		m.drift(kind, v, example, "")
	}
}

// shortened cuts a value for a warning.
func shortened(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func (m *Mapper) envelope(a *schema.Artifact, raw []byte) {
	a.SchemaVersion, a.MappingVersion = schema.Version, MappingVersion
	a.Source, a.Vendor, a.Product = "netskope", "Netskope", "Netskope One"
	a.Dataset, a.SourceAPI = m.env.Dataset, m.env.SourceAPI
	a.Tenant, a.SourceTenant, a.Connector = m.env.Tenant, m.env.SourceTenant, m.env.Connector
	a.CollectedTime = schema.TimeOf(m.env.Collected)
	a.Kind = m.plan.kind
	a.RawSize, a.RawSHA256 = int64(len(raw)), sha256.Sum256(raw)
	if m.env.KeepRaw {
		a.Raw, a.RawFormat = m.text, "json"
	}
}
