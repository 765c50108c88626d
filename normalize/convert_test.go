package normalize

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestConversions(t *testing.T) {
	const warned = "a warning"
	for _, c := range []struct {
		dataset, key, value string
		field               string
		want                any // in JSON; nil if the field stays empty, warned if there is also a warning
	}{
		{"page", "os", `"Windows 11"`, "device.os", "Windows 11"},
		{"page", "os", `11`, "device.os", "11"},
		{"page", "os", `"NotAvailable"`, "device.os", nil},
		{"page", "os", `["a"]`, "device.os", warned},
		{"page", "os", `"a\u0000"`, "device.os", "a"},
		{"page", "os", `"a\/b \u00e9"`, "device.os", "a/b é"},
		{"page", "user", `"Jane.Doe@Acme.Example"`, "user.email", "jane.doe@acme.example"},
		{"page", "user", `"Jane.Doe@Acme.Example"`, "user.name", "jane.doe"},
		{"page", "user", `"Jane.Doe@Acme.Example"`, "user.domain", "acme.example"},
		{"page", "user", `"ACME\\jane"`, "user.name", `ACME\jane`},
		{"page", "user", `"ACME\\jane"`, "user.email", nil},
		{"page", "srcip", `"203.0.113.9"`, "src.ip", "203.0.113.9"},
		{"page", "srcip", `"fda3:e722::8d06"`, "src.ip", "fda3:e722::8d06"},
		{"page", "srcip", `"fe80::1%eth0"`, "src.ip", warned},
		{"page", "srcip", `"8.12.xxx.x"`, "src.ip", warned},
		{"page", "srcip", `1`, "src.ip", warned},
		{"page", "dstport", `443`, "dst.port", 443.0},
		{"page", "dstport", `"443"`, "dst.port", 443.0},
		{"page", "dstport", `0`, "dst.port", nil},
		{"page", "dstport", `65536`, "dst.port", warned},
		{"page", "dstport", `"HP LaserJet"`, "dst.port", warned},
		{"page", "numbytes", `89531`, "net.bytes", 89531.0},
		{"page", "numbytes", `"12.0"`, "net.bytes", 12.0},
		{"page", "numbytes", `-1`, "net.bytes", warned},
		{"page", "numbytes", `1.5`, "net.bytes", warned},
		{"page", "numbytes", `true`, "net.bytes", warned},
		{"page", "count", `"3"`, "count", 3.0},
		{"page", "count", `0`, "count", 1.0},
		{"page", "cci", `"91"`, "app.cci", 91.0},
		{"page", "cci", `""`, "app.cci", nil},
		{"page", "cci", `101`, "app.cci", warned},
		{"alert", "score", `-7`, "uba.score_impact", -7.0},
		{"page", "app_session_id", `18446744073709551615`, "app.session_id", "18446744073709551615"},
		{"page", "connection_id", `0`, "net.connection_id", nil},
		{"page", "connection_id", `"0"`, "net.connection_id", nil},
		{"page", "src_latitude", `"52.5"`, "src.lat", 52.5},
		{"page", "src_latitude", `456.789`, "src.lat", warned},
		{"page", "src_latitude", `2e+23`, "src.lat", warned},
		{"page", "src_latitude", `"nan"`, "src.lat", warned},
		{"page", "src_latitude", `0`, "src.lat", nil},
		{"page", "src_longitude", `"181|1"`, "src.lon", warned},
		{"page", "src_zipcode", `"01001"`, "src.postal_code", "01001"},
		{"page", "src_country", `"NA"`, "src.country", "NA"},
		{"page", "src_country", `"n/a"`, "src.country", nil},
		{"page", "src_country", `"de"`, "src.country", "DE"},
		{"page", "src_country", `"Germany"`, "src.country", "DE"},
		{"page", "src_country", `"Atlantis"`, "src.country", warned},
		{"page", "bypass_traffic", `"yes"`, "net.bypassed", true},
		{"page", "bypass_traffic", `"False"`, "net.bypassed", false},
		{"page", "bypass_traffic", `1`, "net.bypassed", true},
		{"page", "bypass_traffic", `"maybe"`, "net.bypassed", warned},
		{"page", "bypass_traffic", `""`, "net.bypassed", nil},
		{"application", "device_classification", `"unmanaged"`, "device.managed", false},
		{"application", "device_classification", `"kiosk"`, "device.managed", nil},
		{"page", "other_categories", `["a",7,"N/A"]`, "url.categories", []any{"a", "7"}},
		{"page", "other_categories", `"[\"a\",\"b\"]"`, "url.categories", []any{"a", "b"}},
		{"page", "other_categories", `[{"a":1}]`, "url.categories", warned},
		{"page", "other_categories", `[""]`, "url.categories", nil},
		{"application", "shared_with", `"a@x.example, b@x.example"`, "file.shared_with", []any{"a@x.example", "b@x.example"}},
		{"application", "md5", `"81E5926346F19F158688CCF40D88436E"`, "file.md5", "81e5926346f19f158688ccf40d88436e"},
		{"application", "md5", `"d"`, "file.md5", warned},
		{"application", "file_type", `"text/plain"`, "file.mime", "text/plain"},
		{"application", "file_type", `"Plain Text file"`, "file.mime", nil},
		{"application", "file_type", `"Plain Text file"`, "file.type", "Plain Text file"},
		{"application", "activity", `"FormPost"`, "activity", "form_post"},
		{"application", "activity", `"Login Failed"`, "activity", "login_failed"},
		{"application", "policy_id", `"0 2024-12-19 00:22:37"`, "policy.id", nil},
		{"application", "policy_id", `"0 2024-12-19 00:22:37"`, "policy.version", "2024-12-19 00:22:37"},
		{"application", "policy_id", `"-9"`, "policy.id", "-9"},
		{"application", "custom_attr", `{"a":5824906510398970489}`, "user.attributes", map[string]any{"a": "5824906510398970489"}},
		{"application", "custom_attr", `"text"`, "user.attributes", warned},
		{"page", "protocol", `"HTTPS/1.1"`, "http.version", "1.1"},
		{"page", "protocol", `"HTTPS/1.1"`, "url.scheme", "https"},
		{"page", "protocol", `"SSH"`, "url.scheme", nil},
		{"page", "protocol", `"SSH"`, "net.protocol", "ssh"},
		{"transaction", "x-cs-http-version", `"HTTP1.1"`, "http.version", "1.1"},
		{"network", "protocol_port", `"UDP:53"`, "net.transport", "udp"},
		{"network", "dsthost", `"10.1.2.3"`, "dst.ip", "10.1.2.3"},
		{"network", "dsthost", `"10.1.2.3"`, "dst.hostname", nil},
		{"network", "dsthost", `"db.acme.example"`, "dst.hostname", "db.acme.example"},
		{"network", "start_time", `"2022-07-13T06:30:36+00:00"`, "start_time", "2022-07-13T06:30:36.000Z"},
		{"network", "start_time", `"2022-02-30T06:30:36Z"`, "start_time", warned},
		{"page", "_insertion_epoch_timestamp", `1768478470.25`, "insertion_time", "2026-01-15T12:01:10.250Z"},
		{"page", "url", `"https://u@www.x.example:8443/a/b?q=1#f"`, "url.host", "www.x.example"},
		{"page", "url", `"https://u@www.x.example:8443/a/b?q=1#f"`, "url.port", 8443.0},
		{"page", "url", `"https://u@www.x.example:8443/a/b?q=1#f"`, "url.path", "/a/b"},
		{"page", "url", `"https://u@www.x.example:8443/a/b?q=1#f"`, "url.query", "q=1"},
		{"page", "url", `"https://u@www.x.example:8443/a/b?q=1#f"`, "url.scheme", "https"},
		{"page", "url", `"x.example"`, "url.scheme", nil},
		{"page", "url", `"x.example?u=http://y.example/"`, "url.host", "x.example"},
		{"page", "url", `"[2001:db8::1]:80/"`, "url.host", "2001:db8::1"},
		{"page", "url", `"some_url"`, "url.host", nil},
		{"alert", "risk_level", `"High"`, "risk_level", "high"},
		{"alert", "risk_level", `"purple"`, "risk_level", warned},
		{"transaction", "c-ip", `"203.0.113.9"`, "src.ip", "203.0.113.9"},
		{"transaction", "c-ip", `"10.0.0.9"`, "src.ip", nil},
		{"transaction", "x-cs-src-ip", `"100.64.0.9"`, "src.ip", "100.64.0.9"},
		{"transaction", "x-cs-src-ip", `"::ffff:100.64.1.1","c-ip":"198.51.100.7"`, "src.ip", "198.51.100.7"},
		{"transaction", "cs-host", `"203.0.113.9"`, "dst.ip", "203.0.113.9"},
		{"clientstatus", "host_info", `{"mac_addresses":["aa:bb","cc:dd"]}`, "device.mac", "aa:bb"},
		{"endpoint", "executable_hash", `"81E5926346F19F158688CCF40D88436E"`, "process.hash", "81e5926346f19f158688ccf40d88436e"},
		{"incident", "dlp_match_info", `"[{\"dlp_policy\":\"P\"}]"`, "policy.name", "P"},
		{"incident", "dlp_match_info", `"-"`, "dlp.matches", nil},
		{"incident", "dlp_match_info", `"text"`, "dlp.matches", warned},
		{"infrastructure", "boolean_metric_value", `false`, "infra.value", "false"},
	} {
		a := mapped(t, envelope(c.dataset), `{"timestamp":1768478400,"x-cs-timestamp":1768478400,"`+c.key+`":`+c.value+`}`)
		var got map[string]any
		if err := json.Unmarshal(a.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		want := c.want
		if want == warned {
			want = nil
			if len(a.Warnings) == 0 || pathOf(got, "unmapped."+c.key) == nil {
				t.Errorf("%s %s: warnings %v, unmapped %s", c.key, c.value, a.Warnings, a.Unmapped)
			}
		}
		if value := pathOf(got, c.field); !reflect.DeepEqual(value, want) {
			t.Errorf("%s %s: %s is %v, want %v", c.key, c.value, c.field, value, want)
		}
		if c.want != warned && c.field != "src.lon" && len(a.Warnings) > 0 {
			t.Errorf("%s %s: %v", c.key, c.value, a.Warnings)
		}
	}
}

func TestConnectionDurationIsInMilliseconds(t *testing.T) {
	for raw, want := range map[string]int64{
		`{"conn_starttime":1768478400,"conn_endtime":1768478980,"conn_duration":580}`: 580_000,
		`{"conn_duration":580}`: 580,
		`{"conn_starttime":1768478400,"conn_endtime":1768478400,"conn_duration":7}`: 7,
	} {
		if got := mapped(t, envelope("page"), raw).DurationMS; got != want {
			t.Errorf("%s: %d, want %d", raw, got, want)
		}
	}
}

func TestPackedCoordinatesAreUnpacked(t *testing.T) {
	a := mapped(t, envelope("page"), `{"timestamp":1768478400,"src_latitude":"13.4|52.5","src_longitude":"13.4|52.5"}`)
	if a.Src.Lat != 52.5 || a.Src.Lon != 13.4 || len(a.Warnings) != 2 || a.Unmapped != "" {
		t.Errorf("%v, %v; warnings %v; unmapped %s", a.Src.Lat, a.Src.Lon, a.Warnings, a.Unmapped)
	}
}
