package netskope

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// A Data reads one stream through Netskope's query API, by windows of the time
// at which records were stored. Netskope keeps no position: the same window can
// be asked for again and again.
type Data struct {
	client *Client
	stream string
	reader jsonscan.Reader
}

// Data returns the source of a stream, such as "events/page" or "alerts/dlp".
func (c *Client) Data(stream string) *Data {
	return &Data{client: c, stream: stream, reader: jsonscan.Reader{MaxValue: maxEvent}}
}

// dataFeeds are the feeds that the query API serves, with the most rows it
// gives at once.
var dataFeeds = map[string]int{
	"alert": 10000, "application": 10000, "network": 10000, "page": 10000, "audit": 5000, "infrastructure": 5000,
}

func hasData(stream string) bool {
	_, ok := dataFeeds[dataFeed(stream)]
	return ok
}

// dataFeed returns the feed of the query API that holds a stream. It has one
// for all alerts.
func dataFeed(stream string) string {
	family, feed, _ := strings.Cut(stream, "/")
	if family == "alerts" {
		return "alert"
	}
	return feed
}

func dataPath(stream string) string { return "/api/v2/events/data/" + dataFeed(stream) }

// alertTypes are the values of the parameter type, where they are not the
// name of the feed.
var alertTypes = map[string]string{
	"compromisedcredential": "Compromised Credential", "dlp": "DLP", "legalhold": "Legal Hold", "malware": "Malware",
	"remediation": "Remediation", "securityassessment": "Security Assessment", "device": "Device", "content": "Content",
}

// Fetch implements [ingest.Source] for OpWindow. It pages through the window
// until a page is empty. Both ends of the window are included and lie in the
// past, so that rows do not move between pages; what moves all the same is
// found by the overlap of the next window.
func (d *Data) Fetch(ctx context.Context, req ingest.Request, emit func([]byte) error) (ingest.Answer, error) {
	path := dataPath(d.stream)
	limit := dataFeeds[dataFeed(d.stream)]
	if limit == 0 {
		return ingest.Answer{}, &ingest.Fault{Kind: ingest.Missing, Err: fmt.Errorf("%s is not served by events/data", d.stream), Hint: "Use mode dataexport for it, or take it out of NETSKOPE_STREAMS"}
	}
	query := url.Values{
		"insertionstarttime": {strconv.FormatInt(req.From.Unix(), 10)},
		"insertionendtime":   {strconv.FormatInt(req.To.Unix(), 10)},
		"limit":              {strconv.Itoa(limit)},
	}
	if family, feed, _ := strings.Cut(d.stream, "/"); family == "alerts" {
		query.Set("type", alertType(feed))
	}
	var total ingest.Answer
	for offset := 0; ; {
		query.Set("offset", strconv.Itoa(offset))
		rows := 0
		a, err := d.page(ctx, path, query, func(event []byte) error {
			rows++
			return emit(event)
		})
		total.Bytes += a.Bytes
		if offset == 0 {
			total.Server = a.Server
		}
		// A tenant may give fewer rows than were asked for and still have more,
		// so only a page without any is the last.
		if err != nil || rows == 0 {
			return total, err
		}
		offset += rows
	}
}

func (d *Data) page(ctx context.Context, path string, query url.Values, emit func([]byte) error) (ingest.Answer, error) {
	resp, err := d.client.get(ctx, path, query)
	if err != nil {
		return ingest.Answer{}, err
	}
	defer resp.Body.Close()
	return readPage(&d.reader, d.stream, path, resp, emit)
}

func alertType(feed string) string {
	if t, ok := alertTypes[feed]; ok {
		return t
	}
	return feed
}
