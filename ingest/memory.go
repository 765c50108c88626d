package ingest

import "github.com/skopeflow/skopeflow/schema"

// A memory holds the ids of what the lane stored lately, so that what the
// vendor repeats is not stored twice. It has two generations. Ids are learnt
// into the younger; when all that the vendor may still repeat of the older is
// in the past, the younger takes its place.
type memory struct {
	older, younger map[schema.ID]struct{}
}

func newMemory() *memory {
	return &memory{older: map[schema.ID]struct{}{}, younger: map[schema.ID]struct{}{}}
}

func (m *memory) knows(id schema.ID) bool {
	if _, ok := m.younger[id]; ok {
		return true
	}
	_, ok := m.older[id]
	return ok
}

func (m *memory) learn(ids ...schema.ID) {
	for _, id := range ids {
		m.younger[id] = struct{}{}
	}
}

func (m *memory) rotate() {
	m.older, m.younger = m.younger, m.older
	clear(m.younger)
}
