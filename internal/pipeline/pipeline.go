// Package pipeline joins the stages: parts of pages from the lanes, artifacts
// made of them, batches at the broker.
//
//	chan *ingest.Part → one worker per core: normalize → one writer per lane: publish → Part.Done
//
// Every part that comes in is ended with Done, whatever happens to it, so that
// the page it belongs to resolves. The channels are short, and nothing else
// holds events: a broker that is slow stops the workers, and those the lanes.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/filter"
	"github.com/skopeflow/skopeflow/internal/privacy"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// A Pipeline turns parts into stored artifacts. Its fields are set before Run.
type Pipeline struct {
	Publisher publish.Publisher
	KeepRaw   bool
	// Tenants has the host of each instance, as acme.goskope.com.
	Tenants map[string]string
	// Late is how old an event of each instance may be and still be believed to
	// have happened when it says; 0 means 30 days.
	Late map[string]time.Duration
	// Rules has what the operator of an instance wants left out.
	Rules map[string]Rules
	// Form, if set, writes artifacts in another form than their own.
	Form func(dst []byte, a *schema.Artifact) []byte
	// Drift, if set, counts what the tables do not know.
	Drift *normalize.DriftCounter
	Log   *slog.Logger
	// Stage, if set, is called as a part is normalized, and returns what ends
	// that.
	Stage func(ctx context.Context, name string) (context.Context, func(error))

	parts   chan *ingest.Part
	workers int
	mu      sync.Mutex
	writers map[string]chan work
	writing sync.WaitGroup
}

// Rules are what is left out of what is collected from an instance. The zero value leaves out nothing.
type Rules struct {
	Filter  *filter.Filter
	Privacy *privacy.Rules
}

// work is a part on its way from a worker to its lane's writer.
type work struct {
	part  *ingest.Part
	batch *publish.Batch
	keys  []schema.Key
	arena *[]byte // holds the data of the batch's messages
}

// Parts returns the channel that lanes send to. It is closed when no lane runs
// any more, and Run ends when all of it is stored.
func (p *Pipeline) Parts() chan *ingest.Part {
	if p.parts == nil {
		p.workers = max(1, runtime.GOMAXPROCS(0))
		p.parts = make(chan *ingest.Part, p.workers)
		p.writers = make(map[string]chan work)
	}
	return p.parts
}

// Run works until the channel of parts is closed and empty.
func (p *Pipeline) Run() {
	parts := p.Parts()
	var working sync.WaitGroup
	for range p.workers {
		working.Go(func() {
			m := newMaker(p)
			for part := range parts {
				p.make(m, part)
			}
		})
	}
	working.Wait()
	for _, w := range p.writers {
		close(w)
	}
	p.writing.Wait()
}

// make turns a part into a batch and hands it to the lane's writer.
func (p *Pipeline) make(m *maker, part *ingest.Part) {
	page := part.Page
	if err := page.Err(); err != nil {
		part.Done(nil, 0, err)
		return
	}
	end := func(error) {}
	if p.Stage != nil {
		_, end = p.Stage(page.Context, "normalize")
	}
	w, err := m.batch(part)
	end(err)
	if err != nil {
		part.Done(nil, 0, err)
		return
	}
	p.writer(page.Lane) <- w
}

// writer returns the channel of a lane's writer, and starts it for the first
// part. A lane's batches go to the broker one at a time, as its fence demands.
func (p *Pipeline) writer(lane string) chan<- work {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.writers[lane]
	if !ok {
		w = make(chan work)
		p.writers[lane] = w
		p.writing.Go(func() {
			for work := range w {
				p.store(work)
			}
		})
	}
	return w
}

// store publishes a batch and ends its part.
func (p *Pipeline) store(w work) {
	page := w.part.Page
	err := page.Err()
	if err == nil {
		err = p.Publisher.Publish(page.Context, w.batch)
	}
	if cap(*w.arena) <= maxArena {
		arenas.Put(w.arena)
	}
	if err != nil {
		w.part.Done(nil, 0, err)
		return
	}
	for _, d := range w.batch.Dead {
		p.Log.WarnContext(page.Context, "event went to the dead letters", "instance", page.Instance, "stream", page.Stream, "reason", d.Reason, "bytes", len(d.Raw))
	}
	w.part.Done(w.keys, len(w.batch.Dead), nil)
}

// maxArena bounds an arena that is kept, in bytes; one that grew for a giant is
// not.
const maxArena = 16 << 20

// arenas hold the encoded artifacts of a part between two uses.
var arenas = sync.Pool{New: func() any { return new([]byte) }}

// errPanic marks an event that made the mapper panic: it goes to the dead
// letters, and the process lives.
var errPanic = errors.New("the mapper panicked, which is a fault of this program")

// mapEvent maps one event, and survives it.
func (m *maker) mapEvent(env *normalize.Envelope, raw []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			m.p.Log.Error("mapper panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return m.mapper.Map(env, raw, &m.artifact)
}
