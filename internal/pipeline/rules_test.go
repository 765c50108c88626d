package pipeline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/filter"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/internal/privacy"
)

func compiled(t *testing.T, keep, drop string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(keep, drop)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func private(t *testing.T, hash, remove []string) *privacy.Rules {
	t.Helper()
	r, err := privacy.New(hash, remove, []byte("a key of more than 16 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ruled lets the rig's pipeline leave out of what comes from acme.
func (r *rig) ruled(rules pipeline.Rules) {
	r.setting = func(p *pipeline.Pipeline) { p.Rules = map[string]pipeline.Rules{instance: rules} }
}

// closes reports a lane whose figures do not add up.
func closes(t *testing.T, s ingest.Status) {
	t.Helper()
	if s.Received != s.Stored+s.Duplicates+s.Filtered+s.DeadLettered {
		t.Errorf("received %d, but stored %d, duplicates %d, filtered %d, dead letters %d", s.Received, s.Stored, s.Duplicates, s.Filtered, s.DeadLettered)
	}
}

func userEvent(n int, user string) []byte {
	return fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com/%d","user":"%s"}`, n, received.Unix(), n, user)
}

func TestDroppedArtifactsAreCountedAndTheOthersStoredOnceThoughThePageIsReadTwice(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault netskopesim.Fault
	}{
		{"read once", nil},
		{"an answer breaks off behind its last event", netskopesim.Truncate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newPagedRig(t, 600)
			r.ruled(pipeline.Rules{Filter: compiled(t, `dataset == "page"`, `user.email.endsWith("@test.example") && !url.full.endsWith("/7")`)})
			want := make(map[string]bool)
			for i := range 1200 { // two pages of two parts, and a rest
				user := "jane@acme.example"
				if i%3 == 1 {
					user = "robot@test.example"
				}
				if i%3 != 1 || i == 7 {
					want[fmt.Sprintf("example.com/%d", i)] = true
				}
				r.add("events/page", userEvent(i, user))
				if i%400 == 200 {
					r.add("events/page", []byte(`7`))
					r.add("events/page", userEvent(i, user)) // once more
				}
			}
			failures := uint64(0)
			if tt.fault != nil {
				failures = 1
				r.tenant.Inject(netskopesim.Match{Operation: "next"}, tt.fault)
			}
			s := r.collect(t, "events/page")["events/page"]
			closes(t, s)
			if s.Stored != 801 || s.DeadLettered < 3 || s.Filtered < 400 || s.Failures != failures || s.Resends != failures {
				t.Errorf("status %+v, want 801 stored, 400 filtered or more, %d resends", s, failures)
			}
			if tt.fault == nil && (s.Received != 1206 || s.Filtered != 400 || s.Duplicates != 2 || s.DeadLettered != 3) {
				t.Errorf("status %+v, want 1206 received, 400 filtered, 2 duplicates and 3 dead letters", s)
			}
			if tt.fault != nil && (s.Filtered == 400 || s.Duplicates == 2) {
				t.Errorf("status %+v: nothing of the answer that broke off was counted", s)
			}
			for _, a := range r.artifacts(t) {
				url, _ := a["url"].(map[string]any)
				full, _ := url["full"].(string)
				if !want[full] {
					t.Errorf("%q is stored, though it is to be dropped or is stored already", full)
				}
				delete(want, full)
			}
			if len(want) != 0 {
				t.Errorf("%d artifacts are missing, such as %v", len(want), keys(want)[0])
			}
			if again := r.collect(t, "events/page")["events/page"]; again.Stored != 0 {
				t.Errorf("the next process stored more: %+v", again)
			}
		})
	}
}

func TestExpressionThatFailsLeavesTheArtifactWithAWarning(t *testing.T) {
	r := newRig(t)
	r.ruled(pipeline.Rules{Filter: compiled(t, "", `unmapped.x_flag.startsWith("drop")`)})
	for i, rest := range []string{`"x_flag":"drop"`, `"x_flag":"keep"`, `"x_other":1`} {
		r.add("events/page", fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com/%d",%s}`, i, received.Unix(), i, rest))
	}
	s := r.collect(t, "events/page")["events/page"]
	closes(t, s)
	if s.Stored != 2 || s.Filtered != 1 {
		t.Errorf("status %+v, want 2 stored and 1 filtered", s)
	}
	for _, a := range r.artifacts(t) {
		unmapped, _ := a["unmapped"].(map[string]any)
		warnings := fmt.Sprint(a["warnings"])
		if _, has := unmapped["x_flag"]; has == strings.Contains(warnings, "filter: ") || !has && !strings.Contains(warnings, "filter: expression failed '") {
			t.Errorf("unmapped %v, warnings %s", unmapped, warnings)
		}
	}
}

// secret is in every value that must not leave.
const secret = "c4nary"

// secretEvents have the secret wherever an event of a dataset names a person, an address of a person, a query, or what no table knows.
func secretEvents() map[string][]byte {
	at := received.Unix()
	return map[string][]byte{
		"events/page":        fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","user":"c4nary.jane@acme.example","userkey":"c4nary.jane@acme.example","ur_normalized":"c4nary.jane@acme.example","url":"example.com/of/c4nary.jane@acme.example/x?token=c4narytoken","srcip":"203.0.113.77","userip":"203.0.113.77","x_new":"c4nary new","severity":"c4nary-is-none"}`, 1, at),
		"events/application": fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"nspolicy","user":"c4nary.jane@acme.example","from_user":"c4nary.from@acme.example","to_user":"c4nary.to@acme.example","object":"letter to c4nary.to@acme.example","activity":"Share","app":"Slack","srcip":"203.0.113.77"}`, 2, at),
		"events/audit":       fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"admin_audit_logs","user":"c4nary.admin@acme.example","audit_log_event":"Edit admin record","supporting_data":{"data_type":"user","data_values":["c4nary.jane@acme.example"]}}`, 3, at),
		// Larger than a message may be even without its raw event.
		"alerts/policy": fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"nspolicy","alert":"yes","alert_type":"policy","user":"c4nary.jane@acme.example","url":"example.com/c4nary.jane@acme.example/%s?token=c4narytoken","srcip":"203.0.113.77","x_new":"c4nary new"}`, 4, at, strings.Repeat("p", 10<<20)),
	}
}

func TestNoValueThatARuleNamesIsStoredAnywhereAndTheIDsStayTheSame(t *testing.T) {
	collected := func(rules pipeline.Rules) (*rig, []string) {
		r := newRig(t)
		r.ruled(rules)
		events := secretEvents()
		for stream, raw := range events {
			r.add(stream, raw)
		}
		stored := uint64(0)
		for _, s := range r.collect(t, keys(events)...) {
			closes(t, s)
			stored += s.Stored
		}
		if stored != uint64(len(events)) {
			t.Fatalf("%d of %d events are stored", stored, len(events))
		}
		var ids []string
		for _, m := range r.consume(t, "ARTIFACTS", "artifacts.>") {
			ids = append(ids, m.header["ce-id"][0]+" of "+m.header["ce-partitionkey"][0])
		}
		slices.Sort(ids)
		return r, ids
	}
	leaky := []string{secret, "203.0.113.77"}
	open, ids := collected(pipeline.Rules{})
	for _, word := range leaky {
		if text := open.everything(t); !strings.Contains(text, word) {
			t.Fatalf("without rules %s is nowhere, so that nothing is tested", word)
		}
	}
	// An expression that fails over a value says so in a warning, which may not quote it.
	failing := compiled(t, "", `timestamp(user.email) > time`)
	for name, rules := range map[string]pipeline.Rules{
		"removed":            {Privacy: private(t, nil, []string{"identity", "ip", "url_query"})},
		"hashed":             {Privacy: private(t, []string{"identity", "ip"}, []string{"url_query"})},
		"removed after fail": {Privacy: private(t, nil, []string{"identity", "ip", "url_query"}), Filter: failing},
	} {
		t.Run(name, func(t *testing.T) {
			r, got := collected(rules)
			if !slices.Equal(got, ids) {
				t.Errorf("ids %v, without rules %v", got, ids)
			}
			text := r.everything(t)
			for _, word := range leaky {
				if i := strings.Index(text, word); i >= 0 {
					t.Errorf("%s is stored in …%.300s", word, text[max(0, i-200):])
				}
			}
			if rules.Filter != nil && !strings.Contains(text, "filter: ") {
				t.Error("no warning says that the expression failed")
			}
			hashed := strings.Contains(text, "@hashed.invalid")
			if hashed != (name == "hashed") {
				t.Errorf("a hash is stored: %t", hashed)
			}
			r.artifacts(t) // which are valid
			large := r.objects(t)
			if len(large) != 1 {
				t.Fatalf("%d objects, want that of the event that is too large", len(large))
			}
			var kept struct {
				ID, Raw string
				URL     struct{ Full string }
			}
			for _, object := range large {
				if err := json.Unmarshal(object, &kept); err != nil || kept.Raw != "" || !strings.HasSuffix(kept.URL.Full, "ppp") || !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, kept.ID) }) {
					t.Errorf("the object is %.300s (%v), want the artifact", object, err)
				}
			}
		})
	}
}

// everything returns all that the broker holds of events, as one text.
func (r *rig) everything(t *testing.T) string {
	t.Helper()
	var all bytes.Buffer
	for _, stream := range []string{"ARTIFACTS", "ARTIFACTS_DEAD"} {
		for _, m := range r.consume(t, stream, ">") {
			fmt.Fprintln(&all, m.subject, m.header, string(m.data))
		}
	}
	for name, object := range r.objects(t) {
		fmt.Fprintln(&all, name, string(object))
	}
	return all.String()
}

// objects returns what is kept beside the stream, by its name.
func (r *rig) objects(t *testing.T) map[string][]byte {
	t.Helper()
	store, err := r.js.ObjectStore(t.Context(), "ARTIFACTS_LARGE")
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, o := range list {
		all[o.Name] = r.object(t, o.Name)
	}
	return all
}

func TestInstancesHaveRulesOfTheirOwn(t *testing.T) {
	const other = "globex"
	r := newRig(t)
	r.setting = func(p *pipeline.Pipeline) {
		p.Tenants[other] = "globex.goskope.com"
		p.Rules = map[string]pipeline.Rules{
			instance: {Filter: compiled(t, "", `user.email == "drop@acme.example"`)},
			other:    {Filter: compiled(t, `user.email == "drop@acme.example"`, ""), Privacy: private(t, nil, []string{"user.email"})},
		}
	}
	for i := range 600 {
		user := "jane@acme.example"
		if i%2 == 0 {
			user = "drop@acme.example"
		}
		r.add("events/page", userEvent(i, user))
	}
	for _, s := range r.collectLanes(t, r.lane(instance, "events/page"), r.lane(other, "events/page")) {
		closes(t, s)
		if s.Stored != 300 || s.Filtered != 300 {
			t.Errorf("%s: status %+v, want 300 stored and 300 filtered", s.Instance, s)
		}
	}
	seen := make(map[string]int)
	for _, a := range r.artifacts(t) {
		user, _ := a["user"].(map[string]any)
		seen[fmt.Sprint(a["tenant"], " ", user["email"], " raw:", a["raw"] != nil)]++
	}
	want := map[string]int{"acme jane@acme.example raw:true": 300, "globex <nil> raw:false": 300}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("artifacts %v, want %v", seen, want)
	}
}
