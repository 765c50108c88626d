package netskopesim

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// key is where a record stands in the order of storage: by insertion time,
// then by when the tenant learned of it. What is added at an instant that was
// already read therefore comes after what was read.
type key struct {
	at      int64 // insertion time, Unix nanoseconds
	arrival int64
	seq     int64
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.at, o.at), cmp.Compare(k.arrival, o.arrival), cmp.Compare(k.seq, o.seq))
}

// before is the position in front of everything stored at or after the time.
func before(t time.Time) key { return key{at: t.UnixNano()} }

// Identity names one record. Timestamp is its event time in epoch seconds,
// whatever spelling the record itself uses; 0 where it has none.
type Identity struct {
	Stream    string
	ID        string
	Timestamp int64
}

// source is a sequence of records of one stream in the order of storage. A
// record's number in its source never changes.
type source interface {
	stream() string
	length(until int64) int64 // records with insertion time at or before
	key(i int64) key
	appendEvent(dst []byte, i int64, internals bool) []byte
	identity(i int64) Identity
}

// ref is one record of the store.
type ref struct {
	from source
	i    int64
}

// store holds a tenant's records, once each, however many endpoints show them.
type store struct {
	catalog *catalog

	mu       sync.RWMutex
	sources  []source
	logs     map[string][]*rawLog
	made     map[string]int64 // generated records by stream, to number the next
	arrivals int64
}

// Add stores a record that is served byte for byte as given. The stream is an
// endpoint such as "events/page" or "alerts/dlp".
func (t *Tenant) Add(stream string, insertion time.Time, raw []byte) {
	t.store.add(stream, insertion, raw)
}

func (s *store) add(stream string, insertion time.Time, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals++
	record := rawRecord{
		place: key{at: insertion.UnixNano(), arrival: s.arrivals},
		body:  slices.Clone(raw),
		id:    identify(stream, raw),
	}
	for _, log := range s.logs[stream] {
		if log.take(record) {
			return
		}
	}
	log := &rawLog{name: stream, records: []rawRecord{record}}
	if s.logs == nil {
		s.logs = map[string][]*rawLog{}
	}
	s.logs[stream] = append(s.logs[stream], log)
	s.sources = append(s.sources, log)
}

// of lists the sources of a dataexport endpoint. events/alert has no records
// of its own but those that no alerts/ endpoint shows.
func (s *store) of(stream string) []source {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []source
	for _, src := range s.sources {
		name := src.stream()
		if name == stream || stream == "events/alert" && strings.HasPrefix(name, "alerts/") {
			list = append(list, src)
		}
	}
	return list
}

// oldest is the position in front of the oldest record the sources hold after
// the given position.
func oldest(sources []source, after key, now int64) (key, bool) {
	first, found := key{}, false
	for _, src := range sources {
		i, n := seek(src, after, now)
		if i == n {
			continue
		}
		if k := src.key(i); !found || k.compare(first) < 0 {
			first, found = k, true
		}
	}
	return key{at: first.at}, found
}

// seek finds a source's first record after the position, and how many records
// it holds until the time.
func seek(src source, after key, until int64) (i, n int64) {
	n = src.length(until)
	i = int64(sort.Search(int(n), func(i int) bool { return src.key(int64(i)).compare(after) > 0 }))
	return i, n
}

// read merges the sources' records after the position, oldest first, up to and
// including the instant, and at most limit of them. It returns the position of
// the last one.
func read(sources []source, after key, until int64, limit int) ([]ref, key) {
	type head struct {
		src  source
		i, n int64
		k    key
	}
	var heads []head
	for _, src := range sources {
		if i, n := seek(src, after, until); i < n {
			heads = append(heads, head{src, i, n, src.key(i)})
		}
	}
	var refs []ref
	for len(refs) < limit && len(heads) > 0 {
		least := 0
		for h := range heads {
			if heads[h].k.compare(heads[least].k) < 0 {
				least = h
			}
		}
		h := &heads[least]
		refs = append(refs, ref{h.src, h.i})
		after = h.k
		if h.i++; h.i == h.n {
			heads = slices.Delete(heads, least, least+1)
			continue
		}
		h.k = h.src.key(h.i)
	}
	return refs, after
}
