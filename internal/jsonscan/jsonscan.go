// Package jsonscan takes JSON apart without building anything: it validates, and hands out slices of its input.
//
// It accepts what encoding/json.Valid accepts, except for nesting deeper than MaxDepth and for strings that are
// not valid UTF-8, which it rejects. Duplicate keys are passed on in order, because Netskope sends them.
// Numbers are never converted, so 64-bit ids keep every digit. Nothing is allocated for a value.
//
// Members, Elements and Check work on text in memory, a Reader on an API page while it arrives.
package jsonscan

// MaxDepth is how deep arrays and objects may be nested, the outermost one counted.
const MaxDepth = 64

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds of JSON values. The zero Kind is none of them.
const (
	Null Kind = iota + 1
	False
	True
	Number
	String
	Array
	Object
)

// A Value is one JSON value as it stands in the input.
type Value struct {
	Kind    Kind
	Raw     []byte // the value's bytes, quotes and brackets included; a slice of the input
	Escaped bool   // a string that has a backslash in it
}

// Check returns data as one JSON value, or a *SyntaxError that says what is wrong with it.
func Check(data []byte) (Value, error) {
	start := skipSpace(data, 0)
	v, end, f := valueAt(data, start, 0)
	if f != sound {
		if end == start {
			f = opening(data[start:], f)
		}
		return Value{}, f.at(int64(end))
	}
	return v, onlySpace(data, end)
}

// Members calls fn for each member of the JSON object that is data, in order, duplicates included. It validates all of
// data on the way, so that fn has seen the members before a flaw by the time Members returns the *SyntaxError.
// An error of fn ends the walk and is returned as it is.
//
// key is without quotes and unescaped, and valid during the call only; v.Raw lives as long as data.
func Members(data []byte, fn func(key []byte, v Value) error) error {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return opening(data[i:], notObject).at(int64(i))
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return onlySpace(data, i+1)
	}
	var unescaped []byte
	for {
		keyEnd, next, escaped, f := keyAt(data, i)
		if f != sound {
			return f.at(int64(next))
		}
		v, next, f := valueAt(data, next, 1)
		if f != sound {
			return f.at(int64(next))
		}
		key := data[i+1 : keyEnd-1 : keyEnd-1]
		if escaped {
			unescaped = AppendText(unescaped[:0], Value{String, data[i:keyEnd], escaped})
			key = unescaped
		}
		if err := fn(key, v); err != nil {
			return err
		}
		i, f = separator(data, next, '}')
		switch {
		case f == closed:
			return onlySpace(data, i)
		case f != sound:
			return f.at(int64(i))
		}
	}
}

// Elements calls fn for each element of the JSON array that is data, on the same terms as Members.
func Elements(data []byte, fn func(v Value) error) error {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return opening(data[i:], notArray).at(int64(i))
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == ']' {
		return onlySpace(data, i+1)
	}
	for {
		v, next, f := valueAt(data, i, 1)
		if f != sound {
			return f.at(int64(next))
		}
		if err := fn(v); err != nil {
			return err
		}
		i, f = separator(data, next, ']')
		switch {
		case f == closed:
			return onlySpace(data, i)
		case f != sound:
			return f.at(int64(i))
		}
	}
}

// onlySpace returns an error if anything but white space is left at i.
func onlySpace(data []byte, i int) error {
	if i = skipSpace(data, i); i < len(data) {
		return trailing.at(int64(i))
	}
	return nil
}
