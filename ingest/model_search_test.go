package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// This file searches all scenes, the nearest first.

// A finding is what a search has come to.
type finding struct {
	scenes int
	wrong  string // "" is nothing
	story  string // the shortest way to it
}

func (f *finding) verdict() string {
	if f.wrong == "" {
		return "holds"
	}
	return f.wrong
}

// A searching knows each scene by the order in which it was found.
type searching struct {
	*stage
	scenes   []scene
	parents  []uint32
	found    map[scene]uint32
	passages []passage // those that are no faults
}

type passage struct{ from, to uint32 }

// mostScenes bounds a search, lest a lane that goes round without end is searched so.
const mostScenes = 1_500_000

// search visits every scene that rules allow, until something is wrong.
func search(r rules, lib *library) finding {
	s := &searching{stage: &stage{r, lib}, found: map[scene]uint32{}}
	s.visit(scene{there: cmp.Or(r.there, lastPage), left: r.budget}, 0)
	for at := uint32(0); at < uint32(len(s.scenes)); at++ {
		w := s.scenes[at]
		wrong := ""
		var last move
		s.moves(&w, func(m move) {
			if wrong != "" {
				return
			}
			if wrong = m.wrong; wrong == "" {
				if page := s.lost(&m.to); page != 0 {
					wrong = fmt.Sprintf("page %d is lost", page)
				}
			}
			last = m
			to := s.visit(m.to, at)
			if !m.fault {
				s.passages = append(s.passages, passage{at, to})
			}
		})
		if len(s.scenes) > mostScenes {
			wrong = "there are too many scenes"
		}
		if wrong != "" {
			return finding{len(s.scenes), wrong, s.story(at, &last)}
		}
	}
	if stuck, ok := s.stuck(); ok {
		return finding{len(s.scenes), "there is no way on", s.story(stuck, nil)}
	}
	return finding{scenes: len(s.scenes)}
}

func (s *searching) visit(w scene, from uint32) uint32 {
	id, ok := s.found[w]
	if !ok {
		id = uint32(len(s.scenes))
		s.found[w] = id
		s.scenes, s.parents = append(s.scenes, w), append(s.parents, from)
	}
	return id
}

// stuck returns the nearest scene from which no way leads to where all is read.
func (s *searching) stuck() (uint32, bool) {
	slices.SortFunc(s.passages, func(a, b passage) int { return int(a.to) - int(b.to) })
	reaches := make([]bool, len(s.scenes))
	var queue []uint32
	for id := range s.scenes {
		if s.arrived(&s.scenes[id]) {
			reaches[id] = true
			queue = append(queue, uint32(id))
		}
	}
	for len(queue) > 0 {
		to := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		first, _ := slices.BinarySearchFunc(s.passages, to, func(e passage, to uint32) int { return int(e.to) - int(to) })
		for _, e := range s.passages[first:] {
			if e.to != to {
				break
			}
			if !reaches[e.from] {
				reaches[e.from] = true
				queue = append(queue, e.from)
			}
		}
	}
	stuck := slices.Index(reaches, false)
	return uint32(max(stuck, 0)), stuck >= 0
}

// story tells the steps to a scene, and the one that follows.
func (s *searching) story(id uint32, then *move) string {
	var steps []string
	if then != nil {
		steps = append(steps, s.tell(then))
	}
	for id != 0 {
		parent := s.parents[id]
		w := s.scenes[parent]
		told := false
		s.moves(&w, func(m move) {
			if !told && m.to == s.scenes[id] {
				told = true
				steps = append(steps, s.tell(&m))
			}
		})
		id = parent
	}
	slices.Reverse(steps)
	for i := range steps {
		steps[i] = fmt.Sprintf("%3d  %s", i+1, steps[i])
	}
	return strings.Join(steps, "\n")
}

func (s *searching) tell(m *move) string {
	who := ""
	if m.by >= 0 {
		who = string(rune('A'+m.by)) + " "
	}
	return fmt.Sprintf("%-62s %s", who+m.what, s.String(&m.to))
}
