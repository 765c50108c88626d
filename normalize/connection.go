package normalize

import "github.com/skopeflow/skopeflow/schema"

// connection events have the fields of page events, one connection each.
var connection = dataset{
	kind:   schema.KindEvent,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":  subtype("type"),
		"severity": severity("connection"),
	}),
	dropped: plumbing,
	derive:  commonDerive,
	class:   always(schema.ClassHTTP),
}
