package slotwise_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// learning is an engine of this policy with three workers, a, b and c, of two devices each.
func learning(t testing.TB, policy slotwise.Policy) *slotwise.Engine {
	t.Helper()
	e, err := slotwise.New(slotwise.Config{MaxWorkers: 64, MaxReservations: 4096, Policy: policy, Seed: 42})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	for _, id := range []string{"a", "b", "c"} {
		must(t, third(e.AddWorker(slotwise.WorkerSpec{
			ID: id, Total: amount(64_000, 262_144), Devices: []slotwise.Device{{ID: "0"}, {ID: "1"}},
		})))
	}
	return e
}

func part(milli uint32) slotwise.Request {
	return slotwise.Request{
		Need: amount(1000, 1024), Terms: &slotwise.Terms{Devices: slotwise.PartOfDevice(milli, 0)},
	}
}

func TestAPlanOfMovesIsCarriedOut(t *testing.T) {
	for _, policy := range []slotwise.Policy{slotwise.FGD, slotwise.Adaptive} {
		t.Run(policy.String(), func(t *testing.T) {
			e := learning(t, policy)
			for _, err := range []error{third(e.Learned()), third(e.Fragmentation()), third(e.Repack(1)), third(e.Repack(0))} {
				failed := refused(t, err, slotwise.ErrNothingLearned)
				equal(t, "worth asking again", failed.Status.Retryable(), true)
			}

			// A device is left with 700 on each of two workers; what comes wants a whole one.
			must(t, third(e.Release(must2(e.Reserve(part(600))).Ticket)))
			for range 10 {
				must(t, third(e.Release(must2(e.Reserve(part(1000))).Ticket)))
			}
			a, b := must2(e.FindWorker("a")), must2(e.FindWorker("b"))
			first, second := must2(e.ReserveOn(a, part(300))), must2(e.ReserveOn(b, part(300)))

			learned := must2(e.Learned())
			equal(t, "learned", learned.String(), "11 requests of 2 kinds")
			equal(t, "arrived", learned.Arrived, 11)
			equal(t, "most frequent", learned.Kinds[0], slotwise.Kind{CPU: 1000, Count: 10, Devices: 1, Milli: 1000})
			equal(t, "text", learned.Kinds[1].String(), "1 times 1000m cpu, 1 devices, 600/1000 of each")

			now := must2(e.Fragmentation())
			equal(t, "free", now.FreeMilli, 6000-600)
			equal(t, "useless", now.UnusableMilli > 0 && now.UnusableMilli < now.FreeMilli, true)
			equal(t, "arrived", now.Arrived, 11)
			plan := must2(e.Repack(5))
			equal(t, "moves", len(plan.Moves), 1)
			equal(t, "before", plan.Before, now)
			move := plan.Moves[0]
			if move.From == b { // Either frees as much as the other.
				a, b, first, second = b, a, second, first
			}
			equal(t, "after", plan.After.UnusableMilli, now.UnusableMilli-move.FreesMilli)
			equal(t, "move", move, slotwise.Move{
				Ticket: first.Ticket, From: a, To: b, FromVersion: first.Version, ToVersion: second.Version, Devices: 1,
				FreesMilli: move.FreesMilli,
			})
			// As many as there are, as few as none, and as one likes.
			for most, want := range map[int]int{0: 0, 1: 1, math.MaxInt: 1} {
				again := must2(e.Repack(most))
				equal(t, "moves", len(again.Moves), want)
				equal(t, "before", again.Before, now)
			}

			// Somebody else was there: nothing is done, and the plan is another one.
			left := must2(e.Release(must2(e.ReserveOn(b, part(1))).Ticket))
			_, err := e.ReserveAt(move.To, move.ToVersion, part(300))
			equal(t, "it is at", refused(t, err, slotwise.ErrVersionConflict).Version, left.Version)
			move = must2(e.Repack(1)).Moves[0]
			equal(t, "new version", move.ToVersion, left.Version)

			moved := must2(e.ReserveAt(move.To, move.ToVersion, part(300)))
			equal(t, "devices", must2(e.Granted(moved.Ticket)).Devices, move.Devices)
			equal(t, "left at", must2(e.Release(move.Ticket)).Version, move.FromVersion+1)
			equal(t, "as foreseen", must2(e.Fragmentation()), plan.After)
			equal(t, "nothing is left to do", len(must2(e.Repack(5)).Moves), 0)
			equal(t, "books", must2(e.Audit()).OK, true)
		})
	}
}

// Several moves name the versions that the ones before them lead to.
func TestMovesOfOnePlanFollowOneAnother(t *testing.T) {
	e := learning(t, slotwise.Adaptive)
	for range 20 {
		must(t, third(e.Release(must2(e.Reserve(part(1000))).Ticket)))
	}
	held := map[slotwise.Ticket]slotwise.Request{}
	for _, id := range []string{"a", "b", "c"} {
		request := part(300)
		held[must2(e.ReserveOn(must2(e.FindWorker(id)), request)).Ticket] = request
	}
	plan := must2(e.Repack(10))
	equal(t, "moves", len(plan.Moves), 2)
	for _, move := range plan.Moves {
		must(t, third(e.ReserveAt(move.To, move.ToVersion, held[move.Ticket])))
		must(t, third(e.Release(move.Ticket)))
	}
	equal(t, "after", must2(e.Fragmentation()), plan.After)
	equal(t, "better", plan.After.UnusableMilli < plan.Before.UnusableMilli, true)
}

// What the policies are when nothing is to be learned: each places, and only two learn.
func TestPoliciesThatLearn(t *testing.T) {
	for policy := slotwise.Affinity; policy <= slotwise.Adaptive; policy++ {
		e := learning(t, slotwise.PolicyDefault)
		request := part(500)
		request.Policy = policy
		must(t, third(e.Reserve(request)))
		learned, err := e.Learned()
		if policy == slotwise.FGD || policy == slotwise.Adaptive {
			must(t, err)
			equal(t, "arrived", learned.Arrived, 1)
		} else {
			refused(t, err, slotwise.ErrNothingLearned)
			equal(t, "nothing", len(learned.Kinds), 0)
		}
	}
	e := learning(t, slotwise.Adaptive)
	typed := slotwise.WorkerSpec{
		ID: "typed", Total: amount(4000, 4096), GPUType: "H100", Devices: []slotwise.Device{{ID: "0"}},
	}
	must(t, third(e.AddWorker(typed)))
	request := part(500)
	request.Selector = must2(e.Selector(slotwise.Constraints{GPUTypes: []string{"H100"}}))
	must(t, third(e.Reserve(request)))
	must(t, third(e.Reserve(slotwise.Request{Need: amount(7, 7), Terms: request.Terms})))
	must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "plain", Total: amount(1000, 1000)})))
	must(t, third(e.Reserve(slotwise.Request{Need: amount(9, 9)})))
	var texts []string
	for _, kind := range must2(e.Learned()).Kinds {
		texts = append(texts, kind.String())
	}
	for _, want := range []string{
		"1 times 1000m cpu, 1 devices, 500/1000 of each, one of 1 types", "1 times 7m cpu, 1 devices, 500/1000 of each",
		"1 times 9m cpu",
	} {
		if !strings.Contains(strings.Join(texts, "\n")+"\n", want+"\n") {
			t.Errorf("no %q in %q", want, texts)
		}
	}
}

func TestBadRepack(t *testing.T) {
	e := learning(t, slotwise.FGD)
	must(t, third(e.Reserve(part(500))))
	for _, most := range []int{-1, math.MinInt} {
		plan, err := e.Repack(most)
		failed := refused(t, err, slotwise.ErrCount)
		equal(t, "argument", failed.Arg, "most")
		equal(t, "given", failed.Given, int64(most))
		equal(t, "nothing", plan.Moves == nil && plan.Before == slotwise.Fragmentation{}, true)
	}
	for _, bad := range []slotwise.Config{{Policy: slotwise.Adaptive + 1}, {Policy: math.MaxUint32}} {
		_, err := slotwise.New(bad)
		refused(t, err, slotwise.ErrUnknownValue)
	}
	request := part(500)
	request.Policy = slotwise.Adaptive + 1
	_, err := e.Reserve(request)
	refused(t, err, slotwise.ErrUnknownValue)
	for _, planners := range []int{-1, 65, 1 << 32, 1<<32 + 4, math.MaxInt, math.MinInt} {
		_, err := slotwise.New(slotwise.Config{MaxPlanners: planners})
		failed := refused(t, err, slotwise.ErrConfig)
		equal(t, "given", failed.Given, int64(planners))
		equal(t, "limit", failed.Limit, 64)
	}
	must(t, must2(slotwise.New(slotwise.Config{MaxPlanners: 64, Seed: math.MaxUint64})).Close())
}

// Goroutines place by the policies that learn while others ask what was learned: an answer, or that it is to
// be asked again.
func TestLearningUnderGoroutines(t *testing.T) {
	e := learning(t, slotwise.Adaptive)
	rounds := 2000
	if testing.Short() {
		rounds = 400
	}
	var placing, asking sync.WaitGroup
	var done atomic.Bool
	for g := range 3 {
		placing.Add(1)
		go func() {
			defer placing.Done()
			for k := range rounds {
				request := part(uint32(100 * (1 + k%10)))
				request.Policy = []slotwise.Policy{slotwise.PolicyDefault, slotwise.FGD, slotwise.DotProduct}[g]
				placed, err := e.Reserve(request)
				if err == nil {
					err = third(e.Release(placed.Ticket))
				}
				if err != nil && !errors.Is(err, slotwise.ErrBusy) {
					t.Error(err)
				}
			}
		}()
	}
	answered := make([]int, 3)
	for k, ask := range []func() error{
		func() error { return third(e.Learned()) }, func() error { return third(e.Fragmentation()) },
		func() error {
			plan, err := e.Repack(3)
			if err == nil && plan.After.UnusableMilli > plan.Before.UnusableMilli {
				err = fmt.Errorf("it gets worse: %v", plan)
			}
			return err
		},
	} {
		asking.Add(1)
		go func() {
			defer asking.Done()
			for !done.Load() || answered[k] == 0 {
				if err := ask(); err == nil {
					answered[k]++
				} else if !errors.Is(err, slotwise.ErrNothingLearned) {
					t.Error(err)
					return
				}
			}
		}()
	}
	placing.Wait()
	done.Store(true)
	asking.Wait()
	equal(t, "books", must2(e.Audit()).OK, true)
}
