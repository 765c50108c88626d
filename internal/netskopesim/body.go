package netskopesim

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// flushSize is how much of a body is collected before it is written.
const flushSize = 64 << 10

// body writes an answer in pieces, compressed if the client asked for it.
type body struct {
	tenant *Tenant
	out    io.Writer
	gz     *gzip.Writer
	buf    []byte
	broken bool
}

// begin sends the headers of a good answer.
func (t *Tenant) begin(w http.ResponseWriter, r *http.Request) *body {
	b := &body{tenant: t, out: w, buf: make([]byte, 0, flushSize+8<<10)}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		b.gz = t.gzip(w)
		b.out = b.gz
	}
	w.WriteHeader(http.StatusOK)
	// An error here means that the connection cannot flush early; the headers
	// then leave with the first bytes.
	_ = http.NewResponseController(w).Flush()
	return b
}

func (t *Tenant) gzip(w io.Writer) *gzip.Writer {
	if gz, ok := t.gzips.Get().(*gzip.Writer); ok {
		gz.Reset(w)
		return gz
	}
	// The level is a valid one, which is all that the error is about.
	gz, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
	return gz
}

// drain writes what was collected once it exceeds size, and reports whether
// the client still reads.
func (b *body) drain(size int) bool {
	if len(b.buf) <= size {
		return true
	}
	if _, err := b.out.Write(b.buf); err != nil {
		b.broken = true
		return false
	}
	b.tenant.counts.bytes.Add(int64(len(b.buf)))
	b.buf = b.buf[:0]
	return true
}

// end completes the body, and reports whether all of it was written.
func (b *body) end() bool {
	if b.broken || !b.drain(0) {
		return false
	}
	if b.gz == nil {
		return true
	}
	if b.gz.Close() != nil {
		return false
	}
	b.tenant.gzips.Put(b.gz)
	return true
}
