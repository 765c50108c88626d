package ocsf

import (
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// A class is one event class of the framework, filled from artifacts.
type class struct {
	uid      int
	name     string
	since    string // the version that has it first; "" is all of them
	table    view.Table
	activity func(a *schema.Artifact) activity
	told     []string                      // the fields that tell the activity; activity and activity_raw if not said
	needs    func(a *schema.Artifact) bool // what the definition demands beyond what every artifact has; nil is nothing
	// otherwise is the class of an artifact that lacks it.
	otherwise *class
	// natively tells that an object is the class's own, and not that of a profile.
	natively native
}

type native struct{ actor, device bool }

// classes is the event class of each artifact class.
var classes = map[schema.Class]*class{
	schema.ClassDataSecurity:       dataSecurityFinding,
	schema.ClassIncident:           dataSecurityFinding,
	schema.ClassDetection:          detectionFinding,
	schema.ClassMalware:            detectionFinding,
	schema.ClassMaliciousSite:      detectionFinding,
	schema.ClassIntrusion:          detectionFinding,
	schema.ClassAnomaly:            detectionFinding,
	schema.ClassCredentialExposure: detectionFinding,
	schema.ClassPolicyMatch:        detectionFinding,
	schema.ClassCompliance:         complianceFinding,
	schema.ClassHTTP:               httpActivity,
	schema.ClassNetwork:            networkActivity,
	schema.ClassDNS:                dnsActivity,
	schema.ClassTunnel:             tunnelActivity,
	schema.ClassAppActivity:        webResourcesActivity,
	schema.ClassFileActivity:       fileHostingActivity,
	schema.ClassAPI:                apiActivity,
	schema.ClassAppLifecycle:       applicationLifecycle,
	schema.ClassAuthentication:     authentication,
	schema.ClassAccountChange:      accountChange,
	schema.ClassEntityManagement:   entityManagement,
	schema.ClassInventory:          deviceInventory,
	schema.ClassPeripheral:         peripheralActivity,
	schema.ClassMetric:             metric,
	schema.ClassOther:              baseEvent,
}

var detectionFinding = &class{
	uid: 2004, name: "Detection Finding", activity: findingActivity, told: []string{"finding.status"},
	table: base.With(finding, evidence.Under("evidences[]"), application.Under("resources[]"), malware.Under("malware[]"),
		intelligence.Under("osint[]"), actor.Under("actor"), device.Under("device")),
}

var dataSecurityFinding = &class{
	uid: 2006, name: "Data Security Finding", activity: findingActivity, told: []string{"finding.status"},
	table: base.Without("policy").With(finding, dataSecurity.Under("data_security"), application.Under("resources[]"), file.Under("file"),
		source.Under("src_endpoint"), destination.Under("dst_endpoint"), actor.Under("actor"), device.Under("device")),
}

var complianceFinding = &class{
	uid: 2003, name: "Compliance Finding", activity: findingActivity, told: []string{"finding.status"},
	table: base.With(finding, compliance.Under("compliance"), asset.Under("resources[]"), cloud.Under("cloud"),
		actor.Under("actor"), device.Under("device")),
}

var httpActivity = &class{
	uid: 4002, name: "HTTP Activity", activity: httpMethod, told: []string{"http.method", "activity_raw"},
	needs: hasRequest, otherwise: networkActivity,
	table: network.With(request.Under("http_request"), response.Under("http_response"), file.Under("file")),
}

var networkActivity = &class{
	uid: 4001, name: "Network Activity", activity: networkTraffic, told: []string{"action"},
	needs: hasEndpoint, otherwise: baseEvent,
	table: network.With(link.Under("url")),
}

var dnsActivity = &class{
	uid: 4003, name: "DNS Activity", activity: always(activity{id: 6, name: "Traffic"}), told: none,
	needs: hasEndpoint, otherwise: baseEvent,
	table: network.With(query.Under("query")),
}

var tunnelActivity = &class{
	uid: 4014, name: "Tunnel Activity", activity: tunnelChange,
	table: network.With(view.Table{"tunnel_type_id": view.Const(0)}),
}

var webResourcesActivity = &class{
	uid: 6001, name: "Web Resources Activity", activity: byVerb(webVerbs),
	needs: hasResource, otherwise: baseEvent,
	table: base.With(resource.Under("web_resources[]"), source.Under("src_endpoint"), destination.Under("dst_endpoint"),
		request.Under("http_request"), response.Under("http_response"), secureConnection.Under("tls"), proxy.Under("proxy_endpoint"),
		actor.Under("actor"), device.Under("device")),
}

var fileHostingActivity = &class{
	uid: 6006, name: "File Hosting Activity", activity: byVerb(fileVerbs), natively: native{actor: true},
	needs: allOf(hasActor, hasSource, hasFile), otherwise: webResourcesActivity,
	table: base.With(file.Under("file"), source.Under("src_endpoint"), destination.Under("dst_endpoint"), connection.Under("connection_info"),
		request.Under("http_request").From("1.6.0"), response.Under("http_response").From("1.6.0"), actor.Under("actor"), device.Under("device")),
}

var apiActivity = &class{
	uid: 6003, name: "API Activity", activity: byAuditVerb(apiVerbs), told: []string{"audit.verb", "activity_raw"}, natively: native{actor: true},
	needs: allOf(hasActor, hasSource, hasOperation), otherwise: entityManagement,
	table: base.With(view.Table{
		"api.operation":    view.First("audit.event", "activity_raw"),
		"api.service.name": view.Const("Netskope REST API"),
	}, source.Under("src_endpoint"), application.Under("resources[]"), actor.Under("actor"), device.Under("device")),
}

var applicationLifecycle = &class{
	uid: 6002, name: "Application Lifecycle", activity: lifecycleChange,
	table: base.With(view.Table{
		"app.name":        view.Const("Netskope Client"),
		"app.vendor_name": view.Field("vendor"),
		"app.version":     view.Field("device.client_version"),
	}, actor.Under("actor"), device.Under("device")),
}

var authentication = &class{
	uid: 3002, name: "Authentication", activity: logon, natively: native{actor: true},
	needs: hasUser, otherwise: baseEvent,
	table: base.With(user.Under("user"), view.Table{
		"service.name": view.Func(service, "app.name", "dataset"),
		"session.uid":  view.Field("app.session_id"),
	}, source.Under("src_endpoint"), destination.Under("dst_endpoint"), request.Under("http_request"), response.Under("http_response"), device.Under("device")),
}

var accountChange = &class{
	uid: 3001, name: "Account Change", activity: byAuditVerb(accountVerbs), told: []string{"audit.verb", "activity_raw"}, natively: native{actor: true},
	needs: hasTarget, otherwise: entityManagement,
	table: base.With(targetUser.Under("user"), source.Under("src_endpoint"), actor.Under("actor"), device.Under("device")),
}

var entityManagement = &class{
	uid: 3004, name: "Entity Management", activity: byAuditVerb(entityVerbs), told: []string{"audit.verb", "activity_raw"}, natively: native{actor: true},
	needs: hasEntity, otherwise: baseEvent,
	table: base.With(view.Table{
		"comment":     view.Field("policy.justification"),
		"entity.name": view.First("audit.object", "audit.event", "activity_raw"),
		"entity.type": view.Field("audit.object_type"),
		"entity.data": view.Field("audit.details"),
	}, source.Under("src_endpoint"), actor.Under("actor"), device.Under("device")),
}

var deviceInventory = &class{
	uid: 5001, name: "Device Inventory Info", activity: always(activity{id: 1, name: "Log"}), told: none, natively: native{actor: true, device: true},
	needs: hasDevice, otherwise: baseEvent,
	table: base.With(actor.Under("actor"), device.Under("device")),
}

var peripheralActivity = &class{
	uid: 1010, name: "Peripheral Activity", since: "1.7.0", activity: byVerb(peripheralVerbs), natively: native{actor: true, device: true},
	needs: allOf(hasActor, hasDevice, hasPeripheral), otherwise: baseEvent,
	table: base.With(peripheral.Under("peripheral_device"), actor.Under("actor"), device.Under("device")),
}

// metric is a Base Event too. What it measures has no attribute, and stands in unmapped.
var metric = &class{
	uid: 0, name: "Base Event", activity: always(activity{id: other}), told: none,
	table: base.Without("status_id").With(actor.Under("actor"), device.Under("device")),
}

var baseEvent = &class{
	uid: 0, name: "Base Event", activity: byVerb(nil),
	table: base.With(actor.Under("actor"), device.Under("device")),
}

// document is the whole table of a class in a version.
func (c *class) document(version string) view.Table {
	t := c.table.With(view.Table{
		"metadata.version":  view.Const(version),
		"metadata.profiles": view.Func(c.profiles),
		"class_uid":         view.Const(c.uid),
		"class_name":        view.Const(c.name),
		"category_uid":      view.Const(c.uid / 1000),
	}, c.activityTable(version))
	if method, ok := t["http_request.http_method"]; ok {
		t["http_request.http_method"] = methodIn(version).From(method.Since)
	}
	if version < "1.7.0" {
		t["metadata.tags"] = view.Func(tags, "native_id", "source_tenant", "raw_format")
	}
	t["observables"] = view.Func(observables(t))
	t["unmapped"] = unmapped(t, version)
	return t
}

// none is the fields that tell an activity which is always the same.
var none = []string{}
