package checkpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A View is who lives and who holds what.
type View struct {
	Members []Member          // by ID
	Held    map[string]string // lane to owner
}

// rewatch is how long a watch that cannot be made waits before the next try.
const rewatch = time.Second

// Watch sends the View as it is now, and again when it has changed, until ctx is
// done; then it closes the channel. A reader that is slow gets the newest View
// and not those between. While the server is out of reach the last View stands.
func (l *Leases) Watch(ctx context.Context) (<-chan View, error) {
	w, err := l.watch(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch leases: %w", err)
	}
	views := make(chan View, 1)
	go func() {
		defer close(views)
		connected := l.js.Conn().StatusChanged(nats.CONNECTED)
		defer l.js.Conn().RemoveStatusListener(connected)
		var last *View
		show := func(v View) {
			if last != nil && reflect.DeepEqual(*last, v) { // a renewal
				return
			}
			last = &v
			select {
			case <-views: // nobody has read it
			default:
			}
			views <- v
		}
		for {
			if err == nil {
				w.follow(ctx, connected, l.relist, show)
				w.end()
			} else {
				wait(ctx, rewatch)
			}
			if ctx.Err() != nil {
				return
			}
			w, err = l.watch(ctx)
		}
	}()
	return views, nil
}

// wait returns after d, or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A watch is one watcher of the whole bucket.
type watch struct {
	jetstream.KeyWatcher
	cancel context.CancelFunc
}

func (l *Leases) watch(ctx context.Context) (watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := l.bucket.WatchAll(ctx)
	if err != nil {
		cancel()
	}
	return watch{w, cancel}, err
}

// end ends the watcher, which may be about to hand over one more entry.
func (w watch) end() {
	w.cancel()
	drain(w)
}

// drain ends a watcher and takes what it still hands over: it would wait for
// that forever.
func drain(w jetstream.KeyWatcher) {
	_ = w.Stop() // an error means that it has ended
	for range w.Updates() {
	}
}

// follow shows what the bucket holds, and each change of it. It returns when the
// watcher is to be made anew: when the connection was, since the watcher itself
// needs some 10 s to notice, and after the time given even if all is well, since
// a connection that was away for longer than a marker lives has not seen a key
// expire, and a bucket that is listed anew does not have it.
func (w watch) follow(ctx context.Context, connected <-chan nats.Status, limit time.Duration, show func(View)) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	held := map[string][]byte{}
	whole := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-connected:
			return
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return
			case entry == nil: // all that was there has been sent
				whole = true
			case entry.Operation() == jetstream.KeyValuePut:
				held[entry.Key()] = entry.Value()
			default: // released, or expired
				delete(held, entry.Key())
			}
			if whole && len(w.Updates()) == 0 {
				show(viewOf(held))
			}
		}
	}
}

// viewOf reads the keys of the bucket. A member that cannot be read is none; a
// lease that cannot be read is held by nobody known.
func viewOf(held map[string][]byte) View {
	v := View{Held: map[string]string{}}
	for key, value := range held {
		if lane, ok := strings.CutPrefix(key, lanePrefix); ok {
			var t tenure
			_ = json.Unmarshal(value, &t)
			v.Held[lane] = t.Owner
		} else if id, ok := strings.CutPrefix(key, memberPrefix); ok {
			var m Member
			if json.Unmarshal(value, &m) == nil && m.ID == id {
				v.Members = append(v.Members, m)
			}
		}
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return v
}
