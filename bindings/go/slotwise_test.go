package slotwise_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
)

var small = slotwise.Config{MaxWorkers: 4096, MaxReservations: 65536}

func engine(t testing.TB, workers int) *slotwise.Engine {
	t.Helper()
	e, err := slotwise.New(small)
	must(t, err)
	t.Cleanup(func() {
		if audit, err := e.Audit(); err == nil && !audit.OK {
			t.Errorf("%v", audit)
		}
		must(t, e.Close())
	})
	for k := range workers {
		_, err := e.AddWorker(slotwise.WorkerSpec{ID: "w" + strconv.Itoa(k), Total: amount(1000, 1000)})
		must(t, err)
	}
	return e
}

func amount(cpu, memory int64) slotwise.Resources {
	return slotwise.Resources{CPU: cpu, Memory: memory}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t testing.TB, err error, status slotwise.Status) *slotwise.Error {
	t.Helper()
	var failed *slotwise.Error
	if !errors.Is(err, status) || !errors.As(err, &failed) {
		t.Fatalf("%v is not %v", err, status)
	}
	if failed.Op == "" || !strings.HasPrefix(err.Error(), "slotwise: "+failed.Op+": ") {
		t.Fatalf("no operation in %q", err)
	}
	return failed
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

func TestReserveAndRelease(t *testing.T) {
	e := engine(t, 1)
	w, err := e.FindWorker("w0")
	must(t, err)
	placed, err := e.Reserve(slotwise.Request{ID: "a", Need: amount(100, 50)})
	must(t, err)
	equal(t, "worker", placed.Worker, w)
	equal(t, "version", placed.Version, 1)
	again, err := e.Reserve(slotwise.Request{ID: "a", Need: amount(7, 7)})
	must(t, err)
	equal(t, "ticket", again.Ticket, placed.Ticket)
	equal(t, "existing", again.Existing, true)
	found, err := e.Reservation("a")
	must(t, err)
	equal(t, "found", found.Ticket, placed.Ticket)
	released, err := e.Release(placed.Ticket)
	must(t, err)
	equal(t, "amount", released.Amount, amount(100, 50))
	equal(t, "credited", released.Credited(), true)
	equal(t, "version", released.Version, 2)
	_, err = e.Release(placed.Ticket)
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.ReleaseID("a")
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.Reservation("a")
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.Reserve(slotwise.Request{ID: "b", Need: amount(1, 1)})
	must(t, err)
	released, err = e.ReleaseID("b")
	must(t, err)
	equal(t, "worker", released.Worker, w)
}

func TestRefusalsSayWhy(t *testing.T) {
	e := engine(t, 3)
	_, err := e.Reserve(slotwise.Request{Need: amount(1001, 1)})
	failed := refused(t, err, slotwise.ErrNever)
	equal(t, "dimension", failed.Dimension, slotwise.CPU)
	equal(t, "reasons", failed.Reasons, slotwise.Reasons{CPU: 3})
	for range 3 {
		_, err := e.Reserve(slotwise.Request{Need: amount(1, 1000)})
		must(t, err)
	}
	_, err = e.Cordon("w2")
	must(t, err)
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1)})
	failed = refused(t, err, slotwise.ErrBusy)
	equal(t, "reasons", failed.Reasons, slotwise.Reasons{NotReady: 1, Memory: 2})
	equal(t, "text", strings.Contains(err.Error(), "of 3 workers: 1 not ready, 2 short of memory"), true)
}

func TestReserveOnAndAt(t *testing.T) {
	e := engine(t, 2)
	w, err := e.FindWorker("w1")
	must(t, err)
	snapshot, err := e.Snapshot(w)
	must(t, err)
	equal(t, "free", snapshot.Free, amount(1000, 1000))
	equal(t, "state", snapshot.State, slotwise.Ready)
	placed, err := e.ReserveAt(w, snapshot.Version, slotwise.Request{Need: amount(100, 1)})
	must(t, err)
	equal(t, "worker", placed.Worker, w)
	_, err = e.ReserveAt(w, snapshot.Version, slotwise.Request{Need: amount(1, 1)})
	failed := refused(t, err, slotwise.ErrVersionConflict)
	equal(t, "version", failed.Version, snapshot.Version+1)
	equal(t, "free", failed.Free, amount(900, 999))
	equal(t, "state", failed.State, slotwise.Ready)
	_, err = e.ReserveOn(w, slotwise.Request{Need: amount(900, 1)})
	must(t, err)
	_, err = e.ReserveOn(w, slotwise.Request{Need: amount(1, 1)})
	refused(t, err, slotwise.ErrBusy)
	_, err = e.ReserveOn(slotwise.Worker(math.MaxUint64), slotwise.Request{Need: amount(1, 1)})
	refused(t, err, slotwise.ErrUnknownWorker)
	_, err = e.ReserveOn(0, slotwise.Request{Need: amount(1, 1)})
	refused(t, err, slotwise.ErrUnknownWorker)
}

func TestResize(t *testing.T) {
	e := engine(t, 1)
	placed, err := e.Reserve(slotwise.Request{ID: "a", Need: amount(400, 400)})
	must(t, err)
	resized, err := e.Resize(placed.Ticket, amount(900, 100))
	must(t, err)
	equal(t, "before", resized.Before, amount(400, 400))
	_, err = e.ResizeID("a", amount(1200, 100))
	equal(t, "missing", refused(t, err, slotwise.ErrShort).Missing, amount(200, 0))
	resized, err = e.ResizeID("a", amount(1, 1))
	must(t, err)
	equal(t, "ticket", resized.Ticket, placed.Ticket)
	_, err = e.Cordon("w0")
	must(t, err)
	_, err = e.Resize(placed.Ticket, amount(2, 2))
	equal(t, "state", refused(t, err, slotwise.ErrState).State, slotwise.Cordoned)
	for _, need := range []slotwise.Resources{{}, {CPU: -1}, {Memory: math.MinInt64}} {
		if _, err = e.Resize(placed.Ticket, need); err == nil {
			t.Fatalf("resized to %v", need)
		}
	}
	_, err = e.Resize(0, amount(1, 1))
	refused(t, err, slotwise.ErrNotHeld)
}

func TestWorkers(t *testing.T) {
	e := engine(t, 0)
	spec := slotwise.WorkerSpec{
		ID: "gpu-\x00-1", Total: slotwise.Resources{CPU: 8000, Memory: 1 << 15, GPUs: 4}, SetAside: amount(500, 512),
		Priority: -3, Tier: 2, Pool: "gold", GPUType: "A10G", Tenant: "acme", Machine: "rack-1",
		Labels:           map[string]string{"zone": "north", "disk": "ssd", "empty": ""},
		RequiresSelector: true, Preemptable: true, Pending: true, Generation: 3, Lease: 1 << 40,
	}
	worker, err := e.AddWorker(spec)
	must(t, err)
	read, err := e.WorkerSpec(worker)
	must(t, err)
	equal(t, "spec", fmt.Sprintf("%+v", read), fmt.Sprintf("%+v", spec))
	_, err = e.AddWorker(spec)
	refused(t, err, slotwise.ErrDuplicateWorker)

	info, err := e.Ready(spec.ID)
	must(t, err)
	equal(t, "state", info.State, slotwise.Ready)
	equal(t, "id", info.ID, spec.ID)
	for _, turn := range []struct {
		do   func(string) (slotwise.WorkerInfo, error)
		then slotwise.State
	}{
		{e.Unready, slotwise.Pending}, {e.Ready, slotwise.Ready}, {e.Cordon, slotwise.Cordoned},
		{e.Ready, slotwise.Cordoned}, {e.Uncordon, slotwise.Ready}, {e.Drain, slotwise.Draining},
		{e.Uncordon, slotwise.Ready},
	} {
		info, err := turn.do(spec.ID)
		must(t, err)
		equal(t, "state", info.State, turn.then)
		_, err = turn.do("nobody")
		refused(t, err, slotwise.ErrUnknownWorker)
	}

	info, err = e.UpdateWorker(spec.ID, slotwise.SetTotal|slotwise.SetPool,
		slotwise.WorkerSpec{Total: slotwise.Resources{CPU: 9000, Memory: 1 << 15, GPUs: 4}, Pool: "silver", Tier: 9})
	must(t, err)
	equal(t, "free", info.Free, slotwise.Resources{CPU: 8500, Memory: 1<<15 - 512, GPUs: 4})
	equal(t, "tier", info.Tier, 2)
	read, err = e.WorkerSpec(worker)
	must(t, err)
	equal(t, "pool", read.Pool, "silver")
	byID, err := e.WorkerByID(spec.ID)
	must(t, err)
	equal(t, "info", byID, info)
	_, err = e.UpdateWorker("nobody", slotwise.SetTotal, spec)
	refused(t, err, slotwise.ErrUnknownWorker)
	_, err = e.UpdateWorker(spec.ID, 1<<31, spec)
	refused(t, err, slotwise.ErrUnknownValue)

	lost, err := e.RemoveWorker(spec.ID)
	must(t, err)
	equal(t, "lost", len(lost), 0)
	for _, err := range []error{
		third(e.WorkerInfo(worker)), third(e.WorkerSpec(worker)), third(e.Snapshot(worker)),
		third(e.FindWorker(spec.ID)), third(e.WorkerByID(spec.ID)), third(e.RemoveWorker(spec.ID)),
	} {
		refused(t, err, slotwise.ErrUnknownWorker)
	}
}

func third[T any](_ T, err error) error { return err }

func TestAddManyAndList(t *testing.T) {
	e := engine(t, 0)
	specs := make([]slotwise.WorkerSpec, 1000)
	for k := range specs {
		specs[k] = slotwise.WorkerSpec{
			ID: fmt.Sprintf("node-%04d", k), Total: amount(1000, 1000), Pool: []string{"a", "b", ""}[k%3],
			Machine: "m" + strconv.Itoa(k/10), Labels: map[string]string{"n": strconv.Itoa(k)},
		}
	}
	specs[999].ID = specs[0].ID
	specs[998].Total = slotwise.Resources{CPU: -1}
	added, registered, err := e.AddWorkers(specs)
	must(t, err)
	equal(t, "registered", registered, 998)
	equal(t, "duplicate", added[999].Status, slotwise.ErrDuplicateWorker)
	equal(t, "negative", added[998].Status, slotwise.ErrTooLarge)

	infos, err := e.ListWorkers()
	must(t, err)
	equal(t, "all", len(infos), 998)
	equal(t, "id", infos[17].ID, "node-0017")
	equal(t, "worker", infos[17].Worker, added[17].Worker)
	pool, err := e.ListPool("b")
	must(t, err)
	equal(t, "pool", len(pool), 333)
	none, err := e.ListPool("")
	must(t, err)
	equal(t, "no pool", len(none), 332)
	machine, err := e.ListMachine("m7")
	must(t, err)
	equal(t, "machine", len(machine), 10)
	nobody, err := e.ListMachine("nowhere")
	must(t, err)
	equal(t, "nowhere", len(nobody), 0)

	count := 0
	for info := range e.Workers() {
		if count++; count == 5 {
			equal(t, "fifth", info.ID, "node-0004")
			break
		}
	}
	for range e.PoolWorkers("a") {
		count++
	}
	for range e.MachineWorkers("m1") {
		count++
	}
	equal(t, "iterated", count, 5+333+10)
	empty, n, err := e.AddWorkers(nil)
	must(t, err)
	equal(t, "none", len(empty)+n, 0)
}

func TestSelector(t *testing.T) {
	e := engine(t, 0)
	for _, spec := range []slotwise.WorkerSpec{
		{ID: "north", Labels: map[string]string{"zone": "north"}, Pool: "p"},
		{ID: "south", Labels: map[string]string{"zone": "south"}, Machine: "m"},
		{ID: "own", Tenant: "acme"},
	} {
		spec.Total = amount(1000, 1000)
		_, err := e.AddWorker(spec)
		must(t, err)
	}
	for want, constraints := range map[string]slotwise.Constraints{
		"north": {Labels: map[string][]string{"zone": {"west", "north"}}},
		"south": {Machine: "m"},
		"own":   {Tenant: "acme", Labels: map[string][]string{}},
	} {
		selector, err := e.Selector(constraints)
		must(t, err)
		again, err := e.Selector(constraints)
		must(t, err)
		equal(t, "same", again, selector)
		if want == "own" { // Shared workers serve it too.
			continue
		}
		placed, err := e.Reserve(slotwise.Request{Need: amount(1, 1), Selector: selector})
		must(t, err)
		info, err := e.WorkerInfo(placed.Worker)
		must(t, err)
		equal(t, "worker", info.ID, want)
	}
	any, err := e.Selector(slotwise.Constraints{})
	must(t, err)
	equal(t, "any", any, slotwise.AnyWorker)
	long := strings.Repeat("x", slotwise.MaxNameLength+1)
	for name, bad := range map[string]slotwise.Constraints{
		"long machine": {Machine: long}, "long tenant": {Tenant: long}, "long pool": {Pools: []string{long}},
		"empty pool": {Pools: []string{""}}, "long type": {GPUTypes: []string{long}},
		"long list": {Pools: make([]string, slotwise.MaxListLength+1)}, "no value": {Labels: map[string][]string{"a": nil}},
		"long key": {Labels: map[string][]string{long: {"a"}}}, "empty key": {Labels: map[string][]string{"": {"a"}}},
	} {
		if _, err := e.Selector(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1), Selector: 12345})
	refused(t, err, slotwise.ErrUnknownSelector)
}

func TestConfig(t *testing.T) {
	e, err := slotwise.New(slotwise.Config{
		MaxWorkers: 10, MaxReservations: 20, MaxSelectors: 30, MaxBatches: 40, Policy: slotwise.Spread,
		NoGPUSeparation: true, NoReasons: true, MaxAccounts: 50, MaxGroups: 60, MaxUnmet: 70, MaxPlanners: 8, Seed: 9,
	})
	must(t, err)
	defer e.Close()
	config, err := e.Config()
	must(t, err)
	equal(t, "config", config, slotwise.Config{
		MaxWorkers: 10, MaxReservations: 20, MaxSelectors: 30,
		MaxBatches: 40, Policy: slotwise.Spread, NoGPUSeparation: true, NoReasons: true,
		MaxAccounts: 50, MaxGroups: 60, MaxUnmet: 70, MaxPlanners: 8, Seed: 9,
	})
	defaults := must2(engine(t, 0).Config())
	equal(t, "planners", defaults.MaxPlanners, 4)
	equal(t, "seed", defaults.Seed, 1)
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1)})
	equal(t, "reasons", refused(t, err, slotwise.ErrNever).Reasons, slotwise.Reasons{})
	for _, bad := range []slotwise.Config{
		{MaxWorkers: -1}, {MaxWorkers: math.MaxInt}, {MaxReservations: -5}, {MaxReservations: 1 << 40},
		{MaxSelectors: math.MinInt}, {MaxBatches: 1 << 30}, {MaxAccounts: -1}, {MaxGroups: 1 << 30}, {MaxUnmet: -1},
		{MaxPlanners: -1}, {MaxPlanners: 65}, {MaxPlanners: 1 << 32},
	} {
		_, err := slotwise.New(bad)
		failed := refused(t, err, slotwise.ErrConfig)
		if failed.Limit == 0 || failed.Given == 0 {
			t.Errorf("%v", failed)
		}
	}
	_, err = slotwise.New(slotwise.Config{Policy: 99})
	refused(t, err, slotwise.ErrUnknownValue)
}

// Every method of a closed engine, of a nil one and of the zero one returns an error.
func TestClosedNilAndZero(t *testing.T) {
	closed, err := slotwise.New(small)
	must(t, err)
	_, err = closed.AddWorker(slotwise.WorkerSpec{ID: "w", Total: amount(1, 1)})
	must(t, err)
	prepared, err := closed.Prepare(slotwise.Request{Need: amount(1, 1)})
	must(t, err)
	must(t, closed.Close())
	must(t, closed.Close())
	_, err = prepared.Reserve()
	refused(t, err, slotwise.ErrClosed)
	for name, e := range map[string]*slotwise.Engine{"closed": closed, "nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			want := slotwise.ErrStaleHandle
			if name == "closed" {
				want = slotwise.ErrClosed
			} else {
				refused(t, e.Close(), want)
				_, err := e.Prepare(slotwise.Request{})
				refused(t, err, want)
			}
			batch := slotwise.NewBatch(1)
			must(t, batch.Add(slotwise.Request{Need: amount(1, 1)}))
			result := make([]slotwise.Result, 1)
			request := slotwise.Request{Need: amount(1, 1)}
			_, _, addErr := e.AddWorkers([]slotwise.WorkerSpec{{ID: "a", Total: amount(1, 1)}})
			_, _, countErr := e.Counts()
			ctx := context.Background()
			for k, err := range []error{
				addErr, countErr, third(e.Config()), third(e.Selector(slotwise.Constraints{})),
				third(e.AddWorker(slotwise.WorkerSpec{ID: "a", Total: amount(1, 1)})),
				third(e.UpdateWorker("w", slotwise.SetTotal, slotwise.WorkerSpec{Total: amount(1, 1)})),
				third(e.RemoveWorker("w")), third(e.Ready("w")), third(e.Unready("w")), third(e.Cordon("w")),
				third(e.Uncordon("w")), third(e.Drain("w")), third(e.DrainWait(ctx, "w")),
				third(e.FindWorker("w")), third(e.WorkerInfo(1)), third(e.WorkerByID("w")), third(e.WorkerSpec(1)),
				third(e.Snapshot(1)), third(e.ListWorkers()), third(e.ListPool("p")), third(e.ListMachine("m")),
				third(e.Reserve(request)), third(e.ReserveWait(ctx, request)), third(e.ReserveOn(1, request)),
				third(e.ReserveAt(1, 1, request)), third(e.Reservation("a")), third(e.Release(1)),
				third(e.ReleaseID("a")), third(e.ReleaseBatch([]slotwise.Ticket{1}, nil)),
				third(e.Resize(1, amount(1, 1))), third(e.ResizeID("a", amount(1, 1))),
				third(e.ReserveBatch(batch, result)), third(e.DryRun(batch, nil, result)),
				third(e.ReserveMany([]slotwise.Request{request}, result)),
				third(e.ReserveGang([]slotwise.Request{request}, result)),
				third(e.ReserveColumns(&slotwise.Columns{Common: request, Statuses: make([]slotwise.Status, 1)})),
				e.ApplyGroups([]slotwise.Group{{Worker: "w", Steps: []slotwise.Step{slotwise.ReleaseStep(1)}}}),
				third(e.Stats()), third(e.Audit()), third(e.Account("a")), e.SetQuota(1, slotwise.Quota{}),
				third(e.Usage(1)), third(e.SpreadGroup("a", slotwise.WorkerScope())), third(e.SpreadCount(0, 1)),
				third(e.Tick(1)), third(e.Now()), third(e.Confirm(1)), third(e.ConfirmID("a")), third(e.Deadline(1)),
				e.Heartbeat("w", 1), third(e.ReadyGeneration("w", 1)), third(e.HandOff("w", "v")),
				third(e.Explain(request)), third(e.UnmetDemand(slotwise.WorkerSpec{Total: amount(1, 1)}, 0)),
				third(e.ForgetUnmet("a")), third(e.DryRunWith(batch, slotwise.Supposition{}, result)),
				third(e.Replicas(request, 1, slotwise.Supposition{})),
				third(e.Learned()), third(e.Fragmentation()), third(e.Repack(1)),
				third(e.PlanPreemption(request)), third(e.Preempt(request, slotwise.Preemption{})),
				third(e.Granted(1)), third(e.WorkerDevices(1)),
				third(e.Reserve(slotwise.Request{Need: amount(1, 1), Terms: new(slotwise.Terms)})),
				third(e.ReserveOn(1, slotwise.Request{Need: amount(1, 1), Terms: new(slotwise.Terms)})),
			} {
				if !errors.Is(err, want) {
					t.Errorf("call %d: %v", k, err)
				}
			}
			for range e.Workers() {
				t.Error("a worker")
			}
			for range e.TakeLost() {
				t.Error("something lost")
			}
			if !strings.HasPrefix(e.String(), "slotwise engine: ") {
				t.Error(e.String())
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	e := engine(t, 1)
	long := strings.Repeat("x", slotwise.MaxIDLength+1)
	for name, bad := range map[string]struct {
		request slotwise.Request
		status  slotwise.Status
	}{
		"nothing":      {slotwise.Request{ID: "a"}, slotwise.ErrEmpty},
		"long id":      {slotwise.Request{ID: long, Need: amount(1, 1)}, slotwise.ErrIDLength},
		"negative":     {slotwise.Request{Need: amount(-1, 1)}, slotwise.ErrTooLarge},
		"huge":         {slotwise.Request{Need: amount(math.MaxInt64, 1)}, slotwise.ErrTooLarge},
		"huge memory":  {slotwise.Request{Need: amount(1, 1<<27)}, slotwise.ErrTooLarge},
		"many gpus":    {slotwise.Request{Need: slotwise.Resources{GPUs: 256}}, slotwise.ErrTooLarge},
		"least":        {slotwise.Request{Need: slotwise.Resources{GPUs: math.MinInt64}}, slotwise.ErrTooLarge},
		"policy":       {slotwise.Request{Need: amount(1, 1), Policy: 77}, slotwise.ErrUnknownValue},
		"selector":     {slotwise.Request{Need: amount(1, 1), Selector: math.MaxUint32}, slotwise.ErrUnknownSelector},
		"hash, no has": {slotwise.Request{Need: amount(1, 1), Hash: 5}, slotwise.ErrUnknownValue},
		"many limits": {
			slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{Limits: make([]slotwise.Limit, slotwise.MaxLimits+1)}},
			slotwise.ErrTooManyLimits,
		},
		"account": {slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{Account: math.MaxUint32}}, slotwise.ErrUnknownAccount},
		"group": {
			slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{Limits: []slotwise.Limit{{Group: 7, AtMost: 1}}}},
			slotwise.ErrUnknownGroup,
		},
		"key and hash": {slotwise.Request{Need: amount(1, 1), Key: "k", HasHash: true}, slotwise.ErrUnknownValue},
	} {
		_, err := e.Reserve(bad.request)
		if !errors.Is(err, bad.status) {
			t.Errorf("%s: %v", name, err)
		}
		if bad.status == slotwise.ErrIDLength || bad.status == slotwise.ErrTooManyLimits {
			_, err = e.Prepare(bad.request)
			refused(t, err, bad.status)
			continue
		}
		prepared, err := e.Prepare(bad.request)
		must(t, err)
		if _, err := prepared.Reserve(); !errors.Is(err, bad.status) {
			t.Errorf("%s, prepared: %v", name, err)
		}
		results := make([]slotwise.Result, 1)
		_, err = e.ReserveMany([]slotwise.Request{bad.request}, results)
		if err == nil {
			err = results[0].Err()
		}
		if !errors.Is(err, bad.status) {
			t.Errorf("%s, batch: %v", name, err)
		}
	}
	_, err := e.Reserve(slotwise.Request{Need: amount(-7, 1)})
	failed := refused(t, err, slotwise.ErrTooLarge)
	equal(t, "given", failed.Given, -7)
	equal(t, "dimension", failed.Dimension, slotwise.CPU)

	for name, bad := range map[string]slotwise.WorkerSpec{
		"no id": {Total: amount(1, 1)}, "long id": {ID: long, Total: amount(1, 1)},
		"negative": {ID: "a", Total: amount(1, -1)}, "set aside": {ID: "a", Total: amount(1, 1), SetAside: amount(2, 0)},
		"negative set aside": {ID: "a", Total: amount(1, 1), SetAside: amount(-2, 0)},
		"type":               {ID: "a", Total: amount(1, 1), GPUType: "T4"},
		"pool":               {ID: "a", Total: amount(1, 1), Pool: strings.Repeat("p", 256)},
		"label":              {ID: "a", Total: amount(1, 1), Labels: map[string]string{"": "x"}},
	} {
		if worker, err := e.AddWorker(bad); err == nil {
			t.Errorf("%s: %v", name, worker)
		}
	}
	stats, err := e.Stats()
	must(t, err)
	equal(t, "placed", stats.Placed, 0)
}

func TestBatch(t *testing.T) {
	e := engine(t, 2)
	batch := slotwise.NewBatch(1) // It grows.
	long := strings.Repeat("k", 100_000)
	for k := range 100 {
		request := slotwise.Request{ID: "r" + strconv.Itoa(k), Need: amount(30, 30), Key: "key"}
		if k == 50 {
			request.Key = long
		}
		must(t, batch.Add(request))
	}
	equal(t, "length", batch.Len(), 100)
	results := make([]slotwise.Result, 100)
	batch.Reasons = make([]slotwise.Reasons, 100)
	done, err := e.ReserveBatch(batch, results)
	must(t, err)
	equal(t, "done", done, slotwise.Done{Placed: 66, Failed: 34})
	for k := range results {
		placed, err := e.Reservation("r" + strconv.Itoa(k))
		if (err == nil) != (results[k].Err() == nil) || placed.Ticket != results[k].Ticket {
			t.Fatalf("%d: %v, %v", k, err, results[k])
		}
		if err != nil {
			equal(t, "status", results[k].Err(), error(slotwise.ErrBusy))
			equal(t, "reasons", batch.Reasons[k], slotwise.Reasons{CPU: 2})
			equal(t, "dimension", results[k].Dimension, slotwise.CPU)
		}
	}
	done, err = e.ReserveBatch(batch, results)
	must(t, err)
	equal(t, "again", done.Placed, 66)
	equal(t, "existing", results[0].Existing(), true)

	tickets := make([]slotwise.Ticket, 100)
	for k := range results {
		tickets[k] = results[k].Ticket
	}
	released := make([]slotwise.Released, 100)
	count, err := e.ReleaseBatch(tickets, released)
	must(t, err)
	equal(t, "released", count, 66)
	for k := range released {
		equal(t, "same", released[k].Status == slotwise.OK, results[k].Status == slotwise.OK)
	}
	count, err = e.ReleaseBatch(tickets, nil)
	must(t, err)
	equal(t, "twice", count, 0)

	batch.Reset()
	batch.Reasons = nil
	batch.Mode, batch.ID = slotwise.AllOrNothing, "gang"
	must(t, batch.Add(slotwise.Request{ID: "x", Need: amount(10, 10)}, slotwise.Request{ID: "y", Need: amount(1, 1)}))
	must(t, batch.SetID(1, "z"))
	done, err = e.ReserveBatch(batch, results[:2])
	must(t, err)
	equal(t, "gang", done, slotwise.Done{Placed: 2})
	done, err = e.ReserveBatch(batch, results[:2])
	must(t, err)
	equal(t, "replay", done, slotwise.Done{Placed: 2, Replayed: true})
	_, err = e.Reservation("y")
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.ReleaseID("z")
	must(t, err)
	must(t, batch.Add(slotwise.Request{Need: amount(1, 1)}))
	_, err = e.ReserveBatch(batch, results[:3])
	refused(t, err, slotwise.ErrOtherBatch)
}

func TestBadBatches(t *testing.T) {
	e := engine(t, 1)
	batch := slotwise.NewBatch(-5)
	results := make([]slotwise.Result, 3)
	done, err := e.ReserveBatch(batch, nil)
	must(t, err)
	equal(t, "empty", done, slotwise.Done{})
	_, err = e.ReserveMany(nil, nil)
	must(t, err)
	_, err = e.ReserveBatch(&slotwise.Batch{}, nil)
	must(t, err)
	_, err = e.ReserveBatch(nil, results)
	refused(t, err, slotwise.ErrNullPointer)
	_, err = e.DryRun(nil, nil, results)
	refused(t, err, slotwise.ErrNullPointer)
	must(t, batch.Add(slotwise.Request{Need: amount(1, 1)}, slotwise.Request{Need: amount(1, 1)}))
	_, err = e.ReserveBatch(batch, results)
	failed := refused(t, err, slotwise.ErrCount)
	equal(t, "argument", failed.Arg, "len(results)")
	equal(t, "given", failed.Given, 3)
	equal(t, "limit", failed.Limit, 2)
	_, err = e.ReserveBatch(batch, nil)
	refused(t, err, slotwise.ErrCount)
	batch.Reasons = make([]slotwise.Reasons, 1)
	_, err = e.ReserveBatch(batch, results[:2])
	refused(t, err, slotwise.ErrCount)
	batch.Reasons = nil
	batch.Mode = 9
	_, err = e.ReserveBatch(batch, results[:2])
	refused(t, err, slotwise.ErrUnknownValue)
	batch.Mode = slotwise.Independent
	batch.ID = strings.Repeat("b", 65)
	_, err = e.ReserveBatch(batch, results[:2])
	refused(t, err, slotwise.ErrIDLength)
	batch.ID = "b"
	_, err = e.DryRun(batch, nil, results[:2])
	refused(t, err, slotwise.ErrUnknownValue)
	refused(t, batch.SetID(2, "x"), slotwise.ErrCount)
	refused(t, batch.SetID(-1, "x"), slotwise.ErrCount)
	refused(t, batch.SetID(0, strings.Repeat("x", 65)), slotwise.ErrIDLength)
	err = batch.Add(slotwise.Request{Need: amount(1, 1)}, slotwise.Request{ID: strings.Repeat("x", 65)})
	equal(t, "index", refused(t, err, slotwise.ErrIDLength).Index, 1)
	equal(t, "length", batch.Len(), 3)
	_, err = e.ReserveMany(make([]slotwise.Request, 2), results)
	refused(t, err, slotwise.ErrCount)
	_, err = e.ReserveGang(make([]slotwise.Request, 2), nil)
	refused(t, err, slotwise.ErrCount)
	_, err = e.ReleaseBatch(make([]slotwise.Ticket, 2), make([]slotwise.Released, 1))
	refused(t, err, slotwise.ErrCount)
	_, err = e.ReleaseBatch(nil, nil)
	must(t, err)
	var none *slotwise.PreparedRequest
	_, err = none.Reserve()
	refused(t, err, slotwise.ErrNullPointer)
	_, err = new(slotwise.PreparedRequest).Reserve()
	refused(t, err, slotwise.ErrNullPointer)
	refused(t, none.SetID("a"), slotwise.ErrNullPointer)
	refused(t, none.SetNeed(amount(1, 1)), slotwise.ErrNullPointer)
}

func TestGangAndDryRun(t *testing.T) {
	e := engine(t, 1)
	old, err := e.Reserve(slotwise.Request{ID: "old", Need: amount(400, 400)})
	must(t, err)
	requests := []slotwise.Request{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for k := range requests {
		requests[k].Need = amount(300, 300)
	}
	results := make([]slotwise.Result, 3)
	done, err := e.ReserveGang(requests, results)
	must(t, err)
	equal(t, "gang", done, slotwise.Done{Failed: 3})
	equal(t, "peer", results[0].Status, slotwise.ErrPeer)
	equal(t, "busy", results[2].Status, slotwise.ErrBusy)
	batch := slotwise.NewBatch(3)
	batch.Mode = slotwise.AllOrNothing
	must(t, batch.Add(requests...))
	done, err = e.DryRun(batch, nil, results)
	must(t, err)
	equal(t, "without", done.Placed, 0)
	done, err = e.DryRun(batch, []slotwise.Ticket{old.Ticket, old.Ticket}, results)
	must(t, err)
	equal(t, "with", done.Placed, 3)
	equal(t, "ticket", results[0].Ticket, 0)
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "reservations", reservations, 1)
	_, err = e.Release(old.Ticket)
	must(t, err)
	done, err = e.ReserveGang(requests, results)
	must(t, err)
	equal(t, "gang", done.Placed, 3)
}

func TestColumns(t *testing.T) {
	e := engine(t, 3)
	c := slotwise.Columns{
		Common: slotwise.Request{Need: amount(1, 100), Key: "model"},
		IDs:    []byte("abcdef"), IDOffsets: []uint64{0, 1, 3, 6},
		CPU: []int64{100, 200, 2000}, Hashes: nil, Selectors: make([]slotwise.Selector, 3),
		Tickets: make([]slotwise.Ticket, 3), Workers: make([]slotwise.Worker, 3),
		Versions: make([]uint64, 3), Statuses: make([]slotwise.Status, 3),
	}
	done, err := e.ReserveColumns(&c)
	must(t, err)
	equal(t, "done", done, slotwise.Done{Placed: 2, Failed: 1})
	equal(t, "status", c.Statuses[2], slotwise.ErrNever)
	placed, err := e.Reservation("bc")
	must(t, err)
	equal(t, "ticket", placed.Ticket, c.Tickets[1])
	equal(t, "worker", placed.Worker, c.Workers[1])
	wide := slotwise.Columns{
		Common: slotwise.Request{Need: amount(1, 1)}, IDs: []byte("x\x00yy"), IDWidth: 2,
		GPUs: make([]int64, 2), Memory: []int64{5, 6}, Hashes: []uint64{1, 2}, Statuses: make([]slotwise.Status, 2),
	}
	wide.Common.HasHash = false
	done, err = e.ReserveColumns(&wide)
	must(t, err)
	equal(t, "wide", done.Placed, 2)
	released, err := e.ReleaseID("x")
	must(t, err)
	equal(t, "amount", released.Amount, amount(1, 5))
	once := slotwise.Columns{Common: slotwise.Request{Need: amount(1, 1)}, Statuses: make([]slotwise.Status, 2), BatchID: "b"}
	_, err = e.ReserveColumns(&once)
	must(t, err)
	done, err = e.ReserveColumns(&once)
	must(t, err)
	equal(t, "replayed", done.Replayed, true)

	base := func() slotwise.Columns {
		return slotwise.Columns{Common: slotwise.Request{Need: amount(1, 1)}, Statuses: make([]slotwise.Status, 2)}
	}
	for name, change := range map[string]func(*slotwise.Columns){
		"len(CPU)":       func(c *slotwise.Columns) { c.CPU = make([]int64, 1) },
		"len(Memory)":    func(c *slotwise.Columns) { c.Memory = []int64{} },
		"len(GPUs)":      func(c *slotwise.Columns) { c.GPUs = make([]int64, 3) },
		"len(Selectors)": func(c *slotwise.Columns) { c.Selectors = make([]slotwise.Selector, 3) },
		"len(Hashes)":    func(c *slotwise.Columns) { c.Hashes = make([]uint64, 3) },
		"len(Tickets)":   func(c *slotwise.Columns) { c.Tickets = []slotwise.Ticket{} },
		"len(Workers)":   func(c *slotwise.Columns) { c.Workers = make([]slotwise.Worker, 1) },
		"len(Versions)":  func(c *slotwise.Columns) { c.Versions = make([]uint64, 1) },
		"len(IDs)":       func(c *slotwise.Columns) { c.IDs, c.IDWidth = make([]byte, 3), 2 },
		"len(IDOffsets)": func(c *slotwise.Columns) { c.IDs, c.IDOffsets = make([]byte, 3), []uint64{0, 1} },
		"IDOffsets":      func(c *slotwise.Columns) { c.IDs, c.IDOffsets = make([]byte, 3), []uint64{0, 1, 4} },
		"IDWidth":        func(c *slotwise.Columns) { c.IDs, c.IDWidth = make([]byte, 3), -1 },
		"IDs":            func(c *slotwise.Columns) { c.IDOffsets = []uint64{0, 0, 0} },
		"Common.ID":      func(c *slotwise.Columns) { c.Common.ID = "a" },
	} {
		bad := base()
		change(&bad)
		_, err := e.ReserveColumns(&bad)
		var failed *slotwise.Error
		if !errors.As(err, &failed) || failed.Arg != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	fall := base()
	fall.IDs, fall.IDOffsets = make([]byte, 3), []uint64{0, 3, 2}
	_, err = e.ReserveColumns(&fall)
	refused(t, err, slotwise.ErrOffsets)
	fall.IDOffsets = []uint64{0, math.MaxUint64, 2}
	_, err = e.ReserveColumns(&fall)
	refused(t, err, slotwise.ErrOffsets)
	_, err = e.ReserveColumns(nil)
	refused(t, err, slotwise.ErrNullPointer)
	overlap := base()
	both := make([]uint64, 2)
	overlap.Hashes, overlap.Versions = both, both
	_, err = e.ReserveColumns(&overlap)
	refused(t, err, slotwise.ErrOverlap)
	done, err = e.ReserveColumns(&slotwise.Columns{})
	must(t, err)
	equal(t, "none", done, slotwise.Done{})
}

func TestGroups(t *testing.T) {
	e := engine(t, 2)
	held, err := e.ReserveOn(must2(e.FindWorker("w0")), slotwise.Request{ID: "a", Need: amount(1000, 1000)})
	must(t, err)
	groups := []slotwise.Group{
		{Worker: "w0", Steps: []slotwise.Step{
			slotwise.ReleaseStep(held.Ticket), slotwise.ReserveStep("b", amount(600, 600)), slotwise.ReserveStep("", amount(400, 400)),
		}},
		{Worker: "w1", Steps: []slotwise.Step{slotwise.ReserveStep("c", amount(600, 600)), slotwise.ReserveStep("d", amount(600, 600))}},
		{Worker: "nobody", Steps: []slotwise.Step{slotwise.ReserveStep("x", amount(1, 1))}},
		{Worker: "w1"},
	}
	for k := range groups {
		groups[k].Done = make([]slotwise.StepDone, len(groups[k].Steps))
	}
	must(t, e.ApplyGroups(groups))
	for k := range groups[0].Done {
		must(t, groups[0].Done[k].Err())
	}
	equal(t, "released", groups[0].Done[0].Amount, amount(1000, 1000))
	equal(t, "existing", groups[0].Done[1].Existing(), false)
	equal(t, "peer", groups[1].Done[0].Err(), error(slotwise.ErrPeer))
	equal(t, "busy", groups[1].Done[1].Err(), error(slotwise.ErrBusy))
	equal(t, "nobody", groups[2].Done[0].Status, slotwise.ErrUnknownWorker)
	must(t, e.ApplyGroups([]slotwise.Group{{Worker: "w0", Steps: []slotwise.Step{slotwise.ReleaseIDStep("b")}}}))
	_, err = e.Reservation("b")
	refused(t, err, slotwise.ErrNotHeld)
	must(t, e.ApplyGroups(nil))
	err = e.ApplyGroups([]slotwise.Group{{Worker: "w0", Steps: []slotwise.Step{{Kind: 9}}}})
	refused(t, err, slotwise.ErrUnknownValue)
	groups[1].Done = groups[1].Done[:1]
	equal(t, "index", refused(t, e.ApplyGroups(groups), slotwise.ErrCount).Index, 1)
}

func must2[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestRemoveTellsOfEachLossOnce(t *testing.T) {
	e := engine(t, 1)
	const many = 500 // More than one call of C brings back.
	want := map[slotwise.Ticket]string{}
	for k := range many {
		id := "r" + strconv.Itoa(k)
		placed, err := e.Reserve(slotwise.Request{ID: id, Need: amount(1, 2)})
		must(t, err)
		want[placed.Ticket] = id
	}
	lost, err := e.RemoveWorker("w0")
	must(t, err)
	equal(t, "lost", len(lost), many)
	for _, one := range lost {
		equal(t, "id", one.ID, want[one.Ticket])
		equal(t, "amount", one.Amount, amount(1, 2))
		delete(want, one.Ticket)
	}
	for one := range e.TakeLost() {
		t.Fatalf("%v twice", one)
	}
}

func TestPreparedRequest(t *testing.T) {
	e := engine(t, 1)
	p, err := e.Prepare(slotwise.Request{ID: "a", Need: amount(1, 1), Key: strings.Repeat("k", 200_000)})
	must(t, err)
	first, err := p.Reserve()
	must(t, err)
	again, err := p.Reserve()
	must(t, err)
	equal(t, "ticket", again.Ticket, first.Ticket)
	must(t, p.SetID("b"))
	must(t, p.SetNeed(amount(5, 5)))
	_, err = p.Reserve()
	must(t, err)
	released, err := e.ReleaseID("b")
	must(t, err)
	equal(t, "amount", released.Amount, amount(5, 5))
	must(t, p.SetID(""))
	for range 3 {
		_, err = p.Reserve()
		must(t, err)
	}
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "reservations", reservations, 4)
	refused(t, p.SetID(strings.Repeat("x", 65)), slotwise.ErrIDLength)
}

func TestReserveWait(t *testing.T) {
	e := engine(t, 1)
	held, err := e.Reserve(slotwise.Request{Need: amount(1000, 1000)})
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = e.ReserveWait(ctx, slotwise.Request{Need: amount(1, 1)})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, slotwise.ErrBusy) {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = e.ReserveWait(ctx, slotwise.Request{Need: amount(2000, 1)})
	refused(t, err, slotwise.ErrNever)
	time.AfterFunc(5*time.Millisecond, func() { e.Release(held.Ticket) })
	placed, err := e.ReserveWait(ctx, slotwise.Request{Need: amount(1000, 1)})
	must(t, err)

	stopped, stop := context.WithCancel(context.Background())
	time.AfterFunc(5*time.Millisecond, stop)
	info, err := e.DrainWait(stopped, "w0")
	if !errors.Is(err, context.Canceled) || info.Held != amount(1000, 1) {
		t.Fatal(info, err)
	}
	time.AfterFunc(5*time.Millisecond, func() { e.Release(placed.Ticket) })
	info, err = e.DrainWait(ctx, "w0")
	must(t, err)
	equal(t, "held", info.Held.IsZero(), true)
}

// A reservation belongs to no goroutine: what one leaves behind when it dies is seen, and given back
// by whoever knows its id.
func TestDyingGoroutineLeavesItsReservation(t *testing.T) {
	e := engine(t, 1)
	died := make(chan any)
	go func() {
		defer func() { died <- recover() }()
		must(t, third(e.Reserve(slotwise.Request{ID: "orphan", Need: amount(300, 200)})))
		var nobody *slotwise.Reservation
		_ = nobody.Ticket // Between reserve and release.
	}()
	if <-died == nil {
		t.Fatal("it lives")
	}
	exited := make(chan bool)
	go func() {
		defer close(exited)
		must(t, third(e.Reserve(slotwise.Request{ID: "second", Need: amount(100, 100)})))
		runtime.LockOSThread() // Its thread ends with it.
		runtime.Goexit()
	}()
	<-exited
	for info := range e.Workers() {
		equal(t, "listed", info.Held, amount(400, 300))
	}
	info, err := e.Drain("w0")
	must(t, err)
	equal(t, "drained", info.Held, amount(400, 300))
	must(t, third(e.ReleaseID("orphan")))
	must(t, third(e.ReleaseID("second")))
	_, err = e.RemoveWorker("w0")
	must(t, err)
}

func TestManyGoroutines(t *testing.T) {
	e := engine(t, 8)
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			batch := slotwise.NewBatch(8)
			results := make([]slotwise.Result, 8)
			for k := range rounds {
				id := fmt.Sprintf("g%d-%d", g, k)
				placed, err := e.Reserve(slotwise.Request{ID: id, Need: amount(100, 100)})
				if err != nil {
					var failed *slotwise.Error
					if !errors.Is(err, slotwise.ErrBusy) || !errors.As(err, &failed) || failed.Status != slotwise.ErrBusy {
						t.Error(err)
					}
					continue
				}
				switch k % 4 {
				case 0:
					batch.Reset()
					for j := range 8 {
						if err := batch.Add(slotwise.Request{ID: id + "-" + strconv.Itoa(j), Need: amount(50, 50)}); err != nil {
							t.Error(err)
						}
					}
					if _, err := e.ReserveBatch(batch, results); err != nil {
						t.Error(err)
					}
					for j := range results {
						if results[j].Status == slotwise.OK {
							must(t, third(e.Release(results[j].Ticket)))
						} else if results[j].Status != slotwise.ErrBusy {
							t.Error(results[j])
						}
					}
				case 1:
					if _, err := e.ResizeID(id, amount(50, 50)); err != nil {
						t.Error(err)
					}
				case 2:
					for range e.Workers() {
						break
					}
				}
				if released, err := e.ReleaseID(id); err != nil || released.Worker != placed.Worker {
					t.Error(released, err)
				}
				if _, err := e.Release(placed.Ticket); !errors.Is(err, slotwise.ErrNotHeld) {
					t.Error(err)
				}
			}
		}()
	}
	done := make(chan bool)
	go func() {
		group.Wait()
		close(done)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
			if audit, err := e.Audit(); err != nil || !audit.OK {
				t.Error(audit, err)
			}
			runtime.GC()
		}
	}
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "reservations", reservations, 0)
}

// Close comes while others call; each is told so, and nothing else happens.
func TestCloseUnderCalls(t *testing.T) {
	for range 20 {
		e, err := slotwise.New(small)
		must(t, err)
		must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "w", Total: amount(1000, 1000)})))
		var group sync.WaitGroup
		for range 4 {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					placed, err := e.Reserve(slotwise.Request{Need: amount(1, 1)})
					if err == nil {
						_, err = e.Release(placed.Ticket)
					}
					if errors.Is(err, slotwise.ErrClosed) {
						return
					}
					must(t, err)
				}
			}()
		}
		time.Sleep(200 * time.Microsecond)
		must(t, e.Close())
		group.Wait()
	}
}

// Engines that are not referred to any more are freed: a process keeps no more than MaxEngines.
func TestEnginesAreFreed(t *testing.T) {
	for k := range slotwise.MaxEngines + 500 {
		e, err := slotwise.New(slotwise.Config{MaxWorkers: 1, MaxReservations: 1, MaxSelectors: 1, MaxBatches: 1})
		if err != nil {
			t.Fatalf("engine %d: %v", k, err)
		}
		if k%2 == 0 {
			must(t, e.Close())
		}
	}
}

func TestErrorsAreOnTheirOwnGoroutine(t *testing.T) {
	e := engine(t, 1)
	var group sync.WaitGroup
	for g := range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := range 500 {
				given := int64(8388608 + g*1000 + k)
				_, err := e.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: given}})
				var failed *slotwise.Error
				if !errors.As(err, &failed) || failed.Given != given {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
}

func TestNoAllocations(t *testing.T) {
	if asan {
		t.Skip("the sanitizer allocates")
	}
	e := engine(t, 20)
	prepared := must2(e.Prepare(slotwise.Request{ID: "p", Need: amount(1, 1)}))
	id := "request-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	requests := make([]slotwise.Request, 100)
	batch := slotwise.NewBatch(100)
	for k := range requests {
		requests[k] = slotwise.Request{ID: id + strconv.Itoa(k), Need: amount(1, 1), Key: "key"}
	}
	results, tickets := make([]slotwise.Result, 100), make([]slotwise.Ticket, 100)
	released := make([]slotwise.Released, 100)
	columns := slotwise.Columns{Common: slotwise.Request{Need: amount(1, 1)}, Tickets: tickets, Statuses: make([]slotwise.Status, 100)}
	worker := must2(e.FindWorker("w3"))
	account, group := must2(e.Account("acme")), must2(e.SpreadGroup("all", slotwise.WorkerScope()))
	now := uint64(1)
	must(t, third(e.Tick(now)))
	limits := []slotwise.Limit{{Group: group, AtMost: 1000}}
	under := slotwise.Terms{HoldUntil: 1 << 60, Priority: 3, Preemptable: true, Account: account, Limits: limits}
	bound := must2(e.Prepare(slotwise.Request{ID: "b", Need: amount(1, 1), Terms: &under}))
	termed := slotwise.NewBatch(100)
	must(t, third(e.AddWorker(node("gpus", 8))))
	part := slotwise.Terms{Devices: slotwise.PartOfDevice(10, 100)}
	give := func() {
		for k := range results {
			tickets[k] = results[k].Ticket
		}
		e.ReleaseBatch(tickets, released)
	}
	for name, do := range map[string]func(){
		"Reserve, Release": func() {
			placed, _ := e.Reserve(slotwise.Request{ID: id, Need: amount(1, 1), Key: "key"})
			e.Release(placed.Ticket)
		},
		"ReserveOn, ReleaseID": func() {
			e.ReserveOn(worker, slotwise.Request{ID: id, Need: amount(1, 1)})
			e.ReleaseID(id)
		},
		"prepared, Resize": func() {
			placed, _ := prepared.Reserve()
			e.Resize(placed.Ticket, amount(2, 2))
			e.Release(placed.Ticket)
		},
		"Batch": func() {
			batch.Reset()
			batch.Add(requests...)
			e.ReserveBatch(batch, results)
			for k := range results {
				if results[k].Err() != nil {
					panic(results[k].Err())
				}
			}
			give()
		},
		"ReserveMany": func() {
			e.ReserveMany(requests, results)
			give()
		},
		"ReserveColumns": func() {
			e.ReserveColumns(&columns)
			e.ReleaseBatch(tickets, nil)
		},
		"Snapshot": func() { e.Snapshot(worker) },
		"Reserve on terms, ConfirmID": func() {
			placed, err := e.Reserve(slotwise.Request{ID: id, Need: amount(1, 1), Terms: &slotwise.Terms{
				HoldUntil: 1 << 60, Account: account, Limits: []slotwise.Limit{{Group: group, AtMost: 1000}},
			}})
			if err != nil || !placed.Provisional {
				panic(err)
			}
			e.Deadline(placed.Ticket)
			e.ConfirmID(id)
			e.Release(placed.Ticket)
		},
		"ReserveAt on terms, Confirm": func() {
			snapshot, _ := e.Snapshot(worker)
			placed, err := e.ReserveAt(worker, snapshot.Version, slotwise.Request{Need: amount(1, 1), Terms: &under})
			if err != nil {
				panic(err)
			}
			e.Confirm(placed.Ticket)
			e.Release(placed.Ticket)
		},
		"prepared on terms": func() {
			under.HoldUntil++
			bound.SetTerms(&under)
			placed, err := bound.Reserve()
			if err != nil {
				panic(err)
			}
			e.Release(placed.Ticket)
		},
		"Batch on terms": func() {
			termed.Reset()
			for k := range requests {
				request := requests[k]
				request.Terms = &under
				termed.Add(request)
			}
			e.ReserveBatch(termed, results)
			for k := range results {
				if results[k].Err() != nil || !results[k].Provisional() {
					panic(results[k].Err())
				}
			}
			give()
		},
		"Reserve with devices, Granted": func() {
			placed, err := e.Reserve(slotwise.Request{ID: id, Need: amount(1, 1), Terms: &slotwise.Terms{
				Devices: slotwise.WholeDevices(2, slotwise.IslandInsist),
			}})
			if err != nil {
				panic(err)
			}
			granted, err := e.Granted(placed.Ticket)
			places := 0
			for place := range granted.Devices.All() {
				places += place
			}
			if err != nil || places != 1 {
				panic(err)
			}
			e.Release(placed.Ticket)
		},
		"Batch with devices": func() {
			termed.Reset()
			for k := range requests {
				request := requests[k]
				request.Terms = &part
				termed.Add(request)
			}
			e.ReserveBatch(termed, results)
			for k := range results {
				if results[k].Err() != nil {
					panic(results[k].Err())
				}
			}
			give()
		},
		"Tick, Now, Heartbeat, Usage, SetQuota, SpreadCount": func() {
			now++
			e.Tick(now)
			e.Now()
			e.Heartbeat("w3", now+100)
			e.Usage(account)
			e.SetQuota(account, slotwise.Quota{CPU: slotwise.Unlimited, Memory: 1 << 40, GPUs: 7})
			e.SpreadCount(group, worker)
		},
		"refusals in a batch": func() {
			batch.Reset()
			for range 10 {
				batch.Add(slotwise.Request{Need: amount(1001, 1)})
			}
			e.ReserveBatch(batch, results[:10])
			if !errors.Is(results[9].Err(), slotwise.ErrNever) {
				panic(results[9])
			}
		},
	} {
		if racing && (name == "ReserveMany" || strings.HasPrefix(name, "Tick")) { // Its pools forget, then.
			continue
		}
		do() // Threads and batches make room at their first calls.
		// A pool may be emptied by a collection in between, so the average is what counts.
		if allocations := testing.AllocsPerRun(200, do); allocations >= 1 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

// The numbers are those of the header.
func TestConstants(t *testing.T) {
	header, err := os.ReadFile("../../include/slotwise.h")
	if err != nil {
		t.Skip(err)
	}
	named := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^#define SLOTWISE_(\w+) (\d+)$`).FindAllStringSubmatch(string(header), -1) {
		named[found[1]], _ = strconv.Atoi(found[2])
	}
	first, last := slotwise.OK, slotwise.ErrPanic
	statuses := 0
	for name, number := range named {
		status := slotwise.Status(number)
		if status.String() == strings.ToLower(name) {
			statuses++
		}
	}
	known := 0
	for status := first; status <= last; status++ {
		if !strings.HasPrefix(status.String(), "status ") {
			known++
		}
	}
	if known < 40 || statuses != known {
		t.Errorf("%d statuses here, %d of them in the header", known, statuses)
	}
	// Between busy and panic, every number that the header gives to a status is known here.
	text := string(header)
	block := text[strings.Index(text, "#define SLOTWISE_OK "):strings.Index(text, "#define SLOTWISE_NO_DIMENSION")]
	equal(t, "statuses of the header", strings.Count(block, "#define SLOTWISE_"), known)
	for name, here := range map[string]int{
		"MAX_ENGINES": slotwise.MaxEngines, "MAX_COUNT": slotwise.MaxCount, "MAX_ID_LENGTH": slotwise.MaxIDLength,
		"OUTLOOK_UNKNOWN": int(slotwise.OutlookUnknown), "OUTLOOK_WAIT": int(slotwise.OutlookWait),
		"OUTLOOK_START": int(slotwise.OutlookStart), "REASON_FITS": int(slotwise.ReasonFits),
		"REASON_MISMATCH": int(slotwise.ReasonMismatch), "REASON_STATE": int(slotwise.ReasonState),
		"REASON_SHORT": int(slotwise.ReasonShort), "REASON_TOO_SMALL": int(slotwise.ReasonTooSmall),
		"REASON_SPREAD": int(slotwise.ReasonSpread), "MISMATCH_MACHINE": int(slotwise.MismatchMachine),
		"MISMATCH_TENANT": int(slotwise.MismatchTenant), "MISMATCH_POOL": int(slotwise.MismatchPool),
		"MISMATCH_LABELS": int(slotwise.MismatchLabels), "MISMATCH_GPU_SEPARATION": int(slotwise.MismatchGPUSeparation),
		"MISMATCH_GPU_TYPE": int(slotwise.MismatchGPUType), "MISMATCH_PREEMPTABLE": int(slotwise.MismatchPreemptable),
		"MISMATCH_DEVICES": int(slotwise.MismatchDevices), "ISLAND_ANY": int(slotwise.IslandAny),
		"ISLAND_PREFER": int(slotwise.IslandPrefer), "ISLAND_INSIST": int(slotwise.IslandInsist),
		"MAX_DEVICES": slotwise.MaxDevices, "MAX_ISLAND": slotwise.MaxIsland, "MAX_KINDS": slotwise.MaxKinds,
		"MAX_LIMITS": slotwise.MaxLimits, "SET_GENERATION": int(slotwise.SetGeneration),
		"MAX_NAME_LENGTH": slotwise.MaxNameLength, "MAX_LIST_LENGTH": slotwise.MaxListLength,
		"NO_DIMENSION": int(slotwise.NoDimension), "CPU": int(slotwise.CPU), "MEMORY": int(slotwise.Memory),
		"GPUS": int(slotwise.GPUs), "POLICY_DEFAULT": int(slotwise.PolicyDefault), "POLICY_AFFINITY": int(slotwise.Affinity),
		"POLICY_FIRST_FIT": int(slotwise.FirstFit), "POLICY_TIGHTEST_FIT": int(slotwise.TightestFit),
		"POLICY_SPREAD": int(slotwise.Spread), "POLICY_POWER_OF_TWO": int(slotwise.PowerOfTwo),
		"POLICY_DOT_PRODUCT": int(slotwise.DotProduct), "POLICY_FGD": int(slotwise.FGD), "POLICY_ADAPTIVE": int(slotwise.Adaptive),
		"STATE_PENDING": int(slotwise.Pending), "STATE_READY": int(slotwise.Ready),
		"STATE_CORDONED": int(slotwise.Cordoned), "STATE_DRAINING": int(slotwise.Draining),
		"INDEPENDENT": int(slotwise.Independent), "ALL_OR_NOTHING": int(slotwise.AllOrNothing),
		"STEP_RESERVE": int(slotwise.StepReserve), "STEP_RELEASE_ID": int(slotwise.StepReleaseID),
		"STEP_RELEASE": int(slotwise.StepRelease), "SELECTOR_ANY": int(slotwise.AnyWorker), "AHEAD": 1, "HASH": 2,
		"SET_TOTAL": int(slotwise.SetTotal), "SET_SET_ASIDE": int(slotwise.SetSetAside), "SET_GPU_TYPE": int(slotwise.SetGPUType),
		"SET_POOL": int(slotwise.SetPool), "SET_PRIORITY": int(slotwise.SetPriority), "SET_TIER": int(slotwise.SetTier),
		"SET_LABELS": int(slotwise.SetLabels), "SET_TENANT": int(slotwise.SetTenant), "SET_MACHINE": int(slotwise.SetMachine),
		"SET_REQUIRES_SELECTOR": int(slotwise.SetRequiresSelector), "SET_PREEMPTABLE": int(slotwise.SetPreemptable),
	} {
		number, ok := named[name]
		if !ok || number != here {
			t.Errorf("SLOTWISE_%s is %d, and %d here", name, number, here)
		}
	}
}

func TestTexts(t *testing.T) {
	for status := slotwise.OK; status <= slotwise.ErrPanic; status++ {
		if status.Text() == "" || status.Error() == "" || status.String() == "" {
			t.Errorf("no text for %d", status)
		}
	}
	equal(t, "unknown", slotwise.Status(-3).String(), "status -3")
	equal(t, "none", slotwise.OK.Err(), nil)
	for text, value := range map[string]fmt.Stringer{
		"500m cpu, 1024 MiB":              amount(500, 1024),
		"1m cpu, 2 MiB, 3 gpu":            slotwise.Resources{CPU: 1, Memory: 2, GPUs: 3},
		"memory":                          slotwise.Memory,
		"dimension 9":                     slotwise.Dimension(9),
		"spread":                          slotwise.Spread,
		"draining":                        slotwise.Draining,
		"all_or_nothing":                  slotwise.AllOrNothing,
		"ticket 0x10":                     slotwise.Ticket(16),
		"no worker":                       slotwise.Worker(0),
		"worker 5, registration 2":        slotwise.Worker(2<<32 | 5),
		"reasons not counted":             slotwise.Reasons{},
		"busy for cpu":                    slotwise.Result{Status: slotwise.ErrBusy, Dimension: slotwise.CPU},
		"no account":                      slotwise.Account(0),
		"worker":                          slotwise.Scope{},
		"label zone":                      slotwise.LabelScope("zone"),
		"machine":                         slotwise.MachineScope(),
		"5m cpu, unlimited memory, 0 gpu": slotwise.Quota{CPU: 5, Memory: slotwise.Unlimited},
		"no worker at version 2: 1 to leave, 0 leaving already": slotwise.Preemption{Version: 2, Victims: make([]slotwise.Victim, 1)},
		"ticket 0x1 on no worker at version 0 (existing) (provisional)": slotwise.Reservation{
			Ticket: 1, Standing: slotwise.Standing{Existing: true, Provisional: true},
		},
		"not_held": slotwise.Released{Status: slotwise.ErrNotHeld},
		"the books of 1 workers and 2 reservations add up":                               slotwise.Audit{OK: true, Workers: 1, Reservations: 2},
		"the books of 3 of 9 workers do not add up":                                      slotwise.Audit{Imbalanced: 3, Workers: 9},
		"a: ready at version 1, free 0m cpu, 0 MiB of 0m cpu, 0 MiB, held 0m cpu, 0 MiB": slotwise.WorkerInfo{ID: "a", State: slotwise.Ready, Version: 1},

		"devices 0, 3": slotwise.DeviceSet(9),
		"no devices":   slotwise.Granted{},
		"insist":       slotwise.IslandInsist,
		"island 7":     slotwise.Island(7),
		"2 devices, 1000/1000 and 0 MiB of each, one island if possible": slotwise.WholeDevices(2, slotwise.IslandPrefer),

		"dot_product":           slotwise.DotProduct,
		"fgd":                   slotwise.FGD,
		"adaptive":              slotwise.Adaptive,
		"policy 9":              slotwise.Policy(9),
		"3 times 500m cpu":      slotwise.Kind{CPU: 500, Count: 3},
		"5 requests of 1 kinds": slotwise.Learned{Arrived: 5, Kinds: make([]slotwise.Kind, 1)},
		"ticket 0x2 from worker 0, registration 1 at version 3 to no worker at version 4, devices 1: frees 900/1000": slotwise.Move{
			Ticket: 2, From: 1 << 32, FromVersion: 3, ToVersion: 4, Devices: 2, FreesMilli: 900,
		},
		"600 of 5400 free thousandths of GPUs are useless to the mix of 11 requests": slotwise.Fragmentation{
			FreeMilli: 5400, UnusableMilli: 600, Arrived: 11,
		},
		"1 moves: 600 of 5400 free thousandths of GPUs are useless before, 50 after": slotwise.Repack{
			Moves: make([]slotwise.Move, 1), Before: slotwise.Fragmentation{FreeMilli: 5400, UnusableMilli: 600},
			After: slotwise.Fragmentation{FreeMilli: 5400, UnusableMilli: 50},
		},
	} {
		equal(t, "text", value.String(), text)
	}
	equal(t, "library", slotwise.LibraryVersion(), slotwise.HeaderVersion)
}
