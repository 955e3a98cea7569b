package slotwise_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// Whatever is asked for, in whichever way: an answer or an error with a status, the same in each way, and
// books that add up.
func FuzzRequest(f *testing.F) {
	f.Add("a", "key", int64(1), int64(2), int64(0), uint32(0), uint32(0), uint64(0), uint8(0))
	f.Add("", "", int64(-1), int64(1)<<62, int64(255), uint32(1<<31), uint32(5), uint64(7), uint8(255))
	f.Add("\xff\x00\xd8", "\x00", int64(1000), int64(1000), int64(1), uint32(1), uint32(6), uint64(1)<<63, uint8(3))
	f.Add(string(make([]byte, 65)), string(make([]byte, 70_000)), int64(0), int64(0), int64(0), uint32(0), uint32(1), uint64(0), uint8(4))
	f.Add("d", "", int64(1), int64(100), int64(0), uint32(0), uint32(1), uint64(0), uint8(20))
	f.Add("d", "", int64(1), int64(0), int64(1000), uint32(2), uint32(2), uint64(0), uint8(22))
	f.Fuzz(func(t *testing.T, id, key string, cpu, memory, gpus int64, selector, policy uint32, hash uint64, bits uint8) {
		e := engine(t, 2)
		request := slotwise.Request{
			ID: id, Key: key, Need: slotwise.Resources{CPU: cpu, Memory: memory, GPUs: gpus},
			Selector: slotwise.Selector(selector), Policy: slotwise.Policy(policy), Hash: hash,
			HasHash: bits&1 != 0, Ahead: bits&2 != 0,
		}
		if bits&4 != 0 {
			request.Terms = &slotwise.Terms{
				HoldUntil: uint64(cpu), Priority: int32(memory), Preemptable: bits&8 != 0, Account: slotwise.Account(bits >> 4),
				Limits: make([]slotwise.Limit, bits>>5),
			}
			if bits&16 != 0 {
				request.Terms.Devices = slotwise.DeviceNeed{
					Count: policy, Milli: uint32(gpus), Memory: uint64(memory), Island: slotwise.Island(selector),
				}
				must(t, third(e.AddWorker(node("gpus", 2))))
			}
			for k := range request.Terms.Limits {
				request.Terms.Limits[k] = slotwise.Limit{Group: slotwise.SpreadGroup(selector % 3), AtMost: policy}
			}
			must(t, third(e.Account("account")))
			must(t, third(e.SpreadGroup("group", slotwise.WorkerScope())))
		}
		status := func(err error) slotwise.Status {
			var failed slotwise.Status
			if err != nil && (!errors.As(err, &failed) || err.Error() == "") {
				t.Fatalf("no status in %v", err)
			}
			return failed
		}
		// Of several faults, each way tells the one that it comes upon first.
		same := func(what string, got, want slotwise.Status) {
			t.Helper()
			early := len(id) > slotwise.MaxIDLength || request.Terms != nil && len(request.Terms.Limits) > slotwise.MaxLimits
			if got != want && (!early || got == slotwise.OK || want == slotwise.OK) {
				t.Fatalf("%s: %v, not %v", what, got, want)
			}
		}
		single, err := e.Reserve(request)
		first := status(err)
		if err == nil {
			must(t, third(e.Release(single.Ticket)))
		}
		results := make([]slotwise.Result, 1)
		if _, err := e.ReserveMany([]slotwise.Request{request}, results); err != nil {
			same("batch", status(err), first)
		} else {
			same("batch", results[0].Status, first)
		}
		if results[0].Ticket != 0 {
			must(t, third(e.Release(results[0].Ticket)))
		}
		prepared, err := e.Prepare(request)
		if err == nil {
			single, err = prepared.Reserve()
		}
		same("prepared", status(err), first)
		if err == nil {
			status(third(e.Resize(single.Ticket, slotwise.Resources{CPU: memory, Memory: gpus, GPUs: cpu})))
			must(t, third(e.Release(single.Ticket)))
		}
		status(third(e.ReserveOn(slotwise.Worker(hash), request)))
		plan, err := e.PlanPreemption(request)
		status(err)
		plan.Leaving = append(plan.Leaving, slotwise.Ticket(hash))
		status(third(e.Preempt(request, plan)))
		explanation, workers, err := e.ExplainWorkers(request)
		status(err)
		_ = fmt.Sprint(explanation, workers)
		shape := slotwise.WorkerSpec{ID: id, Pool: key, Total: slotwise.Resources{CPU: cpu, Memory: memory, GPUs: gpus}}
		status(third(e.UnmetDemand(shape, hash)))
		status(third(e.ForgetUnmet(key)))
		status(third(e.Replicas(request, int(policy%1000), slotwise.Supposition{
			Credited: []slotwise.Ticket{slotwise.Ticket(hash)}, Without: []slotwise.Worker{slotwise.Worker(hash)},
			Added: []slotwise.WorkerSpec{shape},
		})))
		status(third(e.Confirm(slotwise.Ticket(hash))))
		status(third(e.ConfirmID(id)))
		status(third(e.Deadline(slotwise.Ticket(hash))))
		status(third(e.Granted(slotwise.Ticket(hash))))
		status(third(e.WorkerDevices(slotwise.Worker(hash))))
		status(e.Heartbeat(id, hash))
		status(third(e.HandOff(id, key)))
		status(third(e.ReadyGeneration("w0", hash)))
		status(e.SetQuota(slotwise.Account(selector), slotwise.Quota{CPU: cpu, Memory: memory, GPUs: gpus}))
		status(third(e.Usage(slotwise.Account(selector))))
		status(third(e.Account(key)))
		status(third(e.SpreadGroup(id, slotwise.LabelScope(key))))
		status(third(e.SpreadCount(slotwise.SpreadGroup(selector), slotwise.Worker(hash))))
		status(third(e.Tick(hash)))
		status(third(e.Release(slotwise.Ticket(hash))))
		status(third(e.ReleaseID(key)))
		status(third(e.AddWorker(slotwise.WorkerSpec{
			ID: id, Pool: key, Total: request.Need, Machine: id, Labels: map[string]string{id: key},
			Devices: []slotwise.Device{{ID: key, Memory: hash, Island: bits}, {ID: id}}[:bits&3%3],
		})))
		status(third(e.Selector(slotwise.Constraints{
			Pools: []string{id, key}, Labels: map[string][]string{key: {id}}, GPUTypes: []string{key}, Tenant: id,
		})))
		status(e.ApplyGroups([]slotwise.Group{{Worker: "w0", Steps: []slotwise.Step{
			slotwise.ReserveStep(id, request.Need), {Kind: slotwise.StepKind(bits), ID: key, Ticket: slotwise.Ticket(hash)},
		}}}))
		status(third(e.ReserveColumns(&slotwise.Columns{
			Mode: slotwise.Mode(bits & 3), Common: slotwise.Request{Need: request.Need, Key: key, Terms: request.Terms}, IDs: []byte(id),
			IDOffsets: []uint64{hash % 100, uint64(len(id)), uint64(len(id))}, CPU: []int64{cpu, memory},
			Statuses: make([]slotwise.Status, 2), BatchID: key,
		})))
		for range e.Workers() {
		}
		status(third(e.RemoveWorker(id)))
		status(third(e.RemoveWorker("w0")))
	})
}
