package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// claimTimeout bounds the wait for a claim.
const claimTimeout = 10 * time.Second

// Bounds of the pause before what a busy stream refused is tried again.
const (
	busyPause    = 5 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// Claim implements [Publisher]. The claim is a message in the artifacts'
// stream, one for each lane, which no age limit removes; the fence is its
// sequence. A purge of the stream removes it, and with it the right of its owner
// to store, until the lane is claimed again.
func (p *NATS) Claim(ctx context.Context, c Claim) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	data, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("claim lane %s: %w", c.Lane, err)
	}
	var seq uint64
	err = retryBusy(ctx, func() (err error) {
		seq, err = p.claim(ctx, c, data)
		if hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) { // somebody else was faster: who?
			seq, err = p.claim(ctx, c, data)
		}
		return err
	})
	var claimed *ClaimedError
	if errors.As(err, &claimed) {
		return "", claimed
	}
	if err != nil {
		return "", fmt.Errorf("claim lane %s: %w", c.Lane, p.explain(err))
	}
	return strconv.FormatUint(seq, 10), nil
}

// claim makes a claim stand unless a better one does, or a new one comes between.
func (p *NATS) claim(ctx context.Context, c Claim, data []byte) (uint64, error) {
	subject := p.claimSubject(c.Lane)
	last, err := p.get(ctx, query{LastBySubject: subject})
	if err != nil {
		return 0, err
	}
	if last.Seq != 0 {
		var standing Claim
		if err := json.Unmarshal(last.Data, &standing); err != nil {
			return 0, fmt.Errorf("message %d of stream %s is no claim: %w", last.Seq, p.config.Stream, err)
		}
		switch {
		case standing.Epoch == c.Epoch && standing.Owner == c.Owner:
			return last.Seq, nil
		case standing.Epoch >= c.Epoch:
			return 0, &ClaimedError{Claim: standing}
		}
	}
	ack, err := p.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
		jetstream.MsgTTLHeader: {"never"},
		jetstream.MsgRollup:    {jetstream.MsgRollupSubject},
	}}, jetstream.WithExpectLastSequencePerSubject(last.Seq))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (p *NATS) claimSubject(lane string) string { return p.config.own() + ".claims." + lane }

// claimed returns the lane whose claim the fence is.
func (b *Batch) claimed() string {
	if b.Claim != "" {
		return b.Claim
	}
	return b.Lane
}

// fence makes the first message of an atomic batch, and so the whole of it,
// depend on the claim.
func (p *NATS) fence(b *Batch, first *nats.Msg) {
	if b.Fence == "" {
		return
	}
	first.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{b.Fence}
	first.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{p.claimSubject(b.claimed())}
}

// A query asks for one message.
type query struct {
	Seq           uint64 `json:"seq,omitempty"`
	LastBySubject string `json:"last_by_subj,omitempty"`
}

// A kept message is one as the stream has it.
type kept struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Data []byte    `json:"data"`
}

// get reads a message from the stream's leader; the zero one if there is none.
// The client's own call asks any replica where the stream allows direct gets,
// and one of them may lag behind.
func (p *NATS) get(ctx context.Context, q query) (kept, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return kept{}, fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	msg, err := p.ask(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+p.config.Stream, body)
	if err != nil {
		return kept{}, fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	var answer struct {
		Message kept                `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return kept{}, fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	if e := answer.Error; e != nil && e.ErrorCode != jetstream.JSErrCodeMessageNotFound {
		return kept{}, fmt.Errorf("read stream %s: %w", p.config.Stream, e)
	}
	return answer.Message, nil
}

// ask makes a request that changes nothing. A stream between two leaders gives
// no answer, so it is made again, with more patience each time.
func (p *NATS) ask(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	for patience := time.Second; ; patience *= 2 {
		once, cancel := context.WithTimeout(ctx, patience)
		msg, err := p.js.Conn().RequestWithContext(once, subject, body)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return msg, err
		}
	}
}

// retryBusy repeats store for as long as the stream refuses it because of
// another message or batch that it has not decided on. That happens on a
// replicated stream only, and nothing has been stored then.
func retryBusy(ctx context.Context, store func() error) error {
	for pause := busyPause; ; pause = min(2*pause, longestPause) {
		err := store()
		if !hasCode(err, jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
