package slotwise

import (
	"fmt"
	"runtime"
)

// A Kind of requests that came, and how often. The engine writes it where it lies.
type Kind struct {
	// CPU in millicores.
	CPU uint64
	// Count is how often it came, counts of long ago halved: the mix is its share of the sum.
	Count uint64
	// Devices is how many; whole GPUs that were asked for by number count as such.
	Devices uint32
	// Milli is thousandths of each; 0 where none is asked for.
	Milli uint32
	// GPUTypes is how many of the types of GPUs that workers have would do; 0: any.
	GPUTypes uint32
	_        uint32
}

// String is such as "10 times 1000m cpu, 1 devices, 500/1000 of each".
func (k Kind) String() string {
	text := fmt.Sprintf("%d times %dm cpu", k.Count, k.CPU)
	if k.Devices == 0 {
		return text
	}
	text += fmt.Sprintf(", %d devices, %d/%d of each", k.Devices, k.Milli, wholeDevice)
	if k.GPUTypes != 0 {
		text += fmt.Sprintf(", one of %d types", k.GPUTypes)
	}
	return text
}

// Learned is the mix of requests that a policy which learns has seen.
type Learned struct {
	// Arrived is how many requests came.
	Arrived uint64
	// Kinds that they were of, most frequent first: at most MaxKinds.
	Kinds []Kind
}

// String is such as "11 requests of 2 kinds".
func (l Learned) String() string {
	return fmt.Sprintf("%d requests of %d kinds", l.Arrived, len(l.Kinds))
}

// A Fragmentation is how much of what is free of GPUs is useless to the requests that come. The engine
// writes it where it lies.
type Fragmentation struct {
	// FreeMilli is thousandths of GPUs that workers which are ready have free.
	FreeMilli uint64
	// UnusableMilli is what a request drawn from the mix is expected to find useless of that: where it is
	// too little of one GPU, or the worker has too little CPU left, or is of the wrong type; all, for a
	// request that needs no GPU.
	UnusableMilli uint64
	// Arrived is how many requests the mix was learned from.
	Arrived uint64
}

// String is such as "600 of 5400 free thousandths of GPUs are useless to the mix of 11 requests".
func (f Fragmentation) String() string {
	return fmt.Sprintf("%d of %d free thousandths of GPUs are useless to the mix of %d requests",
		f.UnusableMilli, f.FreeMilli, f.Arrived)
}

// A Move is a reservation that had better be elsewhere, as [Engine.Repack] proposes it. The engine writes it
// where it lies.
type Move struct {
	// Ticket of the reservation that is to move.
	Ticket Ticket
	// From is the worker that it is on.
	From Worker
	// To is the worker to go to.
	To Worker
	// FromVersion is the version of From when it is this move's turn.
	FromVersion uint64
	// ToVersion is the version of To when it is this move's turn: what [Engine.ReserveAt] is to expect.
	ToVersion uint64
	// Devices that it will get there.
	Devices DeviceSet
	// FreesMilli is thousandths of GPUs that become useful by it.
	FreesMilli uint64
}

// String is such as "ticket 0x2a from worker 0, registration 1 at version 23 to worker 1, registration 1 at
// version 1, devices 0: frees 364/1000".
func (m Move) String() string {
	return fmt.Sprintf("%v from %v at version %d to %v at version %d, %v: frees %d/%d",
		m.Ticket, m.From, m.FromVersion, m.To, m.ToVersion, m.Devices, m.FreesMilli, wholeDevice)
}

// A Repack is a plan of moves, and what it is good for.
type Repack struct {
	// Moves, to be done in this order.
	Moves []Move
	// Before is as it is.
	Before Fragmentation
	// After is as it will be.
	After Fragmentation
}

// String is such as "2 moves: 1240 of 5400 free thousandths of GPUs are useless before, 311 after".
func (r Repack) String() string {
	return fmt.Sprintf("%d moves: %d of %d free thousandths of GPUs are useless before, %d after",
		len(r.Moves), r.Before.UnusableMilli, r.Before.FreeMilli, r.After.UnusableMilli)
}

// Learned tells which kinds of requests came to a policy that learns ([FGD], [Adaptive]), most frequent
// first. Of several planners ([Config] MaxPlanners), the one is asked that has seen the most. It does not wait
// for others. O(kinds × log kinds).
//
// Errors: [ErrNothingLearned] before the first such request, and where other goroutines place by all
// planners this very moment: ask again.
func (e *Engine) Learned() (Learned, error) {
	learned, err := cLearned("Learned", e.get())
	runtime.KeepAlive(e)
	return learned, err
}

// Fragmentation tells how much of what is free of GPUs is useless to the mix that [Engine.Learned] tells of.
// It does not wait for others. O(workers × kinds that make up 95 % of the mix).
//
// Errors: [ErrNothingLearned], as of Learned.
func (e *Engine) Fragmentation() (Fragmentation, error) {
	fragmentation, err := cFragmentation("Fragmentation", e.get())
	runtime.KeepAlive(e)
	return fragmentation, err
}

// Repack proposes at most so many moves of reservations that hold devices, each to a worker that no selector
// tells apart from the one that it is on but by a label or a machine of its own, such that the least of what
// is free is useless to the mix that [Engine.Learned] tells of. Greedy: each move is the one that frees the
// most after those before it. None moves a reservation twice, and none frees nothing, so that
// [math.MaxInt] asks for all that are worth it.
//
// It changes nothing. For each move in turn, reserve what the reservation asked for on the worker to go to,
// under another ID or none, since the old one is held until the end, by a policy that fills devices up (any but
// [Spread] and [PowerOfTwo]); move the work; and release the old reservation:
//
//	moved, err := engine.ReserveAt(move.To, move.ToVersion, request)
//	…
//	_, err = engine.Release(move.Ticket)
//
// [ErrVersionConflict] says that somebody else was there, and that it is time for another plan.
//
// It does not wait for others. O((workers × kinds of what is held + reservations) × kinds of the mix), and a
// small part of that for each move.
//
// Errors: [ErrNothingLearned], as of Learned; [ErrCount] where most is negative.
func (e *Engine) Repack(most int) (Repack, error) {
	if most < 0 {
		return Repack{}, wrong("Repack", "most", ErrCount, most, MaxCount)
	}
	repack, err := cRepack("Repack", e.get(), most)
	runtime.KeepAlive(e)
	return repack, err
}
