package slotwise_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

func TestTwoPhases(t *testing.T) {
	e := engine(t, 1)
	equal(t, "fresh", must2(e.Now()), 0)
	equal(t, "nothing", fmt.Sprint(must2(e.Tick(100))), "{[] []}")
	equal(t, "now", must2(e.Now()), 100)
	hold := &slotwise.Terms{HoldUntil: 110}
	kept := must2(e.Reserve(slotwise.Request{ID: "kept", Need: amount(100, 1), Terms: hold}))
	dropped := must2(e.Reserve(slotwise.Request{ID: "dropped", Need: amount(200, 2), Terms: hold}))
	equal(t, "provisional", kept.Provisional, true)
	equal(t, "deadline", must2(e.Deadline(kept.Ticket)), 110)
	equal(t, "found", must2(e.Reservation("kept")).Provisional, true)
	confirmed := must2(e.Confirm(kept.Ticket))
	equal(t, "confirmed", confirmed, slotwise.Reservation{Ticket: kept.Ticket, Worker: kept.Worker, Version: confirmed.Version})
	again := must2(e.ConfirmID("kept"))
	equal(t, "again", again.Existing, true)
	_, err := e.Deadline(kept.Ticket)
	refused(t, err, slotwise.ErrNotHeld)

	ticked := must2(e.Tick(110))
	equal(t, "workers", len(ticked.Workers), 0)
	equal(t, "expired", fmt.Sprint(ticked.Expired), fmt.Sprint([]slotwise.Expired{
		{ID: "dropped", Ticket: dropped.Ticket, Worker: dropped.Worker, Amount: amount(200, 2)},
	}))
	for _, err := range []error{
		third(e.Confirm(dropped.Ticket)), third(e.ConfirmID("dropped")), third(e.ConfirmID("")),
		third(e.Release(dropped.Ticket)), third(e.Confirm(0)), third(e.Deadline(0)),
	} {
		refused(t, err, slotwise.ErrNotHeld)
	}
	_, err = e.Tick(109)
	failed := refused(t, err, slotwise.ErrClockWentBack)
	equal(t, "limit", failed.Limit, 110)
	equal(t, "text", strings.HasSuffix(err.Error(), "; given 109, and it is 110"), true)
	_, err = e.Reserve(slotwise.Request{Need: amount(1, 1), Terms: hold})
	failed = refused(t, err, slotwise.ErrDeadlinePassed)
	equal(t, "given", failed.Given, 110)
	stats := must2(e.Stats())
	equal(t, "confirmed", stats.Confirmed, 1)
	equal(t, "expired", stats.Expired, 1)
}

// More ends than one call of C brings back; each is told of once, with its worker.
func TestTickTellsOfAllThatEnds(t *testing.T) {
	e := engine(t, 0)
	const workers, each = 3, 150
	for k := range workers {
		must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "leased" + strconv.Itoa(k), Total: amount(1000, 1000), Lease: 50})))
	}
	must(t, third(e.AddWorker(slotwise.WorkerSpec{ID: "stays", Total: amount(1000, 1000)})))
	want := map[string]slotwise.Ticket{}
	place := func(on, id string, terms *slotwise.Terms) {
		placed, err := e.ReserveOn(must2(e.FindWorker(on)), slotwise.Request{ID: id, Need: amount(1, 2), Terms: terms})
		must(t, err)
		want[id] = placed.Ticket
	}
	for k := range each {
		place("stays", fmt.Sprint("stays-", k), &slotwise.Terms{HoldUntil: 50})
		for w := range workers {
			place("leased"+strconv.Itoa(w), fmt.Sprint("leased", w, "-", k), nil)
		}
	}
	equal(t, "too early", fmt.Sprint(must2(e.Tick(49))), "{[] []}")
	ticked := must2(e.Tick(50))
	told := func(id string, ticket slotwise.Ticket, amounts slotwise.Resources) {
		t.Helper()
		if want[id] != ticket || ticket == 0 || amounts != amount(1, 2) {
			t.Fatalf("%s: %v, %v", id, ticket, amounts)
		}
		delete(want, id)
	}
	equal(t, "expired", len(ticked.Expired), each)
	for _, one := range ticked.Expired {
		told(one.ID, one.Ticket, one.Amount)
	}
	equal(t, "workers", len(ticked.Workers), workers)
	for _, worker := range ticked.Workers {
		equal(t, "lost", len(worker.Lost), each)
		for _, one := range worker.Lost {
			equal(t, "on", one.Worker, worker.Worker)
			equal(t, "of", strings.HasPrefix(one.ID, worker.ID+"-"), true)
			told(one.ID, one.Ticket, one.Amount)
		}
	}
	equal(t, "told of", len(want), 0)
	equal(t, "twice", fmt.Sprint(must2(e.Tick(51))), "{[] []}")
	for one := range e.TakeLost() {
		t.Fatalf("%v twice", one)
	}
	infos := must2(e.ListWorkers())
	equal(t, "left", len(infos), 1)
	equal(t, "free", infos[0].Held, slotwise.Resources{})
}

// Goroutines that tick at once: each worker that ends is told of by one of them, with all that it held, also
// where that is more than one call of C brings back.
func TestTicksTakeTurns(t *testing.T) {
	e := engine(t, 0)
	const workers, each = 12, 100
	for k := range workers {
		id := "w" + strconv.Itoa(k)
		worker := must2(e.AddWorker(slotwise.WorkerSpec{ID: id, Total: amount(1000, 1000), Lease: uint64(10 + k/4)}))
		for range each {
			must(t, third(e.ReserveOn(worker, slotwise.Request{Need: amount(1, 1)})))
		}
	}
	var group sync.WaitGroup
	var told atomic.Int64
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for now := uint64(9); now < 14; now++ {
				ticked, err := e.Tick(now)
				if err != nil && !errors.Is(err, slotwise.ErrClockWentBack) {
					t.Error(err)
				}
				for _, worker := range ticked.Workers {
					told.Add(1)
					if len(worker.Lost) != each || worker.ID == "" {
						t.Errorf("goroutine %d: %q lost %d", g, worker.ID, len(worker.Lost))
					}
				}
			}
		}()
	}
	group.Wait()
	equal(t, "told of", told.Load(), workers)
}

func TestHeartbeatsAndGenerations(t *testing.T) {
	e := engine(t, 1)
	info := must2(e.WorkerByID("w0"))
	equal(t, "no lease", info.Lease, 0)
	must(t, third(e.Tick(10)))
	must(t, e.Heartbeat("w0", 20))
	equal(t, "lease", must2(e.WorkerByID("w0")).Lease, 20)
	failed := refused(t, e.Heartbeat("w0", 10), slotwise.ErrDeadlinePassed)
	equal(t, "now", failed.Limit, 10)
	refused(t, e.Heartbeat("nobody", 50), slotwise.ErrUnknownWorker)
	refused(t, e.Heartbeat("", 50), slotwise.ErrUnknownWorker)

	info, err := e.UpdateWorker("w0", slotwise.SetGeneration, slotwise.WorkerSpec{Generation: 2, Lease: 99})
	must(t, err)
	equal(t, "pending", info.State, slotwise.Pending)
	equal(t, "generation", info.Generation, 2)
	equal(t, "lease", info.Lease, 20)
	_, err = e.ReadyGeneration("w0", 1)
	failed = refused(t, err, slotwise.ErrOldGeneration)
	equal(t, "given", failed.Given, 1)
	equal(t, "limit", failed.Limit, 2)
	info, err = e.ReadyGeneration("w0", 5)
	must(t, err)
	equal(t, "ready", info.State, slotwise.Ready)
	equal(t, "id", info.ID, "w0")
	equal(t, "generation", info.Generation, 5)
	_, err = e.UpdateWorker("w0", slotwise.SetGeneration, slotwise.WorkerSpec{Generation: 4})
	refused(t, err, slotwise.ErrOldGeneration)
	_, err = e.ReadyGeneration("nobody", 9)
	refused(t, err, slotwise.ErrUnknownWorker)
	ticked := must2(e.Tick(20))
	equal(t, "gone", ticked.Workers[0].ID, "w0")
	equal(t, "worker", ticked.Workers[0].Worker, info.Worker)
	refused(t, e.Heartbeat("w0", 50), slotwise.ErrUnknownWorker)
}

func TestHandOff(t *testing.T) {
	e := engine(t, 0)
	add := func(id string, cpu int64, pending bool) slotwise.Worker {
		return must2(e.AddWorker(slotwise.WorkerSpec{ID: id, Total: amount(cpu, 1000), Pending: pending}))
	}
	expected := add("expected", 1000, true)
	held := must2(e.Reserve(slotwise.Request{ID: "r", Need: amount(400, 1), Ahead: true}))
	handed := must2(e.HandOff("expected", "i-1"))
	equal(t, "renamed", fmt.Sprint(handed), fmt.Sprint(slotwise.HandedOff{Worker: expected}))
	equal(t, "kept", must2(e.Reservation("r")).Ticket, held.Ticket)
	equal(t, "id", must2(e.WorkerInfo(expected)).ID, "i-1")

	must(t, third(e.Ready("i-1")))
	_, err := e.HandOff("i-1", "i-2")
	equal(t, "state", refused(t, err, slotwise.ErrNotPending).State, slotwise.Ready)
	add("pending", 1000, true)
	_, err = e.HandOff("pending", "pending")
	refused(t, err, slotwise.ErrHandOffToItself)
	_, err = e.HandOff("nobody", "x")
	refused(t, err, slotwise.ErrUnknownWorker)
	for _, real := range []string{"", strings.Repeat("x", slotwise.MaxIDLength+1)} {
		_, err = e.HandOff("pending", real)
		refused(t, err, slotwise.ErrIDLength)
	}

	// More is lost than one call of C brings back.
	const many, room = 200, 20
	from := must2(e.FindWorker("pending"))
	for k := range many {
		must(t, third(e.ReserveOn(from, slotwise.Request{ID: fmt.Sprint("p", k), Need: amount(5, 1), Ahead: true})))
	}
	to := add("small", 5*room, false)
	handed = must2(e.HandOff("pending", "small"))
	equal(t, "to", handed.Worker, to)
	equal(t, "moved", handed.Moved, room)
	equal(t, "lost", len(handed.Lost), many-room)
	for _, one := range handed.Lost {
		_, err := e.ReleaseID(one.ID)
		refused(t, err, slotwise.ErrNotHeld)
	}
	equal(t, "held", must2(e.WorkerInfo(to)).Held, amount(5*room, room))
}

// Confirmations, ticks and releases of the same reservations at once: each reservation is confirmed and
// released, or released, or has expired, and exactly one of them says so.
func TestConfirmTickAndReleaseRace(t *testing.T) {
	e := engine(t, 8)
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	type held struct {
		ticket   slotwise.Ticket
		released atomic.Int32
		expired  atomic.Int32
	}
	var lock sync.Mutex
	all := map[slotwise.Ticket]*held{}
	find := func(ticket slotwise.Ticket) *held {
		lock.Lock()
		defer lock.Unlock()
		if all[ticket] == nil {
			all[ticket] = &held{ticket: ticket}
		}
		return all[ticket]
	}
	var clock atomic.Uint64
	note := func(ticked slotwise.Ticked, err error) {
		if err != nil && !errors.Is(err, slotwise.ErrClockWentBack) {
			t.Error(err)
		}
		for _, one := range ticked.Expired {
			find(one.Ticket).expired.Add(1)
		}
	}
	var group, tickers sync.WaitGroup
	stop := make(chan bool)
	for range 2 { // Two that tick: their times may cross, and nothing is told of twice.
		tickers.Add(1)
		go func() {
			defer tickers.Done()
			for {
				select {
				case <-stop:
					return
				default:
					note(e.Tick(clock.Add(1)))
					runtime.Gosched()
				}
			}
		}()
	}
	var confirmed atomic.Int64
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := range rounds {
				placed, err := e.Reserve(slotwise.Request{
					ID: fmt.Sprint(g, "-", k), Need: amount(10, 10), Terms: &slotwise.Terms{HoldUntil: clock.Load() + 1 + uint64(k%7)},
				})
				if errors.Is(err, slotwise.ErrDeadlinePassed) || errors.Is(err, slotwise.ErrBusy) {
					continue
				}
				must(t, err)
				one := find(placed.Ticket)
				both := make(chan bool)
				go func() {
					defer close(both)
					switch _, err := e.Confirm(placed.Ticket); {
					case err == nil:
						confirmed.Add(1)
					case !errors.Is(err, slotwise.ErrNotHeld) && !errors.Is(err, slotwise.ErrInFlight):
						t.Error(err)
					}
				}()
				for {
					_, err := e.Release(placed.Ticket)
					if err == nil {
						one.released.Add(1)
					} else if errors.Is(err, slotwise.ErrInFlight) {
						continue
					} else if !errors.Is(err, slotwise.ErrNotHeld) {
						t.Error(err)
					}
					break
				}
				<-both
			}
		}()
	}
	group.Wait()
	close(stop)
	tickers.Wait()
	note(e.Tick(clock.Add(100)))
	for _, one := range all {
		if one.released.Load()+one.expired.Load() != 1 {
			t.Fatalf("%v: released %d times, expired %d times", one.ticket, one.released.Load(), one.expired.Load())
		}
	}
	_, reservations, err := e.Counts()
	must(t, err)
	equal(t, "left", reservations, 0)
	equal(t, "confirmed", must2(e.Stats()).Confirmed, uint64(confirmed.Load()))
}
