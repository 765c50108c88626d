package checkpoint

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Share says which replica is to run each lane: a lane to a member's ID. It
// depends on its arguments alone, and not on their order, so that replicas that
// see the same members come to the same answer without a word.
//
// No replica gets more than its even share, rounded up, and few lanes move when
// a replica joins or leaves. Jobs and draining members get none. Nor does a
// member that avoids a lane's instance, unless all do; where that cannot be had
// with even shares, the largest is as small as can be. Without replicas the map
// is empty.
func Share(lanes []string, members []Member, instanceOf func(lane string) string) map[string]string {
	lanes = slices.Compact(slices.Sorted(slices.Values(lanes)))
	replicas := replicasOf(members)
	if len(replicas) == 0 || len(lanes) == 0 {
		return map[string]string{}
	}
	s := &sharing{
		room:  (len(lanes) + len(replicas) - 1) / len(replicas),
		reach: make(map[string][]tie, len(lanes)),
		runs:  map[string][]string{},
		share: make(map[string]string, len(lanes)),
	}
	var ties []tie
	for _, lane := range lanes {
		s.reach[lane] = tiesOf(lane, instanceOf(lane), replicas)
		ties = append(ties, s.reach[lane]...)
	}
	// The strongest ties first, each if the replica has room: who is turned away
	// goes to the next of its choices, so a replica that joins or leaves moves
	// its own lanes, and a few that were turned away.
	slices.SortFunc(ties, stronger)
	for _, t := range ties {
		if _, ok := s.share[t.lane]; !ok && len(s.runs[t.replica]) < s.room {
			s.runs[t.replica] = append(s.runs[t.replica], t.lane)
			s.share[t.lane] = t.replica
		}
	}
	for _, lane := range lanes {
		if _, ok := s.share[lane]; ok {
			continue
		}
		for !s.place(lane, map[string]bool{}) { // too few reach it
			s.room++
		}
	}
	return s.share
}

// A sharing is a share in the making.
type sharing struct {
	room  int                 // how many lanes a replica may run
	reach map[string][]tie    // of each lane, the strongest first
	runs  map[string][]string // the lanes of each replica
	share map[string]string   // the replica of each lane
}

// place finds a replica for a lane, and for that moves others from one that
// reaches it to one that reaches them. tried are the replicas that were looked
// at. It finds one if there is any, as in Kuhn's matching.
func (s *sharing) place(lane string, tried map[string]bool) bool {
	for _, t := range s.reach[lane] {
		if tried[t.replica] {
			continue
		}
		tried[t.replica] = true
		if len(s.runs[t.replica]) < s.room {
			s.runs[t.replica] = append(s.runs[t.replica], lane)
			s.share[lane] = t.replica
			return true
		}
		for i, other := range s.runs[t.replica] {
			if s.place(other, tried) {
				s.runs[t.replica][i] = lane
				s.share[lane] = t.replica
				return true
			}
		}
	}
	return false
}

// replicasOf returns the members that may run lanes, one of each ID.
func replicasOf(members []Member) []Member {
	var replicas []Member
	for _, m := range members {
		if m.Kind == Replica && !m.Draining {
			replicas = append(replicas, m)
		}
	}
	slices.SortFunc(replicas, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), slices.Compare(a.Avoid, b.Avoid))
	})
	return slices.CompactFunc(replicas, func(a, b Member) bool { return a.ID == b.ID })
}

// A tie is how strongly a lane is drawn to a replica.
type tie struct {
	lane, replica string
	strength      uint64
}

// stronger orders ties: the strongest first, and no two alike.
func stronger(a, b tie) int {
	return cmp.Or(cmp.Compare(b.strength, a.strength), cmp.Compare(a.lane, b.lane), cmp.Compare(a.replica, b.replica))
}

// tiesOf returns a lane's ties to the replicas that reach its instance; to all
// if none does.
func tiesOf(lane, instance string, replicas []Member) []tie {
	avoids := func(m Member) bool { return slices.Contains(m.Avoid, instance) }
	none := !slices.ContainsFunc(replicas, func(m Member) bool { return !avoids(m) })
	var ties []tie
	for _, m := range replicas {
		if none || !avoids(m) {
			sum := sha256.Sum256([]byte(lane + "\x00" + m.ID))
			ties = append(ties, tie{lane, m.ID, binary.BigEndian.Uint64(sum[:])})
		}
	}
	slices.SortFunc(ties, stronger)
	return ties
}
