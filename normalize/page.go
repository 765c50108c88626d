package normalize

import "github.com/skopeflow/skopeflow/schema"

// page events record that a site was visited: several requests, summed up.
var page = dataset{
	kind:   schema.KindEvent,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":  subtype("type"),
		"severity": severity("page"),
	}),
	dropped: plumbing,
	derive:  commonDerive,
	class:   always(schema.ClassHTTP),
}
