package netskopesim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRecordSize bounds a line of a replayed file.
const maxRecordSize = 16 << 20

type rawRecord struct {
	place key
	body  []byte
	id    Identity
}

// rawLog is a source of records that were given to the tenant.
type rawLog struct {
	name    string
	mu      sync.RWMutex
	records []rawRecord
}

// take appends the record unless that would break the order.
func (l *rawLog) take(r rawRecord) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.records[len(l.records)-1].place.compare(r.place) > 0 {
		return false
	}
	l.records = append(l.records, r)
	return true
}

func (l *rawLog) stream() string { return l.name }

func (l *rawLog) length(until int64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return int64(sort.Search(len(l.records), func(i int) bool { return l.records[i].place.at > until }))
}

func (l *rawLog) record(i int64) rawRecord {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.records[i]
}

func (l *rawLog) key(i int64) key           { return l.record(i).place }
func (l *rawLog) identity(i int64) Identity { return l.record(i).id }

// appendEvent adds the insertion time that events/data shows, unless the
// record has its own.
func (l *rawLog) appendEvent(dst []byte, i int64, internals bool) []byte {
	r := l.record(i)
	rest, isObject := bytes.CutPrefix(bytes.TrimSpace(r.body), []byte("{"))
	if !internals || !isObject || bytes.Contains(r.body, []byte(`"_insertion_epoch_timestamp"`)) {
		return append(dst, r.body...)
	}
	dst = append(dst, `{"_insertion_epoch_timestamp":`...)
	dst = strconv.AppendInt(dst, r.place.at/int64(time.Second), 10)
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		dst = append(dst, ',')
	}
	return append(dst, rest...)
}

// identify reads a record's identity leniently: published records spell
// timestamps in three ways, and some have no _id.
func identify(stream string, raw []byte) Identity {
	var r struct {
		ID        json.RawMessage `json:"_id"`
		Timestamp json.RawMessage `json:"timestamp"`
	}
	id := Identity{Stream: stream}
	if json.Unmarshal(raw, &r) != nil {
		return id // served as it is; a test may want broken records
	}
	id.ID = text(r.ID)
	stamp := text(r.Timestamp)
	if n, err := strconv.ParseInt(stamp, 10, 64); err == nil {
		id.Timestamp = n
		return id
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, stamp); err == nil {
			id.Timestamp = at.Unix()
		}
	}
	return id
}

// text is the text of a JSON string, and the spelling of anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// Load adds the records of every *.ndjson file below a folder. A file's name
// names its stream: page.ndjson is events/page, alert_dlp.ndjson alerts/dlp,
// and an alert type without an endpoint of its own is part of events/alert.
// The first record in the order of file names is stored at the given time,
// each further one a step later. It returns how many there were.
func (t *Tenant) Load(dir string, first time.Time, step time.Duration) (int, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".ndjson" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read records: %w", err)
	}
	n := 0
	for _, path := range paths {
		stream := t.streamOfFile(path)
		err := eachLine(path, func(line []byte) {
			t.Add(stream, first.Add(time.Duration(n)*step), line)
			n++
		})
		if err != nil {
			return n, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return n, nil
}

func (t *Tenant) streamOfFile(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".ndjson")
	kind, isAlert := strings.CutPrefix(name, "alert_")
	switch {
	case isAlert && slices.Contains(t.config.Streams, "alerts/"+kind):
		return "alerts/" + kind
	case isAlert:
		return "events/alert"
	}
	return "events/" + name
}

func eachLine(path string, do func([]byte)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxRecordSize)
	for lines.Scan() {
		if len(lines.Bytes()) > 0 {
			do(lines.Bytes())
		}
	}
	return lines.Err()
}
