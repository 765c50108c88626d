package netskopesim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// errReset is what a client sees of a connection that was dropped.
var errReset = errors.New("read answer: connection reset by the tenant")

// Client returns a client whose requests the tenant answers in this process,
// without a socket, whatever host they name.
func (t *Tenant) Client() *http.Client {
	return &http.Client{Transport: inProcess{t}}
}

// inProcess answers requests with a handler that runs in a goroutine.
type inProcess struct{ handler http.Handler }

// RoundTrip returns when the handler has sent its headers. Like http.Transport
// it asks for gzip and decodes it, unless the request says something else.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	body, pipe := io.Pipe()
	// Whoever reads learns of the end of the context from the body.
	stop := context.AfterFunc(ctx, func() { pipe.CloseWithError(ctx.Err()) })
	w := &pipeWriter{head: http.Header{}, body: pipe, started: make(chan struct{})}
	served := r.Clone(ctx)
	decode := r.Header.Get("Accept-Encoding") == ""
	if decode {
		served.Header.Set("Accept-Encoding", "gzip")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		defer stop() // a body that is complete stays so
		w.run(p.handler, served)
	}()
	select {
	case <-r.Context().Done():
		<-ended
		return nil, r.Context().Err()
	case <-w.started:
	}
	if w.status == 0 {
		return nil, errReset
	}
	response := &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &answerBody{body, cancel, ended}, ContentLength: -1, Request: r,
	}
	if decode && strings.EqualFold(w.sent.Get("Content-Encoding"), "gzip") {
		response.Header.Del("Content-Encoding")
		response.Body, response.Uncompressed = &gunzip{raw: response.Body}, true
	}
	return response, nil
}

// pipeWriter is the answer of a handler that runs beside its reader.
type pipeWriter struct {
	head, sent http.Header
	status     int // 0 until the headers are sent
	body       *io.PipeWriter
	once       sync.Once
	started    chan struct{}
}

// run ends the body as a server would: whole after a handler that returned,
// broken off after one that aborted.
func (w *pipeWriter) run(handler http.Handler, r *http.Request) {
	defer func() {
		switch v := recover(); v {
		case nil:
			w.WriteHeader(http.StatusOK)
			// A handler may give up because its client did; that is no end of
			// the body. Without an error this closes it properly.
			w.body.CloseWithError(r.Context().Err())
		case http.ErrAbortHandler:
			w.once.Do(func() { close(w.started) })
			w.body.CloseWithError(errReset)
		default:
			panic(v)
		}
	}()
	handler.ServeHTTP(w, r)
}

func (w *pipeWriter) Header() http.Header { return w.head }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.head.Clone()
		close(w.started)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// answerBody is a body whose handler learns that it is no longer read.
type answerBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  chan struct{}
}

// Close waits for the handler, so that the next request does not overlap with
// this one, which over a socket it may.
func (b *answerBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.ended
	return err
}

// gunzip decodes once it is read, so that a broken body is an error of Read.
type gunzip struct {
	raw io.ReadCloser
	gz  *gzip.Reader
}

func (g *gunzip) Read(b []byte) (int, error) {
	if g.gz == nil {
		gz, err := gzip.NewReader(g.raw)
		if err != nil {
			return 0, err
		}
		g.gz = gz
	}
	return g.gz.Read(b)
}

func (g *gunzip) Close() error { return g.raw.Close() }
