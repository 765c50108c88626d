package normalize

import (
	"net/netip"

	"github.com/skopeflow/skopeflow/schema"
)

// transaction records are single requests through the proxy, in the names of the transaction log.
var transaction = dataset{
	kind:   schema.KindEvent,
	native: byTransaction,
	table: table{
		"native_id":                  text("x-transaction-id"),
		"subtype":                    subtype(),
		"time":                       eventTime("x-cs-timestamp", "date"),
		"duration_ms":                count("time-taken"),
		"severity":                   severity("transaction"),
		"activity":                   verb("x-cs-app-activity"),
		"activity_raw":               text("x-cs-app-activity"),
		"action_raw":                 text("x-policy-action", "x-action"),
		"user.email":                 email("x-c-authn-user", "cs-username"),
		"user.name":                  userName("x-c-authn-user", "cs-username"),
		"user.groups":                list("x-c-authz-groups"),
		"user.ou":                    text("x-c-authz-ou"),
		"user.confidence_index":      integer(0, 1000, "x-c-user-confidence-index"),
		"src.ip":                     publicSource("x-cs-src-ip-egress", "x-cs-src-ip", "c-ip"),
		"source_tenant":              sourceTenant("x-tenant-id"),
		"src.port":                   port("x-cs-src-port"),
		"src.country":                country("x-c-country"),
		"src.region":                 text("x-c-region"),
		"src.city":                   text("x-c-location"),
		"src.postal_code":            text("x-c-zipcode"),
		"src.lat":                    latitude("x-c-latitude"),
		"src.lon":                    longitude("x-c-longitude"),
		"src.timezone":               text("x-c-timezone"),
		"src.forwarded_for":          text("x-cs-ip-xff", "x-cs-ip-connect-xff"),
		"dst.ip":                     ip("x-policy-dst-ip", "s-ip", "x-sr-dst-ip", "x-cs-dst-ip"),
		"dst.port":                   port("x-sr-dst-port", "x-cs-dst-port", "cs-uri-port"),
		"dst.hostname":               host("x-policy-dst-host", "cs-host", "x-cs-sni", "cs-dns"),
		"dst.country":                country("x-r-country", "x-s-country"),
		"dst.region":                 text("x-r-region", "x-s-region"),
		"dst.city":                   text("x-r-location", "x-s-location"),
		"dst.postal_code":            text("x-r-zipcode", "x-s-zipcode"),
		"dst.lat":                    latitude("x-r-latitude", "x-s-latitude"),
		"dst.lon":                    longitude("x-r-longitude", "x-s-longitude"),
		"device.ip":                  ip("x-policy-src-ip", "x-cs-userip", "c-ip"),
		"device.hostname":            text("x-c-hostname"),
		"device.id":                  text("x-c-device-uid"),
		"device.type":                text("x-c-device"),
		"device.os":                  text("x-c-os"),
		"device.os_family":           text("x-c-os-family"),
		"device.os_version":          text("x-c-os-version"),
		"device.managed":             managed("x-c-device-classification"),
		"device.client_version":      text("x-c-nsclient-version"),
		"app.name":                   text("x-cs-app"),
		"app.category":               text("x-cs-app-category"),
		"app.suite":                  text("x-cs-app-suite"),
		"app.instance":               text("x-cs-app-instance-name"),
		"app.instance_id":            text("x-cs-app-instance-id"),
		"app.cci":                    integer(0, 100, "x-cs-app-cci"),
		"app.ccl":                    text("x-cs-app-ccl"),
		"app.tags":                   commaList("x-cs-app-tags"),
		"app.user":                   text("x-cs-app-from-user"),
		"app.session_id":             id("x-cs-session-id"),
		"url.full":                   text("x-cs-url"),
		"url.scheme":                 scheme("cs-uri-scheme"),
		"url.host":                   host("cs-host"),
		"url.port":                   port("cs-uri-port"),
		"url.path":                   text("x-cs-uri-path", "cs-uri"),
		"url.query":                  text("cs-uri-query"),
		"url.referrer":               text("cs-referer"),
		"url.site":                   text("x-cs-site"),
		"url.categories":             commaList("x-policy-categories", "x-other-category", "x-category"),
		"http.method":                upper("cs-method"),
		"http.status":                integer(100, 999, "sc-status", "rs-status"),
		"http.version":               httpVersion("x-cs-http-version"),
		"http.user_agent":            text("cs-user-agent"),
		"http.browser":               text("x-c-browser"),
		"http.browser_version":       text("x-c-browser-version"),
		"http.request_content_type":  text("cs-content-type"),
		"http.response_content_type": text("sc-content-type"),
		"http.transaction_id":        id("x-transaction-id"),
		"net.protocol":               protocol("cs-uri-scheme"),
		"net.bytes_out":              count("cs-bytes"),
		"net.bytes_in":               count("sc-bytes"),
		"net.bytes":                  count("bytes"),
		"net.request_id":             id("x-request-id"),
		"net.access_method":          text("x-cs-access-method"),
		"net.traffic_type":           text("x-cs-traffic-type"),
		"net.tunnel_id":              id("x-cs-tunnel-id"),
		"net.tunnel_type":            text("x-cs-nsclient-tunnel-type"),
		"net.pop":                    text("x-s-dp-name"),
		"net.proxy_egress_ip":        ip("x-sr-src-ip"),
		"net.bypassed":               truth("x-ssl-bypass"),
		"net.bypass_reason":          text("x-ssl-bypass-reason"),
		"tls.version":                text("x-cs-ssl-version"),
		"tls.cipher":                 text("x-cs-ssl-cipher"),
		"tls.sni":                    text("x-cs-sni"),
		"tls.ja3":                    hex(32, "x-cs-ssl-ja3"),
		"tls.ja3s":                   hex(32, "x-sr-ssl-ja3s"),
		"tls.policy":                 text("x-ssl-policy-name"),
		"tls.policy_action":          text("x-ssl-policy-action"),
		"object.name":                text("x-cs-app-object-name"),
		"object.type":                text("x-cs-app-object-type"),
		"object.id":                  text("x-cs-app-object-id"),
		"file.name":                  fileName("x-cs-app-object-name"),
		"file.size":                  count("x-rs-file-size"),
		"file.type":                  text("x-rs-file-type"),
		"file.mime":                  mime("x-rs-file-type"),
		"file.category":              text("x-rs-file-category"),
		"file.md5":                   hex(32, "x-rs-file-md5"),
		"file.sha256":                hex(64, "x-rs-file-sha256"),
		"file.id":                    fileID("x-cs-app-object-id"),
		"file.language":              text("x-rs-file-language"),
		"threat.name":                text("x-tp-malware-name"),
		"threat.engine":              text("x-tp-engine"),
		"policy.name":                text("x-policy-name"),
		"policy.justification":       text("x-policy-justification-reason"),
		"policy.justification_type":  text("x-policy-justification-type"),
		"policy.notification":        text("x-sc-notification-name"),
		"process.name":               text("x-cs-process"),
		"process.pid":                count("x-cs-pid"),
		"process.parent_name":        text("x-cs-parent-process"),
	},
	dropped: map[string]string{
		"date": "the day of x-cs-timestamp",
	},
	derive: []func(*Mapper, *schema.Artifact){userDomain, addressAsHost("cs-host"), takeURLApart},
	class:  always(schema.ClassHTTP),
}

func byTransaction(m *Mapper, a *schema.Artifact, name []byte) []byte {
	if a.HTTP.TransactionID == "" {
		return name
	}
	name = append(append(name, "x-transaction-id="...), a.HTTP.TransactionID...)
	name = append(append(name, '+'), a.Net.RequestID...)
	return m.appendTime(append(name, '+'), a)
}

// publicSource takes the egress address, which is public by definition; else the first of the client's addresses that is routed;
// else what the client says of itself.
func publicSource(egress, said, client string) line {
	apply := func(m *Mapper, a *schema.Artifact, s *step) {
		place := func(a *schema.Artifact) *string { return &a.Src.IP }
		only := func(slot int, c conversion[string]) {
			if a.Src.IP == "" {
				first(m, a, &step{field: s.field, rule: s.rule, slots: s.slots[slot : slot+1]}, place, c)
			}
		}
		only(0, asIP)
		only(1, asPublicIP)
		only(2, asPublicIP)
		only(1, asIP)
	}
	return line{rule: "public source", keys: []string{egress, said, client}, bind: func(string) applyFunc { return apply }}
}

func asPublicIP(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
	if !isPublic(v.text) {
		return "", notMine
	}
	return v.text, fits
}

func isPublic(s string) bool {
	if !isAddress(s) {
		return false
	}
	ip, err := netip.ParseAddr(s)
	ip = ip.Unmap()
	return err == nil && ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrierNAT.Contains(ip)
}

// carrierNAT is the address range between carriers and their customers, which no one else can route.
var carrierNAT = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

// sourceTenant takes the tenant that a record names. Configuration knows it better.
func sourceTenant(key string) line {
	return convert("source tenant", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		if a.SourceTenant != "" && a.SourceTenant != v.text {
			return "", notMine
		}
		return asText(m, a, v)
	}, []string{key})
}
