package slotwise_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

func TestOutlook(t *testing.T) {
	e := engine(t, 0)
	must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "coming", Total: amount(1000, 1000), Pending: true})))
	_, err := e.Reserve(slotwise.Request{Need: amount(600, 100)})
	equal(t, "wait", refused(t, err, slotwise.ErrBusy).Outlook, slotwise.OutlookWait)
	equal(t, "text", strings.HasSuffix(err.Error(), "; one that is on its way has room"), true)
	_, err = e.Reserve(slotwise.Request{Need: amount(1001, 100)})
	equal(t, "start", refused(t, err, slotwise.ErrNever).Outlook, slotwise.OutlookStart)
	_, err = e.ReserveOn(must2(e.FindWorker("coming")), slotwise.Request{Need: amount(1, 1)})
	equal(t, "unknown", refused(t, err, slotwise.ErrBusy).Outlook, slotwise.OutlookUnknown)
}

func TestExplain(t *testing.T) {
	e := engine(t, 0)
	for _, spec := range []slotwise.WorkerSpec{
		{ID: "small", Total: amount(400, 400)}, {ID: "half"}, {ID: "most"},
		{ID: "off", Pool: "p", RequiresSelector: true}, {ID: "theirs", Tenant: "t"}, {ID: "coming", Pending: true},
	} {
		if spec.Total.IsZero() {
			spec.Total = amount(1000, 1000)
		}
		must(t, third(e.AddWorker(spec)))
	}
	half := must2(e.FindWorker("half"))
	must(t, third(e.ReserveOn(half, slotwise.Request{ID: "h", Need: amount(500, 500)})))
	must(t, third(e.ReserveOn(must2(e.FindWorker("most")), slotwise.Request{Need: amount(700, 100)})))

	job := slotwise.Request{ID: "job", Need: amount(600, 300)}
	want := slotwise.Explanation{
		Status: slotwise.ErrBusy, Dimension: slotwise.CPU, Outlook: slotwise.OutlookWait,
		Reasons:    slotwise.Reasons{NotMatching: 2, NotReady: 1, CPU: 3},
		Mismatches: slotwise.Mismatches{Pool: 1, Tenant: 1},
		Nearest:    slotwise.NearMiss{Worker: half, Version: 1, Missing: amount(100, 0)},
	}
	explanation := must2(e.Explain(job))
	equal(t, "explanation", explanation, want)
	equal(t, "error", explanation.Err(), error(slotwise.ErrBusy))
	equal(t, "text", explanation.String(),
		"busy for cpu; of 6 workers: 2 not matching, 1 not ready, 3 short of cpu; outlook: wait")
	explanation, workers, err := e.ExplainWorkers(job)
	must(t, err)
	equal(t, "the same", explanation, want)
	var texts []string
	for k := range workers {
		equal(t, "index", workers[k].Worker.Index(), k)
		_, text, _ := strings.Cut(workers[k].String(), " at version ")
		texts = append(texts, text)
	}
	equal(t, "workers", strings.Join(texts, "; "), "0: too small by 200m cpu, 0 MiB; 1: short of 100m cpu, 0 MiB; "+
		"1: short of 300m cpu, 0 MiB; 0: another pool; 0: another tenant; 0: pending")
	equal(t, "rule", workers[4].Mismatch(), slotwise.MismatchTenant)
	equal(t, "no rule", workers[5].Mismatch(), slotwise.NoMismatch)
	equal(t, "state", workers[5].State(), slotwise.Pending)
	equal(t, "no state", workers[4].State(), slotwise.State(0))

	must(t, third(e.ResizeID("h", amount(400, 500))))
	explanation = must2(e.Explain(job))
	equal(t, "fits", explanation.Err(), nil)
	equal(t, "fitting", explanation.Fitting, 1)
	equal(t, "where", explanation.Worker, half)
	placed := must2(e.ReserveAt(explanation.Worker, explanation.Version, job))
	explanation = must2(e.Explain(job))
	equal(t, "held", explanation.Ticket, placed.Ticket)
	equal(t, "text", explanation.String(), fmt.Sprintf("fits on %v at version %d", half, explanation.Version))

	_, err = e.Explain(slotwise.Request{})
	refused(t, err, slotwise.ErrEmpty)
	_, _, err = e.ExplainWorkers(slotwise.Request{ID: strings.Repeat("x", 65), Need: amount(1, 1)})
	refused(t, err, slotwise.ErrIDLength)
	_, err = e.Explain(slotwise.Request{Need: amount(1, 1), Selector: 99})
	refused(t, err, slotwise.ErrUnknownSelector)

	// Terms count: one that fits nowhere for its group.
	group := must2(e.SpreadGroup("g", slotwise.LabelScope("nobody has it")))
	explanation, workers, err = e.ExplainWorkers(slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{
		Limits: []slotwise.Limit{{Group: group, AtMost: 1}},
	}})
	must(t, err)
	equal(t, "reasons", explanation.Reasons, slotwise.Reasons{NotMatching: 2, NotReady: 1, CPU: 1, Spread: 2})
	equal(t, "reason", workers[0].Reason, slotwise.ReasonSpread)
}

// Workers come while others are explained: there is room for each that is told of.
func TestExplainWhileWorkersCome(t *testing.T) {
	e := engine(t, 1)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for k := range 200 {
			must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "more" + strconv.Itoa(k), Total: amount(1, 1)})))
		}
	}()
	for seen := 0; seen < 201; {
		explanation, workers, err := e.ExplainWorkers(slotwise.Request{Need: amount(2, 2)})
		must(t, err)
		equal(t, "all", uint64(len(workers)), uint64(explanation.Fitting)+uint64(explanation.Reasons.CPU))
		seen = len(workers)
	}
	group.Wait()
}

func TestUnmetDemand(t *testing.T) {
	e := engine(t, 0)
	pool := must2(e.Selector(slotwise.Constraints{Pools: []string{"p"}}))
	must(t, third(e.Tick(10)))
	for k := range 8 {
		job := slotwise.Request{ID: "job-" + strconv.Itoa(k), Need: amount(250, 100)}
		if k == 7 {
			job.Selector = pool
		}
		for range 2 { // The same again is the same request.
			_, err := e.Reserve(job)
			refused(t, err, slotwise.ErrNever)
		}
	}
	shape := slotwise.WorkerSpec{Total: amount(1000, 1000), Labels: map[string]string{"zone": "north"}}
	demand := must2(e.UnmetDemand(shape, 0))
	equal(t, "entries", len(demand), 2)
	equal(t, "any", demand[0], slotwise.Demand{Requests: 7, Need: amount(1750, 700), Packed: 7, Workers: 2})
	equal(t, "pool", demand[1], slotwise.Demand{Selector: pool, Requests: 1, Need: amount(250, 100), Unservable: 1})
	must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "coming", Total: amount(1000, 1000), Pending: true})))
	demand = must2(e.UnmetDemand(shape, 10))
	equal(t, "with one coming", demand[0], slotwise.Demand{Requests: 7, Need: amount(1750, 700), Joining: 4, Packed: 3, Workers: 1})
	equal(t, "later", len(must2(e.UnmetDemand(shape, 11))), 0)
	equal(t, "forgotten", must2(e.ForgetUnmet("job-7")), true)
	equal(t, "twice", must2(e.ForgetUnmet("job-7")), false)
	equal(t, "nobody", must2(e.ForgetUnmet("")), false)
	equal(t, "left", len(must2(e.UnmetDemand(shape, 0))), 1)
	for _, bad := range []struct {
		shape  slotwise.WorkerSpec
		status slotwise.Status
	}{
		{slotwise.WorkerSpec{Total: amount(-1, 1)}, slotwise.ErrTooLarge},
		{slotwise.WorkerSpec{Total: amount(1, 1), SetAside: amount(2, 0)}, slotwise.ErrSetAside},
		{slotwise.WorkerSpec{Total: amount(1, 1), GPUType: "T4"}, slotwise.ErrGPUType},
	} {
		_, err := e.UnmetDemand(bad.shape, 0)
		refused(t, err, bad.status)
	}

	// More selectors than there is room for at first.
	for k := range 40 {
		selector := must2(e.Selector(slotwise.Constraints{Pools: []string{"pool-" + strconv.Itoa(k)}}))
		e.Reserve(slotwise.Request{Need: amount(1, 1), Selector: selector})
	}
	equal(t, "many", len(must2(e.UnmetDemand(shape, 0))), 41)

	none, err := slotwise.New(slotwise.Config{MaxWorkers: 1, MaxUnmet: 5, NoUnmet: true})
	must(t, err)
	defer none.Close()
	config := must2(none.Config())
	equal(t, "none kept", config.NoUnmet && config.MaxUnmet == 0, true)
	_, err = none.Reserve(slotwise.Request{ID: "job", Need: amount(1, 1)})
	refused(t, err, slotwise.ErrNever)
	equal(t, "nothing", len(must2(none.UnmetDemand(shape, 0))), 0)
}

func TestDryRunWithAndReplicas(t *testing.T) {
	e := engine(t, 2)
	a, b := must2(e.FindWorker("w0")), must2(e.FindWorker("w1"))
	old := must2(e.ReserveOn(a, slotwise.Request{ID: "old", Need: amount(800, 800)}))
	copies := slotwise.Request{Need: amount(400, 400)}
	supposed := slotwise.Supposition{}
	fit := func(n int) int { t.Helper(); return must2(e.Replicas(copies, n, supposed)) }
	equal(t, "as it is", fit(math.MaxUint32), 2)
	equal(t, "one", fit(1), 1)
	equal(t, "none", fit(0), 0)
	supposed.Credited = []slotwise.Ticket{old.Ticket, old.Ticket, 12345}
	equal(t, "credited", fit(100), 4)
	supposed.Without = []slotwise.Worker{b, 0, slotwise.Worker(math.MaxUint64)}
	equal(t, "without", fit(100), 2)
	supposed.Added = []slotwise.WorkerSpec{
		{ID: "coming", Total: amount(1000, 1000), Pending: true},
		{ID: "new", Total: amount(800, 800), Labels: map[string]string{"zone": "north"}},
	}
	equal(t, "added", fit(100), 4)
	copies.Ahead = true
	equal(t, "ahead", fit(100), 6)
	copies.Terms = &slotwise.Terms{Limits: []slotwise.Limit{{Group: must2(e.SpreadGroup("g", slotwise.WorkerScope())), AtMost: 1}}}
	equal(t, "one each", fit(100), 3)

	batch := slotwise.NewBatch(4)
	batch.Reasons = make([]slotwise.Reasons, 4)
	for k, cpu := range []int64{500, 600, 700, 700} {
		must(t, batch.Add(slotwise.Request{ID: []string{"old", "", "", ""}[k], Need: amount(cpu, cpu)}))
	}
	results := make([]slotwise.Result, 4)
	done := must2(e.DryRunWith(batch, supposed, results))
	equal(t, "done", done, slotwise.Done{Placed: 2, Failed: 2})
	equal(t, "credited", results[0].Worker, a)
	_, is := results[0].Worker.Added()
	equal(t, "registered", is, false)
	index, is := results[1].Worker.Added()
	equal(t, "supposed", is, true)
	equal(t, "index", index, 1)
	equal(t, "text", results[1].Worker.String(), "supposed worker 1")
	equal(t, "refused", results[2].Status, slotwise.ErrBusy)
	equal(t, "reasons", batch.Reasons[2], slotwise.Reasons{NotReady: 1, CPU: 2})
	_, err := e.WorkerInfo(results[1].Worker)
	refused(t, err, slotwise.ErrUnknownWorker)

	same := make([]slotwise.Result, 4)
	must(t, third(e.DryRunWith(batch, slotwise.Supposition{}, results)))
	must(t, third(e.DryRun(batch, nil, same)))
	equal(t, "nothing supposed", fmt.Sprint(results), fmt.Sprint(same))

	supposed.Added[1].ID = "w1"
	must(t, third(e.DryRunWith(batch, supposed, results)))
	supposed.Without = nil
	_, err = e.DryRunWith(batch, supposed, results)
	equal(t, "place", refused(t, err, slotwise.ErrDuplicateWorker).Index, 1)
	_, err = e.Replicas(copies, 1, supposed)
	refused(t, err, slotwise.ErrDuplicateWorker)
	supposed.Added[1] = slotwise.WorkerSpec{ID: "x", Total: amount(1<<40, 1)}
	_, err = e.DryRunWith(batch, supposed, results)
	equal(t, "given", refused(t, err, slotwise.ErrTooLarge).Given, 1<<40)
	for _, n := range []int{-1, math.MaxUint32 + 1} {
		_, err = e.Replicas(copies, n, slotwise.Supposition{})
		refused(t, err, slotwise.ErrCount)
	}
	_, err = e.DryRunWith(nil, slotwise.Supposition{}, results)
	refused(t, err, slotwise.ErrNullPointer)
	_, err = e.DryRunWith(batch, slotwise.Supposition{}, results[:3])
	refused(t, err, slotwise.ErrCount)
	_, err = e.Replicas(slotwise.Request{}, 1, slotwise.Supposition{})
	refused(t, err, slotwise.ErrEmpty)
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "nothing changed", reservations, 1)
}
