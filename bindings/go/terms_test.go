package slotwise_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

func TestQuota(t *testing.T) {
	e := engine(t, 2)
	acme := must2(e.Account("acme"))
	equal(t, "same", must2(e.Account("acme")), acme)
	if other := must2(e.Account("other")); other == acme || other == 0 || acme == 0 {
		t.Fatal(other, acme)
	}
	usage := must2(e.Usage(acme))
	unlimited := slotwise.Quota{CPU: slotwise.Unlimited, Memory: slotwise.Unlimited, GPUs: slotwise.Unlimited}
	equal(t, "fresh", usage, slotwise.Usage{Quota: unlimited})
	quota := slotwise.Quota{CPU: 500, Memory: slotwise.Unlimited}
	must(t, e.SetQuota(acme, quota))
	terms := &slotwise.Terms{Account: acme}
	placed := must2(e.Reserve(slotwise.Request{ID: "a", Need: amount(400, 100), Terms: terms}))
	equal(t, "usage", must2(e.Usage(acme)), slotwise.Usage{Used: amount(400, 100), Quota: quota})
	equal(t, "provisional", placed.Provisional, false)

	_, err := e.Reserve(slotwise.Request{Need: amount(101, 1), Terms: terms})
	failed := refused(t, err, slotwise.ErrQuotaExceeded)
	equal(t, "dimension", failed.Dimension, slotwise.CPU)
	equal(t, "used", failed.Given, 400)
	equal(t, "limit", failed.Limit, 500)
	equal(t, "text", strings.HasSuffix(err.Error(), "; cpu: 400 of 500 in use"), true)
	equal(t, "retryable", failed.Status.Retryable(), true)
	_, err = e.ResizeID("a", amount(501, 1))
	refused(t, err, slotwise.ErrQuotaExceeded)
	_, err = e.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 1, GPUs: 1}, Terms: terms})
	if err == nil {
		t.Fatal("a GPU of none")
	}

	for k, bad := range []slotwise.Quota{{CPU: -2}, {Memory: -1 << 63}, {GPUs: -3}} {
		failed := refused(t, e.SetQuota(acme, bad), slotwise.ErrTooLarge)
		equal(t, "dimension", failed.Dimension, slotwise.CPU+slotwise.Dimension(k))
	}
	refused(t, e.SetQuota(0, quota), slotwise.ErrUnknownAccount)
	refused(t, e.SetQuota(77, quota), slotwise.ErrUnknownAccount)
	_, err = e.Usage(0)
	refused(t, err, slotwise.ErrUnknownAccount)
	for _, name := range []string{"", strings.Repeat("x", slotwise.MaxNameLength+1)} {
		_, err = e.Account(name)
		refused(t, err, slotwise.ErrNameLength)
		_, err = e.SpreadGroup(name, slotwise.WorkerScope())
		refused(t, err, slotwise.ErrNameLength)
	}
	few, err := slotwise.New(slotwise.Config{MaxWorkers: 1, MaxAccounts: 1, MaxGroups: 1})
	must(t, err)
	defer few.Close()
	must(t, third(few.Account("one")))
	_, err = few.Account("two")
	refused(t, err, slotwise.ErrTooManyNames)
	must(t, third(few.SpreadGroup("one", slotwise.MachineScope())))
	_, err = few.SpreadGroup("one", slotwise.WorkerScope())
	refused(t, err, slotwise.ErrTooManyNames)
}

// Goroutines that ask at once get exactly what the quota allows, and give it all back.
func TestQuotaIsExactUnderGoroutines(t *testing.T) {
	e := engine(t, 20)
	acme := must2(e.Account("acme"))
	must(t, e.SetQuota(acme, slotwise.Quota{CPU: 1000, Memory: slotwise.Unlimited, GPUs: slotwise.Unlimited}))
	var group sync.WaitGroup
	var lock sync.Mutex
	counts := map[slotwise.Status]int{}
	for g := range 30 {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := range 4 {
				_, err := e.Reserve(slotwise.Request{
					ID: strconv.Itoa(4*g + k), Need: amount(10, 1),
					Terms: &slotwise.Terms{Account: acme, HoldUntil: 9},
				})
				lock.Lock()
				counts[statusOf(err)]++
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	equal(t, "placed", counts[slotwise.OK], 100)
	equal(t, "refused", counts[slotwise.ErrQuotaExceeded], 20)
	ticked := must2(e.Tick(9))
	equal(t, "expired", len(ticked.Expired), 100)
	equal(t, "used", must2(e.Usage(acme)).Used, slotwise.Resources{})
}

func TestSpread(t *testing.T) {
	e := engine(t, 0)
	for _, spec := range []slotwise.WorkerSpec{
		{ID: "a", Labels: map[string]string{"zone": "north"}, Machine: "m"},
		{ID: "b", Labels: map[string]string{"zone": "north"}, Machine: "m"},
		{ID: "c", Labels: map[string]string{"zone": "south"}}, {ID: "d"},
	} {
		spec.Total = amount(1000, 1000)
		must(t, third(e.AddWorker(spec)))
	}
	placedOf := func(scope slotwise.Scope, atMost uint32) (placed int, group slotwise.SpreadGroup, err error) {
		group = must2(e.SpreadGroup("g", scope))
		equal(t, "same", must2(e.SpreadGroup("g", scope)), group)
		for ; ; placed++ {
			_, err := e.Reserve(slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{
				Limits: []slotwise.Limit{{Group: group, AtMost: atMost}},
			}})
			if err != nil {
				return placed, group, err
			}
		}
	}
	placed, group, err := placedOf(slotwise.WorkerScope(), 1)
	equal(t, "workers", placed, 4)
	equal(t, "reasons", refused(t, err, slotwise.ErrBusy).Reasons, slotwise.Reasons{Spread: 4})
	equal(t, "count", must2(e.SpreadCount(group, must2(e.FindWorker("a")))), 1)
	placed, _, _ = placedOf(slotwise.MachineScope(), 1)
	equal(t, "machines", placed, 3)
	placed, group, _ = placedOf(slotwise.LabelScope("zone"), 2)
	equal(t, "zones", placed, 4)
	_, err = e.SpreadCount(group, must2(e.FindWorker("d")))
	refused(t, err, slotwise.ErrUnknownGroup)
	_, err = e.SpreadCount(group, 0)
	refused(t, err, slotwise.ErrUnknownWorker)
	_, err = e.SpreadCount(99, must2(e.FindWorker("a")))
	refused(t, err, slotwise.ErrUnknownGroup)
	for _, key := range []string{"", strings.Repeat("x", slotwise.MaxNameLength+1)} {
		_, err = e.SpreadGroup("g", slotwise.LabelScope(key))
		refused(t, err, slotwise.ErrNameLength)
	}
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1), Terms: &slotwise.Terms{Limits: []slotwise.Limit{{}}}})
	refused(t, err, slotwise.ErrBusy) // At most none.
}

// Terms are copied into batches and prepared requests: what the caller does with its own is nothing to
// them, also where the batch grows and the collector runs.
func TestTermsAreCopied(t *testing.T) {
	e := engine(t, 4)
	group := must2(e.SpreadGroup("g", slotwise.WorkerScope()))
	terms := func(until uint64, atMost uint32) *slotwise.Terms {
		return &slotwise.Terms{HoldUntil: until, Limits: []slotwise.Limit{{group, 1000}, {group, atMost}}}
	}
	batch := slotwise.NewBatch(1)
	const many = 200
	for k := range many {
		request := slotwise.Request{ID: strconv.Itoa(k), Need: amount(1, 1)}
		if k%2 == 1 {
			request.Terms = terms(uint64(k), 1000)
		}
		must(t, batch.Add(request))
		if request.Terms != nil {
			clear(request.Terms.Limits)
			*request.Terms = slotwise.Terms{Account: 12345}
		}
		if k%50 == 0 {
			runtime.GC()
		}
	}
	results := make([]slotwise.Result, many)
	done := must2(e.DryRun(batch, nil, results))
	equal(t, "foreseen", done.Placed, many)
	done = must2(e.ReserveBatch(batch, results))
	equal(t, "placed", done.Placed, many)
	for k := range results {
		equal(t, "provisional", results[k].Provisional(), k%2 == 1)
		equal(t, "reservation", results[k].Reservation().Provisional, k%2 == 1)
		if k%2 == 1 {
			equal(t, "deadline", must2(e.Deadline(results[k].Ticket)), uint64(k))
		}
	}
	counted := 0
	for info := range e.Workers() {
		counted += must2(e.SpreadCount(group, info.Worker))
	}
	equal(t, "counted", counted, many) // Each is a member twice, by two limits.
	must(t, batch.SetTerms(0, terms(7, 1)))
	must(t, batch.SetTerms(1, nil))
	must(t, batch.SetID(0, "other"))
	must(t, batch.SetID(1, "another"))
	must(t, third(e.ReserveBatch(batch, results)))
	equal(t, "limit", results[0].Status, slotwise.ErrBusy)
	equal(t, "lasting", results[1].Provisional(), false)
	refused(t, batch.SetTerms(many, nil), slotwise.ErrCount)
	refused(t, batch.SetTerms(-1, nil), slotwise.ErrCount)
	long := &slotwise.Terms{Limits: make([]slotwise.Limit, 5)}
	failed := refused(t, batch.SetTerms(0, long), slotwise.ErrTooManyLimits)
	equal(t, "given", failed.Given, 5)
	equal(t, "limit", failed.Limit, slotwise.MaxLimits)
	err := batch.Add(slotwise.Request{Need: amount(1, 1)}, slotwise.Request{Need: amount(1, 1), Terms: long})
	equal(t, "index", refused(t, err, slotwise.ErrTooManyLimits).Index, 1)
	_, err = e.ReserveMany([]slotwise.Request{{Need: amount(1, 1), Terms: long}}, results[:1])
	refused(t, err, slotwise.ErrTooManyLimits)
	// One that was under terms is not any more.
	batch.Reset()
	must(t, batch.Add(slotwise.Request{Need: amount(1, 1)}))
	must(t, third(e.ReserveBatch(batch, results[:1])))
	equal(t, "after", results[0].Provisional(), false)

	prepared := must2(e.Prepare(slotwise.Request{Need: amount(1, 1), Terms: terms(50, 1000)}))
	equal(t, "prepared", must2(e.Deadline(must2(prepared.Reserve()).Ticket)), uint64(50))
	must(t, prepared.SetTerms(terms(60, 1000)))
	equal(t, "anew", must2(e.Deadline(must2(prepared.Reserve()).Ticket)), uint64(60))
	must(t, prepared.SetTerms(nil))
	equal(t, "none", must2(prepared.Reserve()).Provisional, false)
	refused(t, prepared.SetTerms(long), slotwise.ErrTooManyLimits)
	refused(t, (*slotwise.PreparedRequest)(nil).SetTerms(nil), slotwise.ErrNullPointer)

	columns := slotwise.Columns{
		Common: slotwise.Request{Need: amount(1, 1), Terms: terms(70, 1000)}, Tickets: make([]slotwise.Ticket, 3),
		Statuses: make([]slotwise.Status, 3),
	}
	must(t, third(e.ReserveColumns(&columns)))
	for _, ticket := range columns.Tickets {
		equal(t, "column", must2(e.Deadline(ticket)), uint64(70))
	}
}
