package ingest

import "github.com/skopeflow/skopeflow/schema"

// A memory holds the keys of what the lane stored lately, so that what the
// vendor repeats is not stored twice. It has two generations. Keys are learnt
// into the younger; when all that the vendor may still repeat of the older is
// in the past, the younger takes its place.
type memory struct {
	older, younger map[schema.Key]struct{}
}

func newMemory() *memory {
	return &memory{older: map[schema.Key]struct{}{}, younger: map[schema.Key]struct{}{}}
}

func (m *memory) knows(key schema.Key) bool {
	if _, ok := m.younger[key]; ok {
		return true
	}
	_, ok := m.older[key]
	return ok
}

func (m *memory) learn(keys ...schema.Key) {
	for _, key := range keys {
		m.younger[key] = struct{}{}
	}
}

func (m *memory) rotate() {
	m.older, m.younger = m.younger, m.older
	clear(m.younger)
}
