package slotwise_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
)

// Register workers, ask where a job should run, and give back what it held.
func Example() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	for _, id := range []string{"node-a", "node-b"} {
		_, err := engine.AddWorker(slotwise.WorkerSpec{
			ID: id, Total: slotwise.Resources{CPU: 16_000, Memory: 65_536}, Pool: "web",
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	web, err := engine.Selector(slotwise.Constraints{Pools: []string{"web"}})
	if err != nil {
		log.Fatal(err)
	}

	placed, err := engine.Reserve(slotwise.Request{
		ID: "job-1", Need: slotwise.Resources{CPU: 12_000, Memory: 1_024}, Selector: web, Policy: slotwise.FirstFit,
	})
	if err != nil {
		log.Fatal(err)
	}
	info, err := engine.WorkerInfo(placed.Worker)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("job-1 runs on", info.ID)
	fmt.Println(info)

	released, err := engine.ReleaseID("job-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("given back:", released.Amount)
	// Output:
	// job-1 runs on node-a
	// node-a: ready at version 1, free 4000m cpu, 64512 MiB of 16000m cpu, 65536 MiB, held 12000m cpu, 1024 MiB
	// given back: 12000m cpu, 1024 MiB
}

// A refusal says whether waiting helps, what is short, and where.
func ExampleError() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "small", Total: slotwise.Resources{CPU: 1_000, Memory: 1_024}})
	engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 900, Memory: 100}})

	_, err = engine.Reserve(slotwise.Request{ID: "a", Need: slotwise.Resources{CPU: 500, Memory: 100}})
	fmt.Println(errors.Is(err, slotwise.ErrBusy), err)
	_, err = engine.Reserve(slotwise.Request{ID: "b", Need: slotwise.Resources{CPU: 4_000, Memory: 100}})
	var failed *slotwise.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Status == slotwise.ErrNever, failed.Dimension, failed.Reasons)
	}
	// Output:
	// true slotwise: Reserve: busy: nothing that suits it is free now (short of cpu); of 1 workers: 1 short of cpu
	// true cpu of 1 workers: 1 short of cpu
}

// Many requests in one call, without allocation when it is done again.
func ExampleEngine_ReserveBatch() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})

	batch := slotwise.NewBatch(3)
	for _, id := range []string{"a", "b", "c"} {
		if err := batch.Add(slotwise.Request{ID: id, Need: slotwise.Resources{CPU: 400, Memory: 400}}); err != nil {
			log.Fatal(err)
		}
	}
	results := make([]slotwise.Result, batch.Len())
	done, err := engine.ReserveBatch(batch, results)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Placed, "placed,", done.Failed, "not:", results[2])
	// Output:
	// 2 placed, 1 not: busy for cpu
}

// All or none: a gang that does not fit leaves every worker as it was.
func ExampleEngine_ReserveGang() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})
	ranks := []slotwise.Request{
		{ID: "rank-0", Need: slotwise.Resources{CPU: 600, Memory: 1}},
		{ID: "rank-1", Need: slotwise.Resources{CPU: 600, Memory: 1}},
	}
	results := make([]slotwise.Result, len(ranks))
	done, err := engine.ReserveGang(ranks, results)
	fmt.Println(done.Placed, err, results)
	// Output:
	// 0 <nil> [peer busy for cpu]
}

// Busy is worth waiting for; the context says how long.
func ExampleEngine_ReserveWait() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})
	first, err := engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 1_000, Memory: 1}})
	if err != nil {
		log.Fatal(err)
	}
	time.AfterFunc(5*time.Millisecond, func() { engine.Release(first.Ticket) })

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = engine.ReserveWait(ctx, slotwise.Request{Need: slotwise.Resources{CPU: 500, Memory: 1}})
	fmt.Println(err)
	// Output:
	// <nil>
}

// The same request again and again.
func ExampleEngine_Prepare() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})
	prepared, err := engine.Prepare(slotwise.Request{Need: slotwise.Resources{CPU: 300, Memory: 1}})
	if err != nil {
		log.Fatal(err)
	}
	for {
		if _, err := prepared.Reserve(); err != nil {
			fmt.Println(errors.Is(err, slotwise.ErrBusy))
			break
		}
	}
	for info := range engine.Workers() {
		fmt.Println(info.ID, "holds", info.Held)
	}
	// Output:
	// true
	// node holds 900m cpu, 3 MiB
}

// What is held on a worker that is taken out is told of once.
func ExampleEngine_RemoveWorker() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})
	engine.Reserve(slotwise.Request{ID: "job", Need: slotwise.Resources{CPU: 300, Memory: 1}})
	lost, err := engine.RemoveWorker("node")
	fmt.Println(len(lost), lost[0].ID, lost[0].Amount, err)
	_, err = engine.ReleaseID("job")
	fmt.Println(errors.Is(err, slotwise.ErrNotHeld))
	// Output:
	// 1 job 300m cpu, 1 MiB <nil>
	// true
}

// Hold capacity while an image is pulled, and keep it once the container runs. The host tells the time.
func ExampleEngine_Confirm() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 4_000, Memory: 8_192}})

	// The clock is in milliseconds here, since the program started.
	if _, err := engine.Tick(1_000); err != nil {
		log.Fatal(err)
	}
	hold := &slotwise.Terms{HoldUntil: 31_000}
	for _, id := range []string{"job-1", "job-2"} {
		held, err := engine.Reserve(slotwise.Request{ID: id, Need: slotwise.Resources{CPU: 2_000, Memory: 4_096}, Terms: hold})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(id, "is provisional:", held.Provisional)
	}

	// The container of job-1 runs; that of job-2 never does.
	kept, err := engine.ConfirmID("job-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("job-1 is provisional:", kept.Provisional)
	ticked, err := engine.Tick(31_000)
	if err != nil {
		log.Fatal(err)
	}
	for _, expired := range ticked.Expired {
		fmt.Println(expired.ID, "has ended and gave back", expired.Amount)
	}
	_, err = engine.ConfirmID("job-2")
	fmt.Println("too late:", errors.Is(err, slotwise.ErrNotHeld))
	// Output:
	// job-1 is provisional: true
	// job-2 is provisional: true
	// job-1 is provisional: false
	// job-2 has ended and gave back 2000m cpu, 4096 MiB
	// too late: true
}

// Make room for what is urgent: a plan, a claim, and the victims' leave.
func ExampleEngine_Preempt() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 4_000, Memory: 8_192}})
	engine.Reserve(slotwise.Request{
		ID: "nightly", Need: slotwise.Resources{CPU: 3_000, Memory: 6_144}, Terms: &slotwise.Terms{Preemptable: true},
	})

	urgent := slotwise.Request{
		ID: "urgent", Need: slotwise.Resources{CPU: 2_000, Memory: 4_096}, Terms: &slotwise.Terms{Priority: 10},
	}
	plan, err := engine.PlanPreemption(urgent)
	if err != nil {
		log.Fatal(err)
	}
	claim, err := engine.Preempt(urgent, plan) // ErrVersionConflict: the worker has changed, plan again.
	if err != nil {
		log.Fatal(err)
	}
	_, err = engine.Confirm(claim.Ticket)
	var failed *slotwise.Error
	if errors.As(err, &failed) && failed.Status == slotwise.ErrWaiting {
		fmt.Println(failed.Given, "must leave first")
	}
	for _, victim := range plan.Victims {
		fmt.Println("stop", victim.ID)
		if _, err := engine.Release(victim.Ticket); err != nil { // Once it has stopped.
			log.Fatal(err)
		}
	}
	placed, err := engine.Confirm(claim.Ticket)
	fmt.Println("urgent is provisional:", placed.Provisional, err)
	// Output:
	// 1 must leave first
	// stop nightly
	// urgent is provisional: false <nil>
}

// What a tenant may use in all, and one replica in each zone.
func ExampleTerms() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	for id, zone := range map[string]string{"a": "north", "b": "north", "c": "south"} {
		engine.AddWorker(slotwise.WorkerSpec{
			ID: id, Total: slotwise.Resources{CPU: 4_000, Memory: 8_192}, Labels: map[string]string{"zone": zone},
		})
	}
	tenant, err := engine.Account("acme")
	if err != nil {
		log.Fatal(err)
	}
	engine.SetQuota(tenant, slotwise.Quota{CPU: 1_500, Memory: slotwise.Unlimited, GPUs: slotwise.Unlimited})
	web, err := engine.SpreadGroup("web", slotwise.LabelScope("zone"))
	if err != nil {
		log.Fatal(err)
	}

	replica := slotwise.Request{
		Need:  slotwise.Resources{CPU: 500, Memory: 512},
		Terms: &slotwise.Terms{Account: tenant, Limits: []slotwise.Limit{{Group: web, AtMost: 1}}},
	}
	for range 3 {
		_, err := engine.Reserve(replica)
		fmt.Println(err)
	}
	_, err = engine.Reserve(slotwise.Request{
		Need: slotwise.Resources{CPU: 600, Memory: 512}, Terms: &slotwise.Terms{Account: tenant},
	})
	fmt.Println(errors.Is(err, slotwise.ErrQuotaExceeded))
	usage, err := engine.Usage(tenant)
	fmt.Println(usage, err)
	// Output:
	// <nil>
	// <nil>
	// slotwise: Reserve: busy: nothing that suits it is free now; of 3 workers: 3 at a limit of its group
	// true
	// 1000m cpu, 1024 MiB of 1500m cpu, unlimited memory, unlimited gpu <nil>
}

// Half a GPU: a worker is registered with its devices, and a job is told of which one it got a part.
func ExampleEngine_Granted() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	// Two of 80 GiB that are joined by NVLink, so on one island.
	node := slotwise.WorkerSpec{
		ID: "node-a", Total: slotwise.Resources{CPU: 32_000, Memory: 262_144},
		Devices: []slotwise.Device{{ID: "GPU-5e1a", Memory: 81_920}, {ID: "GPU-77c0", Memory: 81_920}},
	}
	worker, err := engine.AddWorker(node)
	if err != nil {
		log.Fatal(err)
	}

	placed, err := engine.Reserve(slotwise.Request{
		ID: "notebook", Need: slotwise.Resources{CPU: 2_000, Memory: 8_192},
		Terms: &slotwise.Terms{Devices: slotwise.PartOfDevice(500, 40_960)},
	})
	if err != nil {
		log.Fatal(err)
	}
	granted, err := engine.Granted(placed.Ticket)
	if err != nil {
		log.Fatal(err)
	}
	for place := range granted.Devices.All() {
		fmt.Printf("notebook has %d/1000 and %d MiB of %s\n", granted.Milli, granted.Memory, node.Devices[place].ID)
	}
	devices, err := engine.WorkerDevices(worker)
	if err != nil {
		log.Fatal(err)
	}
	for place, device := range devices {
		fmt.Printf("%s: %v\n", node.Devices[place].ID, device)
	}
	// Output:
	// notebook has 500/1000 and 40960 MiB of GPU-5e1a
	// GPU-5e1a: 500/1000 and 40960 of 81920 MiB free
	// GPU-77c0: 1000/1000 and 81920 of 81920 MiB free
}

// Learn which requests come, see how much of what is free is useless to them, and move what is in the way.
func ExampleEngine_Repack() {
	engine, err := slotwise.New(slotwise.Config{Policy: slotwise.Adaptive})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	var workers []slotwise.Worker
	for _, id := range []string{"node-a", "node-b"} {
		worker, err := engine.AddWorker(slotwise.WorkerSpec{
			ID: id, Total: slotwise.Resources{CPU: 32_000, Memory: 262_144}, Devices: []slotwise.Device{{ID: "GPU-0"}},
		})
		if err != nil {
			log.Fatal(err)
		}
		workers = append(workers, worker)
	}
	job := func(milli uint32) slotwise.Request {
		return slotwise.Request{
			Need:  slotwise.Resources{CPU: 2_000, Memory: 8_192},
			Terms: &slotwise.Terms{Devices: slotwise.PartOfDevice(milli, 0)},
		}
	}

	// What comes wants whole GPUs, and two notebooks are in the way. The host knows what it asked for.
	for range 10 {
		placed, err := engine.Reserve(job(1000))
		if err != nil {
			log.Fatal(err)
		}
		engine.Release(placed.Ticket)
	}
	asked := map[slotwise.Ticket]slotwise.Request{}
	for _, worker := range workers {
		notebook := job(400)
		placed, err := engine.ReserveOn(worker, notebook)
		if err != nil {
			log.Fatal(err)
		}
		asked[placed.Ticket] = notebook
	}
	plan, err := engine.Repack(5)
	if err != nil {
		log.Fatal(err) // ErrNothingLearned: before the first request.
	}
	fmt.Println(plan.Before)
	for _, move := range plan.Moves {
		// ErrVersionConflict: somebody else was there, make another plan.
		if _, err := engine.ReserveAt(move.To, move.ToVersion, asked[move.Ticket]); err != nil {
			log.Fatal(err)
		}
		fmt.Println("moved a notebook, which frees", move.FreesMilli)
		engine.Release(move.Ticket) // Once it runs there.
	}
	now, err := engine.Fragmentation()
	fmt.Println(now, err)
	_, err = engine.Reserve(job(1000))
	fmt.Println("a whole one:", err)
	// Output:
	// 1200 of 1200 free thousandths of GPUs are useless to the mix of 10 requests
	// moved a notebook, which frees 1000
	// 200 of 1200 free thousandths of GPUs are useless to the mix of 10 requests <nil>
	// a whole one: <nil>
}

// A worker that is not heard of in time ends with what it holds.
func ExampleEngine_Tick() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "node", Total: slotwise.Resources{CPU: 4_000, Memory: 8_192}, Lease: 30})
	engine.Reserve(slotwise.Request{ID: "job", Need: slotwise.Resources{CPU: 500, Memory: 512}})
	engine.Heartbeat("node", 60)
	for now := uint64(10); now <= 60; now += 10 {
		ticked, err := engine.Tick(now)
		if err != nil {
			log.Fatal(err)
		}
		for _, worker := range ticked.Workers {
			for _, lost := range worker.Lost {
				fmt.Println("at", now, worker.ID, "is gone, and so is", lost.ID)
			}
		}
	}
	// Output:
	// at 60 node is gone, and so is job
}

// Why not, where least is missing, and what would make it fit.
func ExampleEngine_Explain() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	engine.AddWorker(slotwise.WorkerSpec{ID: "a", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}})
	engine.AddWorker(slotwise.WorkerSpec{ID: "b", Total: slotwise.Resources{CPU: 1_000, Memory: 1_000}, Tenant: "acme"})
	held, err := engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 700, Memory: 100}})
	if err != nil {
		log.Fatal(err)
	}

	job := slotwise.Request{Need: slotwise.Resources{CPU: 500, Memory: 100}}
	explanation, err := engine.Explain(job)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(explanation)
	fmt.Println("of another tenant:", explanation.Mismatches.Tenant, "missing at best:", explanation.Nearest.Missing)

	fit, err := engine.Replicas(job, 10, slotwise.Supposition{Credited: []slotwise.Ticket{held.Ticket}})
	fmt.Println("copies, if that reservation were gone:", fit, err)
	// Output:
	// busy for cpu; of 2 workers: 1 not matching, 1 short of cpu; outlook: start
	// of another tenant: 1 missing at best: 200m cpu, 0 MiB
	// copies, if that reservation were gone: 2 <nil>
}

// A burst of requests: how many machines would serve what was refused?
func ExampleEngine_UnmetDemand() {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	for n := range 7 {
		engine.Reserve(slotwise.Request{ID: fmt.Sprint("job-", n), Need: slotwise.Resources{CPU: 1_000, Memory: 1_024}})
	}
	shape := slotwise.WorkerSpec{Total: slotwise.Resources{CPU: 4_000, Memory: 8_192}}
	toStart := func() (workers uint32) {
		demand, err := engine.UnmetDemand(shape, 0)
		if err != nil {
			log.Fatal(err)
		}
		for _, of := range demand {
			workers += of.Workers
		}
		return workers
	}
	fmt.Println("to start:", toStart())
	shape.ID, shape.Pending, shape.Lease = "on-its-way", true, 60_000
	engine.AddWorker(shape)
	fmt.Println("with one on its way:", toStart())
	engine.ForgetUnmet("job-6") // Nobody waits for it any more.
	engine.ForgetUnmet("job-5")
	engine.ForgetUnmet("job-4")
	fmt.Println("with three withdrawn:", toStart())
	// Output:
	// to start: 2
	// with one on its way: 1
	// with three withdrawn: 0
}
