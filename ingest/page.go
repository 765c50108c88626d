package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

// A Page is what one request returned, on its way to the broker. It is also
// the receipt: it counts the parts that are on their way and resolves once,
// when none is any more.
type Page struct {
	Lane     string // its lane's name
	Instance string
	Stream   string
	Mode     string    // how the stream is read
	Received time.Time // when the answer began, by our clock
	Replay   bool      // what is read on purpose again
	Claim    string    // the name of the claim under which the page was read, and
	Fence    string    // what the broker gave for it; see Broker.Claim

	// Context carries the page's trace, and ends when the program gives up on
	// pages in hand. A page travels through channels, so it rides along.
	Context context.Context //nolint:containedctx // it goes through channels, as a request does

	known func(schema.Key) bool // whether the broker holds it already

	mu       sync.Mutex
	onWay    int
	sealed   bool
	err      error
	resolved chan struct{}
	seen     map[schema.Key]struct{}
	ids      map[schema.ID]struct{}
	stored   []schema.Key
	counts   Counts
}

// Counts says what became of the events of a page. Received is the sum of the
// others once the page is settled.
type Counts struct {
	Received     int
	Stored       int
	Duplicates   int // the broker holds them already, or the page held them twice
	Filtered     int // left out by the operator's expression
	DeadLettered int
	Collisions   int // one id, two contents: stored both times
}

func newPage(ctx context.Context, lane string, known func(schema.Key) bool) *Page {
	return &Page{
		Lane:     lane,
		Context:  ctx,
		known:    known,
		resolved: make(chan struct{}),
		seen:     make(map[schema.Key]struct{}),
		ids:      make(map[schema.ID]struct{}),
	}
}

// Admit reports whether an event is to be stored: whether neither the broker
// holds it yet, nor another part of the page. An event of a known id and other
// content is stored too.
func (p *Page) Admit(key schema.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, twice := p.seen[key]; twice || p.known(key) {
		p.counts.Duplicates++
		return false
	}
	if _, collides := p.ids[key.ID]; collides {
		p.counts.Collisions++
	}
	p.seen[key], p.ids[key.ID] = struct{}{}, struct{}{}
	return true
}

// LeaveOut says that an event is not to be stored because the operator wants it left out.
func (p *Page) LeaveOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Filtered++
}

// Err returns the first error that a part of the page ended with. A page with
// an error is asked for again, so there is no use in storing more of it.
func (p *Page) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Page) add(events int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onWay++
	p.counts.Received += events
}

func (p *Page) done(stored []schema.Key, dead int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = append(p.stored, stored...)
	p.counts.Stored += len(stored)
	p.counts.DeadLettered += dead
	if p.err == nil {
		p.err = err
	}
	p.onWay--
	p.resolve()
}

// seal says that no more parts will be added.
func (p *Page) seal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealed = true
	p.resolve()
}

func (p *Page) resolve() {
	if p.sealed && p.onWay == 0 {
		close(p.resolved)
	}
}

// wait returns when no part is on its way any more: with nil if all of them
// were stored, else with the first error. Whoever holds a part is bound to end
// it, so wait ends too.
func (p *Page) wait() error {
	<-p.resolved
	return p.err
}

// A Part is a slice of a page: what travels through the channels.
type Part struct {
	Page *Page
	// First is the number of the part's first event within the page, from 0.
	First int

	raw    []byte
	ends   []int
	budget *Budget
	cost   int64
}

// Len returns the number of events.
func (p *Part) Len() int { return len(p.ends) }

// Event returns the i-th event as the vendor sent it. The bytes are valid until
// Release.
func (p *Part) Event(i int) []byte {
	start := 0
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.raw[start:p.ends[i]:p.ends[i]]
}

// Release gives the events' bytes back. It is called when nothing refers to
// them any more, at the latest with Done.
func (p *Part) Release() {
	if raw := p.raw; raw != nil {
		p.raw, p.ends = nil, nil
		if cap(raw) <= 2*partBytes { // one that grew for a giant is not kept
			buffers.Put(&raw)
		}
	}
}

// Done says what became of the part, once: the keys of the events that are
// stored, and how many went to the dead letters; err is nil if that is all of
// them. With an error, stored may hold some.
func (p *Part) Done(stored []schema.Key, dead int, err error) {
	p.Release()
	p.budget.release(p.cost)
	p.Page.done(stored, dead, err)
}

// buffers holds the bytes of parts between two uses.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, partBytes/2); return &b }}
