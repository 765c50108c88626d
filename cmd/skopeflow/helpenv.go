package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

type settingGroup struct {
	title    string
	settings []setting
}

func settingGroups() []settingGroup {
	tenants := append(settingsOf(tenantPrefix, &Instance{}), settingsOf("", &instanceList{})...)
	list := []settingGroup{{"Netskope", tenants}}
	for _, g := range new(Config).groups() {
		list = append(list, settingGroup{g.title, settingsOf("", g.spec)})
	}
	return append(list, settingGroup{"Telemetry", []setting{{
		name: "OTEL_…",
		desc: "read by the OpenTelemetry SDK, with their standard meaning, such as OTEL_EXPORTER_OTLP_ENDPOINT",
	}}})
}

// helpEnv prints every setting: variable, default, meaning.
func helpEnv(w io.Writer) {
	fmt.Fprintln(w, "Settings are environment variables; there is no file of them.")
	for _, g := range settingGroups() {
		fmt.Fprintf(w, "\n%s\n", g.title)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range g.settings {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", s.name, s.byDefault, s.desc)
		}
		_ = table.Flush()
	}
}

// envTable returns the same in Markdown.
func envTable() string {
	var b strings.Builder
	for _, g := range settingGroups() {
		fmt.Fprintf(&b, "**%s**\n\n| variable | default | meaning |\n|---|---|---|\n", g.title)
		for _, s := range g.settings {
			byDefault := ""
			if s.byDefault != "" {
				byDefault = "`" + s.byDefault + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, byDefault, strings.NewReplacer("|", `\|`, "*", `\*`).Replace(s.desc))
		}
		b.WriteString("\n")
	}
	return b.String()
}
