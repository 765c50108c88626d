package netskopesim

import (
	"context"
	"net/http"
	"time"
)

// passingFaults are those after which a client that repeats itself, or asks
// for a resend where the index has moved, has lost nothing. None of them
// waits.
func passingFaults() []Fault {
	return []Fault{
		Throttle(1), Reset, LoseReply, CutBody(0), CutBody(1 << 10), Truncate, BrokenGzip, HTML, Empty,
		Status(http.StatusInternalServerError, `{"message":"An unexpected error occurred"}`),
		Status(http.StatusServiceUnavailable, ``),
		Status(http.StatusConflict, `{"message":"Concurrency conflict, retry later."}`),
		NotOK("internal error"), NoWaitTime,
	}
}

// LoseReply serves the request, and then cuts the connection: the tenant has
// moved on, and the reader has nothing to show for it.
func LoseReply(serve http.HandlerFunc, _ http.ResponseWriter, r *http.Request) {
	serve(discard{}, breakOff(r))
	panic(http.ErrAbortHandler)
}

// HangAfter serves the request to nobody and then keeps it waiting until its
// client gives up: the index has moved.
func HangAfter(serve http.HandlerFunc, _ http.ResponseWriter, r *http.Request) {
	serve(discard{}, breakOff(r))
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// CutBody lets the headers and n bytes of the body out, and then cuts the
// connection. The index has moved. A body of n bytes or fewer is not cut.
func CutBody(n int) Fault {
	return func(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
		n := n // a fault may strike more than once
		serve(rewrite(w, func(p []byte) (int, error) {
			if len(p) <= n {
				n -= len(p)
				return w.Write(p)
			}
			// The cut is what the reader is to see, whether or not the rest
			// still reached it.
			_, _ = w.Write(p[:n])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), breakOff(r))
	}
}

// Truncate ends the body early but properly: its JSON breaks off. The index
// has moved.
func Truncate(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	const lost = 16
	var held []byte
	serve(rewrite(w, func(p []byte) (int, error) {
		held = append(held, p...)
		ready := max(0, len(held)-lost)
		if _, err := w.Write(held[:ready]); err != nil {
			return 0, err
		}
		held = append(held[:0], held[ready:]...)
		return len(p), nil
	}), breakOff(plainText(r)))
}

// BrokenGzip says that the body is gzip, and it is not. The index has moved.
func BrokenGzip(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	const damaged = 20 // behind the header of a real one
	at := 0
	broken := rewrite(w, func(p []byte) (int, error) {
		if i := damaged - at; i >= 0 && i < len(p) {
			p = append([]byte(nil), p...)
			p[i] ^= 0x55
		}
		at += len(p)
		return w.Write(p)
	})
	broken.header = func(h http.Header) { h.Set("Content-Encoding", "gzip") }
	serve(broken, breakOff(r))
}

// WrongContentType serves the page as text/html.
func WrongContentType(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	out := rewrite(w, w.Write)
	out.header = func(h http.Header) { h.Set("Content-Type", "text/html") }
	serve(out, r)
}

// SlowBody waits before each piece of 1 KiB of the body.
func SlowBody(pause time.Duration) Fault {
	const piece = 1 << 10
	return func(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
		serve(rewrite(w, func(p []byte) (written int, err error) {
			for len(p) > 0 && err == nil {
				if err = wait(r.Context(), pause); err != nil {
					return written, err
				}
				var n int
				n, err = w.Write(p[:min(piece, len(p))])
				_ = http.NewResponseController(w).Flush()
				written, p = written+n, p[n:]
			}
			return written, err
		}), r)
	}
}

// NoWaitTime serves the page without its wait_time.
func NoWaitTime(serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	serve(w, r.WithContext(context.WithValue(r.Context(), withoutWaitTime, true)))
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// breakOff tells the ledger that the client does not get all of the body.
func breakOff(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), breaksOff, true))
}

// plainText is the request of a client that does not know gzip.
func plainText(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("Accept-Encoding")
	return r
}

// rewriter passes an answer on, changed.
type rewriter struct {
	http.ResponseWriter
	write  func([]byte) (int, error)
	header func(http.Header)
}

func rewrite(w http.ResponseWriter, write func([]byte) (int, error)) *rewriter {
	return &rewriter{ResponseWriter: w, write: write, header: func(http.Header) {}}
}

func (w *rewriter) WriteHeader(status int) {
	w.header(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

func (w *rewriter) Write(p []byte) (int, error) { return w.write(p) }

// Unwrap lets http.ResponseController flush.
func (w *rewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard is a client that hears nothing.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
