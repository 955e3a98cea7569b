package slotwise_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// node has so many devices of 80 GiB, the first half of them on island 0, the others on 1.
func node(id string, devices int) slotwise.WorkerSpec {
	spec := slotwise.WorkerSpec{ID: id, Total: amount(64_000, 262_144), GPUType: "H100"}
	for k := range devices {
		spec.Devices = append(spec.Devices, slotwise.Device{
			ID: "gpu-" + strconv.Itoa(k), Memory: 81_920, Island: uint8(2 * k / devices),
		})
	}
	return spec
}

func nodes(t testing.TB, specs ...slotwise.WorkerSpec) *slotwise.Engine {
	t.Helper()
	e := engine(t, 0)
	for _, spec := range specs {
		must(t, third(e.AddWorker(spec)))
	}
	return e
}

func forDevices(id string, need slotwise.DeviceNeed) slotwise.Request {
	return slotwise.Request{ID: id, Need: amount(1, 1), Terms: &slotwise.Terms{Devices: need}}
}

func TestDevices(t *testing.T) {
	e := nodes(t, node("n", 4))
	worker := must2(e.FindWorker("n"))
	half := must2(e.Reserve(forDevices("half", slotwise.PartOfDevice(500, 40_960))))
	granted := must2(e.Granted(half.Ticket))
	equal(t, "granted", granted, slotwise.Granted{Devices: 1, Milli: 500, Memory: 40_960})
	equal(t, "text", granted.String(), "devices 0: 500/1000 and 40960 MiB of each")
	pair := must2(e.Reserve(forDevices("pair", slotwise.WholeDevices(2, slotwise.IslandInsist))))
	granted = must2(e.Granted(pair.Ticket))
	equal(t, "places", fmt.Sprint(slices.Collect(granted.Devices.All())), "[2 3]")
	equal(t, "count", granted.Devices.Len(), 2)
	equal(t, "has", granted.Devices.Has(3) && !granted.Devices.Has(1) && !granted.Devices.Has(-1) && !granted.Devices.Has(64), true)
	for place := range granted.Devices.All() { // A loop that is left.
		equal(t, "first", place, 2)
		break
	}
	equal(t, "whole", granted.Milli, 1000)
	states := must2(e.WorkerDevices(worker))
	equal(t, "devices", fmt.Sprint(states), "[500/1000 and 40960 of 81920 MiB free 1000/1000 and 81920 of 81920 MiB free "+
		"0/1000 and 81920 of 81920 MiB free 0/1000 and 81920 of 81920 MiB free]")
	equal(t, "state", states[2], slotwise.DeviceState{Island: 1, FreeMemory: 81_920, Memory: 81_920})
	info := must2(e.WorkerInfo(worker))
	equal(t, "total", info.Total.GPUs, 4)
	equal(t, "free", info.Free.GPUs, 1)
	_, err := e.Reserve(forDevices("more", slotwise.WholeDevices(2, slotwise.IslandAny)))
	failed := refused(t, err, slotwise.ErrBusy)
	equal(t, "dimension", failed.Dimension, slotwise.GPUs)
	equal(t, "reasons", failed.Reasons, slotwise.Reasons{GPUs: 1})
	_, err = e.Reserve(forDevices("never", slotwise.WholeDevices(3, slotwise.IslandInsist)))
	refused(t, err, slotwise.ErrNever)

	// By name, at a version, prepared, and as the terms change.
	placed := must2(e.ReserveAt(worker, pair.Version, forDevices("", slotwise.PartOfDevice(100, 0))))
	equal(t, "on", must2(e.Granted(placed.Ticket)).Milli, 100)
	must(t, third(e.ReleaseID("pair")))
	prepared := must2(e.Prepare(forDevices("", slotwise.WholeDevices(1, slotwise.IslandAny))))
	placed = must2(prepared.Reserve())
	equal(t, "prepared", must2(e.Granted(placed.Ticket)), slotwise.Granted{Devices: 2, Milli: 1000})
	must(t, prepared.SetTerms(&slotwise.Terms{Devices: slotwise.WholeDevices(2, slotwise.IslandPrefer)}))
	placed = must2(prepared.Reserve())
	equal(t, "anew", must2(e.Granted(placed.Ticket)).Devices, slotwise.DeviceSet(0b1100))
	must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "plain", Total: amount(1, 1)})))
	must(t, prepared.SetTerms(nil))
	equal(t, "none", must2(e.Granted(must2(prepared.Reserve()).Ticket)), slotwise.Granted{})

	must(t, third(e.Release(half.Ticket)))
	_, err = e.Granted(half.Ticket)
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.Granted(0)
	refused(t, err, slotwise.ErrNotHeld)
	_, err = e.WorkerDevices(0)
	refused(t, err, slotwise.ErrUnknownWorker)
	must(t, third(e.RemoveWorker("n")))
	_, err = e.WorkerDevices(worker)
	refused(t, err, slotwise.ErrUnknownWorker)
	_, err = e.Granted(placed.Ticket)
	refused(t, err, slotwise.ErrNotHeld)
}

// What is known of a worker's devices, in a spec, an explanation and an update.
func TestWorkersWithDevices(t *testing.T) {
	counted := slotwise.WorkerSpec{ID: "counted", Total: slotwise.Resources{CPU: 1000, Memory: 1000, GPUs: 2}}
	e := nodes(t, counted, node("n", 2))
	worker := must2(e.FindWorker("n"))
	spec := must2(e.WorkerSpec(worker))
	equal(t, "devices", fmt.Sprint(spec.Devices), "[{ 81920 0} { 81920 1}]")
	equal(t, "none", len(must2(e.WorkerSpec(must2(e.FindWorker("counted")))).Devices), 0)
	equal(t, "no states", must2(e.WorkerDevices(must2(e.FindWorker("counted")))) == nil, true)
	// Without its devices' ids it is not taken for one of GPUs by number.
	spec.ID = "copy"
	_, err := e.AddWorker(spec)
	refused(t, err, slotwise.ErrNameLength)

	explanation, workers, err := e.ExplainWorkers(slotwise.Request{Need: slotwise.Resources{CPU: 1, GPUs: 3}})
	must(t, err)
	equal(t, "mismatches", explanation.Mismatches, slotwise.Mismatches{Devices: 1})
	equal(t, "rule", workers[1].Mismatch(), slotwise.MismatchDevices)
	equal(t, "rule's text", workers[1].Mismatch().String(), "devices")
	equal(t, "text", strings.HasSuffix(workers[1].String(), ": devices on one side only"), true)
	equal(t, "missing", workers[0].Missing.GPUs, 1)

	// An update looks at the number of devices alone, so that of the spec of another worker does.
	update := node("", 2)
	update.Total.CPU = 65_000
	update.Devices[1].Island = 255
	info := must2(e.UpdateWorker("n", slotwise.SetTotal, update))
	equal(t, "total", info.Total, slotwise.Resources{CPU: 65_000, Memory: 262_144, GPUs: 2})
	_, err = e.UpdateWorker("n", slotwise.SetTotal, node("", 3))
	refused(t, err, slotwise.ErrGPUsBesideDevices)
	equal(t, "as it was", must2(e.WorkerInfo(worker)), info)

	held := must2(e.Reserve(forDevices("a", slotwise.PartOfDevice(1, 1))))
	_, err = e.Resize(held.Ticket, slotwise.Resources{CPU: 1, Memory: 1, GPUs: 1})
	refused(t, err, slotwise.ErrDevicesStay)
	must(t, third(e.Resize(held.Ticket, amount(2, 2))))
	equal(t, "kept", must2(e.Granted(held.Ticket)), slotwise.Granted{Devices: 1, Milli: 1, Memory: 1})
}

func TestBadDevices(t *testing.T) {
	e := nodes(t, node("n", 2))
	type devices = []slotwise.Device
	seventeen := make(devices, slotwise.MaxDevices+1)
	for k := range seventeen {
		seventeen[k].ID = strconv.Itoa(k)
	}
	for name, bad := range map[string]struct {
		spec         slotwise.WorkerSpec
		status       slotwise.Status
		given, limit int64
		index        int
	}{
		"twice":      {slotwise.WorkerSpec{Devices: devices{{ID: "a"}, {ID: "b"}, {ID: "a"}}}, slotwise.ErrDuplicateDevice, 0, 0, 2},
		"far":        {slotwise.WorkerSpec{Devices: devices{{ID: "a"}, {ID: "b", Island: 255}}}, slotwise.ErrIslandTooHigh, 255, slotwise.MaxIsland, 1},
		"many":       {slotwise.WorkerSpec{Devices: seventeen}, slotwise.ErrTooManyDevices, 17, slotwise.MaxDevices, 0},
		"nameless":   {slotwise.WorkerSpec{Devices: devices{{Memory: 1}}}, slotwise.ErrNameLength, 0, slotwise.MaxNameLength, 0},
		"long":       {slotwise.WorkerSpec{Devices: devices{{ID: strings.Repeat("x", 256)}}}, slotwise.ErrNameLength, 256, slotwise.MaxNameLength, 0},
		"large":      {slotwise.WorkerSpec{Devices: devices{{ID: "a", Memory: 1 << 27}}}, slotwise.ErrTooLarge, 1 << 27, 1<<27 - 1, 0},
		"other":      {slotwise.WorkerSpec{Devices: devices{{ID: "a"}}, Total: slotwise.Resources{GPUs: 2}}, slotwise.ErrGPUsBesideDevices, 0, 0, 0},
		"set aside":  {slotwise.WorkerSpec{Devices: devices{{ID: "a"}}, SetAside: slotwise.Resources{GPUs: 1}}, slotwise.ErrGPUsBesideDevices, 0, 0, 0},
		"GPU number": {slotwise.WorkerSpec{Devices: devices{{ID: "a"}}, Total: slotwise.Resources{GPUs: -1}}, slotwise.ErrTooLarge, -1, 255, 0},
	} {
		bad.spec.ID = "bad"
		bad.spec.Total.CPU = 1
		_, err := e.AddWorker(bad.spec)
		failed := refused(t, err, bad.status)
		if failed.Given != bad.given || failed.Limit != bad.limit || failed.Index != bad.index {
			t.Errorf("%s: %+v", name, failed)
		}
		added, count, err := e.AddWorkers([]slotwise.WorkerSpec{bad.spec})
		if err == nil {
			err = added[0].Status.Err()
		}
		if !errors.Is(err, bad.status) || count != 0 {
			t.Errorf("%s, of many: %v", name, err)
		}
	}

	before := must2(e.WorkerByID("n"))
	parts := slotwise.DeviceNeed{Count: 2, Milli: 500}
	one := slotwise.PartOfDevice(1, 0)
	for name, bad := range map[string]struct {
		need         slotwise.DeviceNeed
		status       slotwise.Status
		given, limit int64
	}{
		"over whole":     {slotwise.PartOfDevice(1001, 0), slotwise.ErrDeviceOverWhole, 1001, 1000},
		"nothing":        {slotwise.DeviceNeed{Count: 1}, slotwise.ErrDeviceEmpty, 0, 0},
		"parts":          {parts, slotwise.ErrDeviceParts, 2, 1},
		"many":           {slotwise.WholeDevices(17, slotwise.IslandAny), slotwise.ErrTooManyDevices, 17, slotwise.MaxDevices},
		"most":           {slotwise.WholeDevices(1<<32-1, slotwise.IslandAny), slotwise.ErrTooManyDevices, 1<<32 - 1, slotwise.MaxDevices},
		"memory":         {slotwise.PartOfDevice(1, 1<<27), slotwise.ErrTooLarge, 1 << 27, 1<<27 - 1},
		"island":         {slotwise.WholeDevices(2, 3), slotwise.ErrUnknownValue, 3, 0},
		"no count":       {slotwise.WholeDevices(0, slotwise.IslandAny), slotwise.ErrUnknownValue, 1000, 0},
		"memory of none": {slotwise.DeviceNeed{Memory: 7}, slotwise.ErrUnknownValue, 7, 0},
		"island of none": {slotwise.DeviceNeed{Island: slotwise.IslandInsist}, slotwise.ErrUnknownValue, 2, 0},
	} {
		request := forDevices("a", bad.need)
		_, err := e.Reserve(request)
		failed := refused(t, err, bad.status)
		if failed.Given != bad.given || failed.Limit != bad.limit {
			t.Errorf("%s: %+v", name, failed)
		}
		_, err = e.ReserveOn(before.Worker, request)
		refused(t, err, bad.status)
		_, err = must2(e.Prepare(request)).Reserve()
		refused(t, err, bad.status)
		results := make([]slotwise.Result, 1)
		_, err = e.ReserveMany([]slotwise.Request{request}, results)
		if err == nil {
			err = results[0].Err()
		}
		if !errors.Is(err, bad.status) {
			t.Errorf("%s, batch: %v", name, err)
		}
	}
	request := forDevices("a", one)
	request.Need.GPUs = 1
	_, err := e.Reserve(request)
	refused(t, err, slotwise.ErrGPUsBesideDevices)

	equal(t, "as it was", must2(e.WorkerByID("n")), before)
	workers, reservations, err := e.Counts()
	must(t, err)
	equal(t, "workers", workers, 1)
	equal(t, "reservations", reservations, 0)
}

// Members of a gang share a device; one that does not fit leaves all as it was.
func TestDevicesAreMadeRoomFor(t *testing.T) {
	e := nodes(t, node("n", 2))
	low := forDevices("low", slotwise.WholeDevices(2, 0))
	low.Terms.Preemptable = true
	must2(e.Reserve(low))
	high := forDevices("high", slotwise.PartOfDevice(600, 0))
	high.Terms.Priority = 10
	plan := must2(e.PlanPreemption(high))
	equal(t, "victims", len(plan.Victims), 1)
	equal(t, "victim", plan.Victims[0].ID, "low")
	claim := must2(e.Preempt(high, plan))
	equal(t, "provisional", claim.Provisional, true)
	equal(t, "milli", must2(e.Granted(claim.Ticket)).Milli, uint32(600))
	_, err := e.Confirm(claim.Ticket)
	refused(t, err, slotwise.ErrWaiting)
	must2(e.Release(plan.Victims[0].Ticket))
	must2(e.Confirm(claim.Ticket))
	_, err = e.Reserve(forDevices("two", slotwise.WholeDevices(2, 0)))
	refused(t, err, slotwise.ErrBusy)
}

func TestDevicesOfAGang(t *testing.T) {
	e := nodes(t, node("n", 2))
	before := must2(e.WorkerByID("n"))
	half := slotwise.PartOfDevice(500, 0)
	gang := []slotwise.Request{forDevices("a", half), forDevices("b", half), forDevices("c", slotwise.WholeDevices(2, 0))}
	results := make([]slotwise.Result, 3)
	equal(t, "gang", must2(e.ReserveGang(gang, results)), slotwise.Done{Failed: 3})
	equal(t, "peer", results[0].Status, slotwise.ErrPeer)
	equal(t, "in a gang", results[2].Status, slotwise.ErrBusy)
	equal(t, "as it was", must2(e.WorkerByID("n")), before)

	equal(t, "placed", must2(e.ReserveGang(gang[:2], results[:2])).Placed, 2)
	for _, result := range results[:2] {
		granted := must2(e.Granted(result.Ticket))
		equal(t, "the first", granted.Devices.Has(0), true)
		equal(t, "milli", granted.Milli, 500)
	}
	equal(t, "free", must2(e.WorkerByID("n")).Free.GPUs, 1)
	why := must2(e.Explain(gang[2]))
	equal(t, "why not", why.Status, slotwise.ErrBusy)
	equal(t, "missing", why.Nearest.Missing, slotwise.Resources{GPUs: 1})
	// All three were refused together; two are held by now.
	demand := must2(e.UnmetDemand(node("", 2), 0))
	equal(t, "demand", [2]uint32{demand[0].Requests, demand[0].Workers}, [2]uint32{1, 1})
	equal(t, "of devices", demand[0].Need.GPUs, 2)

	// What would be if one of them were gone, or another worker were there.
	copies := func(s slotwise.Supposition) int {
		return must2(e.Replicas(forDevices("", slotwise.WholeDevices(1, 0)), 9, s))
	}
	equal(t, "now", copies(slotwise.Supposition{}), 1)
	both := []slotwise.Ticket{results[0].Ticket, results[1].Ticket}
	equal(t, "without one", copies(slotwise.Supposition{Credited: both[:1]}), 1)
	equal(t, "without both", copies(slotwise.Supposition{Credited: both}), 2)
	equal(t, "with more", copies(slotwise.Supposition{Added: []slotwise.WorkerSpec{node("m", 3)}}), 4)
}

// A batch has its own copies of what is asked for, also where it grows and the collector runs; columns
// ask for the same each.
func TestDevicesInBatches(t *testing.T) {
	var specs []slotwise.WorkerSpec
	for k := range 8 {
		specs = append(specs, node("n"+strconv.Itoa(k), slotwise.MaxDevices))
	}
	e := nodes(t, specs...)
	batch := slotwise.NewBatch(1)
	const many = 100
	for k := range many {
		request := forDevices(strconv.Itoa(k), slotwise.PartOfDevice(uint32(k+1), uint64(k)))
		must(t, batch.Add(request))
		request.Terms.Devices = slotwise.WholeDevices(99, 99)
		if k%20 == 0 {
			runtime.GC()
		}
	}
	results := make([]slotwise.Result, many)
	equal(t, "foreseen", must2(e.DryRun(batch, nil, results)).Placed, many)
	foreseen := slices.Clone(results)
	equal(t, "placed", must2(e.ReserveBatch(batch, results)).Placed, many)
	for k := range results {
		granted := must2(e.Granted(results[k].Ticket))
		equal(t, "as foreseen", foreseen[k].Worker, results[k].Worker)
		equal(t, "one", granted.Devices.Len(), 1)
		equal(t, "milli", granted.Milli, uint32(k+1))
		equal(t, "memory", granted.Memory, uint64(k))
	}
	columns := slotwise.Columns{
		Common:  slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{Devices: slotwise.WholeDevices(2, slotwise.IslandInsist)}},
		Tickets: make([]slotwise.Ticket, 3), Statuses: make([]slotwise.Status, 3),
	}
	equal(t, "columns", must2(e.ReserveColumns(&columns)).Placed, 3)
	for _, ticket := range columns.Tickets {
		equal(t, "pair", must2(e.Granted(ticket)).Devices.Len(), 2)
	}
}

// Goroutines place, release and check by books of their own that no device is held by more than there is.
func TestDevicesUnderGoroutines(t *testing.T) {
	e := nodes(t, node("n0", 2), node("n1", 4), node("n2", 8))
	rounds := 8000
	if testing.Short() {
		rounds = 1500
	}
	// What each device has been granted: added after a reservation, taken off before its release, so
	// never more than what is held.
	var held [3][slotwise.MaxDevices]struct{ milli, memory atomic.Int64 }
	add := func(placed slotwise.Reservation, sign int64) {
		granted, err := e.Granted(placed.Ticket)
		if err != nil || granted.Devices == 0 {
			t.Error(granted, err)
		}
		for place := range granted.Devices.All() {
			device := &held[placed.Worker.Index()][place]
			milli, memory := device.milli.Add(sign*int64(granted.Milli)), device.memory.Add(sign*int64(granted.Memory))
			if milli > 1000 || memory > 81_920 {
				t.Errorf("device %d of %v: %d, %d MiB", place, placed.Worker, milli, memory)
			}
		}
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			random := rand.New(rand.NewPCG(uint64(g), 1))
			var mine []slotwise.Reservation
			release := func(k int) {
				add(mine[k], -1)
				if _, err := e.Release(mine[k].Ticket); err != nil {
					t.Error(err)
				}
				mine = slices.Delete(mine, k, k+1)
			}
			for range rounds {
				if random.IntN(16) < len(mine) {
					release(random.IntN(len(mine)))
					continue
				}
				need := slotwise.PartOfDevice(1+random.Uint32N(999), random.Uint64N(20_000))
				if random.IntN(4) == 0 {
					need = slotwise.WholeDevices(1+random.Uint32N(3), slotwise.Island(random.Uint32N(3)))
				}
				request := forDevices("", need)
				request.Policy = slotwise.Policy(random.Uint32N(uint32(slotwise.Adaptive) + 1))
				placed, err := e.Reserve(request)
				if err == nil {
					add(placed, 1)
					mine = append(mine, placed)
				} else if !errors.Is(err, slotwise.ErrBusy) {
					t.Error(err)
				}
				if _, err := e.WorkerDevices(slotwise.Worker(1<<32 | uint64(random.Uint32N(3)))); err != nil {
					t.Error(err)
				}
			}
			for len(mine) > 0 {
				release(0)
			}
		}()
	}
	group.Wait()
	for info := range e.Workers() {
		for place, state := range must2(e.WorkerDevices(info.Worker)) {
			equal(t, "free of "+strconv.Itoa(place), state.FreeMilli, 1000)
			equal(t, "memory", state.FreeMemory, state.Memory)
		}
		equal(t, "held", info.Held, slotwise.Resources{})
	}
}
