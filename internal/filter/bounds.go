package filter

import (
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// The budget is charged when a call is over, so what one call may cost is bounded before it.
const (
	// maxText is how long a text may be that a function works through, and what replace makes of one, in bytes. A list counts as
	// its texts together.
	maxText = 64 << 10

	// maxArgument is how long a pattern or separator may be that does not stand in the expression itself, in bytes.
	maxArgument = 1 << 10
)

const (
	boundText     = "@text"
	boundArgument = "@argument"
)

// boundedFunctions are those that look at all of a text, and most more than once.
var boundedFunctions = []string{
	"matches", "replace", "split", "lowerAscii", "upperAscii", "indexOf", "lastIndexOf", "charAt", "substring", "trim", "reverse", "join",
}

// boundedTexts puts a bound around the text that a function is called on, and around its first argument. There is no format and no
// quote: a condition needs neither.
func boundedTexts() cel.EnvOption {
	var macros []cel.Macro
	for _, name := range boundedFunctions {
		macros = append(macros, cel.ReceiverVarArgMacro(name, func(factory cel.MacroExprFactory, target celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
			if len(args) > 0 && args[0].Kind() != celast.LiteralKind {
				args[0] = factory.NewCall(boundArgument, args[0])
			}
			return factory.NewMemberCall(name, factory.NewCall(boundText, target), args...), nil
		}))
	}
	macros = append(macros, cel.GlobalMacro("matches", 2, func(factory cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
		if args[1].Kind() != celast.LiteralKind {
			args[1] = factory.NewCall(boundArgument, args[1])
		}
		return factory.NewCall("matches", factory.NewCall(boundText, args[0]), args[1]), nil
	}))
	for _, name := range []string{"format", "quote"} {
		macros = append(macros, cel.ReceiverVarArgMacro(name, func(factory cel.MacroExprFactory, target celast.Expr, _ []celast.Expr) (celast.Expr, *cel.Error) {
			return nil, factory.NewError(target.ID(), "a filter has no function "+name)
		}))
	}
	return cel.Lib(bounds(macros))
}

// bounds is a library of CEL.
type bounds []cel.Macro

// ProgramOptions is a method of cel.Library.
func (bounds) ProgramOptions() []cel.ProgramOption { return nil }

// CompileOptions is a method of cel.Library.
func (b bounds) CompileOptions() []cel.EnvOption {
	same, text := cel.TypeParamType("T"), cel.StringType
	return []cel.EnvOption{
		cel.Macros(b...),
		cel.Function(boundText, cel.Overload("bound_text", []*cel.Type{same}, same, cel.UnaryBinding(func(v ref.Val) ref.Val { return bounded(v, maxText) }))),
		cel.Function(boundArgument, cel.Overload("bound_argument", []*cel.Type{same}, same, cel.UnaryBinding(func(v ref.Val) ref.Val { return bounded(v, maxArgument) }))),
		cel.Function("replace",
			cel.MemberOverload("string_replace_string_string", []*cel.Type{text, text, text}, text, cel.FunctionBinding(replace)),
			cel.MemberOverload("string_replace_string_string_int", []*cel.Type{text, text, text, cel.IntType}, text, cel.FunctionBinding(replace))),
		cel.Function("join",
			cel.MemberOverload("list_join_string", []*cel.Type{cel.ListType(text), text}, text, cel.BinaryBinding(join))),
	}
}

func bounded(v ref.Val, limit int) ref.Val {
	if n := textLength(v, limit); n > limit {
		return types.NewErr("text of %d bytes is too long for a function, which takes %d", n, limit)
	}
	return v
}

// textLength returns how long a text, or the texts of a list, is in bytes. It stops beyond the limit.
func textLength(v ref.Val, limit int) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case traits.Lister:
		n := 0
		for it := v.Iterator(); n <= limit && it.HasNext() == types.True; {
			n += 1 + textLength(it.Next(), limit-n)
		}
		return n
	}
	return 0
}

// replace is as the function of the extension, with a bound on what it makes.
func replace(args ...ref.Val) ref.Val {
	text, from, to, n := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String)), -1
	if len(args) > 3 {
		n = int(args[3].(types.Int))
	}
	found := strings.Count(text, from)
	if n >= 0 {
		found = min(found, n)
	}
	if len(to) > maxText || len(text)+found*len(to) > maxText {
		return types.NewErr("text that replace makes is too long, %d bytes are allowed", maxText)
	}
	return types.String(strings.Replace(text, from, to, n))
}

// join is as the function of the extension, with a bound on what it makes.
func join(list, separator ref.Val) ref.Val {
	var texts []string
	for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; {
		text, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("no such overload: join of a list that holds another type than texts")
		}
		texts = append(texts, string(text))
	}
	between := string(separator.(types.String))
	if len(texts)*len(between) > maxText {
		return types.NewErr("text that join makes is too long, %d bytes are allowed", maxText)
	}
	return types.String(strings.Join(texts, between))
}

// costs charges by the bytes of texts, where CEL takes a call to be free or counts the characters first, which takes longer than
// the call. matches takes time by its text whatever the pattern.
type costs struct{}

// CallCost is a method of cost.ActualCostEstimator.
func (costs) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	var cost int
	switch function {
	case "matches":
		cost = length(args[0])
	case operators.Add, overloads.Contains:
		cost = (length(args[0]) + length(args[1])) / 10
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		cost = min(length(args[0]), length(args[1])) / 10
	case overloads.StartsWith, overloads.EndsWith:
		cost = length(args[1]) / 10
	case "size", "string", "bytes", "int", "uint", "double", "timestamp", "duration", inNetwork:
		cost = length(args[0]) / 100
	case boundText:
		if list, ok := args[0].(traits.Lister); ok {
			size, _ := list.Size().(types.Int)
			cost = int(size)
		}
	default:
		return nil
	}
	if cost < 0 {
		return nil
	}
	charged := uint64(1 + cost)
	return &charged
}

// length returns how many bytes a value has, or much less than 0 if it is no text.
func length(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	}
	return math.MinInt32
}
