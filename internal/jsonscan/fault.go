package jsonscan

import (
	"bytes"
	"fmt"
)

// A SyntaxError says why a text is not the JSON it should be.
type SyntaxError struct {
	Offset int64  // of the byte that cannot be there, counted from the start of the text
	Msg    string // what is wrong, as a clause
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse JSON at byte %d: %s", e.Offset, e.Msg)
}

// A fault is what the scanning functions return in place of an error, because it fits a register.
type fault uint8

const (
	sound  fault = iota
	closed       // not a flaw: a separator was the closing bracket
	short        // the text ends before the value does; more of it may cure that
	empty
	html
	bom
	notObject
	notArray
	noValue
	noKey
	noColon
	noComma
	badNumber
	badLiteral
	badEscape
	controlByte
	badUTF8
	tooDeep
	trailing
)

func (f fault) at(offset int64) *SyntaxError {
	return &SyntaxError{Offset: offset, Msg: f.String()}
}

func (f fault) String() string {
	switch f {
	case short:
		return "the text ends before the value does"
	case empty:
		return "the text is empty"
	case html:
		return "this is HTML or XML rather than JSON"
	case bom:
		return "the text begins with a byte order mark, which JSON does not allow"
	case notObject:
		return "this is not an object"
	case notArray:
		return "this is not an array"
	case noValue:
		return "a value is missing"
	case noKey:
		return "a key in quotes is missing"
	case noColon:
		return "a colon is missing after the key"
	case noComma:
		return "a comma or the closing bracket is missing"
	case badNumber:
		return "the number is malformed"
	case badLiteral:
		return "the word is none of true, false and null"
	case badEscape:
		return "the escape sequence is malformed"
	case controlByte:
		return "a control character in a string is not escaped"
	case badUTF8:
		return "the string is not valid UTF-8"
	case tooDeep:
		return fmt.Sprintf("arrays and objects are nested deeper than %d", MaxDepth)
	case trailing:
		return "something follows the value"
	}
	return "nothing is wrong"
}

// opening returns the fault that explains best why a text that begins like this is not what it should be.
func opening(text []byte, otherwise fault) fault {
	switch {
	case len(text) == 0:
		return empty
	case text[0] == '<':
		return html
	case bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")):
		return bom
	}
	return otherwise
}
