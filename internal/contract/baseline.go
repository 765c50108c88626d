package contract

import (
	"fmt"
	"slices"
	"strings"
)

// A baseline has a line for each field and, below it, one for each value of an open list, so that adding is adding a line:
//
//	class	string	always	open	-	-
//	class	= page
//	kind	string	always	closed	-	-	alert event metric state
//
// The columns are name, type, presence, model, format, unit, and the values of a closed list, sorted; "-" is none.

// Format writes fields as the lines of a baseline.
func Format(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		columns := []string{f.Name, f.Type, f.Presence, f.Model, f.Format, f.Unit}
		if f.Model == Closed && len(f.Values) > 0 {
			columns = append(columns, strings.Join(slices.Sorted(slices.Values(f.Values)), " "))
		}
		for i, c := range columns {
			if c == "" {
				columns[i] = "-"
			}
		}
		b.WriteString(strings.Join(columns, "\t") + "\n")
		if f.Model == Open {
			for _, value := range f.Values {
				b.WriteString(f.Name + "\t= " + value + "\n")
			}
		}
	}
	return b.String()
}

// ParseBaseline reads the lines of a baseline.
func ParseBaseline(text string) ([]Field, error) {
	var fields []Field
	for line := range strings.Lines(text) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		last := len(fields) - 1
		if len(columns) == 2 && strings.HasPrefix(columns[1], "= ") && last >= 0 && fields[last].Name == columns[0] {
			fields[last].Values = append(fields[last].Values, columns[1][len("= "):])
			continue
		}
		if len(columns) < 6 {
			return nil, fmt.Errorf("read baseline: %q has too few columns", columns)
		}
		for i, c := range columns {
			if c == "-" {
				columns[i] = ""
			}
		}
		f := Field{Name: columns[0], Type: columns[1], Presence: columns[2], Model: columns[3], Format: columns[4], Unit: columns[5]}
		if len(columns) > 6 {
			f.Values = strings.Fields(columns[6])
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// Instead is what to do in place of a change that breaks readers of this major version.
const Instead = "leave it as it is, and make the change in a new major version (schema/artifact.v2.schema.json, ce-type skopeflow.artifact.v2, subjects of its own) that is published beside this one until readers have moved"

// Compare holds the present fields against a baseline. Each break is a sentence that says which readers a change breaks and
// what to do instead; added are the lines that the baseline lacks, none of which breaks anybody.
func Compare(baseline, now []Field) (breaks, added []string) {
	for _, was := range baseline {
		i := slices.IndexFunc(now, func(f Field) bool { return f.Name == was.Name })
		if i < 0 {
			breaks = append(breaks, sentence(was.Name, "is gone (removed or renamed)", "read it by this name"))
			continue
		}
		breaks = append(breaks, changes(was, now[i])...)
		if was.Model == Open && now[i].Model == Open {
			for _, value := range now[i].Values {
				if !slices.Contains(was.Values, value) {
					added = append(added, was.Name+" = "+value)
				}
			}
		}
	}
	for _, f := range now {
		if slices.ContainsFunc(baseline, func(was Field) bool { return was.Name == f.Name }) {
			continue
		}
		if f.Presence != Optional {
			breaks = append(breaks, sentence(f.Name, "is new and not optional but "+f.Presence, "check artifacts that were stored before it came"))
			continue
		}
		added = append(added, f.Name)
	}
	return breaks, added
}

// changes returns what a field that is still there breaks.
func changes(was, now Field) (breaks []string) {
	say := func(what, who string) { breaks = append(breaks, sentence(was.Name, what, who)) }
	from := func(attribute, a, b string) string {
		return fmt.Sprintf("changes its %s from %q to %q", attribute, a, b)
	}
	if was.Type != now.Type {
		say(from("type", was.Type, now.Type), "decode it into the type it had")
	}
	if was.Presence != now.Presence {
		who := "rely on its being there"
		if was.Presence == Optional {
			who = "check artifacts that were stored without it"
		}
		say(from("presence", was.Presence, now.Presence), who)
	}
	if was.Model != now.Model {
		say(from("list or members", was.Model, now.Model), "know what may still come")
	}
	if was.Format != now.Format {
		say(from("format", was.Format, now.Format), "parse it")
	}
	if was.Unit != now.Unit {
		say(from("unit", was.Unit, now.Unit), "compute with it")
	}
	for _, value := range was.Values {
		if !slices.Contains(now.Values, value) {
			say(fmt.Sprintf("loses the value %q", value), "select by it")
		}
	}
	if was.Model == Closed && now.Model == Closed {
		for _, value := range now.Values {
			if !slices.Contains(was.Values, value) {
				say(fmt.Sprintf("has the new value %q in a closed list", value), "handle every value of the list and no other")
			}
		}
	}
	return breaks
}

func sentence(name, what, who string) string {
	return fmt.Sprintf("%s %s, which breaks readers of 1.x that %s: %s.", name, what, who, Instead)
}
