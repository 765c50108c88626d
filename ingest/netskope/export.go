package netskope

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// maxEvent bounds one event, in bytes.
const maxEvent = 32 << 20

// emptyWait is the pause after an empty page that names none.
const emptyWait = 30 * time.Second

// An Export reads one stream through Netskope's dataexport iterator: Netskope
// keeps the position, under the name of an index.
type Export struct {
	client *Client
	stream string
	index  string
	reader jsonscan.Reader
}

// Export returns the source of a stream, such as "events/page".
func (c *Client) Export(stream, index string) *Export {
	return &Export{client: c, stream: stream, index: index, reader: jsonscan.Reader{MaxValue: maxEvent}}
}

// Fetch implements [ingest.Source] for OpStart, OpNext and OpResend.
func (e *Export) Fetch(ctx context.Context, req ingest.Request, emit func([]byte) error) (ingest.Answer, error) {
	op := string(req.Op)
	if req.Op == ingest.OpStart {
		op = strconv.FormatInt(req.From.Unix(), 10)
	}
	path := exportPath(e.stream)
	resp, err := e.client.get(ctx, path, url.Values{"operation": {op}, "index": {e.index}})
	if err != nil {
		return ingest.Answer{}, err
	}
	defer resp.Body.Close()
	return readPage(&e.reader, e.stream, path, resp, emit)
}

func exportPath(stream string) string { return "/api/v2/events/dataexport/" + stream }

// readPage reads an answer of either API: the same envelope, of which the
// iterators fill more.
func readPage(reader *jsonscan.Reader, stream, path string, resp *http.Response, emit func([]byte) error) (ingest.Answer, error) {
	a := ingest.Answer{Wait: -1}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.Server = date
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		a.Wait = emptyWait
		return a, nil
	default:
		return a, refused(stream, path, resp)
	}
	body, err := plain(resp)
	if err != nil {
		return a, broken(path, err, ended(resp))
	}
	env := envelope{answer: &a}
	var stopped error
	err = reader.Read(body, "result", func(event []byte) error {
		env.events++
		stopped = emit(event)
		return stopped
	}, env.member)
	if b, ok := resp.Body.(*idleBody); ok {
		a.Bytes = b.bytes
	}
	switch {
	case stopped != nil:
		return a, stopped
	case err != nil:
		return a, broken(path, err, ended(resp))
	}
	env.text = words(resp, env.text)
	return a, env.check(path, reader.Found)
}

// ended reports whether the body came to its end. What breaks off and is ended
// all the same was sent like that.
func ended(resp *http.Response) bool {
	b, ok := resp.Body.(*idleBody)
	return ok && b.ended
}

// plain undoes the body's encoding.
func plain(resp *http.Response) (io.Reader, error) {
	switch enc := strings.ToLower(resp.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, &jsonscan.SyntaxError{Msg: fmt.Sprintf("the body is encoded as %q, which was not asked for", enc)}
	}
}

// An envelope collects what stands beside the events.
type envelope struct {
	answer *ingest.Answer
	events int
	ok     string // as it stands in the page; "" if it does not
	text   string // Netskope's words, where it gave some instead of events
}

// member takes one key of the page. Numbers come as text too.
func (e *envelope) member(key []byte, v jsonscan.Value) error {
	switch string(key) {
	case "ok":
		e.ok = string(v.Raw)
	case "result", "message", "error":
		if v.Kind == jsonscan.String {
			e.text = string(jsonscan.AppendText(nil, v))
		}
	case "status":
		if v.Kind == jsonscan.String && strings.Contains(string(v.Raw), "error") {
			e.ok = string(v.Raw)
		}
	case "wait_time":
		if n, ok := number(v); ok {
			e.answer.Wait = min(time.Duration(n*float64(time.Second)), maxWait)
		}
	case "timestamp_hwm":
		if n, ok := number(v); ok && n > 0 {
			e.answer.HWM = time.Unix(int64(n), 0).UTC()
		}
	}
	return nil
}

func number(v jsonscan.Value) (float64, bool) {
	text := strings.Trim(string(v.Raw), `"`)
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && n >= 0 && n < math.MaxInt32*4
}

// check says whether the page was good, and settles the pause. Without an array
// of events it is none, whatever else it says.
func (e *envelope) check(path string, found bool) error {
	if !found && e.text == "" {
		e.text = "no array of events"
	}
	if e.ok != "" && e.ok != "1" && e.ok != "true" || e.text != "" {
		text := e.text
		if text == "" {
			text = "ok is " + e.ok
		}
		return &ingest.Fault{Kind: ingest.Invalid, Err: fmt.Errorf("%s: Netskope answered 200 and %q", path, text), Hint: "If the words name a licence or a query, mend that; the page is asked for again"}
	}
	switch {
	case e.answer.Wait < 0 && e.events == 0:
		e.answer.Wait = emptyWait
	case e.events == 0:
		e.answer.Wait = max(e.answer.Wait, time.Second)
	case e.answer.Wait < 0:
		e.answer.Wait = 0
	}
	return nil
}

// Open finds out how a stream can be read with the client's token: by the mode
// that was asked for, the mode a cursor already has, or the first that the
// token is granted. Its calls are cheap and touch no index in use.
func (c *Client) Open(ctx context.Context, stream, index, mode, kept string) (ingest.Way, error) {
	if mode == Auto {
		mode = kept
	}
	if mode != "" {
		return c.way(stream, index, mode), nil
	}
	refusal := c.probeExport(ctx, stream, index)
	if refusal == nil {
		return c.way(stream, index, ModeExport), nil
	}
	var fault *ingest.Fault
	if !errors.As(refusal, &fault) || fault.Kind != ingest.Denied && fault.Kind != ingest.Forbidden && fault.Kind != ingest.Missing {
		return ingest.Way{}, refusal
	}
	if !hasData(stream) {
		return ingest.Way{}, refusal
	}
	if err := c.probeData(ctx, stream); err != nil {
		return ingest.Way{}, refusal
	}
	return c.way(stream, index, ModeData), nil
}

// The modes: which API a stream is read by.
const (
	Auto       = "auto"
	ModeExport = "dataexport"
	ModeData   = "data"
)

func (c *Client) way(stream, index, mode string) ingest.Way {
	if mode == ModeData {
		return ingest.Way{Mode: ModeData, Windows: true, Source: c.Data(stream)}
	}
	return ingest.Way{Mode: ModeExport, Index: index, Source: c.Export(stream, index)}
}

// probeExport asks for a moment that has not come, on an index of its own:
// 200 and 409 both say that the token is granted.
func (c *Client) probeExport(ctx context.Context, stream, index string) error {
	op := strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10)
	err := c.probe(ctx, stream, exportPath(stream), url.Values{"operation": {op}, "index": {index + "-probe"}})
	var fault *ingest.Fault
	if errors.As(err, &fault) && fault.Kind == ingest.Conflict {
		return nil
	}
	return err
}

func (c *Client) probeData(ctx context.Context, stream string) error {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	return c.probe(ctx, stream, dataPath(stream), url.Values{"limit": {"1"}, "insertionstarttime": {now}, "insertionendtime": {now}})
}

func (c *Client) probe(ctx context.Context, stream, path string, query url.Values) error {
	resp, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = readPage(&jsonscan.Reader{MaxValue: maxEvent}, stream, path, resp, func([]byte) error { return nil })
	return err
}

// Probe makes the cheap call of Open for one mode, and returns the refusal if it
// is one.
func (c *Client) Probe(ctx context.Context, stream, index, mode string) error {
	if mode == ModeData {
		if !hasData(stream) {
			return &ingest.Fault{Kind: ingest.Missing, Err: fmt.Errorf("%s is not served by events/data", stream)}
		}
		return c.probeData(ctx, stream)
	}
	return c.probeExport(ctx, stream, index)
}
