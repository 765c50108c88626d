package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// Netskope gives one _id and one second to sessions that differ.
func TestEventsOfOneIDOnSeveralPagesAreAllStored(t *testing.T) {
	r := newPagedRig(t, 1)
	for i := range 3 {
		r.add("events/page", fmt.Appendf(nil, `{"_id":"abc","timestamp":%d,"type":"page","url":"example.com/%d","user":"jane@example.com"}`, received.Unix(), i))
	}
	s := r.collect(t, "events/page")["events/page"]
	if n := len(r.artifacts(t)); n != 3 || s.Stored != 3 {
		t.Errorf("3 different events, %d artifacts; status %+v", n, s)
	}
}

// Its sequences begin anew, so that an old position lies behind its end.
func TestScanOfAStreamThatWasMadeAnewReadsAllOfIt(t *testing.T) {
	r := newRig(t)
	if err := r.js.DeleteStream(t.Context(), "ARTIFACTS"); err != nil {
		t.Fatal(err)
	}
	n, err := publish.OpenNATS(t.Context(), r.js, natsConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := schema.Key{ID: schema.NameID([]byte("x")), Raw: 7}
	err = n.Publish(t.Context(), &publish.Batch{
		Lane: "acme.events.page", Instance: instance, Stream: "events/page",
		Messages: []publish.Message{{ID: want.ID, EntityID: want.ID, Raw: want.Raw, Tenant: instance, Dataset: "page", Data: []byte("{}")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []schema.Key
	mark, err := n.Scan(t.Context(), "acme.events.page", "5000", func(key schema.Key) { found = append(found, key) })
	if err != nil || len(found) != 1 || found[0] != want {
		t.Errorf("scan from 5000 of a stream that ends at %s finds %v, %v, want %v", mark, found, err, want)
	}
}
