package checkpoint_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/checkpoint"
)

func instanceOf(lane string) string {
	name, _, _ := strings.Cut(lane, ".")
	return name
}

func lanesOf(instances, streams int) []string {
	var lanes []string
	for i := range instances {
		for s := range streams {
			lanes = append(lanes, fmt.Sprintf("i%d.events.s%d", i, s))
		}
	}
	return lanes
}

func replicas(n int) []checkpoint.Member {
	var members []checkpoint.Member
	for i := range n {
		members = append(members, checkpoint.Member{ID: fmt.Sprintf("skopeflow-%d", i), Kind: checkpoint.Replica})
	}
	return members
}

// crowd returns lanes and members of every sort, by a seed.
func crowd(seed uint64) ([]string, []checkpoint.Member) {
	r := rand.New(rand.NewPCG(seed, 0))
	members := replicas(r.IntN(7))
	for i := range members {
		m := &members[i]
		if r.IntN(5) == 0 {
			m.Kind = checkpoint.Job
		}
		m.Draining = r.IntN(5) == 0
		for instance := range 4 {
			if r.IntN(4) == 0 {
				m.Avoid = append(m.Avoid, fmt.Sprintf("i%d", instance))
			}
		}
	}
	return lanesOf(r.IntN(5), 1+r.IntN(9)), members
}

// smallest returns how many lanes the fullest replica has if it has as few as
// can be: of every set of replicas, what only they reach, shared among them.
func smallest(reach map[string][]string, ids []string) (bound int) {
	for set := 1; set < 1<<len(ids); set++ {
		size, lanes := 0, 0
		in := map[string]bool{}
		for i, id := range ids {
			if set&(1<<i) != 0 {
				in[id] = true
				size++
			}
		}
		for _, of := range reach {
			if !slices.ContainsFunc(of, func(id string) bool { return !in[id] }) {
				lanes++
			}
		}
		bound = max(bound, (lanes+size-1)/size)
	}
	return bound
}

// checkShare holds a share to what Share promises.
func checkShare(t *testing.T, lanes []string, members []checkpoint.Member) {
	t.Helper()
	share := checkpoint.Share(lanes, members, instanceOf)
	can := map[string]checkpoint.Member{}
	for _, m := range members {
		if m.Kind == checkpoint.Replica && !m.Draining {
			can[m.ID] = m
		}
	}
	if len(can) == 0 {
		if len(share) != 0 {
			t.Fatalf("without replicas the share is %v", share)
		}
		return
	}
	if len(share) != len(lanes) {
		t.Fatalf("%d of %d lanes are shared out", len(share), len(lanes))
	}
	reach := map[string][]string{}
	for _, lane := range lanes {
		for _, m := range can {
			if !slices.Contains(m.Avoid, instanceOf(lane)) {
				reach[lane] = append(reach[lane], m.ID)
			}
		}
		if len(reach[lane]) == 0 {
			reach[lane] = slices.Collect(maps.Keys(can))
		}
	}
	load := map[string]int{}
	for lane, id := range share {
		load[id]++
		if !slices.Contains(reach[lane], id) {
			t.Errorf("%s is for %q, want one of %v", lane, id, reach[lane])
		}
	}
	bound := smallest(reach, slices.Collect(maps.Keys(can)))
	for id, n := range load {
		if n > bound {
			t.Errorf("%s has %d lanes, want at most %d", id, n, bound)
		}
	}
	rand.Shuffle(len(lanes), func(i, j int) { lanes[i], lanes[j] = lanes[j], lanes[i] })
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	if again := checkpoint.Share(lanes, members, instanceOf); !maps.Equal(share, again) {
		t.Errorf("in another order the share is %v, and was %v", again, share)
	}
}

func TestShareKeepsItsPromises(t *testing.T) {
	for seed := range uint64(3000) {
		lanes, members := crowd(seed)
		checkShare(t, lanes, members)
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

func FuzzShare(f *testing.F) {
	f.Add(uint64(1), []byte("i0.a i1.b i0.c"))
	f.Fuzz(func(t *testing.T, seed uint64, names []byte) {
		lanes := strings.Fields(string(names))
		slices.Sort(lanes)
		_, members := crowd(seed ^ binary.BigEndian.Uint64(append(names, make([]byte, 8)...)))
		checkShare(t, slices.Compact(lanes), members)
	})
}

// moved counts the lanes that both shares have, with another replica.
func moved(a, b map[string]string) (n int) {
	for lane, id := range a {
		if b[lane] != id {
			n++
		}
	}
	return n
}

func TestFewLanesMoveWhenAReplicaComesOrGoes(t *testing.T) {
	for _, instances := range []int{2, 10, 60} {
		for n := 2; n <= 8; n++ {
			lanes := lanesOf(instances, 4)
			before := checkpoint.Share(lanes, replicas(n), instanceOf)
			room := (len(lanes) + n - 1) / n
			total, least := 0, 0
			for gone := range n { // whoever leaves; read backwards, whoever joins
				after := checkpoint.Share(lanes, slices.Delete(replicas(n), gone, gone+1), instanceOf)
				total += moved(before, after)
				for _, id := range before {
					if id == replicas(n)[gone].ID {
						least++
					}
				}
			}
			mean := float64(total) / float64(n)
			t.Logf("%d lanes, %d replicas: %.1f move, %.1f must", len(lanes), n, mean, float64(least)/float64(n))
			if limit := 1.5*float64(room) + 2; mean > limit {
				t.Errorf("%d lanes, %d replicas: %.1f move on average, want at most %.1f", len(lanes), n, mean, limit)
			}
		}
	}
}

func TestShareIsTheSameInEveryBuild(t *testing.T) {
	got := checkpoint.Share([]string{"acme.events.alert", "acme.events.page", "globex.events.page"}, replicas(2), instanceOf)
	want := map[string]string{"acme.events.alert": "skopeflow-0", "acme.events.page": "skopeflow-1", "globex.events.page": "skopeflow-1"}
	if !maps.Equal(got, want) {
		t.Errorf("Share = %v, want %v: replicas of two versions would disagree", got, want)
	}
}

func BenchmarkShare(b *testing.B) {
	lanes, members := lanesOf(100, 10), replicas(10)
	for b.Loop() {
		checkpoint.Share(lanes, members, instanceOf)
	}
}
