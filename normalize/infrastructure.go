package normalize

import "github.com/skopeflow/skopeflow/schema"

// infrastructure events are measurements of publishers and appliances.
var infrastructure = dataset{
	kind:   schema.KindMetric,
	native: byIDAndTime,
	table: basic.with(table{
		"subtype":           subtype("type"),
		"infra.host":        text("hostname"),
		"infra.metric":      text("metric_name"),
		"infra.metric_type": text("metric_type"),
		"infra.value":       text("metric_value", "count_metric_value", "boolean_metric_value"),
		"infra.version":     text("package_version"),
	}),
	class: always(schema.ClassMetric),
}
