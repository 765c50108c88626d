package netskope

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
)

// The index has moved all the same, so that an empty page here would be a loss.
func TestAnswerWithoutEventsIsNotAnEmptyPage(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"ok":1}`, `{"ok":1,"result":null}`, `{"ok":1,"result":{"_id":"1"}}`, `{"data":[{"_id":"1"}]}`,
		`{"error":{"code":500,"message":"internal"}}`, `{"errors":["x"]}`, `{"status":"failed"}`, `{"status":{"code":500}}`,
	} {
		events, a, err := next(t, serve(t, answers(200, nil, body)))
		if err == nil {
			t.Errorf("%s passes for a good page of %d events, wait %v", body, len(events), a.Wait)
			continue
		}
		if f := faultOf(t, err); f.Kind != ingest.Invalid {
			t.Errorf("%s is %s, want %s", body, f.Kind, ingest.Invalid)
		}
	}
}

func TestDataReadsOnWhenTheTenantCapsTheRows(t *testing.T) {
	const most, total = 5000, 12000
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var offset int
		fmt.Sscan(r.URL.Query().Get("offset"), &offset)
		var rows []string
		for i := offset; i < min(total, offset+most); i++ {
			rows = append(rows, fmt.Sprintf(`{"_id":"%d"}`, i))
		}
		fmt.Fprintf(w, `{"ok":1,"result":[%s]}`, strings.Join(rows, ","))
	})
	window := ingest.Request{Op: ingest.OpWindow, From: time.Unix(0, 0), To: time.Unix(10, 0)}
	events, _, err := fetch(t.Context(), client(serve(t, h)).Data("events/page"), window)
	if err != nil || len(events) != total {
		t.Errorf("%d of %d events, %v", len(events), total, err)
	}
}
