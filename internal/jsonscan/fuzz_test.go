package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are texts on either side of the rules, to begin the search with.
func seeds() []string {
	return []string{
		"", " ", "null", "true", "false", "0", "-0.0e-0", "1e400", "01", "1.", "+1", "NaN", "[1,]", `{"a":1,}`, "<html>", "\xEF\xBB\xBF{}",
		`{"a":1,"a":"2","b":[{"c":null}],"\u0061\n":true} `,
		`["\ud83d\ude00","\ud800","\udc00\ud800","\u0000","\uD83D\u0041"]`, `"\ud83d`, `"\x"`, "[\"a\x00\"]", "\"\x7f\u2028\"",
		"{\"é日😀\":\"\xff\"}", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"01234567\\\"89\xC3\"",
		`{"id":556166999919402008,"t":1767225600.000001,"n":-12E+07}`,
		`{"ok":1,"result":[{"_id":"a","url":"https://example.com/?a=b\u0026c"},{"_id":"b","l":[[],{}]}],"wait_time":5}`,
		`{"ok":0,"result":"reason"}`, `{"result":null,"resu\u006ct":[1,"x",null]}`,
		nested(MaxDepth), nested(MaxDepth + 1), nested(20_000), strings.Repeat(`{"a":`, 20_000),
		`{"result":[{"a":"` + strings.Repeat("long ", 200) + `"}]}`,
	}
}

// deep tells whether text nests deeper than MaxDepth, for texts that are JSON up to there.
func deep(text []byte) bool {
	_, err := Check(text)
	var syntax *SyntaxError
	return errors.As(err, &syntax) && syntax.Msg == tooDeep.String()
}

// trulyDeep counts brackets outside of strings, by another way than the scanner's.
func trulyDeep(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '[' || c == '{'):
			if depth++; depth > MaxDepth {
				return true
			}
		case !quoted && (c == ']' || c == '}'):
			depth--
		}
	}
	return false
}

func FuzzCheck(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Check(text)
		if want := json.Valid(text) && utf8.Valid(text) && !trulyDeep(text); (err == nil) != want {
			t.Fatalf("Check: %v, but encoding/json says %t", err, json.Valid(text))
		}
		if deep(text) && !trulyDeep(text) {
			t.Fatal("Check finds it too deep")
		}
		checkWalks(t, text, v, err)
		if err == nil {
			checkValue(t, v, bytes.TrimSpace(text))
		}
	})
}

// checkWalks compares the verdicts of Members and Elements with that of Check, and what they find with encoding/json.
func checkWalks(t *testing.T, text []byte, v Value, verdict error) {
	members := map[string]Value{}
	err := Members(text, func(key []byte, v Value) error { members[string(key)] = v; return nil })
	if (err == nil) != (verdict == nil && v.Kind == Object) {
		t.Fatalf("Members: %v, Check: %v", err, verdict)
	}
	if err == nil {
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(members) != len(want) {
			t.Fatalf("got %d keys, want %d", len(members), len(want))
		}
		for key, v := range members {
			checkValue(t, v, want[key])
		}
	}

	var elements []Value
	err = Elements(text, func(v Value) error { elements = append(elements, v); return nil })
	if (err == nil) != (verdict == nil && v.Kind == Array) {
		t.Fatalf("Elements: %v, Check: %v", err, verdict)
	}
	if err == nil {
		var want []json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(elements) != len(want) {
			t.Fatalf("got %d elements, want %d", len(elements), len(want))
		}
		for i, v := range elements {
			checkValue(t, v, want[i])
		}
	}
}

// checkValue compares v with raw, which encoding/json delimited, and its kind and text with what encoding/json makes of raw.
func checkValue(t *testing.T, v Value, raw []byte) {
	if !bytes.Equal(v.Raw, raw) {
		t.Fatalf("got %q, want %q", v.Raw, raw)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var want any
	if err := d.Decode(&want); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	var kind Kind
	switch want := want.(type) {
	case nil:
		kind = Null
	case bool:
		kind = False
		if want {
			kind = True
		}
	case json.Number:
		kind = Number
	case string:
		kind = String
		if got := string(AppendText(nil, v)); got != want {
			t.Fatalf("%s: text %q, want %q", raw, got, want)
		}
		if v.Escaped != bytes.ContainsRune(raw, '\\') {
			t.Fatalf("%s: Escaped is %t", raw, v.Escaped)
		}
	case []any:
		kind = Array
	case map[string]any:
		kind = Object
	}
	if v.Kind != kind {
		t.Fatalf("%s: kind %d, want %d", raw, v.Kind, kind)
	}
}

// A found is one call of a Reader's callback.
type found struct {
	key, raw string
	event    bool
}

// takeApart does what Reader.Read promises, with the page in memory.
func takeApart(page []byte, events string) (got []found, err error) {
	err = Members(page, func(key []byte, v Value) error {
		if v.Kind != Array || string(key) != events {
			got = append(got, found{key: string(key), raw: string(v.Raw)})
			return nil
		}
		return Elements(v.Raw, func(v Value) error {
			got = append(got, found{raw: string(v.Raw), event: true})
			return nil
		})
	})
	return got, err
}

func FuzzReader(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s), uint64(i), uint16(i%9))
		f.Add([]byte(`{"x":`+s+`,"result":[`+s+`, `+s+`]}`), uint64(i), uint16(i))
	}
	for _, n := range []int{startSize - 15, startSize - 14, startSize - 1, startSize, startSize + 1} {
		text := strings.Repeat(`é\n日`, n/7) + strings.Repeat("x", n%7)
		f.Add([]byte(`{"result":["`+text+`","`+text+`"]}`), uint64(n), uint16(60_000))
	}
	var d Reader
	f.Fuzz(func(t *testing.T, page []byte, seed uint64, most uint16) {
		want, verdict := takeApart(page, "result")
		r := rand.New(rand.NewPCG(seed, 0))
		var got []found
		err := d.Read(&pieces{rest: page, size: func() int { return 1 + r.IntN(1+int(most)) }}, "result",
			func(raw []byte) error { got = append(got, found{raw: string(raw), event: true}); return nil },
			func(key []byte, v Value) error {
				got = append(got, found{key: string(key), raw: string(v.Raw)})
				return nil
			})
		if (err == nil) != (verdict == nil) {
			t.Fatalf("Read: %v, Members: %v", err, verdict)
		}
		if err == nil {
			if !slices.Equal(got, want) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
			if !json.Valid(page) {
				t.Fatal("encoding/json rejects the page")
			}
			return
		}
		checkSameError(t, err, verdict)
		if n := len(want) - 1; len(got) == n && errors.Is(err, io.ErrUnexpectedEOF) {
			want = want[:n] // a number at the end of the page, which may go on for the Reader
		}
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Fatalf("before the flaw: got %+v, want at least %+v", got, want)
		}
	})
}

// checkSameError expects the same flaw at the same place from both, or that the page is short for both.
func checkSameError(t *testing.T, err, verdict error) {
	var syntax, want *SyntaxError
	if !errors.As(verdict, &want) {
		t.Fatalf("Members: %v", verdict)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		if want.Msg != short.String() && want.Msg != empty.String() {
			t.Fatalf("Read: %v, Members: %v", err, verdict)
		}
		return
	}
	if !errors.As(err, &syntax) || *syntax != *want {
		t.Fatalf("Read: %v, Members: %v", err, verdict)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range append(seeds(), "a\xffb\xC3", "\x00\x1f\x7f", "\u2028<&>", "\xED\xA0\x80", "😀\xF0\x9F\x98") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		written := AppendString([]byte("x"), text)[1:]
		var read string
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		want := string([]rune(text)) // invalid bytes become U+FFFD
		if read != want {
			t.Fatalf("%q is read as %q", text, read)
		}
		v, err := Check(written)
		if err != nil || string(AppendText(nil, v)) != want {
			t.Fatalf("%q: Check: %v", written, err)
		}
		if bytesWritten := AppendString(nil, []byte(text)); !bytes.Equal(bytesWritten, written) {
			t.Fatalf("%q as bytes is written as %q", text, bytesWritten)
		}
	})
}
