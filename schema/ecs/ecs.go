// Package ecs writes artifacts as documents of the Elastic Common Schema.
//
// A document is nested and has no null and nothing empty. What ECS has no place for stands under netskope with the
// artifact's own name and type, and what Netskope sent and no field took under netskope.unmapped; the short words that
// describe the artifact are labels. Left out are time_raw, insertion_time, raw_size and enrichments, and half of a pair of
// coordinates. event.ingested and data_stream are left to the store and the shipper, which alone know them.
//
// table.go says what stands where.
package ecs

import (
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// Version is the version of ECS that the documents follow, and what they say in ecs.version.
const Version = "9.4.0"

var plan = view.Compile(table, Version)

// Append appends the document of an artifact: one JSON object. It depends on the artifact alone.
func Append(dst []byte, a *schema.Artifact) []byte {
	return plan.Append(dst, a)
}

// Places returns the paths in a document, sorted, that each artifact field has a part in.
func Places() map[string][]string { return table.Places() }
