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
//   - A wrong name, a wrong type, a bad pattern, network or time and an expression that is no condition are found by Compile.
//   - An expression that fails while it is evaluated, as a division by zero or a missing key of a map does, loses nothing: the
//     artifact passes. So it does if the evaluation costs more than its budget, which bounds the time that one artifact takes.
//   - Only the fields that an expression comes to are looked at, and JSON is decoded only for them.
//
// Beside the functions of the language there are those of its string extension (lowerAscii, split, replace, …),
// matches for regular expressions, and address.inNetwork("10.0.0.0/8"), which is false if there is no address.
package filter

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/skopeflow/skopeflow/schema"
)

const (
	// maxLength is how long an expression may be, in bytes.
	maxLength = 4096

	// maxCost bounds an evaluation, in the units of CEL: about one per operation, per ten bytes compared and per step of a loop.
	// That is some 10 ms. What people write costs about 10.
	maxCost = 100_000
)

// A Filter decides which artifacts pass. Nil lets all pass. It serves many goroutines at once.
type Filter struct {
	keep, drop  cel.Program // nil: no such condition
	evaluations sync.Pool
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
		return true, fmt.Errorf("evaluate keep: %w", err)
	}
	if !kept {
		return false, nil
	}
	dropped, err := holds(f.drop, e, false)
	if err != nil {
		return true, fmt.Errorf("evaluate drop: %w", err)
	}
	return !dropped, nil
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
