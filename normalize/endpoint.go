package normalize

import "github.com/skopeflow/skopeflow/schema"

// endpoint events come from DLP and device control on the device itself. Its device_* keys are about the peripheral.
var endpoint = dataset{
	kind:   schema.KindEvent,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":               subtype("sub_type", "activity_type", "type"),
		"severity":              severity("endpoint"),
		"user.name":             userName("user", "os_user_name"),
		"device.hostname":       text("computer_name", "hostname"),
		"device.os_version":     text("os_details", "os_version"),
		"file.name":             fileName("source_file_name", "destination_file_name", "file_name"),
		"file.path":             text("source_file_path", "destination_file_path", "unc_path", "file_path"),
		"policy.name":           text("policy_name", "policy_name_enforced", "policy"),
		"policy.version":        text("policy_version"),
		"finding.title":         text("alert_name"),
		"finding.type":          text("alert_type"),
		"process.hash":          anyHash("executable_hash"),
		"peripheral.name":       text("device_name"),
		"peripheral.type":       text("device_type"),
		"peripheral.vendor_id":  text("vendor_id"),
		"peripheral.product_id": text("product_id"),
		"peripheral.serial":     text("device_sn"),
	}),
	derive: commonDerive,
	class:  endpointClass,
}

func endpointClass(_ *Mapper, a *schema.Artifact) schema.Class {
	switch {
	case a.DLP.Profile != "", a.DLP.Rule != "", a.DLP.IncidentID != "":
		return schema.ClassDataSecurity
	case a.Peripheral != schema.Peripheral{}:
		return schema.ClassPeripheral
	case a.File.Name != "":
		return schema.ClassDataSecurity
	}
	return schema.ClassOther
}
