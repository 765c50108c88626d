package view

import (
	"strings"
	"sync"
	"testing"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

func shout(dst []byte, a *schema.Artifact) []byte {
	if a.User.Name == "" {
		return dst
	}
	return jsonscan.AppendString(dst, strings.ToUpper(a.User.Name))
}

func isAlert(a *schema.Artifact) bool { return a.Kind == schema.KindAlert }

func TestDocumentHasWhatTheTableSays(t *testing.T) {
	a := &schema.Artifact{
		Kind: schema.KindAlert, Severity: schema.SeverityHigh, SeverityID: 4, Time: 1768478400123, Count: 2, Tags: []string{"a", "b\"c"},
		User: schema.User{Name: "jane", ID: "7"}, Src: schema.Src{IP: "192.0.2.1", Lat: 1.5}, Device: schema.Device{Managed: schema.False},
		Unmapped: `{"n":18446744073709551615}`,
	}
	for name, c := range map[string]struct {
		table Table
		want  string
	}{
		"an empty table":               {Table{}, `{}`},
		"fields of every type":         {Table{"a": Field("severity"), "b": Field("severity_id"), "c": Field("time"), "d": Field("tags"), "e": Field("src.lat"), "f": Field("device.managed"), "g": Field("unmapped"), "h": Field("count")}, `{"a":"high","b":4,"c":"2026-01-15T12:00:00.123Z","d":["a","b\"c"],"e":1.5,"f":false,"g":{"n":18446744073709551615},"h":2}`},
		"a field that is absent":       {Table{"a": Field("message"), "b": Field("user.name")}, `{"b":"jane"}`},
		"nothing at all":               {Table{"a": Field("message")}, `{}`},
		"objects":                      {Table{"o.p.q": Field("user.name"), "o.p.r": Field("user.id"), "o.s": Field("count"), "t": Field("kind")}, `{"o":{"p":{"q":"jane","r":"7"},"s":2},"t":"alert"}`},
		"objects with nothing in them": {Table{"o.p.q": Field("message"), "o.p.r": Field("dst.ip"), "o.s": Field("app.name"), "t": Field("kind")}, `{"t":"alert"}`},
		"an object after an empty one": {Table{"o.p.q": Field("message"), "o.z.q": Field("user.id")}, `{"o":{"z":{"q":"7"}}}`},
		"names that begin alike":       {Table{"ab": Field("user.id"), "a.b": Field("user.name"), "a-b": Field("count")}, `{"a-b":2,"a":{"b":"jane"},"ab":"7"}`},
		"an array with an object":      {Table{"o[].p": Field("user.name"), "o[].q[].r": Field("user.id")}, `{"o":[{"p":"jane","q":[{"r":"7"}]}]}`},
		"an array with a value":        {Table{"o[]": Field("user.name")}, `{"o":["jane"]}`},
		"an array with nothing":        {Table{"o[].p": Field("message"), "p[]": Field("message"), "q": Field("user.id")}, `{"q":"7"}`},
		"the first that is there":      {Table{"a": First("message", "user.name", "user.id"), "b": First("message", "dst.ip")}, `{"a":"jane"}`},
		"a list":                       {Table{"a": List("src.ip"), "b": List("dst.ip")}, `{"a":["192.0.2.1"]}`},
		"constants":                    {Table{"a": Const("x"), "b": Const(7), "c": Const([]string{"y"}), "d": Const(true)}, `{"a":"x","b":7,"c":["y"],"d":true}`},
		"a function":                   {Table{"a": Func(shout, "user.name")}, `{"a":"JANE"}`},
		"a value with a condition":     {Table{"a": Field("user.id").If(isAlert), "b": Field("user.id").If(func(*schema.Artifact) bool { return false })}, `{"a":"7"}`},
		"an object for some fields":    {Table{"o": Only("message", "user.id"), "o.c": Const(1), "p": Only("message", "dst.ip"), "p.c": Const(1)}, `{"o":{"c":1}}`},
		"an object with a condition":   {Table{"o": When(isAlert), "o.c": Const(1), "p": When(func(*schema.Artifact) bool { return false }), "p.c": Const(1)}, `{"o":{"c":1}}`},
		"a condition of nothing":       {Table{"o": When(isAlert), "p": Field("user.id")}, `{"p":"7"}`},
		"tables in tables":             {Table{"a": Const(1), "b": Const(1)}.With(Table{"b": Const(2)}, Table{"": Only("user.id"), "c": Const(3)}.Under("o.p"), Table{"": Only("message"), "c": Const(3)}.Under("q")), `{"a":1,"b":2,"o":{"p":{"c":3}}}`},
	} {
		if got := string(Compile(c.table, "1").Append([]byte("before"), a)); got != "before"+c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestVersionHasWhatCameWithItOrBefore(t *testing.T) {
	table := Table{"a": Const(1), "b": Const(2).From("1.6.0"), "o": When(isAlert), "o.c": Const(3).From("1.7.0")}
	for version, want := range map[string]string{
		"1.5.0": `{"a":1}`, "1.6.0": `{"a":1,"b":2}`, "1.7.0": `{"a":1,"b":2,"o":{"c":3}}`, "1.8.0": `{"a":1,"b":2,"o":{"c":3}}`,
	} {
		if got := string(Compile(table, version).Append(nil, &schema.Artifact{Kind: schema.KindAlert})); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

func TestWithLeavesTheTableAsItIs(t *testing.T) {
	table := Table{"a": Const(1)}
	table.With(Table{"a": Const(2), "b": Const(2)})
	if got := string(Compile(table, "").Append(nil, new(schema.Artifact))); got != `{"a":1}` {
		t.Errorf("the table has become %s", got)
	}
}

func TestValuesTellTheirFields(t *testing.T) {
	for want, v := range map[string]Value{
		"user.name": Field("user.name"), "user.name user.id": First("user.name", "user.id"), "src.ip": List("src.ip"),
		"user.email": Func(shout, "user.email"), "kind": Field("kind").If(isAlert).From("2"), "": Const(1),
	} {
		if got := strings.Join(v.Fields, " "); got != want {
			t.Errorf("fields %q, want %q", got, want)
		}
	}
}

func TestMistakeInATableStopsTheProgram(t *testing.T) {
	for name, mistake := range map[string]func(){
		"a field that is none":        func() { Field("user.nmae") },
		"one of several that is none": func() { First("user.name", "no.such") },
		"a list of none":              func() { List("no.such") },
		"a condition of none":         func() { Only("no.such") },
		"a value with parts":          func() { Compile(Table{"a": Const(1), "a.b": Const(2)}, "") },
		"a value with parts below":    func() { Compile(Table{"o.a": Const(1), "o.a.b": Const(2)}, "") },
		"a constant that is no JSON":  func() { Const(func() {}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s passes", name)
				}
			}()
			mistake()
		}()
	}
}

func TestPlanServesManyAtOnce(t *testing.T) {
	p := Compile(Table{"a": Field("user.name"), "o[].b": First("message", "user.id")}, "")
	var all sync.WaitGroup
	for _, name := range []string{"x", "yy", "zzz", "wwww"} {
		all.Go(func() {
			a := &schema.Artifact{User: schema.User{Name: name, ID: name}}
			for range 200 {
				if got, want := string(p.Append(nil, a)), `{"a":"`+name+`","o":[{"b":"`+name+`"}]}`; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
	all.Wait()
}

func TestAppendingAllocatesNothing(t *testing.T) {
	p := Compile(Table{"a": Field("user.name"), "o[].b": First("message", "user.id"), "o[].c": List("src.ip"), "t": Field("time")}, "")
	a := &schema.Artifact{Time: 1, User: schema.User{Name: "x", ID: "y"}, Src: schema.Src{IP: "192.0.2.1"}}
	dst := p.Append(nil, a)
	if n := testing.AllocsPerRun(100, func() { dst = p.Append(dst[:0], a) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
