package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	soakEvents = 2_000_000
	soakDisk   = 20 << 30 // the artifacts of that many events, twice
	soakMemory = 256 << 20
)

// Two million events that wait at the tenant pass through the program, NATS
// and all, in less than 256 MiB.
func TestSoak(t *testing.T) {
	if os.Getenv("SKOPEFLOW_SOAK") != "1" {
		t.Skip("takes minutes and 10 GB of disk; run it with SKOPEFLOW_SOAK=1 go test ./cmd/skopeflow -run TestSoak -v -timeout 30m")
	}
	file, dir := buildProgram(t), t.TempDir()
	if free := freeDisk(dir); free < soakDisk {
		t.Fatalf("%s has %d GiB free, and %d are needed; set TMPDIR", dir, free>>30, soakDisk>>30)
	}
	tenant := startSimulation(t, file, "-events", strconv.Itoa(soakEvents), "-history", "50m",
		"-streams", "page,application,alerts/dlp,alerts/malware,alerts/policy,audit,connection,infrastructure")
	streams := []string{
		"events/page", "events/application", "alerts/dlp", "alerts/malware",
		"alerts/policy", "events/audit", "events/connection", "events/infrastructure",
	}
	p := startProgram(t, file, tenant.settingsFor(dir, "55m", streams), "run")
	nc, js := p.connect(t, dir)
	begin, n := time.Now(), 0
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	await(t, 25*time.Minute, p, func() bool {
		now, err := stored(t.Context(), js)
		if err == nil {
			n = now
		}
		select {
		case <-tick.C:
			t.Logf("%4.0f s: %d events, %d MiB", time.Since(begin).Seconds(), n, p.memory(t, "VmRSS")>>20)
		default:
		}
		return n >= soakEvents
	})
	took := time.Since(begin)
	p.drained(t, nc, len(streams), 2*time.Minute)
	peak := p.memory(t, "VmHWM")
	if n, err := stored(t.Context(), js); err != nil || n != soakEvents {
		t.Errorf("the stream holds %d events (%v), want %d", n, err, soakEvents)
	}
	t.Logf("%d events in %v: %.0f events/s, at most %d MiB of memory", soakEvents, took.Round(time.Second), float64(soakEvents)/took.Seconds(), peak>>20)
	if peak > soakMemory {
		t.Errorf("%d MiB of memory at the peak, want at most %d", peak>>20, soakMemory>>20)
	}
	if code := p.stop(t, 25*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM; it said:\n%s", code, p.log.tail())
	}
}

// memory returns a figure of the process's memory in bytes: VmRSS is what it
// takes now, VmHWM the most it ever took.
func (p *process) memory(t *testing.T, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("/proc has no %s", name)
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
