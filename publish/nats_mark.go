package publish

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A position is how far a stream reached when it was marked, with what tells
// whether it is still the same stream.
type position struct {
	created int64  // of the stream, in Unix nanoseconds; 0 if the mark does not say
	seq     uint64 // of the last artifact, or if there was none, of the last message
	stored  int64  // when that artifact was, by the server's clock; 0 if there was none
}

// String returns the numbers joined by dots, the times in base 36. The last is
// left out where there was no artifact.
func (p position) String() string {
	s := strconv.FormatInt(p.created, 36) + "." + strconv.FormatUint(p.seq, 10)
	if p.stored != 0 {
		s += "." + strconv.FormatInt(p.stored, 36)
	}
	return s
}

// parsePosition reads a mark. A plain number is a sequence alone.
func parsePosition(mark string) (p position, err error) {
	created, seq, more := strings.Cut(mark, ".")
	if !more {
		created, seq = "0", mark
	}
	seq, stored, more := strings.Cut(seq, ".")
	if !more {
		stored = "0"
	}
	if p.created, err = strconv.ParseInt(created, 36, 64); err == nil {
		p.seq, err = strconv.ParseUint(seq, 10, 64)
	}
	if err == nil {
		p.stored, err = strconv.ParseInt(stored, 36, 64)
	}
	if err != nil {
		return position{}, fmt.Errorf("%q is no position: %w", mark, err)
	}
	return p, nil
}

// Mark implements [Publisher].
func (p *NATS) Mark(ctx context.Context) (string, error) {
	_, at, err := p.room(ctx)
	if err != nil {
		return "", err
	}
	return at.String(), nil
}

// room returns the stream and its position, and an error if it can take no more.
func (p *NATS) room(ctx context.Context) (jetstream.Stream, position, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, p.config.Stream)
	if err != nil {
		return nil, position{}, fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	info := stream.CachedInfo()
	free := info.Config.MaxBytes - int64(info.State.Bytes) //nolint:gosec // a stream holds less than 8 EiB
	if info.Config.MaxBytes > 0 && free < batchBytes && free < info.Config.MaxBytes/10 {
		return nil, position{}, &FullError{Err: fmt.Errorf("stream %s is full: it holds %d of %d bytes", p.config.Stream, info.State.Bytes, info.Config.MaxBytes)}
	}
	at := position{created: info.Created.UnixNano(), seq: info.State.LastSeq}
	// A claim may be the last message, and goes when the next one is made. An
	// artifact stays for as long as it is young enough.
	last, err := p.get(ctx, query{LastBySubject: p.config.Prefix + ".>"})
	if err != nil {
		return nil, position{}, err
	}
	if last.Seq != 0 {
		at.seq, at.stored = last.Seq, last.Time.UnixNano()
	}
	return stream, at, nil
}

// Missing implements [Publisher]. The last artifact that was stored at the mark
// speaks for those before it. It is missing if the stream was made anew, or ends
// before it, or has another message in its place, or does not have it although
// it is younger than the age limit. So a purge is found if it took that artifact;
// the removal of others, as of another instance by its subject, is not. Nor is
// any removal found where there was no artifact at the mark, or where the stream
// has a limit besides age by which old messages go. A mark of the earlier form,
// a sequence alone, takes at for the time of its artifact.
func (p *NATS) Missing(ctx context.Context, mark string, at time.Time) (string, error) {
	if mark == "" {
		return "", nil
	}
	was, err := parsePosition(mark)
	if err != nil {
		return "", fmt.Errorf("look for what stream %s had: %w", p.config.Stream, err)
	}
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, p.config.Stream)
	if err != nil {
		return "", fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	info := stream.CachedInfo()
	if was.created != 0 && was.created != info.Created.UnixNano() {
		return fmt.Sprintf("stream %s was made anew on %s, and what it had acknowledged before is gone", p.config.Stream, info.Created.UTC().Format(time.RFC3339)), nil
	}
	if info.State.LastSeq < was.seq {
		return fmt.Sprintf("stream %s ends at message %d and had acknowledged message %d: it was rolled back, or restored from a backup", p.config.Stream, info.State.LastSeq, was.seq), nil
	}
	stored := time.Unix(0, was.stored)
	if was.created == 0 {
		stored = at
	}
	if was.seq == 0 || was.created != 0 && was.stored == 0 || !owes(info, stored) {
		return "", nil
	}
	last, err := p.get(ctx, query{Seq: was.seq})
	switch {
	case err != nil:
		return "", err
	case last.Seq == 0:
		return fmt.Sprintf("stream %s does not have message %d of %s any more, which is younger than its age limit: it was purged", p.config.Stream, was.seq, stored.UTC().Format(time.RFC3339)), nil
	case was.stored != 0 && was.stored != last.Time.UnixNano():
		return fmt.Sprintf("message %d of stream %s is not the one that it had acknowledged: it was rolled back, or restored from a backup, and has been written to since", was.seq, p.config.Stream), nil
	}
	return "", nil
}

// owes reports whether the stream should still have an artifact of that age. A
// tenth of the age limit is left for clocks that differ.
func owes(info *jetstream.StreamInfo, stored time.Time) bool {
	c := info.Config
	if c.Retention != jetstream.LimitsPolicy || c.Discard != jetstream.DiscardNew || c.MaxMsgsPerSubject > 0 {
		return false
	}
	return c.MaxAge <= 0 || info.TimeStamp.Sub(stored) < c.MaxAge-c.MaxAge/10
}
