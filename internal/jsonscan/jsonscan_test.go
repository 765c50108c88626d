package jsonscan

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestBadTextIsRejectedWithItsPlaceAndReason(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		offset     int64
		reason     fault
	}{
		{"no text", "", 0, empty},
		{"white space only", " \n", 2, empty},
		{"HTML", " <html>", 1, html},
		{"byte order mark", "\xEF\xBB\xBF{}", 0, bom},
		{"truncated object", `{"a":[1,{"b":2}`, 15, short},
		{"truncated word", `[tru`, 4, short},
		{"truncated key", `{"a`, 3, short},
		{"truncated escape", `"\u12`, 1, short},
		{"missing bracket", `{"a":[1,2}`, 9, noComma},
		{"garbage after the value", `{"a":1} x`, 8, trailing},
		{"two values", `1 2`, 2, trailing},
		{"bad escape", `{"a":"b\q"}`, 7, badEscape},
		{"bad \\u escape", `"\u12g4"`, 1, badEscape},
		{"leading zero", `{"a":01}`, 5, badNumber},
		{"no fraction", `[1.]`, 1, badNumber},
		{"no whole part", `[.5]`, 1, noValue},
		{"no exponent", `[1e+]`, 1, badNumber},
		{"lone minus", `[-]`, 1, badNumber},
		{"plus sign", `[+1]`, 1, noValue},
		{"not a number", `[NaN]`, 1, noValue},
		{"bad word", `[trve]`, 1, badLiteral},
		{"word that goes on", `[nulls]`, 5, noComma},
		{"missing comma", `{"a":1 "b":2}`, 7, noComma},
		{"trailing comma in an object", `{"a":1,}`, 7, noKey},
		{"trailing comma in an array", `[1,]`, 3, noValue},
		{"missing colon", `{"a" 1}`, 5, noColon},
		{"missing value", `{"a":}`, 5, noValue},
		{"key without quotes", `{a:1}`, 1, noKey},
		{"raw newline in a string", "[\"a\nb\"]", 3, controlByte},
		{"raw NUL in a long string", "[\"0123456789\x00abcdefgh\"]", 12, controlByte},
		{"invalid UTF-8", "{\"a\":\"0123456\xff\"}", 13, badUTF8},
		{"overlong UTF-8", "[\"\xC0\x80\"]", 2, badUTF8},
		{"surrogate in UTF-8", "[\"ab\xED\xA0\x80\"]", 4, badUTF8},
		{"UTF-8 cut by the quote", "[\"é\xC3\"]", 4, badUTF8},
		{"byte outside ASCII between values", "[1,\xA0 2]", 3, noValue},
		{"no-break space after the value", "[1]\u00a0", 3, trailing},
		{"nested too deeply", nested(MaxDepth + 1), MaxDepth, tooDeep},
		{"nested far too deeply", strings.Repeat(`{"a":`, 20_000), 5 * MaxDepth, tooDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Check([]byte(tt.text))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("Check: %v, want a SyntaxError", err)
			}
			if syntax.Offset != tt.offset || syntax.Msg != tt.reason.String() {
				t.Errorf("Check: %v, want byte %d: %v", err, tt.offset, tt.reason)
			}
			if err := Members([]byte(tt.text), func([]byte, Value) error { return nil }); err == nil {
				t.Error("Members accepts it")
			}
			if err := Elements([]byte(tt.text), func(Value) error { return nil }); err == nil {
				t.Error("Elements accepts it")
			}
		})
	}
}

func TestMembersAndElementsNameTheWrongKind(t *testing.T) {
	err := Members([]byte(" [1]"), func([]byte, Value) error { return nil })
	if err == nil || err.Error() != "parse JSON at byte 1: this is not an object" {
		t.Errorf("Members of an array: %v", err)
	}
	err = Elements([]byte(`{"a":1}`), func(Value) error { return nil })
	if err == nil || err.Error() != "parse JSON at byte 0: this is not an array" {
		t.Errorf("Elements of an object: %v", err)
	}
}

func TestMembersComeInOrderWithDuplicates(t *testing.T) {
	text := ` { "id" : 556166999919402008 , "a\u0062" : "x\ny" , "id":null,"o":{"k":[]},"l":[ 1 ],"t":true,"f":false, "" : -1.5E+3 } `
	want := []string{"id 4 556166999919402008", `ab 5 "x\ny"`, "id 1 null", `o 7 {"k":[]}`, "l 6 [ 1 ]", "t 3 true", "f 2 false", " 4 -1.5E+3"}
	var got []string
	err := Members([]byte(text), func(key []byte, v Value) error {
		got = append(got, string(key)+" "+string('0'+rune(v.Kind))+" "+string(v.Raw))
		if v.Escaped != strings.Contains(string(v.Raw), `\`) {
			t.Errorf("%s: Escaped is %t", v.Raw, v.Escaped)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAnErrorOfTheCallbackEndsTheWalk(t *testing.T) {
	enough := errors.New("enough")
	calls := 0
	if err := Members([]byte(`{"a":1,"b":2,`), func([]byte, Value) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("Members: %v after %d calls", err, calls)
	}
	if err := Elements([]byte(`[1,2,`), func(Value) error { calls++; return enough }); err != enough || calls != 2 {
		t.Errorf("Elements: %v after %d calls", err, calls-1)
	}
}

func TestTextIsUnescapedAsEncodingJSONDoes(t *testing.T) {
	for _, text := range []string{
		`""`, `"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000\u00e9\uFFFD\u20AC"`, `"a\ud83d\ude00b"`,
		`"\ud800"`, `"\udc00x"`, `"\ud800\u0041"`, `"\ud800\ud83d\ude00"`, `"\ud83d\n\ude00"`, `"\ud83d\"`[:7] + `"`,
	} {
		v, err := Check([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := string(AppendText([]byte("<"), v)); got != "<"+want {
			t.Errorf("%s: got %q, want %q", text, got, "<"+want)
		}
	}
}

func TestStringsAreWrittenAsJSON(t *testing.T) {
	for text, want := range map[string]string{
		"":                      `""`,
		"a\"b\\c\n\r\t\x00\x1f": `"a\"b\\c\n\r\t\u0000\u001f"`,
		"<b>é日😀\u2028":          "\"<b>é日😀\u2028\"",
		"x\xff\xe6\x97y\xc3":    "\"x\ufffd\ufffd\ufffdy\ufffd\"",
	} {
		if got := string(AppendString([]byte("k:"), text)); got != "k:"+want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if got := string(AppendString(nil, []byte(text))); got != want {
			t.Errorf("%q as bytes: got %s, want %s", text, got, want)
		}
	}
}

func TestNothingIsAllocatedForAnEvent(t *testing.T) {
	event := []byte(`{"id":556166999919402008,"name":"é\n","list":[1,{"a":"b"}],"text":"0123456789"}`)
	buf := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		err := Members(event, func(key []byte, v Value) error {
			if v.Kind == String {
				buf = AppendString(AppendText(buf[:0], v), v.Raw)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
