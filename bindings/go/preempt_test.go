package slotwise_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

var low, high = &slotwise.Terms{Priority: -1, Preemptable: true}, &slotwise.Terms{Priority: 10}

func TestPreemption(t *testing.T) {
	e := engine(t, 1)
	worker := must2(e.FindWorker("w0"))
	victim := must2(e.Reserve(slotwise.Request{ID: "low", Need: amount(800, 800), Terms: low}))
	request := slotwise.Request{ID: "urgent", Need: amount(700, 700), Terms: high}
	equal(t, "equal rank", statusOf(third(e.PlanPreemption(slotwise.Request{Need: amount(700, 700), Terms: low}))), slotwise.ErrBusy)
	_, err := e.PlanPreemption(slotwise.Request{Need: amount(1001, 1), Terms: high})
	equal(t, "reasons", refused(t, err, slotwise.ErrNever).Reasons, slotwise.Reasons{CPU: 1})

	plan := must2(e.PlanPreemption(request))
	equal(t, "plan", fmt.Sprintf("%+v", plan), fmt.Sprintf("%+v", slotwise.Preemption{
		Worker: worker, Version: 1,
		Victims: []slotwise.Victim{{ID: "low", Ticket: victim.Ticket, Amount: amount(800, 800), Priority: -1}},
	}))
	claim := must2(e.Preempt(request, plan))
	equal(t, "provisional", claim.Provisional, true)
	_, err = e.Confirm(claim.Ticket)
	equal(t, "left", refused(t, err, slotwise.ErrWaiting).Given, 1)
	equal(t, "text", strings.HasSuffix(err.Error(), "; 1 not left yet"), true)
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1)})
	refused(t, err, slotwise.ErrBusy)
	other := slotwise.Request{ID: "other", Need: amount(100, 100), Terms: high}
	_, err = e.Preempt(other, plan)
	equal(t, "version", refused(t, err, slotwise.ErrVersionConflict).Version, claim.Version)
	second := must2(e.PlanPreemption(other))
	equal(t, "leaving", fmt.Sprint(second.Leaving, len(second.Victims)), fmt.Sprint([]slotwise.Ticket{victim.Ticket}, 0))
	waits := must2(e.Preempt(other, second))
	must(t, third(e.Release(victim.Ticket)))
	equal(t, "lasting", must2(e.Confirm(claim.Ticket)).Provisional, false)
	must(t, third(e.ConfirmID("other")))
	equal(t, "existing", must2(e.Preempt(request, plan)).Existing, true)
	equal(t, "preempted", must2(e.Stats()).Preempted, 1)
	equal(t, "deadline", statusOf(third(e.Deadline(waits.Ticket))), slotwise.ErrNotHeld)

	// What is made up is not believed.
	forged := slotwise.Preemption{Worker: worker, Version: must2(e.Snapshot(worker)).Version, Victims: make([]slotwise.Victim, 100)}
	_, err = e.Preempt(slotwise.Request{ID: "forger", Need: amount(900, 900), Terms: high}, forged)
	refused(t, err, slotwise.ErrVersionConflict)
	_, err = e.Preempt(slotwise.Request{ID: "forger", Need: amount(900, 900), Terms: high}, slotwise.Preemption{})
	refused(t, err, slotwise.ErrUnknownWorker)
}

// A plan has more victims than there is room for at first.
func TestPreemptionOfMany(t *testing.T) {
	e := engine(t, 1)
	const many = 100
	for k := range many {
		must(t, third(e.Reserve(slotwise.Request{ID: "v" + strconv.Itoa(k), Need: amount(10, 10), Terms: low})))
	}
	request := slotwise.Request{ID: "r", Need: amount(1000, 1000), Terms: &slotwise.Terms{Priority: 1, HoldUntil: 5}}
	plan := must2(e.PlanPreemption(request))
	equal(t, "victims", len(plan.Victims), many)
	claim := must2(e.Preempt(request, plan))
	seen := map[string]bool{}
	for _, victim := range plan.Victims {
		seen[victim.ID] = true
		must(t, third(e.Release(victim.Ticket)))
	}
	equal(t, "distinct", len(seen), many)
	equal(t, "expired", must2(e.Tick(5)).Expired[0].Ticket, claim.Ticket)
	equal(t, "free", must2(e.Snapshot(plan.Worker)).Free, amount(1000, 1000))
}

// Claims among others never oversell, and each that can be confirmed has its room.
func TestPreemptionUnderGoroutines(t *testing.T) {
	e := engine(t, 2)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := range rounds {
				id := fmt.Sprint(g, "-", k)
				e.Reserve(slotwise.Request{ID: id, Need: amount(300, 300), Terms: low})
				request := slotwise.Request{ID: "high-" + id, Need: amount(500, 500), Terms: high}
				if plan, err := e.PlanPreemption(request); err == nil {
					if claim, err := e.Preempt(request, plan); err == nil {
						for _, victim := range plan.Victims {
							e.Release(victim.Ticket)
						}
						for _, ticket := range plan.Leaving {
							e.Release(ticket)
						}
						if _, err := e.Confirm(claim.Ticket); errors.Is(err, slotwise.ErrNotHeld) {
							t.Error(err)
						}
						must(t, third(e.Release(claim.Ticket)))
					}
				}
				e.ReleaseID(id)
			}
		}()
	}
	group.Wait()
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "left", reservations, 0)
}
