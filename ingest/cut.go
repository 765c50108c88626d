package ingest

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// A part holds at most partEvents events and, unless a single event is larger,
// partBytes bytes. The broker takes a part as one atomic batch.
const (
	partEvents = 500
	partBytes  = 2 << 20
)

// growth is how much memory a part takes for each of its bytes: the events
// themselves, and the artifacts made of them, which quote them.
const growth = 4

// A Budget bounds the memory of all parts on their way.
type Budget struct {
	tokens *semaphore.Weighted
	size   int64
	taken  atomic.Int64
}

// NewBudget returns a budget of that many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{tokens: semaphore.NewWeighted(bytes), size: bytes}
}

// take waits until a part of that many bytes fits. A part larger than the
// whole budget takes all of it, and goes alone.
func (b *Budget) take(ctx context.Context, bytes int) (int64, error) {
	cost := min(int64(bytes)*growth, b.size)
	if err := b.tokens.Acquire(ctx, cost); err != nil {
		return 0, err
	}
	b.taken.Add(cost)
	return cost, nil
}

func (b *Budget) release(cost int64) {
	b.taken.Add(-cost)
	b.tokens.Release(cost)
}

// InFlight returns how much of the budget is taken, in bytes.
func (b *Budget) InFlight() int64 { return b.taken.Load() }

// A cutter collects the events of a page into parts and sends them on.
type cutter struct {
	page   *Page
	out    chan<- *Part
	budget *Budget

	raw  []byte
	ends []int
	sent int // events in the parts already sent
}

// add takes one event. It blocks while the channel or the budget is full: that
// is what keeps the vendor from sending more than can be stored.
func (c *cutter) add(event []byte) error {
	if len(c.ends) == partEvents || len(c.ends) > 0 && len(c.raw)+len(event) > partBytes {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.raw == nil {
		c.raw = (*buffers.Get().(*[]byte))[:0] //nolint:forcetypeassert // the pool holds nothing else
		c.ends = make([]int, 0, partEvents)
	}
	c.raw = append(c.raw, event...)
	c.ends = append(c.ends, len(c.raw))
	return nil
}

// flush sends what was collected.
func (c *cutter) flush() error {
	if len(c.ends) == 0 {
		return nil
	}
	if err := c.page.Err(); err != nil {
		return err
	}
	ctx := c.page.Context
	cost, err := c.budget.take(ctx, len(c.raw))
	if err != nil {
		return context.Cause(ctx)
	}
	part := &Part{Page: c.page, First: c.sent, raw: c.raw, ends: slices.Clip(c.ends), budget: c.budget, cost: cost}
	c.page.add(part.Len())
	c.sent += part.Len()
	c.raw, c.ends = nil, nil
	select {
	case c.out <- part:
		return nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		part.Done(nil, 0, err)
		return err
	}
}
