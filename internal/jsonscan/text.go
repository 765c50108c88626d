package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendText appends the text of the JSON string v.Raw, unescaped, to dst. v must come from this package.
// A surrogate without its other half becomes U+FFFD, as in encoding/json.
func AppendText(dst []byte, v Value) []byte {
	s := v.Raw[1 : len(v.Raw)-1]
	if !v.Escaped {
		return append(dst, s...)
	}
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		s = s[i:]
		if s[1] != 'u' {
			dst = append(dst, unescape(s[1]))
			s = s[2:]
			continue
		}
		r, n := unescapeRune(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
}

// unescape returns what a backslash and c stand for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unescapeRune returns the character that s begins with, a \u sequence or a surrogate pair of two, and its length in s.
func unescapeRune(s []byte) (rune, int) {
	r := hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) rune {
	return rune(unhex(s[0]))<<12 | rune(unhex(s[1]))<<8 | rune(unhex(s[2]))<<4 | rune(unhex(s[3]))
}

// unhex returns the value of a hexadecimal digit, and more than 15 for any other byte.
func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// AppendString appends s to dst as a JSON string, in quotes. Invalid UTF-8 becomes U+FFFD, a byte at a time.
// Characters that HTML treats specially are left as they are.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	plain := 0 // s[plain:i] is still to be copied
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' {
				dst = appendEscape(append(dst, s[plain:i]...), c)
				plain = i + 1
			}
			i++
			continue
		}
		// The conversion is of a few bytes, so that it needs no allocation for a []byte either.
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && n == 1 {
			dst = utf8.AppendRune(append(dst, s[plain:i]...), utf8.RuneError)
			plain = i + 1
		}
		i += n
	}
	return append(append(dst, s[plain:]...), '"')
}

// appendEscape appends the escape sequence of a quote, a backslash or a control character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
