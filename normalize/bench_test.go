package normalize

import (
	"testing"

	"github.com/skopeflow/skopeflow/schema"
)

func BenchmarkMap(b *testing.B) {
	bench(b, func(*schema.Artifact) {})
}

func BenchmarkMapAppendJSON(b *testing.B) {
	var dst []byte
	bench(b, func(a *schema.Artifact) { dst = a.AppendJSON(dst[:0]) })
}

func bench(b *testing.B, then func(*schema.Artifact)) {
	for _, e := range examples(b) {
		switch e.name {
		case "page", "application", "alert_dlp", "incident", "audit":
		default:
			continue
		}
		b.Run(e.name, func(b *testing.B) {
			m, env := NewMapper(), envelope(e.want["dataset"].(string))
			var a schema.Artifact
			b.ReportAllocs()
			b.SetBytes(int64(len(e.raw)))
			for b.Loop() {
				if err := m.Map(env, e.raw, &a); err != nil {
					b.Fatal(err)
				}
				then(&a)
			}
		})
	}
}
