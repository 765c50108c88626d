package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// eventfulTenant holds three page events, of which a robot made one and one has a key that no table knows, and an alert.
func eventfulTenant(t *testing.T, at time.Time) *netskopesim.Tenant {
	t.Helper()
	tenant := simTenant(t, nil, "*")
	add := func(stream string, n int, rest string) {
		tenant.Add(stream, time.Now().Add(-10*time.Minute), fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,%s}`, n, at.Unix(), rest))
	}
	add("events/page", 1, `"type":"page","user":"jane@acme.example","url":"example.com/1","action":"allow","severity":"low"`)
	add("events/page", 2, `"type":"page","user":"robot@test.example","url":"example.com/2"`)
	add("events/page", 3, `"type":"page","user":"joe@acme.example","url":"example.com/3","x_quantum":"jane@acme.example"`)
	// What kind of alert it is stands in the stream alone.
	add("alerts/compromisedcredential", 4, `"type":"alert","alert":"yes","user":"jane@acme.example","action":"block","severity":"high"`)
	return tenant
}

// startEventful starts a collector of an eventful tenant, and waits until all that it is to store is stored.
func startEventful(t *testing.T, at time.Time, pages uint64, vars ...string) *collector {
	t.Helper()
	c := startCollector(t, append(collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, eventfulTenant(t, at)), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page,alerts/compromisedcredential", "NETSKOPE_POLL_INTERVAL=1h"), vars...)...)
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": pages, "acme.alerts.compromisedcredential": 1}))
	return c
}

// storedMessages reads the first n artifacts of the stream, by the id in their headers.
func storedMessages(t *testing.T, n int) map[string]jetstream.Msg {
	t.Helper()
	a, err := attach(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer a.conn.Close()
	all := make(map[string]jetstream.Msg)
	err = follow(t.Context(), a.js, "ARTIFACTS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"artifacts.>"}}, func(msg jetstream.Msg) error {
		all[msg.Headers().Get(publish.HeaderID)] = msg
		if len(all) == n {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF { //nolint:errorlint // it is the test's own
		t.Fatal(err)
	}
	return all
}

func TestArtifactIsTailedAndExplainedInEachFormat(t *testing.T) {
	at := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	line := regexp.MustCompile(`^(\d\d-\d\d \d\d:\d\d:\d\dZ)  [0-9a-f]{8}  (\S+) +(\S+) +(.+?)  +(.+)\n$`)
	wanted := []string{"alert high", "page low", "page unknown", "page unknown"}
	actions := map[string]string{"artifact": "blocked", "ocsf": "Denied", "ecs": "blocked", "witfoo": "block"}
	profiles := map[string]string{"artifact": "", "ocsf": "; profile=ocsf-1.7.0", "ecs": "; profile=ecs-9.4.0", "witfoo": "; profile=witfoo"}
	var ids, messages []string // of the first format: the others have the same
	for _, format := range formNames {
		t.Run(format, func(t *testing.T) {
			startEventful(t, at, 3, "PUBLISH_FORMAT="+format, "PUBLISH_OCSF_VERSION=1.7.0")

			code, out, said := call(t, "tail", "-all", "-n", "4", "-o", "table")
			if code != exitOK {
				t.Fatalf("tail: exit %d, %s", code, said)
			}
			var kinds, texts []string
			for text := range strings.Lines(out) {
				m := line.FindStringSubmatch(text)
				if m == nil || m[1] != at.UTC().Format("01-02 15:04:05Z") {
					t.Fatalf("tail prints %q, want a line of %v", text, at.UTC())
				}
				if m[3] == "alert" && m[4] != actions[format] {
					t.Errorf("the action of the alert is %q, want %q", m[4], actions[format])
				}
				kinds, texts = append(kinds, m[3]+" "+m[2]), append(texts, m[5])
			}
			slices.Sort(kinds)
			slices.Sort(texts)
			if !slices.Equal(kinds, wanted) {
				t.Errorf("tail prints\n%swant %q", out, wanted)
			}

			stored := storedMessages(t, 4)
			var all []string
			for id, msg := range stored {
				all = append(all, id)
				if got, want := msg.Headers().Get("ce-datacontenttype"), "application/json"+profiles[format]; got != want {
					t.Errorf("ce-datacontenttype is %q, want %q", got, want)
				}
				if format == "ocsf" && !strings.Contains(string(msg.Data()), `"version":"1.7.0"`) {
					t.Errorf("the document is not of OCSF 1.7.0: %s", msg.Data())
				}
				code, out, said := call(t, "explain", id)
				if format == "witfoo" { // which has no place for the raw event
					if code != exitFailed || !strings.Contains(said, "explain "+id+": the artifact is stored without its raw event") {
						t.Errorf("explain %s: exit %d, %s%s", id, code, out, said)
					}
					continue
				}
				var a struct{ ID, Subtype string }
				if err := json.Unmarshal([]byte(out), &a); code != exitOK || err != nil || a.ID != id {
					t.Errorf("explain %s: exit %d, %v, %s%s", id, code, err, out, said)
				}
				if format == "artifact" && out != string(msg.Data())+"\n" {
					t.Errorf("explain %s prints\n%swhere the stream holds\n%s", id, out, msg.Data())
				}
			}
			slices.Sort(all)
			if ids == nil {
				ids, messages = all, texts
			}
			if !slices.Equal(all, ids) || !slices.Equal(texts, messages) {
				t.Errorf("ids %v and messages %q, as artifacts %v and %q", all, texts, ids, messages)
			}
			if format == "ocsf" {
				code, out, said := call(t, "explain", "-o", "table", "-format", "ocsf", all[0])
				if code != exitOK || !strings.Contains(out, "\nid "+all[0]+"\nsubject artifacts.acme.netskope.") || rowOf(t, out, "NETSKOPE")[4] != "OCSF" {
					t.Errorf("explain -o table: exit %d, %s%s", code, out, said)
				}
			}
			absent := schema.NameID([]byte("nobody has it")).String()
			want := "find artifact " + absent + ": it is not in stream ARTIFACTS; either it is older than NATS_MAX_AGE, or the id is of another installation"
			if code, out, said := call(t, "explain", absent); code != exitFailed || !strings.Contains(said, want) || out != "" {
				t.Errorf("explain of an unknown id: exit %d, %q, %q", code, out, said)
			}
		})
	}
}

func TestFilteredEventsAndDriftAreShownEverywhere(t *testing.T) {
	c := startEventful(t, time.Now(), 2, "NETSKOPE_DROP_IF=user.email in ['robot@test.example', 'bot@test.example']")

	page := lanes(t)["acme.events.page"]
	if page.Filtered != 1 || page.Received != 3 {
		t.Errorf("status %+v, want 1 of 3 filtered", page)
	}
	code, out, said := call(t, "status", "-o", "table")
	titles, row := columns(strings.SplitAfter(out, "\n")[0]), rowOf(t, out, "acme.events.page")
	if at := slices.Index(titles, "FILTERED"); code != exitOK || at < 0 || row[at] != "1" || row[at-2] != "2" {
		t.Errorf("exit %d, titles %q, row %q%s", code, titles, row, said)
	}
	if !strings.HasSuffix(out, "\n\nNew in what Netskope sends, and unknown to the tables: 1. Nothing is lost; skopeflow status -drift lists them.\n") {
		t.Errorf("status ends with %q", out)
	}
	const counted = `{"kind":"new_key","dataset":"page","field":"x_quantum","count":1}`
	if code, out, said := call(t, "status", "-drift"); code != exitOK || out != counted+"\n" {
		t.Errorf("status -drift: exit %d, %q, %s", code, out, said)
	}
	_, out, _ = call(t, "status", "-drift", "-o", "table")
	if row := rowOf(t, out, "page"); !slices.Equal(row, []string{"page", "new key", "x_quantum", "1", ""}) {
		t.Errorf("the row of the drift is %q in\n%s", row, out)
	}

	url := regexp.MustCompile(`"status page","url":"([^"]+)"`).FindStringSubmatch(c.log.String())
	if url == nil {
		t.Fatalf("the log names no status page:\n%s", c.log.tail())
	}
	for target, wants := range map[string][]string{
		"/api/v1/status": {`"drift":[` + counted + `]`, `"filtered":1`},
		"/":              {`data-label="Field">x_quantum<`, `data-label="Filtered" class="n">1<`},
		"/metrics":       {`skopeflow_schema_drift_total{dataset="page",field="x_quantum",kind="new_key"} 1`, `skopeflow_events_filtered_total{instance="acme",stream="events/page"} 1`},
	} {
		resp, err := http.Get(url[1] + target)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for _, want := range wants {
			if err != nil || !strings.Contains(string(body), want) {
				t.Errorf("GET %s lacks %s (%v):\n%s", target, want, err, body)
			}
		}
	}
}

func TestStatusWithoutDriftSaysNothingOfIt(t *testing.T) {
	tenant := simTenant(t, nil, "*")
	tenant.Add("events/page", time.Now().Add(-10*time.Minute), fmt.Appendf(nil, `{"_id":"1","timestamp":%d,"type":"page","url":"example.com"}`, time.Now().Unix()))
	c := startCollector(t, collectorEnv(t, "NETSKOPE_BASE_URL="+serveLocal(t, tenant), "NETSKOPE_NAME=acme", "NETSKOPE_API_TOKEN="+simToken,
		"NETSKOPE_START=1h", "NETSKOPE_STREAMS=page", "NETSKOPE_POLL_INTERVAL=1h", "PUBLISH_RAW=false")...)
	c.awaitLanes(t, holds(map[string]uint64{"acme.events.page": 1}))
	if _, out, _ := call(t, "status", "-o", "table"); strings.Contains(out, "drift") {
		t.Errorf("status says %q", out)
	}
	if code, out, _ := call(t, "status", "-drift", "-o", "table"); code != exitOK || out != "Netskope sends nothing that the tables do not know.\n" {
		t.Errorf("status -drift: exit %d, %q", code, out)
	}
	if code, out, _ := call(t, "status", "-drift"); code != exitOK || out != "" {
		t.Errorf("status -drift in a pipe: exit %d, %q", code, out)
	}
	for id := range storedMessages(t, 1) {
		code, out, said := call(t, "explain", id)
		want := "explain " + id + ": the artifact is stored without its raw event, so there is nothing to explain; skopeflow tail shows what it holds (PUBLISH_RAW=false, PUBLISH_FORMAT=witfoo, HASH_FIELDS and REMOVE_FIELDS leave it out)"
		if code != exitFailed || out != "" || !strings.Contains(said, want) {
			t.Errorf("explain without raw events: exit %d, %q, %q", code, out, said)
		}
	}
}

func TestHashedCollectorStoresNoNameAndExplainSaysWhy(t *testing.T) {
	startEventful(t, time.Now(), 3, "NETSKOPE_HASH_FIELDS=identity,ip", "NETSKOPE_HASH_KEY_FILE="+writeFile(t, keyOfTests+"\n", 0o600), "PUBLISH_FORMAT=ecs")
	hashed := 0
	for id, msg := range storedMessages(t, 4) {
		if text := string(msg.Data()); strings.Contains(text, "jane") || strings.Contains(text, "joe@") {
			t.Errorf("a name is stored in %s", text)
		}
		if strings.Contains(string(msg.Data()), "@hashed.invalid") {
			hashed++
		}
		if code, _, said := call(t, "explain", id); code != exitFailed || !strings.Contains(said, "stored without its raw event") {
			t.Errorf("explain: exit %d, %q", code, said)
		}
	}
	if hashed != 4 {
		t.Errorf("%d of 4 documents hold a hash", hashed)
	}
}

func TestDriftOfSeveralProcessesIsAddedUpMostFirst(t *testing.T) {
	drift := func(field string, count int64) (d normalize.DriftCount) {
		d.Kind, d.Dataset, d.Field, d.Count = "new_key", "page", field, count
		return d
	}
	other := drift("x", 2)
	other.Dataset = "audit"
	got := driftOf([]state{{Drift: []normalize.DriftCount{drift("x", 3), drift("y", 4)}}, {Drift: []normalize.DriftCount{drift("x", 5), other}}})
	if want := []normalize.DriftCount{drift("x", 8), drift("y", 4), other}; !slices.Equal(got, want) {
		t.Errorf("drift %+v, want %+v", got, want)
	}
}

// The newest of those with one id counts, and it may be far from the end of the stream.
func TestArtifactIsFoundFarBackInTheStream(t *testing.T) {
	js, _ := natstest.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FAR", Subjects: []string{"far"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	const messages = 50_010
	oldest, newer, newest := schema.NameID([]byte("oldest")), schema.NameID([]byte("newer")), schema.NameID([]byte("newest"))
	marks := map[int]schema.ID{1: oldest, 2: newer, 9: newer, 10: newest, messages: newest}
	for n := 1; n <= messages; n++ {
		msg := &nats.Msg{Subject: "far", Header: nats.Header{}}
		if id, ok := marks[n]; ok {
			msg.Header.Set(publish.HeaderID, id.String())
		}
		if _, err := js.PublishMsgAsync(msg); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	for id, want := range map[schema.ID]uint64{oldest: 1, newer: 9, newest: messages} {
		msg, err := findArtifact(t.Context(), js, "FAR", id.String())
		if err != nil || msg.Sequence != want {
			t.Errorf("%s: %+v, %v, want message %d", id, msg, err, want)
		}
	}
	if msg, err := findArtifact(t.Context(), js, "FAR", schema.NameID([]byte("absent")).String()); err == nil {
		t.Errorf("an id that no message has is found: %+v", msg)
	}
}

func TestExplainNamesOnlyPlacesThatTheDocumentHas(t *testing.T) {
	raw := `{"_id":"1","timestamp":1768478400,"alert_type":"Malware","malware_name":"Eicar","local_md5":"9e107d9d372bb6826bd81d3542a419d6","process_name":"explorer.exe","os_version":"11","activity":"Upload"}`
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(raw+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, said := call(t, "explain", "-o", "table", "-format", "ocsf", "alerts/malware", file)
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, said)
	}
	for key, place := range map[string]string{
		"local_md5": "evidences[].file.hashes, evidences[].file.name", "process_name": "unmapped[process.name]", "activity": "unmapped[activity], unmapped[activity_raw]", "os_version": "unmapped[device.os_version]",
	} {
		line := regexp.MustCompile(`(?m)^` + key + ` .*$`).FindString(out)
		if !strings.Contains(line, "  "+place+"  ") && !strings.HasSuffix(strings.TrimSpace(line), "  "+place) {
			t.Errorf("explain says %q, want the place %s", line, place)
		}
	}
	if !strings.Contains(out, fmt.Sprintf(`"raw_data_size": %d`, len(raw))) {
		t.Error("the line break at the end of the file has become a part of the event")
	}
}

func TestExplainAppliesTheRulesOfAnInstance(t *testing.T) {
	for name, value := range map[string]string{
		"NETSKOPE_BASE_URL": "acme", "NETSKOPE_API_TOKEN": "t", "NETSKOPE_DROP_IF": "app.name == 'Slack'", "NETSKOPE_REMOVE_FIELDS": "identity",
	} {
		t.Setenv(name, value)
	}
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(`{"_id":"1","timestamp":1768478400,"user":"jane@acme.example","app":"Slack"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, said := call(t, "explain", "-instance", "acme", "-o", "json", "application", file)
	if code != exitOK || strings.Contains(out, "jane") || !strings.Contains(said, "DROP_IF of acme leaves this event out") {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
	if code, _, said := call(t, "explain", "-instance", "acne", "application", file); code != exitMisuse || !strings.Contains(said, "there are: acme") {
		t.Errorf("exit %d, %s", code, said)
	}
}
