package filter

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/skopeflow/skopeflow/schema"
)

// An evaluation is one artifact as an expression sees it: what CEL calls an activation.
type evaluation struct {
	*vocabulary
	artifact *schema.Artifact
	objects  []object        // one per group, made when the expression comes to it
	made     map[any]ref.Val // lists and documents that this evaluation has converted, by where they are
}

func (v *vocabulary) newEvaluation() *evaluation {
	e := &evaluation{vocabulary: v, objects: make([]object, len(v.groups)), made: make(map[any]ref.Val)}
	for i := range e.objects {
		e.objects[i] = object{of: v.objects[i], evaluation: e}
	}
	return e
}

// ResolveName is a method of cel.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	if f, ok := e.top[name]; ok {
		return f.get(e, e.artifact), true
	}
	i, ok := e.groups[name]
	if !ok {
		return nil, false
	}
	e.objects[i].at = e.artifact
	return &e.objects[i], true
}

// Parent is a method of cel.Activation.
func (e *evaluation) Parent() cel.Activation { return nil }

// forget lets go of the artifact.
func (e *evaluation) forget() {
	e.artifact = nil
	for i := range e.objects {
		e.objects[i].at = nil
	}
	clear(e.made)
}

// once returns what decode made of the value at a place when it was first asked for, so that a loop does not decode again.
func (e *evaluation) once(place any, decode func() ref.Val) ref.Val {
	v, ok := e.made[place]
	if !ok {
		v = decode()
		e.made[place] = v
	}
	return v
}

// An object is a group of an artifact, or an element of a list, as a value of CEL.
type object struct {
	of         *objectType
	evaluation *evaluation
	at         any
}

// Get is a method of traits.Indexer. It serves objects whose type the checker could not know.
func (o *object) Get(name ref.Val) ref.Val {
	key, _ := name.Value().(string)
	f, ok := o.of.fields[key]
	if !ok {
		return types.NewErr("no such field: %v", name.Value())
	}
	return f.get(o.evaluation, o.at)
}

// IsSet is a method of traits.FieldTester.
func (o *object) IsSet(name ref.Val) ref.Val {
	key, _ := name.Value().(string)
	f, ok := o.of.fields[key]
	if !ok {
		return types.NewErr("no such field: %v", name.Value())
	}
	return types.Bool(f.set(o.at))
}

// Equal is a method of ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	that, ok := other.(*object)
	if !ok || that.of != o.of {
		return types.False
	}
	for _, f := range o.of.fields {
		if f.get(o.evaluation, o.at).Equal(f.get(that.evaluation, that.at)) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType is a method of ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t.TypeName() {
	case o.of.typ.TypeName():
		return o
	case types.TypeType.TypeName():
		return o.of.typ
	}
	return types.NewErr("%s is no %s", o.of.typ.TypeName(), t.TypeName())
}

// ConvertToNative is a method of ref.Val.
func (o *object) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("objects of an artifact have no other form")
}

// Type is a method of ref.Val.
func (o *object) Type() ref.Type { return o.of.typ }

// Value is a method of ref.Val.
func (o *object) Value() any { return o }

// bind returns nil if the field is not of type T.
func bind[T comparable](row schema.Field, typ *types.Type, value func(T) ref.Val) *field {
	place := schema.Place[T](row.Name)
	if place == nil {
		return nil
	}
	return member(typ, func(a *schema.Artifact) T { return *place(a) }, value)
}

func member[O any, T comparable](typ *types.Type, of func(*O) T, value func(T) ref.Val) *field {
	return &field{
		typ: typ,
		get: func(_ *evaluation, at any) ref.Val { return value(of(at.(*O))) },
		set: func(at any) bool {
			var zero T
			return of(at.(*O)) != zero
		},
	}
}

func text[T ~string](s T) ref.Val { return types.String(s) }

func number[T int | int64](n T) ref.Val { return types.Int(n) }

// printed is "" for an id of zeros, which is none.
func printed[T interface {
	comparable
	fmt.Stringer
}](v T) ref.Val {
	var zero T
	if v == zero {
		return types.String("")
	}
	return types.String(v.String())
}

func instant(t schema.Time) ref.Val {
	return types.Timestamp{Time: time.UnixMilli(int64(t)).UTC()}
}

func texts[O any](of func(*O) *[]string) *field {
	return &field{
		typ: types.NewListType(types.StringType),
		get: func(e *evaluation, at any) ref.Val { return types.NewStringList(e, *of(at.(*O))) },
		set: func(at any) bool { return len(*of(at.(*O))) > 0 },
	}
}

func objects[O, T any](element *objectType, of func(*O) *[]T) *field {
	return &field{
		typ: types.NewListType(element.typ),
		get: func(e *evaluation, at any) ref.Val {
			list := of(at.(*O))
			return e.once(list, func() ref.Val {
				values := make([]ref.Val, len(*list))
				for i := range *list {
					values[i] = &object{of: element, evaluation: e, at: &(*list)[i]}
				}
				return types.NewRefValList(e, values)
			})
		},
		set: func(at any) bool { return len(*of(at.(*O))) > 0 },
	}
}

// document is JSON that is decoded when an expression comes to it. none stands for no JSON; as may change what it is to be.
func document[O any](typ *types.Type, none ref.Val, of func(*O) *schema.RawJSON, as func(ref.Val) ref.Val) *field {
	return &field{
		typ: typ,
		get: func(e *evaluation, at any) ref.Val {
			raw := of(at.(*O))
			if *raw == "" {
				return none
			}
			return e.once(raw, func() ref.Val {
				var v any
				if err := raw.Decode(&v); err != nil {
					return types.NewErr("decode JSON: %v", err)
				}
				value := e.NativeToValue(v)
				if as != nil {
					value = as(value)
				}
				return value
			})
		},
		set: func(at any) bool { return *of(at.(*O)) != "" },
	}
}

func emptyMap() ref.Val { return types.NewStringInterfaceMap(types.DefaultTypeAdapter, nil) }

// A lenientMap has null for every key that it does not hold: unmapped.foo == "x" is false, and no error, if there is no foo.
// It must not be a traits.Mapper, for which CEL itself decides what a missing key is.
type lenientMap struct {
	ref.Val
	traits.Container
	traits.Sizer
	traits.Iterable
	of traits.Mapper
}

// lenient returns a value as it is if it is no map.
func lenient(v ref.Val) ref.Val {
	m, ok := v.(traits.Mapper)
	if !ok {
		return v
	}
	return &lenientMap{m, m, m, m, m}
}

// Get is a method of traits.Indexer.
func (m *lenientMap) Get(key ref.Val) ref.Val {
	if v, ok := m.of.Find(key); ok || types.IsError(v) {
		return v
	}
	return types.NullValue
}

// IsSet is a method of traits.FieldTester.
func (m *lenientMap) IsSet(key ref.Val) ref.Val { return m.of.Contains(key) }

// Equal is a method of ref.Val.
func (m *lenientMap) Equal(other ref.Val) ref.Val {
	if that, ok := other.(*lenientMap); ok {
		other = that.of
	}
	return m.of.Equal(other)
}
