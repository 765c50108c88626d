package normalize

import (
	"math"

	"github.com/skopeflow/skopeflow/schema"
)

// clientstatus records say how the client on a device is. A device and user have one record, which comes again when it changes.
var clientstatus = dataset{
	kind:    schema.KindState,
	native:  byDevice,
	mutable: []string{"last_seen_device_event", "user_info"},
	table: basic.with(table{
		"subtype":               subtype(),
		"time":                  eventTime("last_event_timestamp", "last_seen_device_event.timestamp", "timestamp"),
		"activity":              verb("last_seen_device_event.event"),
		"activity_raw":          text("last_seen_device_event.event"),
		"user.email":            email("user_info.username"),
		"user.name":             userName("user_info.username"),
		"user.id":               text("user_info.userkey"),
		"src.ip":                ip("last_connected_from_public_ip"),
		"src.country":           country("country"),
		"src.region":            text("region"),
		"src.city":              text("city"),
		"src.postal_code":       text("postal_code", "zipcode"),
		"src.lat":               latitude("latitude"),
		"src.lon":               longitude("longitude"),
		"src.asn":               integer(0, math.MaxUint32, "asn"),
		"src.as_org":            text("as", "isp"),
		"device.ip":             ip("last_connected_from_private_ip"),
		"device.hostname":       text("host_info.hostname"),
		"device.id":             text("host_info.nsdeviceuid", "device_id"),
		"device.mgmt_id":        text("host_info.managementID"),
		"device.os":             text("host_info.os"),
		"device.os_version":     text("host_info.os_version"),
		"device.managed":        managed("user_info.device_classification_status"),
		"device.mac":            firstText("host_info.mac_addresses"),
		"device.serial":         text("host_info.serial_number"),
		"device.vendor":         text("host_info.device_make"),
		"device.model":          text("host_info.device_model"),
		"device.client_version": text("client_version", "host_info.client_version"),
		"net.pop":               text("pop_name"),
		"client.event":          text("last_seen_device_event.event"),
		"client.detail":         text("last_seen_device_event.event_details"),
		"client.status":         text("last_seen_device_event.status_v2", "last_seen_device_event.status"),
		"client.npa_status":     text("last_seen_device_event.npa_status"),
		"client.steering":       text("host_info.steering_config"),
	}),
	derive: []func(*Mapper, *schema.Artifact){userDomain},
	class:  clientClass,
}

// byDevice is the device and whoever uses it.
func byDevice(m *Mapper, a *schema.Artifact, name []byte) []byte {
	user := a.User.ID
	if v := m.get("user_info.username"); user == "" && v != nil {
		user = v.text
	}
	if a.Device.ID == "" && user == "" {
		return name
	}
	return append(append(append(append(name, "dev="...), a.Device.ID...), "+user="...), user...)
}

// firstText takes the first of a list; a longer list stays in Unmapped as well.
func firstText(keys ...string) line {
	return convert("first of list", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		all, problem := asList(m, a, v)
		switch {
		case problem != fits:
			return "", problem
		case len(all) > 1:
			return all[0], partly
		}
		return all[0], fits
	}, keys)
}

func clientClass(_ *Mapper, a *schema.Artifact) schema.Class {
	switch event := a.Client.Event; {
	case containsFold(event, "tunnel"):
		return schema.ClassTunnel
	case containsFold(event, "install"), containsFold(event, "enabled"), containsFold(event, "disabled"), containsFold(event, "upgrade"):
		return schema.ClassAppLifecycle
	}
	return schema.ClassInventory
}
