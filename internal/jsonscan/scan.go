package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The functions of this file take the text and an index into it and return the index behind what they scanned, or the
// index of the flaw and a fault. Indexes and faults travel in registers; that is why there is no scanner type with a position in it.

// valueAt scans the value that begins at data[i], inside depth open brackets.
func valueAt(data []byte, i, depth int) (v Value, end int, f fault) {
	if i >= len(data) {
		return Value{}, i, short
	}
	c := data[i]
	if c == '"' {
		end, v.Escaped, f = stringAt(data, i)
	} else {
		end, f = skipValue(data, i, depth)
	}
	if f != sound {
		return Value{}, end, f
	}
	v.Kind, v.Raw = kinds[c], data[i:end:end]
	return v, end, sound
}

// keyAt scans a key, which ends at end, and its colon, up to the value, which begins at next or is the flaw.
func keyAt(data []byte, i int) (end, next int, escaped bool, f fault) {
	if i >= len(data) {
		return i, i, false, short
	}
	if data[i] != '"' {
		return i, i, false, noKey
	}
	end, escaped, f = stringAt(data, i)
	if f != sound {
		return end, end, escaped, f
	}
	next, f = colon(data, end)
	return end, next, escaped, f
}

// colon scans the colon after a key, up to the value.
func colon(data []byte, i int) (int, fault) {
	if i+1 < len(data) && data[i] == ':' && data[i+1] > ' ' {
		return i + 1, sound
	}
	i = skipSpace(data, i)
	if i == len(data) {
		return i, short
	}
	if data[i] != ':' {
		return i, noColon
	}
	return skipSpace(data, i+1), sound
}

// separator scans what follows a member or an element: a comma, up to the next one; or the closing bracket.
func separator(data []byte, i int, bracket byte) (int, fault) {
	if i+1 < len(data) && data[i] == ',' && data[i+1] > ' ' {
		return i + 1, sound
	}
	i = skipSpace(data, i)
	switch {
	case i == len(data):
		return i, short
	case data[i] == ',':
		return skipSpace(data, i+1), sound
	case data[i] == bracket:
		return i + 1, closed
	}
	return i, noComma
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && data[i] <= ' ' && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

func skipValue(data []byte, i, depth int) (int, fault) {
	if i >= len(data) {
		return i, short
	}
	switch kinds[data[i]] {
	case String:
		end, _, f := stringAt(data, i)
		return end, f
	case Number:
		return skipNumber(data, i)
	case Object:
		return skipObject(data, i, depth+1)
	case Array:
		return skipArray(data, i, depth+1)
	case True:
		return skipWord(data, i, "true")
	case False:
		return skipWord(data, i, "false")
	case Null:
		return skipWord(data, i, "null")
	}
	return i, noValue
}

func skipObject(data []byte, i, depth int) (int, fault) {
	if depth > MaxDepth {
		return i, tooDeep
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return i + 1, sound
	}
	for {
		var f fault
		if _, i, _, f = keyAt(data, i); f != sound {
			return i, f
		}
		if i, f = skipValue(data, i, depth); f != sound {
			return i, f
		}
		if i, f = separator(data, i, '}'); f == closed {
			return i, sound
		} else if f != sound {
			return i, f
		}
	}
}

func skipArray(data []byte, i, depth int) (int, fault) {
	if depth > MaxDepth {
		return i, tooDeep
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == ']' {
		return i + 1, sound
	}
	for {
		var f fault
		if i, f = skipValue(data, i, depth); f != sound {
			return i, f
		}
		if i, f = separator(data, i, ']'); f == closed {
			return i, sound
		} else if f != sound {
			return i, f
		}
	}
}

// stringAt scans the string whose opening quote is data[i]. It looks at eight bytes at a time: in x, a quote or a control
// character is a byte below 0x21; in y, a backslash is a zero byte. A subtraction that borrows sets the byte's top
// bit; a borrow can only disturb bytes above a hit, so the lowest hit is always a true one.
func stringAt(data []byte, i int) (end int, escaped bool, f fault) {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	start := i
	i++
	var seen uint64 // all bytes of the string, or-ed; a top bit asks for the UTF-8 check
	for {
		hit := uint64(0)
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i:])
			x, y := w^0x02*ones, w^'\\'*ones
			if hit = ((x-0x21*ones)&^x | (y-ones)&^y) & tops; hit != 0 {
				seen |= w & (hit&-hit - 1)
				i += bits.TrailingZeros64(hit) >> 3
				break
			}
			seen |= w
			i += 8
		}
		if hit == 0 {
			for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
				seen |= uint64(data[i])
				i++
			}
		}
		switch {
		case i >= len(data):
			return i, escaped, short
		case data[i] == '"':
			if seen&tops != 0 && !utf8.Valid(data[start:i]) {
				return start + invalidUTF8(data[start:i]), escaped, badUTF8
			}
			return i + 1, escaped, sound
		case data[i] != '\\':
			return i, escaped, controlByte
		}
		escaped = true
		if i, f = skipEscape(data, i); f != sound {
			return i, escaped, f
		}
	}
}

// skipEscape scans the escape sequence that begins with the backslash at data[i].
func skipEscape(data []byte, i int) (int, fault) {
	if i+1 >= len(data) {
		return i, short
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, sound
	case 'u':
		digits := data[i+2 : min(i+6, len(data))]
		for _, c := range digits {
			if unhex(c) > 15 {
				return i, badEscape
			}
		}
		if len(digits) < 4 {
			return i, short
		}
		return i + 6, sound
	}
	return i, badEscape
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// skipNumber accepts a number that reaches to the end of data; whoever has only a part of the text must look again.
func skipNumber(data []byte, i int) (int, fault) {
	start := i
	if data[i] == '-' {
		i++
	}
	whole := i
	if i = skipDigits(data, i); i == whole {
		return unfinished(data, start, i)
	}
	if data[whole] == '0' && i > whole+1 {
		return start, badNumber
	}
	if i < len(data) && data[i] == '.' {
		fraction := i + 1
		if i = skipDigits(data, fraction); i == fraction {
			return unfinished(data, start, i)
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		exponent := i
		if i = skipDigits(data, exponent); i == exponent {
			return unfinished(data, start, i)
		}
	}
	return i, sound
}

func skipDigits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// unfinished tells a number that lacks digits at i from one that is merely cut off there.
func unfinished(data []byte, start, i int) (int, fault) {
	if i >= len(data) {
		return i, short
	}
	return start, badNumber
}

func skipWord(data []byte, i int, word string) (int, fault) {
	rest := data[i:]
	if len(rest) >= len(word) && string(rest[:len(word)]) == word {
		return i + len(word), sound
	}
	if len(rest) < len(word) && string(rest) == word[:len(rest)] {
		return len(data), short
	}
	return i, badLiteral
}

// kinds tells a value's kind by its first byte.
var kinds = [256]Kind{
	'n': Null, 'f': False, 't': True, '"': String, '[': Array, '{': Object, '-': Number,
	'0': Number, '1': Number, '2': Number, '3': Number, '4': Number,
	'5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}
