package ecs

import (
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// table says what stands where in a document.
var table = view.Table{
	"@timestamp":  view.Field("time"),
	"message":     view.Field("message"),
	"tags":        view.Field("tags"),
	"ecs.version": view.Const(Version),

	"event.id":         view.Field("id"),
	"event.kind":       view.Field("kind"),
	"event.category":   view.Func(appendCategories, "class"),
	"event.type":       view.Func(appendTypes, "class", "action", "audit.verb", "activity"),
	"event.module":     view.Field("source"),
	"event.dataset":    view.Func(appendDataset, "dataset"),
	"event.code":       view.Field("subtype"),
	"event.action":     view.First("activity", "client.event"),
	"event.outcome":    view.Field("outcome"),
	"event.reason":     view.First("policy.justification", "net.bypass_reason", "audit.event", "client.detail"),
	"event.severity":   view.Func(appendSeverity, "severity_id"),
	"event.risk_score": view.Field("risk_score"),
	"event.start":      view.Field("start_time"),
	"event.end":        view.Field("end_time"),
	"event.duration":   view.Func(appendDuration, "duration_ms"),
	"event.created":    view.Field("collected_time"),
	"event.original":   view.Field("raw"),
	"event.hash":       view.Field("raw_sha256"),
	"error.message":    view.Field("warnings"),

	"agent.name":        view.Field("connector"),
	"organization.id":   view.Field("tenant"),
	"observer.vendor":   view.Field("vendor"),
	"observer.product":  view.Field("product"),
	"observer.name":     view.Field("source_tenant"),
	"observer.ip":       view.List("net.proxy_egress_ip"),
	"observer.geo.name": view.Field("net.pop"),

	"user.email":        view.Field("user.email"),
	"user.name":         view.Field("user.name"),
	"user.id":           view.Field("user.id"),
	"user.domain":       view.Field("user.domain"),
	"user.full_name":    view.Field("user.full_name"),
	"user.group.name":   view.Field("user.groups"),
	"user.roles":        view.List("user.role"),
	"user.target.email": view.Field("target_user.email"),

	// source is the egress address, which the geo fields describe. The device's own address is a client's and a host's.
	"client.ip":                   view.First("device.ip", "src.ip"),
	"source.ip":                   view.Field("src.ip"),
	"source.port":                 view.Field("src.port"),
	"source.bytes":                view.Field("net.bytes_out"),
	"source.packets":              view.Field("net.packets_out"),
	"source.as.number":            view.Field("src.asn"),
	"source.as.organization.name": view.Field("src.as_org"),
	"destination.ip":              view.Field("dst.ip"),
	"destination.port":            view.Field("dst.port"),
	"destination.domain":          view.Field("dst.hostname"),
	"destination.bytes":           view.Field("net.bytes_in"),
	"destination.packets":         view.Field("net.packets_in"),

	"host.name":            view.First("device.hostname", "infra.host"),
	"host.id":              view.Field("device.id"),
	"host.ip":              view.List("device.ip"),
	"host.mac":             view.Func(appendMAC, "device.mac"),
	"host.type":            view.Field("device.type"),
	"host.os.full":         view.Field("device.os"),
	"host.os.family":       view.Field("device.os_family"),
	"host.os.version":      view.Field("device.os_version"),
	"device.serial_number": view.Field("device.serial"),
	"device.manufacturer":  view.Field("device.vendor"),
	"device.model.name":    view.Field("device.model"),

	"network.application":  view.Func(appendApplication, "app.name"),
	"network.transport":    view.Func(appendTransport, "net.transport"),
	"network.protocol":     view.Func(appendProtocol, "net.protocol"),
	"network.bytes":        view.Field("net.bytes"),
	"network.packets":      view.Field("net.packets"),
	"network.forwarded_ip": view.Func(appendForwarded, "src.forwarded_for"),

	"cloud.account.id":   view.First("posture.account_id", "app.instance_id"),
	"cloud.account.name": view.First("posture.account_name", "app.instance"),
	"cloud.region":       view.Field("posture.region"),

	"url.original": view.Field("url.full"),
	"url.full":     view.Field("url.full").If(isAbsolute),
	"url.scheme":   view.Field("url.scheme"),
	"url.domain":   view.Field("url.host"),
	"url.port":     view.Field("url.port"),
	"url.path":     view.Field("url.path"),
	"url.query":    view.Field("url.query"),

	"http.version":              view.Field("http.version"),
	"http.request.method":       view.Field("http.method"),
	"http.request.referrer":     view.Field("url.referrer"),
	"http.request.mime_type":    view.Field("http.request_content_type"),
	"http.response.status_code": view.Field("http.status"),
	"http.response.mime_type":   view.Field("http.response_content_type"),
	"user_agent.original":       view.Field("http.user_agent"),
	"user_agent.name":           view.Field("http.browser"),
	"user_agent.version":        view.Field("http.browser_version"),
	"transaction.id":            view.Field("http.transaction_id"),

	"dns.question.name":      view.Field("dns.query"),
	"dns.question.type":      view.Field("dns.type"),
	"tls.version":            view.Func(appendTLSVersion, "tls.version"),
	"tls.version_protocol":   view.Func(appendTLSProtocol, "tls.version"),
	"tls.cipher":             view.Field("tls.cipher"),
	"tls.client.server_name": view.Field("tls.sni"),
	"tls.client.ja3":         view.Field("tls.ja3"),
	"tls.server.ja3s":        view.Field("tls.ja3s"),

	"file.name":        view.Field("file.name"),
	"file.path":        view.Field("file.path"),
	"file.size":        view.Field("file.size"),
	"file.mime_type":   view.Field("file.mime"),
	"file.owner":       view.Field("file.owner"),
	"file.hash.md5":    view.Field("file.md5"),
	"file.hash.sha1":   view.Field("file.sha1"),
	"file.hash.sha256": view.Field("file.sha256"),

	"rule.name":    view.First("posture.rule", "policy.name"),
	"rule.id":      view.First("posture.rule_id", "policy.id"),
	"rule.version": view.Field("policy.version"),
	"rule.ruleset": view.First("dlp.profile", "posture.profile"),

	"threat.software.name":        view.Field("threat.name"),
	"threat.software.id":          view.List("threat.id"),
	"threat.indicator.type":       view.Func(appendIndicatorType, "threat.indicator_type", "threat.indicator"),
	"threat.indicator.name":       view.Field("threat.indicator"),
	"threat.indicator.provider":   view.Field("threat.engine"),
	"threat.indicator.confidence": view.Func(appendConfidence, "threat.confidence"),
	"threat.feed.name":            view.Field("threat.feed"),

	"process.name":        view.Field("process.name"),
	"process.executable":  view.Field("process.path"),
	"process.pid":         view.Field("process.pid"),
	"process.parent.name": view.Field("process.parent_name"),
	"process.user.name":   view.Field("process.user"),

	"email.subject":     view.Field("email.subject"),
	"email.cc.address":  view.Field("email.cc"),
	"email.bcc.address": view.Field("email.bcc"),

	"related.ip":    view.Func(appendRelatedIPs, "src.ip", "dst.ip", "device.ip", "net.proxy_egress_ip", "src.forwarded_for"),
	"related.user":  view.Func(appendRelatedUsers, "user.email", "user.name", "user.upn", "target_user.email", "app.user", "cred.username", "file.owner", "file.shared_with"),
	"related.hash":  view.Func(appendRelatedHashes, "file.md5", "file.sha1", "file.sha256", "process.hash", "tls.ja3", "tls.ja3s"),
	"related.hosts": view.Func(appendRelatedHosts, "device.hostname", "infra.host", "dst.hostname", "url.host", "tls.sni", "dns.query"),
}.With(geo("src").Under("source.geo"), geo("dst").Under("destination.geo"), labels.Under("labels"), displaced.Under("netskope"), own.Under("netskope"))

// geo says where the address of one side is. A geo_point has both coordinates: half of one would have the whole document
// refused.
func geo(side string) view.Table {
	return view.Table{
		"country_iso_code": view.Field(side + ".country"),
		"region_name":      view.Field(side + ".region"),
		"city_name":        view.Field(side + ".city"),
		"postal_code":      view.Field(side + ".postal_code"),
		"timezone":         view.Field(side + ".timezone"),
		"location":         view.When(located(side)),
		"location.lat":     view.Field(side + ".lat"),
		"location.lon":     view.Field(side + ".lon"),
	}
}

// labels are short words about the artifact.
var labels = view.Table{
	"schema_version":  view.Field("schema_version"),
	"mapping_version": view.Field("mapping_version"),
	"source_api":      view.Field("source_api"),
	"entity_id":       view.Field("entity_id"),
	"revision":        view.Field("revision"),
	"native_id":       view.Field("native_id"),
	"time_precision":  view.Field("time_precision"),
	"severity":        view.Field("severity"),
	"severity_raw":    view.Field("severity_raw"),
	"severity_source": view.Field("severity_source"),
	"risk_level":      view.Field("risk_level"),
	"activity_raw":    view.Field("activity_raw"),
	"action":          view.Field("action"),
	"action_raw":      view.Field("action_raw"),
	"count":           view.Field("count"),
	"raw_format":      view.Field("raw_format"),
}

// displaced are fields that share their place in ECS with others, or whose value ECS writes in its own words: they stand
// under netskope as well when the document would otherwise not have them.
var displaced = view.Table{
	"net.bypass_reason": view.Field("net.bypass_reason").If(func(a *schema.Artifact) bool { return a.Policy.Justification != "" }),
	"audit.event":       view.Field("audit.event").If(func(a *schema.Artifact) bool { return a.Policy.Justification != "" || a.Net.BypassReason != "" }),
	"client.detail": view.Field("client.detail").If(func(a *schema.Artifact) bool {
		return a.Policy.Justification != "" || a.Net.BypassReason != "" || a.Audit.Event != ""
	}),
	"client.event":          view.Field("client.event").If(func(a *schema.Artifact) bool { return a.Activity != "" && a.ActivityRaw != a.Client.Event }),
	"infra.host":            view.Field("infra.host").If(func(a *schema.Artifact) bool { return a.Device.Hostname != "" }),
	"app.instance_id":       view.Field("app.instance_id").If(func(a *schema.Artifact) bool { return a.Posture.AccountID != "" }),
	"app.instance":          view.Field("app.instance").If(func(a *schema.Artifact) bool { return a.Posture.AccountName != "" }),
	"policy.name":           view.Field("policy.name").If(func(a *schema.Artifact) bool { return a.Posture.Rule != "" }),
	"policy.id":             view.Field("policy.id").If(func(a *schema.Artifact) bool { return a.Posture.RuleID != "" }),
	"posture.profile":       view.Field("posture.profile").If(func(a *schema.Artifact) bool { return a.DLP.Profile != "" }),
	"app.name":              view.Field("app.name").If(func(a *schema.Artifact) bool { return !isLower(a.App.Name) }),
	"src.forwarded_for":     view.Field("src.forwarded_for").If(func(a *schema.Artifact) bool { return forwarded(a) != a.Src.ForwardedFor }),
	"threat.indicator_type": view.Field("threat.indicator_type").If(func(a *schema.Artifact) bool { return indicatorType(a) == "" }),
	"threat.confidence":     view.Field("threat.confidence"),
	"audit.verb":            view.Field("audit.verb"),
}

// own are the fields that ECS has no place for.
var own = fields(
	"user.upn", "user.sam_account", "user.ou", "user.department", "user.manager", "user.type", "user.confidence_index", "user.attributes",
	"device.mgmt_id", "device.managed", "device.client_version",
	"app.category", "app.suite", "app.cci", "app.ccl", "app.managed", "app.sanctioned", "app.tags", "app.user", "app.session_id",
	"url.page", "url.site", "url.categories",
	"http.requests", "http.responses",
	"net.connection_id", "net.session_id", "net.request_id", "net.access_method", "net.traffic_type", "net.tunnel_id", "net.tunnel_type",
	"net.publisher", "net.bypassed",
	"tls.policy", "tls.policy_action",
	"object.name", "object.type", "object.id",
	"file.type", "file.category", "file.id", "file.encrypted", "file.exposure", "file.shared_with", "file.language", "file.classification",
	"dlp.incident_id", "dlp.parent_id", "dlp.rule", "dlp.rule_severity", "dlp.rule_score", "dlp.count", "dlp.unique_count", "dlp.is_unique",
	"dlp.fingerprint", "dlp.fingerprint_score", "dlp.channel", "dlp.scan_type", "dlp.matches",
	"threat.type", "threat.categories", "threat.profile", "threat.mode", "threat.ml",
	"policy.justification_type", "policy.notification",
	"finding.id", "finding.title", "finding.type", "finding.status", "finding.assignee", "finding.acked", "finding.source",
	"cred.breach_id", "cred.breach_time", "cred.breach_description", "cred.username", "cred.password_type",
	"posture.asset_id", "posture.resource_type", "posture.standards",
	"uba.type", "uba.threshold", "uba.score_impact", "uba.prev_country", "uba.prev_time",
	"audit.object_type", "audit.object", "audit.values", "audit.details",
	"infra.metric", "infra.metric_type", "infra.value", "infra.version",
	"client.status", "client.npa_status", "client.steering",
	"process.hash",
	"peripheral.name", "peripheral.type", "peripheral.vendor_id", "peripheral.product_id", "peripheral.serial",
	"unmapped",
)

// fields is a table of fields under their own names.
func fields(names ...string) view.Table {
	t := make(view.Table, len(names))
	for _, name := range names {
		t[name] = view.Field(name)
	}
	return t
}
