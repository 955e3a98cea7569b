package slotwise

import (
	"runtime"
	"slices"
)

// Expired is a provisional reservation that was not confirmed in time.
type Expired struct {
	// ID of the reservation; empty for an anonymous one.
	ID string
	// Ticket, which is not valid any more.
	Ticket Ticket
	// Worker that it was on.
	Worker Worker
	// Amount that it held.
	Amount Resources
}

// LostWorker is a worker that was not heard of in time.
type LostWorker struct {
	// ID is the host's name of it.
	ID string
	// Worker, which is refused from now on, also when its id is registered again.
	Worker Worker
	// Lost is what was held there, each once.
	Lost []Lost
}

// Ticked is what a tick has ended.
type Ticked struct {
	// Expired reservations: they were not confirmed in time.
	Expired []Expired
	// Workers whose leases were over.
	Workers []LostWorker
}

// on finds the worker that something was lost with: the last one, as C tells of them.
func (t *Ticked) on(worker Worker) *LostWorker {
	for k := len(t.Workers) - 1; k >= 0; k-- {
		if t.Workers[k].Worker == worker {
			return &t.Workers[k]
		}
	}
	t.Workers = append(t.Workers, LostWorker{Worker: worker})
	return &t.Workers[len(t.Workers)-1]
}

// Tick tells the engine the time and ends what is due: provisional reservations whose HoldUntil is now or
// before, and workers whose lease is, with all that they hold. Each is returned exactly once. The engine
// reads no clock: nothing ends before a tick says that its time has come.
//
// A confirmation or a heartbeat that comes before the tick counts, however late it is; one that comes
// after is refused. Amortised O(1) for each deadline that was ever set; with workers that are due, O(most
// reservations there ever were). It allocates for what has ended.
//
// Any goroutine may tick; ticks take turns, and everything else goes on. Errors: [ErrClockWentBack] where
// now is before the last one, and nothing has changed. With any other error that comes while much is
// handed over, as [ErrClosed], what has been told by then is returned beside it.
func (e *Engine) Tick(now uint64) (Ticked, error) {
	const op = "Tick"
	if e == nil {
		return Ticked{}, &Error{Op: op, Status: ErrStaleHandle}
	}
	e.ticking.Lock()
	defer e.ticking.Unlock()
	var ticked Ticked
	more, err := cTick(op, e.handle, now, &ticked)
	for more && err == nil {
		more, err = cEndedTake(op, e.handle, &ticked)
	}
	runtime.KeepAlive(e)
	return ticked, err
}

// Now is the time that the last tick told; 0 before the first. It takes no lock.
func (e *Engine) Now() (uint64, error) {
	now, err := cNow("Now", e.get())
	runtime.KeepAlive(e)
	return now, err
}

// Confirm makes a provisional reservation a lasting one. One that is lasting already stays so, and the
// answer says Existing. It takes no lock and does not allocate, but for claims ([Engine.Preempt]).
//
// Errors: [ErrNotHeld], also where it has expired; [ErrInFlight]; [ErrWaiting] for a claim while
// reservations that it displaces have not been released, and [*Error] says how many.
func (e *Engine) Confirm(ticket Ticket) (Reservation, error) {
	placed, err := cConfirm("Confirm", e.get(), ticket)
	runtime.KeepAlive(e)
	return placed, err
}

// ConfirmID confirms what an id holds; otherwise as Confirm.
func (e *Engine) ConfirmID(id string) (Reservation, error) {
	placed, err := cConfirmID("ConfirmID", e.get(), id)
	runtime.KeepAlive(e)
	return placed, err
}

// Deadline is when a provisional reservation ends unless it is confirmed. It takes no lock.
//
// Errors: [ErrNotHeld], also where it does not end by itself: it is confirmed, or never was under
// HoldUntil.
func (e *Engine) Deadline(ticket Ticket) (uint64, error) {
	deadline, err := cDeadline("Deadline", e.get(), ticket)
	runtime.KeepAlive(e)
	return deadline, err
}

// Heartbeat is a worker's sign of life: its lease runs until then, a time of the host's clock. From its
// first heartbeat, or the Lease that it was registered with, a worker that is not heard of in time ends
// with the next Tick, which tells of it; one that has no lease never does. A lease may be cut short. It
// takes no lock and does not allocate.
//
// Errors: [ErrUnknownWorker], also once it has expired (it may register anew); [ErrDeadlinePassed] where
// the lease would be over already.
func (e *Engine) Heartbeat(id string, until uint64) error {
	err := cHeartbeat("Heartbeat", e.get(), id, until)
	runtime.KeepAlive(e)
	return err
}

// ReadyGeneration is the readiness signal of an agent of this generation of the rollout: refused with
// [ErrOldGeneration] if the worker is of a later one by now, so that a message from before an upgrade
// makes nothing ready. One of a later generation counts, and is the worker's from then on. Otherwise as
// [Engine.Ready].
func (e *Engine) ReadyGeneration(id string, generation uint64) (WorkerInfo, error) {
	info, err := cWorkerReadyGeneration("ReadyGeneration", e.get(), id, generation)
	runtime.KeepAlive(e)
	return info, err
}

// HandedOff is what a hand-off did.
type HandedOff struct {
	// Worker that holds it all now.
	Worker Worker
	// Moved is how many reservations it took over from another registration; 0 where that has only got
	// another id.
	Moved int
	// Lost is what it had no room for, each once.
	Lost []Lost
}

// HandOff tells that a pending worker, which was registered under the id expected while it was on its way,
// is here, and that its id is real. What is held on it is held on that worker from now on, under the same
// ids and tickets.
//
// If no worker of the real id is registered, the expected one gets that id and is the same registration
// otherwise: pending until Ready. If one is, as when the agent was faster than the message that says who
// it is, it takes over what it has room for (unless it is cordoned or draining); the expected one is
// removed, and what is left there ends and is returned. A reservation that is being taken over is
// [ErrInFlight] to others for a moment. Where the real id is registered, O(most reservations there ever
// were). It takes a lock.
//
// Errors: [ErrUnknownWorker]; [ErrNotPending] where the expected worker is past that;
// [ErrHandOffToItself]; [ErrIDLength].
func (e *Engine) HandOff(expected, real string) (HandedOff, error) {
	handed, ended, err := cHandOff("HandOff", e.get(), expected, real)
	if err == nil && ended > len(handed.Lost) {
		handed.Lost = slices.AppendSeq(slices.Grow(handed.Lost, ended-len(handed.Lost)), e.TakeLost())
	}
	runtime.KeepAlive(e)
	return handed, err
}
