package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The lane's logic is run here by every schedule that a small world allows: the
// replicas, the lease, the store, the broker and the vendor take their steps in
// every order, with every choice of faults that a budget has room for. The logic
// is the production code, step, begin and release; what lane.go, the fleet, the
// store, the broker and the vendor do around it is in the other model_*_test.go.
//
// In every scene: no page is passed over that is not stored, or where the
// assumption of time is dropped, to be mended by a repair written down before; no
// artifact is stored twice, where time is assumed and the store was not restored;
// the cursor never goes back and is saved under its own claim only; next is asked
// for with nothing unsettled. And from every scene there is a way on, without
// another fault, to where everything has been read.

// rules say what can happen in a world.
type rules struct {
	name     string
	replicas int
	timed    bool  // no request is alive when the quarantine is over
	there    uint8 // how many pages are there at first; 0 is all
	alone    bool  // the replica waits for no request of its predecessor
	refuses  bool  // the vendor refuses to resend by an index that it does not know
	budget   budget
	breaks   mutation
}

// A mutation breaks the protocol, or what it assumes, at one place.
type mutation string

const (
	nextAfterClaim    mutation = "no resend after a claim"
	saveFirst         mutation = "cursor saved before the page is stored"
	noFence           mutation = "no fence"
	noScan            mutation = "no scan"
	claimOutlivesTerm mutation = "claim not bound to the lease's term"
	immortalLease     mutation = "lease renewed without its TTL"
	noQuarantine      mutation = "no quarantine"
	mendDropped       mutation = "nothing written down to be mended"
	gatewayLies       mutation = "5xx for a request that is still alive"
)

func TestLaneKeepsItsPromiseInEverySchedule(t *testing.T) {
	t.Parallel()
	tests := []trial{
		{rules{name: "no fault", replicas: 2}, false},
		{rules{name: "a crash, a hand-over", replicas: 2, budget: budget{crashes: 1, stops: 1}}, false},
		{rules{name: "2 crashes, a hand-over", replicas: 2, budget: budget{crashes: 2, stops: 1}}, true},
		{rules{name: "a lost answer, a torn one, an unsent request", replicas: 1, budget: budget{timeouts: 1, cuts: 1, unsents: 1}}, false},
		{rules{name: "2 lost answers, a torn one, an unsent, a crash", replicas: 1, budget: budget{timeouts: 2, cuts: 1, unsents: 1, crashes: 1}}, true},
		{rules{name: "a lost answer, a hand-over", replicas: 2, budget: budget{timeouts: 1, stops: 1}}, false},
		{rules{name: "2 lost acks, a hand-over", replicas: 1, budget: budget{acks: 2, stops: 1}}, false},
		{rules{name: "2 lost acks, 2 lost answers", replicas: 1, budget: budget{acks: 2, timeouts: 2}}, true},
		{rules{name: "2 crashes, a lost ack, a lost answer", replicas: 1, budget: budget{crashes: 2, acks: 1, timeouts: 1}}, true},
		{rules{name: "the vendor forgets, a lost answer, a crash", replicas: 1, budget: budget{forgets: 1, timeouts: 1, crashes: 1}}, false},
		{rules{name: "the vendor forgets and says so, a torn answer", replicas: 1, refuses: true, budget: budget{forgets: 1, cuts: 1, crashes: 1}}, false},
		{rules{name: "the store restored, a crash", replicas: 2, budget: budget{restores: 1, crashes: 1}}, false},
		{rules{name: "the store restored, a lost answer", replicas: 1, budget: budget{restores: 1, timeouts: 1}}, false},
		{rules{name: "a zombie", replicas: 2, budget: budget{leases: 1}}, false},
		{rules{name: "a zombie that claims, a hand-over", replicas: 2, budget: budget{leases: 1, zombieClaims: 1, stops: 1}}, true},
		{rules{name: "a zombie, 2 lost answers", replicas: 2, budget: budget{leases: 1, timeouts: 2}}, true},
		{rules{name: "a zombie, 2 lost acks", replicas: 2, budget: budget{leases: 1, acks: 2}}, true},
		{rules{name: "a zombie, a lost ack, a lost answer", replicas: 2, budget: budget{leases: 1, acks: 1, timeouts: 1}}, true},
		{rules{name: "a zombie, a lost ack, a crash", replicas: 2, budget: budget{leases: 1, acks: 1, crashes: 1}}, true},
		{rules{name: "2 zombies, one claims", replicas: 2, budget: budget{leases: 2, zombieClaims: 1}}, true},
		{rules{name: "2 zombies, a crash", replicas: 2, budget: budget{leases: 2, crashes: 1}}, true},
		{rules{name: "3 replicas: a zombie, a crash", replicas: 3, budget: budget{leases: 1, crashes: 1}}, true},
	}
	for i := range tests {
		tests[i].timed = true
	}
	try(t, tests)
}

func TestWhatALateRequestTakesIsWrittenDownBefore(t *testing.T) {
	t.Parallel()
	tests := []trial{
		{rules{name: "late request, a crash", replicas: 1, budget: budget{timeouts: 1, crashes: 1}}, false},
		{rules{name: "2 late requests, a crash", replicas: 1, budget: budget{timeouts: 2, crashes: 1}}, true},
		{rules{name: "late request, pages to come", replicas: 1, there: 1, budget: budget{timeouts: 1}}, false},
		{rules{name: "alone, pages to come, a crash, a hand-over", replicas: 1, alone: true, there: 2, budget: budget{crashes: 1, stops: 1}}, false},
		{rules{name: "late request, pages to come, a crash", replicas: 1, there: 2, budget: budget{timeouts: 1, crashes: 1}}, true},
		{rules{name: "late request, pages to come, the store restored", replicas: 2, there: 2, budget: budget{restores: 1, crashes: 1}}, true},
		{rules{name: "late zombie, a page to come", replicas: 2, there: 2, budget: budget{leases: 1}}, true},
		{rules{name: "late zombie, a crash", replicas: 2, budget: budget{leases: 1, crashes: 1}}, true},
	}
	try(t, tests)
}

// A trial is a world in which nothing may go wrong; a long one is not for -short.
type trial struct {
	rules
	long bool
}

func try(t *testing.T, trials []trial) {
	t.Helper()
	lib := newLibrary(rules{replicas: 3})
	table := verdicts{}
	for _, tt := range trials {
		if tt.long && testing.Short() {
			continue
		}
		if f := table.search(tt.rules, lib); f.wrong != "" {
			t.Errorf("%s: %s\n%s", tt.name, f.wrong, f.story)
		}
	}
	t.Logf("scenes, time, verdict\n%s", &table)
}

func TestEachMutationOfTheProtocolIsFound(t *testing.T) {
	t.Parallel()
	faults := budget{crashes: 1, leases: 1}
	tests := []struct {
		rules
		want string
	}{
		{rules{breaks: nextAfterClaim, budget: faults}, "page 2 is lost"},
		{rules{breaks: saveFirst, budget: faults}, "page 1 is lost"},
		{rules{breaks: noFence, budget: faults}, "an artifact is stored twice"},
		{rules{breaks: noScan, budget: faults}, "an artifact is stored twice"},
		{rules{breaks: claimOutlivesTerm, budget: faults}, "page 2 is lost"},
		{rules{breaks: immortalLease, budget: faults}, "there is no way on"},
		{rules{breaks: noQuarantine, budget: faults}, "page 2 is lost"},
		{rules{breaks: mendDropped, budget: faults}, "page 2 is lost"},
		{rules{breaks: gatewayLies, budget: budget{gateways: 1}}, "page 2 is lost"},
	}
	table := verdicts{}
	for _, tt := range tests {
		tt.name, tt.replicas, tt.timed = string(tt.breaks), 2, tt.breaks != mendDropped
		f := table.search(tt.rules, newLibrary(tt.rules))
		if f.wrong != tt.want {
			t.Errorf("%s: found %q, want %q\n%s", tt.name, f.wrong, tt.want, f.story)
		}
	}
	t.Logf("scenes, time, verdict\n%s", &table)
}

// verdicts are a table of what was searched, how many scenes it has, and what
// came of it.
type verdicts struct{ strings.Builder }

func (v *verdicts) search(r rules, lib *library) finding {
	if r.alone || r.refuses || r.budget.restores > 0 { // where more is to be told apart
		lib = newLibrary(r)
	}
	begin := time.Now()
	f := search(r, lib)
	fmt.Fprintf(v, "%-48s %8d %7.2fs  %s\n", r.name, f.scenes, time.Since(begin).Seconds(), f.verdict())
	return f
}
