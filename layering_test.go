// Package skopeflow_test holds the checks that concern the whole tree: which
// package may import which, and that nothing waits for a time.
package skopeflow_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/skopeflow/skopeflow"

// core says what of this module each layer below cmd and internal may import.
// A folder that is not named belongs to the one above it, and may import the
// rest of it. What is not here may not be imported.
var core = map[string][]string{
	"schema":          {},
	"checkpoint":      {"schema"},
	"normalize":       {"schema"},
	"publish":         {"schema"},
	"ingest":          {"checkpoint", "schema"},
	"ingest/netskope": {"ingest", "schema"},
}

// leaves import nothing of this module and may be imported by all of it.
var leaves = []string{"internal/jsonscan", "internal/linger", "internal/typo"}

// barred says what of the world outside a layer must not import, and what is
// below it with it.
var barred = map[string][]string{
	"schema":          append([]string{"net/http", "log/slog", nats, orbit}, watching...),
	"checkpoint":      watching,
	"normalize":       append([]string{"net/http", "log/slog", nats, orbit}, watching...),
	"publish":         watching,
	"ingest":          append([]string{"net/http", nats, orbit}, watching...),
	"ingest/netskope": append([]string{nats, orbit}, watching...),
}

const (
	nats  = "github.com/nats-io"
	orbit = "github.com/synadia-io"
)

var watching = []string{"go.opentelemetry.io", "github.com/prometheus", "github.com/kelseyhightower/envconfig"}

// simulator serves tests, and the commands demo and simulate.
const simulator = "internal/netskopesim"

// A source is one Go file of the module.
type source struct {
	name string // relative to the root, with slashes
	set  *token.FileSet
	ast  *ast.File
}

// dir is the folder of the file's package; the root is ".".
func (s source) dir() string { return path.Dir(s.name) }

// test reports whether the file is built into tests only: a test, or a package
// that tests share, as publish/publishtest.
func (s source) test() bool {
	return strings.HasSuffix(s.name, "_test.go") || strings.HasSuffix(s.dir(), "test")
}

// imports are the paths the file imports, those of this module without its name.
func (s source) imports(t *testing.T) (ours, others []string) {
	t.Helper()
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", s.name, spec.Path.Value, err)
		}
		if our, ok := strings.CutPrefix(p, module+"/"); ok {
			ours = append(ours, our)
		} else {
			others = append(others, p)
		}
	}
	return ours, others
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(name) > 1 && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{name: name, set: set, ast: file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for layer := range core {
		if !slices.ContainsFunc(all, func(s source) bool { return within(s.dir(), layer) }) {
			t.Errorf("no Go file in %s: the rules speak of a layer that is not there", layer)
		}
	}
	return all
}

// within reports whether the package or import path p is dir, or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// layer is the part of the core that dir belongs to; empty if it is none.
func layer(dir string) string {
	best := ""
	for name := range core {
		if within(dir, name) && len(name) > len(best) {
			best = name
		}
	}
	return best
}

func isLeaf(dir string) bool { return slices.Contains(leaves, dir) }

// forbidden says why a package in dir may not import our, or nothing.
func forbidden(dir, our string) string {
	from, to := layer(dir), layer(our)
	switch {
	case isLeaf(dir):
		return "a leaf imports nothing of ours"
	case isLeaf(our):
		return ""
	case our == simulator && dir != "cmd/skopeflow":
		return "the simulator is for cmd/skopeflow and tests"
	case dir == simulator && !isLeaf(our):
		return "the simulator shares no code with what it tests"
	case within(our, "cmd"):
		return "cmd is on top"
	case strings.HasSuffix(our, "test"):
		return "a package of tests is for tests"
	case from == "" && (within(dir, "cmd") || within(dir, "internal")):
		return ""
	case from == "":
		return "the folder has no place in the layers: give it one"
	case to != from && !slices.Contains(core[from], to):
		return from + " may import " + strings.Join(append(core[from], leaves...), ", ") + " only"
	}
	return ""
}

func TestImportsPointOneWay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		ours, _ := s.imports(t)
		for _, our := range ours {
			if why := forbidden(s.dir(), our); why != "" {
				t.Errorf("%s imports %s: %s", s.name, our, why)
			}
		}
	}
}

func TestCoreDoesNotKnowWhatIsAroundIt(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		_, others := s.imports(t)
		for _, other := range others {
			for _, bar := range barred[layer(s.dir())] {
				if within(other, bar) {
					t.Errorf("%s imports %s, which %s must not know", s.name, other, layer(s.dir()))
				}
			}
		}
	}
}

// What sleeps cannot be told to stop, and a test that sleeps is slow on one
// machine and wrong on another.
func TestNothingSleeps(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
					t.Errorf("%s sleeps; wait for a fact", s.set.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
