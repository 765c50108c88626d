package ocsf

import "github.com/skopeflow/skopeflow/schema/internal/view"

// The objects of the framework, as tables of what stands at which attribute. A row whose path is "" or an object says what the
// object's definition demands: without it the object is left out.

var location = view.Table{
	"":            view.Only("src.country", "src.region", "src.city", "src.postal_code"),
	"country":     view.Field("src.country"),
	"region":      view.Field("src.region"),
	"city":        view.Field("src.city"),
	"postal_code": view.Field("src.postal_code"),
	"lat":         view.Field("src.lat"),
	"long":        view.Field("src.lon"),
}

var source = view.Table{
	"":                         view.When(hasSource),
	"ip":                       address("src.ip"),
	"port":                     view.Field("src.port"),
	"autonomous_system.number": view.Field("src.asn"),
	"autonomous_system.name":   view.Field("src.as_org"),
}.With(location.Under("location"))

var destination = view.Table{
	"":                     view.When(hasDestination),
	"ip":                   address("dst.ip"),
	"port":                 view.Field("dst.port"),
	"hostname":             view.First("dst.hostname", "url.host"),
	"svc_name":             view.Field("app.name"),
	"location":             view.Only("dst.country", "dst.region", "dst.city", "dst.postal_code"),
	"location.country":     view.Field("dst.country"),
	"location.region":      view.Field("dst.region"),
	"location.city":        view.Field("dst.city"),
	"location.postal_code": view.Field("dst.postal_code"),
	"location.lat":         view.Field("dst.lat"),
	"location.long":        view.Field("dst.lon"),
}

var user = view.Table{
	"":                         view.When(hasUser),
	"name":                     view.First("user.name", "user.email"),
	"email_addr":               email("user.email"),
	"uid":                      view.Field("user.id"),
	"uid_alt":                  view.Field("user.upn"),
	"domain":                   view.Field("user.domain"),
	"full_name":                view.Field("user.full_name"),
	"account.name":             view.Field("user.sam_account"),
	"groups":                   view.Func(groups, "user.groups"),
	"org":                      view.Only("user.ou"),
	"org.name":                 view.First("user.domain", "tenant"),
	"org.ou_name":              view.Field("user.ou"),
	"ldap_person.department":   view.Field("user.department").From("1.8.0"),
	"ldap_person.manager.name": view.Field("user.manager"),
	"type_id":                  view.Func(userType, "user.type"),
	"type":                     view.Field("user.type").If(isVendorSupport),
}

var targetUser = view.Table{
	"name":       view.First("target_user.email", "audit.object"),
	"email_addr": email("target_user.email"),
}

var process = view.Table{
	"":             view.Only("process.pid"),
	"name":         view.Field("process.name"),
	"pid":          view.Field("process.pid"),
	"file":         view.Only("process.name"),
	"file.name":    view.Field("process.name"),
	"file.type_id": view.Const(regularFile),
	"file.path":    view.Field("process.path"),
	"file.hashes":  view.Func(processHash, "process.hash"),
	"user.name":    view.Field("process.user"),
}

var actor = view.Table{"session.uid": view.Field("app.session_id")}.With(user.Under("user"), process.Under("process"))

var device = view.Table{
	"":                      view.When(hasDevice),
	"type_id":               view.Const(0),
	"type":                  view.Field("device.type"),
	"ip":                    address("device.ip"),
	"hostname":              view.First("device.hostname", "infra.host"),
	"uid":                   view.Field("device.id"),
	"uid_alt":               view.Field("device.mgmt_id"),
	"mac":                   view.Func(mac, "device.mac"),
	"is_managed":            view.Field("device.managed"),
	"vendor_name":           view.Field("device.vendor"),
	"model":                 view.Field("device.model"),
	"hw_info.serial_number": view.Field("device.serial"),
	"os":                    view.Only("device.os"),
	"os.name":               view.Field("device.os"),
	"os.type":               view.Field("device.os_family"),
	"os.type_id":            view.Func(osType, "device.os"),
	"os.version":            view.Field("device.os_version"),
	"agent_list[]":          view.Only("device.client_version"),
	"agent_list[].name":     view.Const("Netskope Client"),
	"agent_list[].type_id":  view.Const(other),
	"agent_list[].version":  view.Field("device.client_version"),
}

var file = view.Table{
	"":                 view.Only("file.name", "file.path", "file.sha256", "file.sha1", "file.md5"),
	"name":             view.First("file.name", "file.path", "file.sha256", "file.sha1", "file.md5"),
	"type_id":          view.Func(fileType, "object.type"),
	"type":             view.Field("file.type"),
	"path":             view.Field("file.path"),
	"size":             view.Field("file.size"),
	"mime_type":        view.Field("file.mime"),
	"uid":              view.Field("file.id"),
	"hashes":           view.Func(fileHashes, "file.md5", "file.sha1", "file.sha256"),
	"is_encrypted":     view.Field("file.encrypted"),
	"confidentiality":  view.Field("file.classification"),
	"owner.name":       view.Field("file.owner"),
	"owner.email_addr": email("file.owner"),
}

var link = view.Table{
	"":             view.Only("url.full", "url.path"),
	"url_string":   view.Field("url.full"),
	"scheme":       view.Field("url.scheme"),
	"hostname":     view.Field("url.host"),
	"port":         view.Field("url.port"),
	"path":         view.Field("url.path"),
	"query_string": view.Field("url.query"),
	"categories":   view.Field("url.categories"),
}

var request = view.Table{
	"http_method":     view.Field("http.method"),
	"version":         view.Field("http.version"),
	"user_agent":      view.Field("http.user_agent"),
	"referrer":        view.Field("url.referrer"),
	"uid":             view.Field("net.request_id"),
	"x_forwarded_for": view.Func(forwardedFor, "src.forwarded_for"),
}.With(link.Under("url"))

var response = view.Table{
	"":             view.Only("http.status"),
	"code":         view.Field("http.status"),
	"content_type": view.Field("http.response_content_type"),
}

var secureConnection = view.Table{
	"":          view.Only("tls.version"),
	"version":   view.Field("tls.version"),
	"cipher":    view.Field("tls.cipher"),
	"sni":       view.Field("tls.sni"),
	"ja3_hash":  view.Func(ja3, "tls.ja3"),
	"ja3s_hash": view.Func(ja3s, "tls.ja3s"),
}

var proxy = view.Table{
	"ip":   address("net.proxy_egress_ip"),
	"name": view.Field("net.pop"),
}

var traffic = view.Table{
	"bytes":       view.Field("net.bytes"),
	"bytes_in":    view.Field("net.bytes_in"),
	"bytes_out":   view.Field("net.bytes_out"),
	"packets":     view.Field("net.packets"),
	"packets_in":  view.Field("net.packets_in"),
	"packets_out": view.Field("net.packets_out"),
}

var connection = view.Table{
	"":              view.Only("net.transport", "net.connection_id", "net.session_id"),
	"direction_id":  view.Const(outbound),
	"protocol_name": view.Field("net.transport"),
	"uid":           view.Field("net.connection_id"),
	"session.uid":   view.Field("net.session_id"),
}

var policy = view.Table{
	"":        view.Only("policy.name", "policy.id"),
	"name":    view.Field("policy.name"),
	"uid":     view.Field("policy.id"),
	"version": view.Field("policy.version"),
}

var application = view.Table{
	"":           view.Only("app.name", "app.instance"),
	"name":       view.First("app.instance", "app.name"),
	"uid":        view.Field("app.instance_id"),
	"type":       view.Const("SaaS application"),
	"group.name": view.Field("app.suite"),
}

var asset = view.Table{
	"":       view.Only("posture.asset_id", "object.name"),
	"uid":    view.Field("posture.asset_id"),
	"type":   view.Field("posture.resource_type"),
	"name":   view.Field("object.name"),
	"region": view.Field("posture.region"),
}

var metadata = view.Table{
	"product.name":                    view.Field("product"),
	"product.vendor_name":             view.Field("vendor"),
	"uid":                             view.Field("id"),
	"correlation_uid":                 view.Field("http.transaction_id"),
	"debug":                           view.Field("warnings"),
	"event_code":                      view.Field("subtype"),
	"labels":                          view.Field("tags"),
	"log_format":                      view.Func(logFormat, "raw_format").From("1.7.0"),
	"log_name":                        view.Field("dataset"),
	"log_provider":                    view.Field("source"),
	"log_source":                      view.Field("source_tenant").From("1.7.0"),
	"logged_time":                     millis("insertion_time"),
	"loggers[]":                       view.Only("connector"),
	"loggers[].name":                  view.Field("connector"),
	"loggers[].log_name":              view.Field("source_api"),
	"original_event_uid":              view.Field("native_id").From("1.7.0"),
	"original_time":                   view.Field("time_raw"),
	"processed_time":                  millis("collected_time"),
	"tenant_uid":                      view.Field("tenant"),
	"transformation_info_list[].name": view.Func(mappingName, "mapping_version"),
}

// base holds what every class has, beside its class, its activity and what is unmapped.
var base = view.Table{
	"time":                       view.Func(eventTime, "time"),
	"start_time":                 millis("start_time"),
	"end_time":                   millis("end_time"),
	"duration":                   view.Field("duration_ms"),
	"severity":                   view.Func(severityName, "severity"),
	"severity_id":                view.Func(severityID, "severity_id"),
	"is_alert":                   view.Func(isAlert, "kind").If(isControlled),
	"risk_score":                 view.Field("risk_score"),
	"risk_level_id":              view.Func(riskLevel, "risk_level"),
	"confidence_score":           view.Field("dlp.fingerprint_score"),
	"count":                      view.Field("count"),
	"message":                    view.Field("message"),
	"status_id":                  view.Func(outcomeStatus, "outcome"),
	"status_detail":              view.First("client.detail", "net.bypass_reason"),
	"action":                     view.Func(actionName, "action"),
	"action_id":                  view.Func(actionID, "action"),
	"disposition":                view.Func(dispositionName, "action", "action_raw"),
	"disposition_id":             view.Func(dispositionID, "action", "action_raw"),
	"enrichments":                view.Func(enrichments, "enrichments"),
	"raw_data":                   view.Field("raw"),
	"raw_data_size":              view.Field("raw_size"),
	"raw_data_hash":              view.Only("raw_sha256").From("1.6.0"),
	"raw_data_hash.value":        view.Field("raw_sha256").From("1.6.0"),
	"raw_data_hash.algorithm":    view.Const("SHA-256").From("1.6.0"),
	"raw_data_hash.algorithm_id": view.Const(sha256).From("1.6.0"),
}.With(metadata.Under("metadata"), policy.Under("policy"))

// finding holds what the findings have in common.
var finding = view.Table{
	"is_alert":                          view.Func(isAlert, "kind"),
	"status_id":                         view.Func(findingStatus, "finding.status"),
	"comment":                           view.Field("policy.justification"),
	"finding_info.uid":                  view.First("dlp.incident_id", "finding.id", "native_id", "id"),
	"finding_info.title":                view.Field("finding.title"),
	"finding_info.types":                view.Func(findingTypes, "finding.type", "subtype"),
	"finding_info.desc":                 view.Field("cred.breach_description"),
	"finding_info.first_seen_time":      millis("cred.breach_time"),
	"finding_info.data_sources":         view.List("finding.source"),
	"finding_info.related_events[].uid": view.Field("dlp.parent_id").If(hasParent),
	"finding_info.analytic":             view.Only("dlp.rule", "posture.rule", "uba.type", "policy.name"),
	"finding_info.analytic.name":        view.First("dlp.rule", "posture.rule", "uba.type", "policy.name"),
	"finding_info.analytic.uid":         view.Field("posture.rule_id"),
	"finding_info.analytic.type_id":     view.Func(analyticType, "dlp.rule", "dlp.fingerprint", "uba.type"),
	"vendor_attributes.severity":        view.Field("severity_raw"),
	"assignee.name":                     view.Field("finding.assignee"),
	"assignee.email_addr":               email("finding.assignee"),
}

var evidence = view.Table{
	"user.name": view.Field("cred.username"),
}.With(source.Under("src_endpoint"), destination.Under("dst_endpoint"), user.Under("actor.user"), file.Under("file"), link.Under("url"), process.Under("process"))

var malware = view.Table{
	"":                   view.When(hasMalware),
	"name":               view.Field("threat.name"),
	"uid":                view.Field("threat.id"),
	"provider":           view.Field("threat.engine"),
	"classifications":    view.List("threat.type"),
	"classification_ids": view.Func(malwareTypes, "threat.type"),
}

var intelligence = view.Table{
	"":            view.When(hasIndicator),
	"value":       view.Field("threat.indicator"),
	"type_id":     view.Func(indicatorType, "threat.indicator_type"),
	"vendor_name": view.Field("threat.feed"),
	"confidence":  view.Func(confidence, "threat.confidence"),
}

var dataSecurity = view.Table{
	"detection_system_id":     view.Func(detectionSystem, "dataset", "net.access_method", "finding.source"),
	"data_lifecycle_state_id": view.Func(lifecycleState, "dataset", "net.access_method", "finding.source"),
	"detection_pattern":       view.Field("dlp.fingerprint"),
	"classifier_details":      view.Only("dlp.profile"),
	"classifier_details.name": view.Field("dlp.profile"),
	"classifier_details.type": view.Const("DLP profile"),
	"discovery_details":       view.Func(discoveries, "dlp.matches", "dlp.rule", "dlp.count"),
}.With(policy.Under("policy"))

var compliance = view.Table{
	"standards":    view.Field("posture.standards"),
	"requirements": view.List("posture.profile"),
	"control":      view.Field("posture.rule"),
	"status_id":    view.Const(failed),
}

var cloud = view.Table{
	"":             view.When(hasCloud),
	"provider":     view.Field("app.name"),
	"account.uid":  view.Field("posture.account_id"),
	"account.name": view.Field("posture.account_name"),
	"region":       view.Field("posture.region"),
}

var query = view.Table{
	"":         view.Only("dns.query"),
	"hostname": view.Field("dns.query"),
	"type":     view.Field("dns.type"),
}

var resource = view.Table{
	"name":       view.First("object.name", "app.name", "url.host"),
	"type":       view.Field("object.type"),
	"uid":        view.Field("object.id"),
	"url_string": view.Field("url.full"),
}

var peripheral = view.Table{
	"name":           view.First("peripheral.name", "peripheral.product_id", "peripheral.serial"),
	"class":          view.Field("peripheral.type"),
	"model":          view.Field("peripheral.product_id"),
	"serial_number":  view.Field("peripheral.serial"),
	"vendor_id_list": view.List("peripheral.vendor_id"),
}

// network holds what the activities on the network have in common.
var network = base.With(view.Table{
	"app_name": view.Field("app.name"),
}, source.Under("src_endpoint"), destination.Under("dst_endpoint"), traffic.Under("traffic"), connection.Under("connection_info"),
	secureConnection.Under("tls"), proxy.Under("proxy_endpoint"), actor.Under("actor"), device.Under("device"))
