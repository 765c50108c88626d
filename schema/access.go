package schema

import (
	"strconv"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// An Access is how a view of the artifact reads one field.
type Access struct {
	Append  func(dst []byte, a *Artifact) []byte // appends the value as JSON; nothing where the field is absent
	Present func(a *Artifact) bool
}

// AccessTo returns the access to the field with a dotted name; false if there is no such field.
func AccessTo(name string) (Access, bool) {
	for i := range fields {
		if fields[i].Name == name {
			return access(fields[i].place), true
		}
	}
	return Access{}, false
}

func access(place any) Access {
	switch place := place.(type) {
	case func(*Artifact) *string:
		return texts(place)
	case func(*Artifact) *Kind:
		return texts(place)
	case func(*Artifact) *Class:
		return texts(place)
	case func(*Artifact) *Severity:
		return texts(place)
	case func(*Artifact) *Action:
		return texts(place)
	case func(*Artifact) *Outcome:
		return texts(place)
	case func(*Artifact) *int:
		return integers(place)
	case func(*Artifact) *int64:
		return integers(place)
	case func(*Artifact) *float64:
		return scalars(place, func(dst []byte, f float64) []byte { return strconv.AppendFloat(dst, f, 'f', -1, 64) })
	case func(*Artifact) *Time:
		return scalars(place, func(dst []byte, t Time) []byte { return t.appendJSON(dst) })
	case func(*Artifact) *Tri:
		return scalars(place, func(dst []byte, t Tri) []byte { return t.appendJSON(dst) })
	case func(*Artifact) *ID:
		return scalars(place, func(dst []byte, id ID) []byte { return id.appendJSON(dst) })
	case func(*Artifact) *Digest:
		return scalars(place, func(dst []byte, d Digest) []byte { return d.appendJSON(dst) })
	case func(*Artifact) *RawJSON:
		return scalars(place, func(dst []byte, r RawJSON) []byte { return append(dst, r...) })
	case func(*Artifact) *[]string:
		return lists(place, appendStrings)
	case func(*Artifact) *[]DLPMatch:
		return lists(place, appendObjects[DLPMatch])
	case func(*Artifact) *[]Enrichment:
		return lists(place, appendObjects[Enrichment])
	}
	panic("schema: a field of a type that nothing reads") //nolint:forbidigo // the types are those of the generator
}

func scalars[T comparable](place func(*Artifact) *T, write func([]byte, T) []byte) Access {
	var absent T
	return Access{
		Append: func(dst []byte, a *Artifact) []byte {
			if v := *place(a); v != absent {
				dst = write(dst, v)
			}
			return dst
		},
		Present: func(a *Artifact) bool { return *place(a) != absent },
	}
}

func texts[T ~string](place func(*Artifact) *T) Access {
	return scalars(place, func(dst []byte, s T) []byte { return jsonscan.AppendString(dst, string(s)) })
}

func integers[T int | int64](place func(*Artifact) *T) Access {
	return scalars(place, func(dst []byte, n T) []byte { return strconv.AppendInt(dst, int64(n), 10) })
}

func lists[T any](place func(*Artifact) *[]T, write func([]byte, []T) []byte) Access {
	return Access{
		Append: func(dst []byte, a *Artifact) []byte {
			if list := *place(a); len(list) > 0 {
				dst = write(dst, list)
			}
			return dst
		},
		Present: func(a *Artifact) bool { return len(*place(a)) > 0 },
	}
}
