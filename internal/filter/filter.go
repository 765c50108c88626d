// Package filter keeps or drops artifacts by expressions in CEL, the Common Expression Language.
//
// The variables are the fields of an artifact under their names in the schema, and each has the type that the schema gives it:
//
//	severity_id >= 3 && app.name == "Slack" && user.email.endsWith("@acme.example")
//	device.ip.inNetwork("10.0.0.0/8") && !has(user.email)
//	dlp.matches.exists(m, m.rules.exists(r, r.count > 100))
//	time > timestamp("2026-01-01T00:00:00Z") && "vip" in tags && unmapped.shadow_it == "yes"
//
// What it promises:
//   - A field that an artifact does not have is never an error. It is "", 0, false, an empty list or map, and 1970 for a time; JSON
//     of any form is null. has(user.email) tells whether a field of a group is there.
//     So is a key that unmapped or user.attributes lacks.
//   - A wrong name, a wrong type, a bad pattern, network or time, an expression that is no condition, and a text that a field with a
//     fixed vocabulary is compared with and never has (severity == "hihg") are found by Compile.
//   - An expression that fails while it is evaluated, as a division by zero or a missing key deep in a document does, loses nothing:
//     the artifact passes, and Failures counts it.
//   - What one artifact takes is bounded, and an evaluation that would take more fails: by a budget of steps, which is spent in some
//     10 ms, and for functions on texts by 64 KiB of text. Regular expressions are the dearest: the worst pattern that
//     Compile lets pass (a program of 500 instructions) may take a second for the longest text, and usual ones a few milliseconds.
//   - Only the fields that an expression comes to are looked at, and JSON is decoded only for them.
//
// Beside the functions of the language there are those of its string extension (lowerAscii, split, replace, …) but format and quote,
// matches for regular expressions, and address.inNetwork("10.0.0.0/8"), which is false if there is no address.
package filter

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/cel"

	"github.com/skopeflow/skopeflow/schema"
)

const (
	// maxLength is how long an expression may be, in bytes.
	maxLength = 4096

	// maxCost bounds an evaluation, in the units of CEL: about one per operation, per ten bytes compared and per step of a loop.
	// A byte that a regular expression looks at is one too. What people write costs about 10.
	maxCost = 100_000
)

// A Filter decides which artifacts pass. Nil lets all pass. It serves many goroutines at once.
type Filter struct {
	keep, drop  cel.Program // nil: no such condition
	evaluations sync.Pool
	failures    atomic.Uint64
	last        atomic.Pointer[string] // the class of the latest failure
}

// Compile returns the filter that passes what keep is true for and drop is not. An empty expression is no condition; without
// any the filter is nil. The error is one sentence that names the expression, the place in it and what is wrong there.
func Compile(keep, drop string) (*Filter, error) {
	if keep == "" && drop == "" {
		return nil, nil
	}
	v, err := newVocabulary()
	if err != nil {
		return nil, err
	}
	env, err := v.environment()
	if err != nil {
		return nil, fmt.Errorf("prepare filter expressions: %w", err)
	}
	f := &Filter{evaluations: sync.Pool{New: func() any { return v.newEvaluation() }}}
	if f.keep, err = v.compile(env, "keep", keep); err != nil {
		return nil, err
	}
	if f.drop, err = v.compile(env, "drop", drop); err != nil {
		return nil, err
	}
	return f, nil
}

// Pass says whether an artifact passes. With an error it does: the expression could not be evaluated, and nothing is lost by that.
func (f *Filter) Pass(a *schema.Artifact) (bool, error) {
	if f == nil {
		return true, nil
	}
	e := f.evaluations.Get().(*evaluation)
	defer f.evaluations.Put(e)
	e.artifact = a
	defer e.forget()
	kept, err := holds(f.keep, e, true)
	if err != nil {
		return true, f.failed("keep", err)
	}
	if !kept {
		return false, nil
	}
	dropped, err := holds(f.drop, e, false)
	if err != nil {
		return true, f.failed("drop", err)
	}
	return !dropped, nil
}

func (f *Filter) failed(which string, err error) error {
	class := which + ": " + classOf(err)
	f.failures.Add(1)
	f.last.Store(&class)
	return fmt.Errorf("evaluate %s: %w", which, err)
}

// Failures returns how many evaluations have failed, and what the latest was: "keep: no such key". It holds no value of an artifact.
func (f *Filter) Failures() (n uint64, last string) {
	if f == nil {
		return 0, ""
	}
	if class := f.last.Load(); class != nil {
		last = *class
	}
	return f.failures.Load(), last
}

// failureClasses are what errors of an evaluation say beside values.
var failureClasses = []string{
	"no such key", "no such field", "no such overload", "no such attribute", "division by zero", "modulus by zero", "overflow", "out of range", "out of bounds",
	"cost limit exceeded", "is not a network", "decode JSON", "too long", "not true or false", "type conversion error", "invalid RFC 3339 timestamp", "error parsing regexp", "regex program size",
}

// classOf returns what an error says whatever the artifact.
func classOf(err error) string {
	for _, class := range failureClasses {
		if strings.Contains(err.Error(), class) {
			return class
		}
	}
	return "cannot be evaluated"
}

func holds(p cel.Program, e *evaluation, otherwise bool) (bool, error) {
	if p == nil {
		return otherwise, nil
	}
	result, _, err := p.Eval(e)
	if err != nil {
		return false, err
	}
	truth, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("result is %s, not true or false", result.Type().TypeName())
	}
	return truth, nil
}
