package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// storedEvent finds the artifact with an id, or one that begins so, in the stream, and returns the event that it was made of.
func storedEvent(ctx context.Context, id string) (*normalize.Envelope, []byte, error) {
	a, err := attach(ctx, "explain")
	if err != nil {
		return nil, nil, err
	}
	defer a.conn.Close()
	msg, err := findArtifact(ctx, a.js, a.cfg.NATS.Stream, id)
	if err != nil {
		return nil, nil, err
	}
	raw := rawOf(msg.Data)
	if raw == "" {
		return nil, nil, fmt.Errorf("explain %s: the artifact is stored without its raw event, so there is nothing to explain; skopeflow tail shows what it holds (PUBLISH_RAW=false, PUBLISH_FORMAT=witfoo, HASH_FIELDS and REMOVE_FIELDS leave it out)", id)
	}
	return envelopeOf(msg), []byte(raw), nil
}

// findArtifact looks for the newest artifact with an id, from the end of the stream backwards, and reads headers only.
func findArtifact(ctx context.Context, js jetstream.JetStream, name, id string) (*jetstream.RawStreamMsg, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("find artifact: read stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	for last, step := state.LastSeq, uint64(50_000); last >= state.FirstSeq && last > 0; step *= 4 {
		first := state.FirstSeq
		if last > first+step {
			first = last - step
		}
		found, err := lastWith(ctx, stream, first, last, id)
		if err != nil {
			return nil, fmt.Errorf("find artifact: read stream %s: %w", name, err)
		}
		if found > 0 {
			return stream.GetMsg(ctx, found)
		}
		last = first - 1
	}
	return nil, fmt.Errorf("find artifact %s: it is not in stream %s; either it is older than NATS_MAX_AGE, or the id is of another installation", id, name)
}

// lastWith returns the last of the messages from first to last whose id begins so; 0 if none does.
func lastWith(ctx context.Context, stream jetstream.Stream, first, last uint64, id string) (found uint64, err error) {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first, HeadersOnly: true})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		msg, err := messages.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return 0, context.Cause(ctx)
		}
		if err != nil {
			return 0, err
		}
		at, err := msg.Metadata()
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(msg.Headers().Get(publish.HeaderID), id) && at.Sequence.Stream <= last {
			found = at.Sequence.Stream
		}
		if at.Sequence.Stream >= last || at.NumPending == 0 {
			return found, nil
		}
	}
}

// rawOf returns the raw event in an artifact or a view of one; "" if there is none.
func rawOf(data []byte) string {
	var document struct {
		Raw     string `json:"raw"`
		RawData string `json:"raw_data"`
		Event   struct {
			Original string `json:"original"`
		} `json:"event"`
	}
	if json.Unmarshal(data, &document) != nil {
		return ""
	}
	return document.Raw + document.RawData + document.Event.Original
}

// envelopeOf reads from a message what surrounded its event.
func envelopeOf(msg *jetstream.RawStreamMsg) *normalize.Envelope {
	tenant, _, _ := strings.Cut(strings.TrimPrefix(msg.Header.Get("ce-source"), "//netskope/"), "/")
	dataset, subtype, _ := strings.Cut(msg.Header.Get("ce-subject"), "/")
	if dataset != "alert" {
		subtype = ""
	}
	env := &normalize.Envelope{
		Tenant: msg.Header.Get("artifact_tenant"), SourceTenant: tenant, Connector: msg.Header.Get("artifact_tenant"),
		Dataset: dataset, Subtype: subtype, SourceAPI: "v2_dataexport", Collected: msg.Time.UTC(), Late: believable, KeepRaw: true,
	}
	var stored schema.Artifact
	if json.Unmarshal(msg.Data, &stored) == nil && stored.CollectedTime != 0 {
		env.SourceAPI, env.Collected = stored.SourceAPI, stored.CollectedTime.Time()
	}
	return env
}
