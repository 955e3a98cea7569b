package slotwise

import (
	"fmt"
	"runtime"
)

// A Preemption is a plan: where a request would fit if others left. It is good for one use, at one version
// of the worker.
type Preemption struct {
	// Worker that it is about.
	Worker Worker
	// Version of the worker at which this is true.
	Version uint64
	// Victims would have to leave; none if the request fits without.
	Victims []Victim
	// Leaving are victims of other claims that the request has to wait for, too.
	Leaving []Ticket
}

// String is such as "worker 5, registration 1 at version 3: 2 to leave, 0 leaving already".
func (p Preemption) String() string {
	return fmt.Sprintf("%v at version %d: %d to leave, %d leaving already",
		p.Worker, p.Version, len(p.Victims), len(p.Leaving))
}

// A Victim is a reservation that would have to leave.
type Victim struct {
	// ID of the reservation; empty for an anonymous one.
	ID string
	// Ticket of the reservation: release it once what runs under it has stopped.
	Ticket Ticket
	// Amount that it holds, devices apart; of those, see [Engine.Granted].
	Amount Resources
	// Priority is its rank.
	Priority int32
}

// PlanPreemption finds the best place for a request if others may be displaced for it: those that said
// they are Preemptable and whose Priority is lower than that of the request's Terms. On the worker where
// the fewest have to leave, then with the lowest priorities, then with the least capacity. It changes
// nothing; [Engine.Preempt] does what the plan says. The account's quota is not asked for here.
//
// It takes no lock, looks at every matching worker and at all reservations there ever were at once, and
// allocates. Of devices, a part of one is made room for, or several are emptied. Errors: where no set of
// victims would make room, as [Engine.Reserve].
func (e *Engine) PlanPreemption(request Request) (Preemption, error) {
	plan, err := cPreemptionPlan("PlanPreemption", e.get(), &request)
	runtime.KeepAlive(e)
	return plan, err
}

// Preempt does what a plan says, as one change of its worker from exactly the plan's version, or nothing.
// Of the victims, the tickets are read. An id that is held already is answered with that reservation.
//
// As long as anybody has to leave, the reservation is a claim, and Provisional: the host stops the victims
// and gives each back once it really has stopped, and then [Engine.Confirm] makes the claim a reservation
// like any other. Until then the victims hold what they hold, and nobody else gets what they give back. A
// claim that is released, or that expires, gives back what it claimed. It allocates, and takes a lock for a
// short time if anybody has to leave.
//
// Errors: [ErrVersionConflict] where the worker has changed since, or a victim is not what the plan takes
// it for: make another plan. Otherwise as [Engine.Reserve].
func (e *Engine) Preempt(request Request, plan Preemption) (Reservation, error) {
	placed, err := cPreempt("Preempt", e.get(), &request, &plan)
	runtime.KeepAlive(e)
	return placed, err
}
