package slotwise

import (
	"fmt"
	"math"
	"runtime"
)

// An Outlook says, of a refused request, whether capacity that will take it is on its way.
type Outlook uint32

// The outlooks.
const (
	// OutlookUnknown: nobody has looked: the engine does not count reasons, or the request names its
	// worker.
	OutlookUnknown Outlook = 0
	// OutlookWait: a pending worker that the request may use has room for it now: wait until it is
	// ready, or hold the capacity there at once with [Request] Ahead.
	OutlookWait Outlook = 1
	// OutlookStart: no worker that is on its way will take it: to start one, make room or change the
	// request is all that helps.
	OutlookStart Outlook = 2
)

func (o Outlook) String() string {
	return nameOf([]string{"unknown", "wait", "start"}, int(o), "outlook")
}

// An Explanation is what [Engine.Reserve] would say of a request, and why.
type Explanation struct {
	// Status: [OK] where it would be placed, or its id is held; [ErrBusy] or [ErrNever].
	Status Status
	// Worker where it fits, or is held; 0 where it would be refused.
	Worker Worker
	// Version at which that worker was looked at.
	Version uint64
	// Ticket of the reservation that its id holds; 0: none.
	Ticket Ticket
	// Dimension, with ErrBusy: the one that most ready workers are short of; with ErrNever: the one in
	// which no matching worker is large enough, where one alone is to blame. NoDimension where the lack
	// is of matching or ready workers.
	Dimension Dimension
	// Outlook, where it would be refused.
	Outlook Outlook
	// Fitting is how many registered workers would take it.
	Fitting int
	// Reasons count the others; also where the engine does not count reasons.
	Reasons Reasons
	// Mismatches count those that do not match, by rule.
	Mismatches Mismatches
	// Nearest miss: of the matching workers in a state that takes it and too full by now, the one of
	// which the smallest share is missing, summed over dimensions.
	Nearest NearMiss
}

// Err is nil where the request would be placed, or is held, and otherwise its status.
func (e *Explanation) Err() error { return e.Status.Err() }

// String is such as "busy for cpu; of 12 workers: 10 short of cpu, 2 not ready; outlook: wait".
func (e Explanation) String() string {
	if e.Status == OK {
		return fmt.Sprintf("fits on %v at version %d", e.Worker, e.Version)
	}
	text := e.Status.String()
	if e.Dimension != NoDimension {
		text += " for " + e.Dimension.String()
	}
	return fmt.Sprintf("%s; %v; outlook: %v", text, e.Reasons, e.Outlook)
}

// Mismatches count the workers that do not match a request, each under the first rule that keeps it from
// them.
type Mismatches struct {
	// Machine: the request names another one.
	Machine uint32
	// Tenant: the worker serves another one alone.
	Tenant uint32
	// Pool: it is in another one, or serves only requests that name its own.
	Pool uint32
	// Labels: one is missing or has another value.
	Labels uint32
	// GPUSeparation: GPUs on one side only.
	GPUSeparation uint32
	// GPUType: its GPUs are of another one.
	GPUType uint32
	// Preemptable: it is, and the request does not accept that.
	Preemptable uint32
	// Devices: its GPUs are told apart as such, and the request asks for a number of them; or the other
	// way round. Looked at before GPUType.
	Devices uint32
}

// A NearMiss is where least would have to be freed.
type NearMiss struct {
	// Worker; 0 where there is none.
	Worker Worker
	// Version of it when it was looked at.
	Version uint64
	// Missing is what would have to be freed there for the request to fit.
	Missing Resources
}

// A Reason is what one worker is to a request: the first one that is true of it.
type Reason uint32

// The reasons.
const (
	// ReasonFits: it takes the request.
	ReasonFits Reason = 0
	// ReasonMismatch: it does not match; [Explained.Mismatch] is the rule.
	ReasonMismatch Reason = 1
	// ReasonState: it takes nothing of the kind in its state; [Explained.State].
	ReasonState Reason = 2
	// ReasonShort: not enough is free; Missing is how much more would have to be. Where devices are asked
	// for, its GPUs are how many more of them would have to have room for what is asked of each.
	ReasonShort Reason = 3
	// ReasonTooSmall: it could not hold the request when empty; Missing is by how much it is too small.
	ReasonTooSmall Reason = 4
	// ReasonSpread: as many of a group of the request's are in its place as may be, or it is in none.
	ReasonSpread Reason = 5
)

var reasonNames = [...]string{"fits", "mismatch", "state", "short", "too_small", "spread"}

func (r Reason) String() string { return nameOf(reasonNames[:], int(r), "reason") }

// A Mismatch is a rule by which a worker does not match a request.
type Mismatch uint32

// The rules; [Mismatches] says what they are.
const (
	NoMismatch            Mismatch = 0
	MismatchMachine       Mismatch = 1
	MismatchTenant        Mismatch = 2
	MismatchPool          Mismatch = 3
	MismatchLabels        Mismatch = 4
	MismatchGPUSeparation Mismatch = 5
	MismatchGPUType       Mismatch = 6
	MismatchPreemptable   Mismatch = 7
	MismatchDevices       Mismatch = 8
)

var mismatchNames = [...]string{
	"none", "machine", "tenant", "pool", "labels", "gpu_separation", "gpu_type", "preemptable",
	"devices",
}

func (m Mismatch) String() string { return nameOf(mismatchNames[:], int(m), "mismatch") }

// Explained is one worker, and what it is to a request. The engine writes it where it lies.
type Explained struct {
	// Worker that it is about.
	Worker Worker
	// Version of it when it was looked at: while it stands there, what is said of it is true.
	Version uint64
	// Reason why not, or [ReasonFits].
	Reason Reason
	detail uint32
	// Missing, with [ReasonShort] and [ReasonTooSmall].
	Missing Resources
}

// Mismatch is the rule, with [ReasonMismatch]; otherwise [NoMismatch].
func (e *Explained) Mismatch() Mismatch {
	if e.Reason != ReasonMismatch {
		return NoMismatch
	}
	return Mismatch(e.detail)
}

// State that the worker is in, with [ReasonState]; otherwise 0.
func (e *Explained) State() State {
	if e.Reason != ReasonState {
		return 0
	}
	return State(e.detail)
}

// String is such as "worker 5, registration 1 at version 3: short of 200m cpu, 0 MiB".
func (e Explained) String() string {
	text := e.Reason.String()
	switch e.Reason {
	case ReasonMismatch:
		text = "another " + e.Mismatch().String()
		if e.Mismatch() == MismatchDevices {
			text = "devices on one side only"
		}
	case ReasonState:
		text = e.State().String()
	case ReasonShort:
		text = fmt.Sprintf("short of %v", e.Missing)
	case ReasonTooSmall:
		text = fmt.Sprintf("too small by %v", e.Missing)
	}
	return fmt.Sprintf("%v at version %d: %s", e.Worker, e.Version, text)
}

// Explain says what [Engine.Reserve] would say of this request right now, and why: counts by reason and by
// rule, and the nearest miss. It changes nothing.
//
// Every worker is looked at once. What is said of one that is named is true as of the version that stands
// beside it, so that a request which is said to fit fits as long as that worker is at that version. It
// takes the registry's lock, under which placements go on. O(workers).
//
// The error is nil also where the request would be refused; the Explanation has the Status. Errors: what
// can be wrong with a request, and [ErrInFlight].
func (e *Engine) Explain(request Request) (Explanation, error) {
	explanation, _, err := cExplain("Explain", e.get(), &request, false)
	runtime.KeepAlive(e)
	return explanation, err
}

// ExplainWorkers is Explain with every registered worker's own reason, by index; that costs more.
func (e *Engine) ExplainWorkers(request Request) (Explanation, []Explained, error) {
	explanation, workers, err := cExplain("ExplainWorkers", e.get(), &request, true)
	runtime.KeepAlive(e)
	return explanation, workers, err
}

// Demand is what was refused lately of the requests with one selector.
type Demand struct {
	// Selector that they have.
	Selector Selector
	// Requests is how many there are: Joining, Packed and Unservable together.
	Requests uint32
	// Need of all of them. A device counts as a GPU, also where only a part of it is asked for.
	Need Resources
	// Joining fit on workers that are ready, or pending, as they are now.
	Joining uint32
	// Packed are those of the others that go onto new workers of the shape.
	Packed uint32
	// Workers of the shape that these make necessary. Requests of several selectors may share one; it is
	// counted where its largest request is, so that the sum is the number to start.
	Workers uint32
	// Unservable by a worker of the shape: too large for it, or their selector does not match it.
	Unservable uint32
}

// UnmetDemand is what was refused at since or later, by the clock that [Engine.Tick] tells, and is not held
// by now, by selector, and what it would take to serve it: how many of the requests fit on workers that are there or on their
// way, and how many workers of the shape would serve the others. The shape's ID may be empty. The sum of
// Workers is the number to start.
//
// Requests that were refused as busy or never are noted, those of a refused all-or-nothing batch all
// together; not those that name their worker, and no dry runs. The same id refused again is the same
// request; anonymous ones are one each time. Of each the last refusal counts. The last [Config] MaxUnmet
// are kept. One that is found held is forgotten, as by ForgetUnmet. Workers that are registered as pending
// count at once, and are not asked for again; cordoned and draining ones take none. It takes no lock.
// O(requests × (requests + workers)) at worst.
//
// Errors: as [Engine.AddWorker], for a shape that could not be registered under any id.
func (e *Engine) UnmetDemand(shape WorkerSpec, since uint64) ([]Demand, error) {
	demand, err := cUnmetDemand("UnmetDemand", e.get(), &shape, since)
	runtime.KeepAlive(e)
	return demand, err
}

// ForgetUnmet forgets that this id was refused: its request was withdrawn, or met elsewhere. It tells
// whether anything was noted. It takes no lock and does not allocate.
func (e *Engine) ForgetUnmet(id string) (bool, error) {
	forgotten, err := cForgetUnmet("ForgetUnmet", e.get(), id)
	runtime.KeepAlive(e)
	return forgotten, err
}

// A Supposition is what is supposed to have happened before. The zero value: nothing.
type Supposition struct {
	// Credited reservations are given back. One that is not held credits nothing; named twice, it
	// credits once.
	Credited []Ticket
	// Without these workers, and what they hold with them. One that is not registered, or not any more,
	// is passed by.
	Without []Worker
	// Added workers are registered, in this order, after all that are.
	Added []WorkerSpec
}

// Added tells, of a worker that [Engine.DryRunWith] answers with, whether it is one that is only supposed
// to be registered, and its place in the Supposition's Added.
func (w Worker) Added() (index int, ok bool) {
	if w == 0 || w>>32 != 0 { // Registrations count from 1.
		return 0, false
	}
	return int(w) - 1, true
}

// DryRunWith is [Engine.DryRun] on another branch of the state: with reservations given back, workers
// removed and workers registered. It changes nothing.
//
// Of a request that would go to a worker that is only supposed to be there, [Worker.Added] of its Worker
// says which, and Version is 0. Where an affinity key or power of two choices would lead once it were
// registered, and whether there is room in the table of workers, is not foreseen. Refusals count the
// workers that are supposed to be there, and no others. It takes no lock; for each request also O(Added).
//
// Errors: as DryRun and, for a worker of Added that could not be registered, as [Engine.AddWorker], with
// its place as the [*Error]'s Index; [ErrDuplicateWorker] unless the worker of its id is in Without.
func (e *Engine) DryRunWith(batch *Batch, supposition Supposition, results []Result) (Done, error) {
	if err := batch.check("DryRunWith", results); err != nil {
		return Done{}, err
	}
	done, err := cDryRunWith("DryRunWith", e.get(), batch.records.requests.start, batch.length, batch.Mode,
		batch.ID, &supposition, results, batch.Reasons)
	runtime.KeepAlive(batch)
	runtime.KeepAlive(e)
	return done, err
}

// Replicas is how many of n copies of this request would be placed one after another, each anonymous, on
// that branch of the state. It changes nothing and takes no lock. As expensive as a dry run of the copies
// that are placed, and one more.
//
// The error is nil also where none would be. Errors: what can be wrong with a request; as
// DryRunWith for a worker of Added; [ErrCount] where n is negative or beyond 4,294,967,295.
func (e *Engine) Replicas(request Request, n int, supposition Supposition) (int, error) {
	if n < 0 || n > math.MaxUint32 {
		return 0, wrong("Replicas", "n", ErrCount, n, math.MaxUint32)
	}
	fit, err := cReplicas("Replicas", e.get(), &request, n, &supposition)
	runtime.KeepAlive(e)
	return fit, err
}
