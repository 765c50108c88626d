package netskopesim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Control is the tenant's back door, for tests in other processes. It has no
// tokens: keep it on a loopback address.
//
//	GET  /ledger            a line for each record of each call that moved an index: endpoint, index, page, _id, timestamp
//	GET  /ledger?summary=1  a line for each endpoint and index: a Summary
//	GET  /stats             what was asked, served and spoiled since the start, and what each stream holds
//	POST /feed?stream=&n=   n generated records more, stored at this instant
//	POST /fault?name=       a fault, see Tenant.FaultNamed; number= and text= are its arguments,
//	                        endpoint=, operation=, index=, after= and times= its Match
//
// The two that change something answer 204, or 400 with {"message"}.
func (t *Tenant) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ledger", t.controlLedger)
	mux.HandleFunc("GET /stats", t.controlStats)
	mux.HandleFunc("POST /feed", func(w http.ResponseWriter, r *http.Request) {
		acknowledge(w, t.controlFeed(r.URL.Query()))
	})
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		acknowledge(w, t.controlFault(r.URL.Query()))
	})
	return mux
}

func acknowledge(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// controlLedger writes until the reader is gone; what it does not read then
// concerns nobody.
func (t *Tenant) controlLedger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, flushSize)
	defer out.Flush()
	lines := json.NewEncoder(out)
	if r.URL.Query().Get("summary") != "" {
		for _, sum := range t.Summaries() {
			if lines.Encode(sum) != nil {
				return
			}
		}
		return
	}
	for _, call := range t.Ledger() {
		if !call.Moved() {
			continue
		}
		for id := range call.Events() {
			line := servedLine{call.Endpoint, call.Index, call.Page, id.ID, id.Timestamp}
			if lines.Encode(line) != nil {
				return
			}
		}
	}
}

type servedLine struct {
	Endpoint  string `json:"endpoint"`
	Index     string `json:"index"`
	Page      int    `json:"page"`
	ID        string `json:"_id"`
	Timestamp int64  `json:"timestamp"`
}

func (t *Tenant) controlStats(w http.ResponseWriter, _ *http.Request) {
	held := map[string]int64{}
	for _, stream := range t.config.Streams {
		if n := t.Count(stream); n > 0 {
			held[stream] = n
		}
	}
	w.Header().Set("Content-Type", "application/json")
	// A reader who is gone needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"requests": t.counts.requests.Load(), "faults": t.counts.faults.Load(),
		"events": t.counts.events.Load(), "bytes": t.counts.bytes.Load(), "held": held,
	})
}

func (t *Tenant) controlFeed(q url.Values) error {
	n, err := whole(q, "n")
	if err != nil {
		return err
	}
	now := t.now()
	return t.Feed(q.Get("stream"), n, now, now)
}

func (t *Tenant) controlFault(q url.Values) error {
	var numbers [3]int
	for i, name := range []string{"number", "after", "times"} {
		n, err := whole(q, name)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	fault, err := t.FaultNamed(q.Get("name"), numbers[0], q.Get("text"))
	if err != nil {
		return err
	}
	t.Inject(Match{
		Endpoint: q.Get("endpoint"), Operation: q.Get("operation"), Index: q.Get("index"),
		After: numbers[1], Times: numbers[2],
	}, fault)
	return nil
}

// whole reads a whole number that is 0 where it is absent.
func whole(q url.Values, name string) (int, error) {
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil {
		return 0, fmt.Errorf("read %s: %q is no whole number", name, q.Get(name))
	}
	return n, nil
}
