package ecs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
)

// typed says by type which fields of ECS 9.4 the documents use. A type that ends in [] takes a list, and always gets one.
var typed = map[string]string{
	"date": "@timestamp event.start event.end event.created",
	"long": `event.severity event.duration source.port source.bytes source.packets source.as.number destination.port
		destination.bytes destination.packets network.bytes network.packets url.port http.response.status_code file.size process.pid`,
	"float":     "event.risk_score",
	"ip":        "client.ip source.ip destination.ip network.forwarded_ip",
	"ip[]":      "host.ip observer.ip related.ip",
	"geo_point": "source.geo.location destination.geo.location",
	"keyword[]": `tags event.category event.type error.message host.mac user.roles user.group.name threat.software.id
		email.cc.address email.bcc.address related.user related.hash related.hosts`,
	"keyword": `message ecs.version
		event.id event.kind event.module event.dataset event.code event.action event.outcome event.reason event.original event.hash
		agent.name organization.id observer.vendor observer.product observer.name observer.geo.name
		user.email user.name user.id user.domain user.full_name user.target.email
		source.geo.country_iso_code source.geo.region_name source.geo.city_name source.geo.postal_code source.geo.timezone
		source.as.organization.name destination.domain
		destination.geo.country_iso_code destination.geo.region_name destination.geo.city_name destination.geo.postal_code
		destination.geo.timezone
		host.name host.id host.type host.os.full host.os.family host.os.version
		device.serial_number device.manufacturer device.model.name
		network.application network.transport network.protocol cloud.account.id cloud.account.name cloud.region
		url.original url.full url.scheme url.domain url.path url.query
		http.version http.request.method http.request.referrer http.request.mime_type http.response.mime_type
		user_agent.original user_agent.name user_agent.version transaction.id dns.question.name dns.question.type
		tls.version tls.version_protocol tls.cipher tls.client.server_name tls.client.ja3 tls.server.ja3s
		file.name file.path file.mime_type file.owner file.hash.md5 file.hash.sha1 file.hash.sha256
		rule.name rule.id rule.version rule.ruleset
		threat.software.name threat.indicator.type threat.indicator.name threat.indicator.provider threat.indicator.confidence
		threat.feed.name
		process.name process.executable process.parent.name process.user.name email.subject`,
}

// allowed are the values that ECS has for a field.
var allowed = map[string][]string{
	"event.kind":                  {"alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"},
	"event.outcome":               {"success", "failure", "unknown"},
	"threat.indicator.type":       {"autonomous-system", "artifact", "directory", "domain-name", "email-addr", "file", "ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "port", "process", "software", "url", "user-account", "windows-registry-key", "x509-certificate"},
	"threat.indicator.confidence": {"Not Specified", "None", "Low", "Medium", "High"},
	"tls.version_protocol":        {"tls", "ssl"},
	"ecs.version":                 {"9.4.0"},
}

// expected are the types that ECS has for a category.
var expected = map[string]string{
	"api":                 "access admin allowed change creation deletion denied end info start user",
	"authentication":      "start end info",
	"configuration":       "access change creation deletion info",
	"file":                "access change creation deletion info",
	"host":                "access change end info start",
	"iam":                 "admin change creation deletion group info user",
	"intrusion_detection": "allowed denied info",
	"malware":             "info",
	"network":             "access allowed connection denied end info protocol start",
	"package":             "access change deletion info installation start",
	"session":             "start end info",
	"web":                 "access error info",
}

// A judge holds documents against ECS.
type judge struct {
	*testing.T
	types map[string]string
	like  map[string]schema.Field // fields that stand as they are in the artifact, by path
	seen  map[string]bool
}

func newJudge(t *testing.T) *judge {
	j := &judge{t, make(map[string]string), make(map[string]schema.Field), make(map[string]bool)}
	for kind, paths := range typed {
		for _, path := range strings.Fields(paths) {
			j.types[path] = kind
		}
	}
	for _, f := range schema.Fields() {
		j.like["netskope."+f.Name], j.like["labels."+f.Name] = f, f
	}
	return j
}

func (j *judge) document(name string, text []byte) {
	doc := document(j.T, text)
	for path, v := range leaves(doc) {
		path = strings.TrimSuffix(strings.TrimSuffix(path, ".lat"), ".lon")
		j.seen[path] = true
		if why := j.flaw(path, v); why != "" {
			j.Errorf("%s: %s is %v: %s", name, path, v, why)
		}
	}
	for _, must := range []string{"@timestamp", "event.id", "event.kind", "event.dataset", "event.created", "ecs.version", "message"} {
		if at(doc, must) == nil {
			j.Errorf("%s: no %s", name, must)
		}
	}
	j.pairs(name, doc)
}

// flaw says why a value cannot stand at a path; "" if it can.
func (j *judge) flaw(path string, v any) string {
	if isEmpty(v) || !verbatim[path] && hollow(v) {
		return "nothing should be left out"
	}
	if values := allowed[path]; values != nil && !slices.Contains(values, fmt.Sprint(v)) {
		return "ECS has no such value"
	}
	kind, ours := j.types[path], strings.HasPrefix(path, "netskope.")
	if f, ok := j.like[path]; ok && kind == "" {
		kind = f.Type
		if _, nested := v.(map[string]any); !ours && nested {
			return "a label is a word"
		}
	}
	if kind == "" {
		return "not in the table of types"
	}
	if single, ok := strings.CutSuffix(kind, "[]"); ok {
		list, isList := v.([]any)
		if !isList {
			return "should be a list"
		}
		for _, v := range list {
			if why := scalarFlaw(single, v); why != "" {
				return why
			}
		}
		if strings.HasPrefix(path, "related.") && (!slices.IsSorted(words(v)) || len(slices.Compact(words(v))) < len(list)) {
			return "not sorted, or not unique"
		}
		return ""
	}
	return scalarFlaw(kind, v)
}

// scalarFlaw knows the types of ECS and those of the table of fields.
func scalarFlaw(kind string, v any) string {
	s, isText := v.(string)
	n, isNumber := v.(json.Number)
	_, isObject := v.(map[string]any)
	fits := true
	switch kind {
	case "keyword", "string", "enum":
		fits = isText && s != ""
	case "ip":
		ip, err := netip.ParseAddr(s)
		fits = err == nil && ip.Zone() == ""
	case "date", "timestamp":
		fits = timestamp.MatchString(s)
	case "long", "int", "int64":
		_, err := strconv.ParseInt(n.String(), 10, 64)
		fits = err == nil
	case "float":
		fits = isNumber
	case "geo_point":
		f, err := n.Float64()
		fits = err == nil && -180 <= f && f <= 180
	case "bool":
		_, fits = v.(bool)
	case "object", "map":
		fits = isObject
	case "json":
	default:
		return "no such type: " + kind
	}
	if !fits {
		return "not of type " + kind
	}
	return ""
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// hollow reports whether there is something empty in a value, however deep.
func hollow(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, hollow) || isEmpty(v)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hollow) || isEmpty(v)
	}
	return isEmpty(v)
}

// pairs checks that each type is one of some category, and each category one that ECS knows.
func (j *judge) pairs(name string, doc map[string]any) {
	categories, kinds := words(at(doc, "event.category")), words(at(doc, "event.type"))
	if (len(categories) == 0) != (len(kinds) == 0) {
		j.Errorf("%s: categories %v and types %v", name, categories, kinds)
	}
	var fit []string
	for _, c := range categories {
		if expected[c] == "" {
			j.Errorf("%s: ECS has no category %s", name, c)
		}
		fit = append(fit, strings.Fields(expected[c])...)
	}
	for _, kind := range kinds {
		if !slices.Contains(fit, kind) {
			j.Errorf("%s: type %s of categories %v", name, kind, categories)
		}
	}
	if slices.Sort(kinds); len(slices.Compact(slices.Clone(kinds))) < len(kinds) {
		j.Errorf("%s: types %v repeat", name, kinds)
	}
}

func TestExamplesAreValid(t *testing.T) {
	j := newJudge(t)
	for _, e := range sharedtest.Examples(t) {
		j.document(e.Name, ecs.Append(nil, artifact(t, e.Artifact)))
	}
}

// Of every class, action and verb, whatever comes together.
func TestEveryClassHasValidTypes(t *testing.T) {
	j := newJudge(t)
	var m struct{ Classes map[schema.Class]any }
	read(t, "../testdata/maps/class_map.json", &m)
	var actions struct{ Normalized map[schema.Action]any }
	read(t, "../testdata/maps/action_map.json", &actions)
	for class := range m.Classes {
		for action := range actions.Normalized {
			for _, verb := range []string{"", "create", "update", "delete", "enable", "disable", "login", "logout", "read", "push", "other"} {
				a := &schema.Artifact{Class: class, Action: action, Audit: schema.Audit{Verb: verb}}
				j.pairs(fmt.Sprintf("%s %s %s", class, action, verb), document(t, ecs.Append(nil, a)))
			}
		}
	}
}

func TestTableOfTypesIsThatOfTheDocuments(t *testing.T) {
	j := newJudge(t)
	emitted := map[string]bool{"ecs.version": true}
	for _, paths := range ecs.Places() {
		for _, path := range paths {
			path = strings.TrimSuffix(strings.TrimSuffix(path, ".lat"), ".lon")
			emitted[path] = true
			if _, like := j.like[path]; j.types[path] == "" && !like {
				t.Errorf("%s has no type", path)
			}
		}
	}
	for path := range j.types {
		if !emitted[path] {
			t.Errorf("%s is in no document", path)
		}
	}
}

func envelope(dataset, subtype string) *normalize.Envelope {
	api := "v2_dataexport"
	if dataset == "transaction" {
		api = "transaction"
	}
	return &normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "netskope-main", Dataset: dataset, Subtype: subtype, SourceAPI: api,
		Collected: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Late: 20 * 365 * 24 * time.Hour, KeepRaw: true,
	}
}

func TestPublishedEventsAreValid(t *testing.T) {
	j, m, n := newJudge(t), normalize.NewMapper(), 0
	for _, e := range sharedtest.Events(t) {
		var a schema.Artifact
		if err := m.Map(envelope(e.Dataset, ""), e.Raw, &a); err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		j.document(e.Name, ecs.Append(nil, &a))
		n++
	}
	t.Logf("%d events, %d places", n, len(j.seen))
}

func TestGeneratedEventsAreValid(t *testing.T) {
	j, m, n := newJudge(t), normalize.NewMapper(), 0
	generated(t, 150, func(name, dataset, subtype string, raw []byte) {
		var a schema.Artifact
		if err := m.Map(envelope(dataset, subtype), raw, &a); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		j.document(name, ecs.Append(nil, &a))
		n++
	})
	if n < 3000 {
		t.Errorf("only %d events", n)
	}
	t.Logf("%d events, %d places", n, len(j.seen))
}

// generated calls fn for some generated events of every stream.
func generated(t *testing.T, each int, fn func(name, dataset, subtype string, raw []byte)) {
	t.Helper()
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	tenant := netskopesim.New(netskopesim.Config{Seed: 1, Clock: func() time.Time { return now }})
	for _, stream := range netskopesim.Streams() {
		dataset, subtype, ok := normalize.Dataset(stream)
		if !ok {
			t.Errorf("%s carries no dataset", stream)
			continue
		}
		if err := tenant.Feed(stream, each, now.Add(-time.Hour), now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		for raw := range tenant.Records(stream) {
			fn(stream+" "+string(raw), dataset, subtype, raw)
		}
	}
}
