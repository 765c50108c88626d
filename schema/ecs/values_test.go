package ecs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/schema/ecs"
)

func TestValuesThatECSWritesInItsOwnWords(t *testing.T) {
	for _, c := range []struct{ artifact, path, want string }{
		{`{"device":{"mac":"aa:bb:cc:0d:ee:ff"}}`, "host.mac", `["AA-BB-CC-0D-EE-FF"]`},
		{`{"device":{"mac":"AABB.CC0D.EEFF"}}`, "host.mac", `["AA-BB-CC-0D-EE-FF"]`},
		{`{"device":{"mac":"aa:bb"}}`, "host.mac", `["aa:bb"]`},
		{`{"device":{"mac":"aa:bb:cc:dd:ee:ff:00:11"}}`, "host.mac", `["aa:bb:cc:dd:ee:ff:00:11"]`},
		{`{"device":{"mac":"aa:bb:cc:dd:ee:xx"}}`, "host.mac", `["aa:bb:cc:dd:ee:xx"]`},
		{`{"net":{"protocol":"HTTPS"}}`, "network.protocol", `"https"`},
		{`{"app":{"name":"Ärzte Café"}}`, "network.application", `"ärzte café"`},
		{`{"app":{"name":"Ärzte Café"}}`, "netskope.app.name", `"Ärzte Café"`},
		{`{"app":{"name":"slack"}}`, "netskope.app.name", ``},
		{`{"app":{"name":"a\u0001\"B"}}`, "network.application", `"a\u0001\"b"`},
		{`{"src":{"forwarded_for":"unknown, 192.0.2.1, 2001:db8::1"}}`, "network.forwarded_ip", `"192.0.2.1"`},
		{`{"src":{"forwarded_for":"unknown, 192.0.2.1, 2001:db8::1"}}`, "netskope.src.forwarded_for", `"unknown, 192.0.2.1, 2001:db8::1"`},
		{`{"src":{"forwarded_for":"192.0.2.1"}}`, "netskope.src.forwarded_for", ``},
		{`{"src":{"forwarded_for":"fe80::1%eth0"}}`, "network.forwarded_ip", ``},
		{`{"src":{"lat":1.5}}`, "source", ``},
		{`{"dst":{"lat":1.5,"lon":-2}}`, "destination.geo.location", `{"lat":1.5,"lon":-2}`},
		{`{"url":{"full":"a.example/x"}}`, "url.full", ``},
		{`{"url":{"full":"ftp://a.example/x"}}`, "url.full", `"ftp://a.example/x"`},
		{`{"tls":{"version":"SSLv3"}}`, "tls.version_protocol", `"ssl"`},
		{`{"tls":{"version":"TLS 1.2"}}`, "tls.version", `"1.2"`},
		{`{"tls":{"version":"QUIC1"}}`, "tls.version", `"QUIC1"`},
		{`{"tls":{"version":"TLS"}}`, "tls", `{"version":"TLS"}`},
		{`{"threat":{"indicator_type":"url"}}`, "threat.indicator.type", `"url"`},
		{`{"threat":{"indicator_type":"IP","indicator":"192.0.2.1"}}`, "threat.indicator.type", `"ipv4-addr"`},
		{`{"threat":{"indicator_type":"ip","indicator":"2001:db8::1"}}`, "threat.indicator.type", `"ipv6-addr"`},
		{`{"threat":{"indicator_type":"ip","indicator":"a.example"}}`, "threat.indicator.type", ``},
		{`{"threat":{"indicator_type":"referer"}}`, "netskope.threat.indicator_type", `"referer"`},
		{`{"threat":{"confidence":29}}`, "threat.indicator.confidence", `"Low"`},
		{`{"threat":{"confidence":30}}`, "threat.indicator.confidence", `"Medium"`},
		{`{"threat":{"confidence":70}}`, "threat.indicator.confidence", `"High"`},
		{`{"threat":{"confidence":101}}`, "threat.indicator", ``},
		{`{"threat":{"confidence":70}}`, "netskope.threat.confidence", `70`},
		{`{"severity_id":6}`, "event", ``},
		{`{"duration_ms":-1}`, "event", ``},
		{`{"duration_ms":9223372036854}`, "event.duration", `9223372036854000000`},
		{`{"duration_ms":9223372036855}`, "event", ``},
		{`{"class":"account_change","audit":{"verb":"create"}}`, "event.type", `["creation","user"]`},
		{`{"class":"account_change","audit":{"verb":"read"}}`, "event.type", `["info","user"]`},
		{`{"class":"entity_management","audit":{"verb":"delete"}}`, "event.type", `["deletion"]`},
		{`{"class":"entity_management","audit":{"verb":"push"}}`, "event.type", `["change"]`},
		{`{"class":"app_lifecycle","audit":{"verb":"create"}}`, "event.type", `["change"]`},
		{`{"class":"authentication","audit":{"verb":"logout"}}`, "event.type", `["end"]`},
		{`{"class":"authentication","activity":"logout_successful"}`, "event.type", `["end"]`},
		{`{"class":"new_in_1_1","action":"blocked"}`, "event", ``},
		{`{"user":{"role":"viewer","groups":["a","b"]}}`, "user", `{"group":{"name":["a","b"]},"roles":["viewer"]}`},
		{`{"file":{"owner":"z@x","shared_with":["b@x","a@x","b@x",""]},"user":{"name":"a@x"}}`, "related.user", `["a@x","b@x","z@x"]`},
		{`{"client":{"event":"Tunnel Up"},"activity":"tunnel_up","activity_raw":"Tunnel Up"}`, "netskope", ``},
	} {
		got := at(document(t, ecs.Append(nil, artifact(t, []byte(c.artifact)))), c.path)
		text := ""
		if got != nil {
			encoded, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			text = string(encoded)
		}
		if text != c.want {
			t.Errorf("%s of %s is %s, want %s", c.path, c.artifact, text, c.want)
		}
	}
}

// at is the value at a dotted path, or nil.
func at(doc map[string]any, path string) any {
	outer, inner, nested := strings.Cut(path, ".")
	if !nested {
		return doc[path]
	}
	object, _ := doc[outer].(map[string]any)
	return at(object, inner)
}
