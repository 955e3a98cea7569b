package slotwise

import (
	"fmt"
	"strings"
)

// Limits of the interface.
const (
	// MaxEngines is the most engines that a process keeps at once.
	MaxEngines = 4096
	// MaxCount is the most entries in a slice that one call takes.
	MaxCount = 16777216
	// MaxIDLength is the longest id of a request, worker or batch, in bytes.
	MaxIDLength = 64
	// MaxNameLength is the longest pool, GPU type, tenant, machine, label key, label value, account or
	// spread group, in bytes.
	MaxNameLength = 255
	// MaxListLength is the most pools, GPU types, or values of one label in Constraints.
	MaxListLength = 64
	// MaxLimits is the most spread groups that one request can be a member of.
	MaxLimits = 4
	// MaxDevices is the most devices of one worker, and the most that one request can ask for.
	MaxDevices = 16
	// MaxIsland is the highest island of a device.
	MaxIsland = 254
	// MaxKinds is the most kinds of requests that a policy which learns tells apart.
	MaxKinds = 512
)

// Resources are amounts in every dimension. They are signed, since a worker whose total was lowered
// under what it holds has less than nothing free; a negative need or total is refused with
// [ErrTooLarge].
type Resources struct {
	// CPU is in millicores: 1,000 is one core. At most 8,388,607.
	CPU int64
	// Memory is in MiB. At most 134,217,727.
	Memory int64
	// GPUs are whole. At most 255.
	GPUs int64
}

// String is such as "500m cpu, 1024 MiB, 1 gpu".
func (r Resources) String() string {
	if r.GPUs == 0 {
		return fmt.Sprintf("%dm cpu, %d MiB", r.CPU, r.Memory)
	}
	return fmt.Sprintf("%dm cpu, %d MiB, %d gpu", r.CPU, r.Memory, r.GPUs)
}

// IsZero tells whether it is nothing in every dimension.
func (r Resources) IsZero() bool { return r == Resources{} }

// A Dimension of resources.
type Dimension uint16

// The dimensions.
const (
	NoDimension Dimension = 0
	CPU         Dimension = 1
	Memory      Dimension = 2
	GPUs        Dimension = 3
)

var dimensionNames = [...]string{"none", "cpu", "memory", "gpus"}

func (d Dimension) String() string { return nameOf(dimensionNames[:], int(d), "dimension") }

// A Policy says which of the fitting workers of equal rank a request gets.
type Policy uint32

// The policies.
const (
	// PolicyDefault is the engine's own, where a request names none; in a Config, affinity.
	PolicyDefault Policy = 0
	// Affinity starts at the place that the affinity key hashes to and goes round until one fits.
	Affinity Policy = 1
	// FirstFit takes the fitting worker with the lowest index.
	FirstFit Policy = 2
	// TightestFit takes the one that is left with the least free share (best fit).
	TightestFit Policy = 3
	// Spread takes the one that is left with the largest free share (worst fit).
	Spread Policy = 4
	// PowerOfTwo takes two workers by two hashes; the emptier one wins.
	PowerOfTwo Policy = 5
	// DotProduct takes the one whose free amounts, weighed with what the request asks of each, are least.
	DotProduct Policy = 6
	// FGD takes the one where the least free GPU becomes useless to the requests that are typical so far
	// (fragmentation gradient descent). It learns which they are.
	FGD Policy = 7
	// Adaptive takes the one where the least is destroyed of what the mix of requests so far would still
	// place. It learns the mix, which [Engine.Learned] tells of.
	Adaptive Policy = 8
)

var policyNames = [...]string{
	"default", "affinity", "first_fit", "tightest_fit", "spread", "power_of_two", "dot_product", "fgd", "adaptive",
}

func (p Policy) String() string { return nameOf(policyNames[:], int(p), "policy") }

// A State of a worker.
type State uint32

// The states.
const (
	// Pending: registered, on its way; takes only reservations made ahead.
	Pending State = 1
	// Ready: takes requests.
	Ready State = 2
	// Cordoned: takes nothing new, by the operator's intent.
	Cordoned State = 3
	// Draining: takes nothing new and is being emptied.
	Draining State = 4
)

var stateNames = [...]string{"none", "pending", "ready", "cordoned", "draining"}

func (s State) String() string { return nameOf(stateNames[:], int(s), "state") }

func nameOf(names []string, k int, what string) string {
	if k < len(names) {
		return names[k]
	}
	return fmt.Sprintf("%s %d", what, k)
}

// A Mode of a batch.
type Mode uint32

// The modes.
const (
	// Independent: each request for itself; the placements are those that the same requests one by
	// one would get.
	Independent Mode = 0
	// AllOrNothing: all or none, across workers: a gang. One that does not fit leaves every worker
	// as it was.
	AllOrNothing Mode = 1
)

func (m Mode) String() string {
	return nameOf([]string{"independent", "all_or_nothing"}, int(m), "mode")
}

// A Ticket names a reservation: never 0, and never used again for another.
type Ticket uint64

func (t Ticket) String() string { return fmt.Sprintf("ticket %#x", uint64(t)) }

// A Worker is the engine's name for one registration of a worker. It is refused once that worker
// has been removed, also when its id was registered again. 0 is none.
type Worker uint64

// Index is the place of the worker's slot, from 0. An index is used again once its worker has gone.
func (w Worker) Index() int { return int(uint32(w)) }

func (w Worker) String() string {
	if w == 0 {
		return "no worker"
	}
	if index, ok := w.Added(); ok {
		return fmt.Sprintf("supposed worker %d", index)
	}
	return fmt.Sprintf("worker %d, registration %d", w.Index(), uint64(w)>>32)
}

// A Selector is compiled constraints: a number that is valid for its engine's life.
type Selector uint32

// AnyWorker is the selector of no constraint: every open, shared, not preemptable worker.
const AnyWorker Selector = 0

// Constraints say which workers a request may use, and in what order. The zero value: any open,
// shared, not preemptable worker. [Engine.Selector] compiles them.
type Constraints struct {
	// Pools: only workers of these; all of an earlier one come before any of a later one within a
	// tier. Empty: no pool is named.
	Pools []string
	// Labels: only workers with all of these labels, each with one of the values given.
	Labels map[string][]string
	// GPUTypes: GPUs of these types, the preferred ones first. Empty: any. Naming a type makes a
	// request for 0 GPUs one for 1.
	GPUTypes []string
	// Machine: only workers on it; the pool rule does not apply. Empty: any.
	Machine string
	// Tenant: workers of this one beside the shared ones. Empty: only shared ones.
	Tenant string
	// AcceptPreemptable: preemptable workers too.
	AcceptPreemptable bool
}

// Reasons count the workers that were out of the question, each once, under the first reason in
// this order. All zero where the engine does not count them ([Config] NoReasons).
type Reasons struct {
	// NotMatching: the request's selector does not match.
	NotMatching uint32
	// NotReady: matching, but not in a state that takes the request.
	NotReady uint32
	// CPU: ready, but short of CPU.
	CPU uint32
	// Memory: enough CPU, but short of memory.
	Memory uint32
	// GPUs: enough of both, but short of GPUs, or of devices.
	GPUs uint32
	// Spread: enough of everything, but in a place where as many of the request's group are as may be,
	// or that is none for the group.
	Spread uint32
}

// String is such as "of 12 workers: 10 short of cpu, 2 not ready".
func (r Reasons) String() string {
	total := uint64(0)
	var parts []string
	for _, part := range [...]struct {
		count uint32
		text  string
	}{
		{r.NotMatching, "not matching"}, {r.NotReady, "not ready"}, {r.CPU, "short of cpu"},
		{r.Memory, "short of memory"}, {r.GPUs, "short of gpus"}, {r.Spread, "at a limit of its group"},
	} {
		if total += uint64(part.count); part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.text))
		}
	}
	if total == 0 {
		return "reasons not counted"
	}
	return fmt.Sprintf("of %d workers: %s", total, strings.Join(parts, ", "))
}

// Config are limits and rules of an engine, fixed when it is made. What is 0 gets its default.
// Memory is reserved as address space and touched as it is used.
type Config struct {
	// MaxWorkers registered at once: 1 to 16,777,216. Default 1,048,576.
	MaxWorkers int
	// MaxReservations alive at once: 1 to 134,217,728. Default 1,048,576.
	MaxReservations int
	// MaxSelectors compiled: 1 to 1,048,576. Default 65,536.
	MaxSelectors int
	// MaxBatches: how many of the last batch ids are remembered for replay: 1 to 1,048,576. Default
	// 4,096.
	MaxBatches int
	// Policy where a request names none. Default affinity.
	Policy Policy
	// NoGPUSeparation lets requests without GPUs onto GPU workers.
	NoGPUSeparation bool
	// NoReasons: do not count reasons of refusals; a refusal then costs about as much as a
	// placement, also among a million workers.
	NoReasons bool
	// MaxAccounts: 1 to 16,777,216. Default 65,536.
	MaxAccounts int
	// MaxGroups, of those that limits are about: 1 to 16,777,216. Default 65,536.
	MaxGroups int
	// MaxUnmet: how many refused requests are kept for [Engine.UnmetDemand]: 1 to 1,048,576; above 8,
	// rounded down to a multiple of 8. The room for them, 128 bytes each, is taken when the first request
	// is refused. Default 4,096.
	MaxUnmet int
	// NoUnmet: keep none, whatever MaxUnmet says.
	NoUnmet bool
	// MaxPlanners: how many goroutines may place at once by a policy that learns, [FGD] or [Adaptive]: 1 to
	// 64. Each such planner knows the requests that came to it, and has up to 20 bytes for each worker and
	// each of up to MaxKinds kinds of requests; none costs anything before it is used. Whoever finds all of
	// them in others' hands places by tightest fit. Default 4.
	MaxPlanners int
	// Seed is where the random numbers of [Adaptive] start: the same requests, releases and seed give the
	// same placements, as long as one goroutine places. Default 1; 0 is the default, too.
	Seed uint64
}

// A WorkerSpec is a worker as the host registers it. All zero but ID and Total: a ready, open
// worker without pool and labels.
type WorkerSpec struct {
	// ID is the host's name of it: 1 to MaxIDLength bytes, unique among registered workers.
	ID string
	// Total is what it has in all.
	Total Resources
	// SetAside is the part of that which the host keeps for itself.
	SetAside Resources
	// Priority: higher is tried first within a tier.
	Priority int32
	// Tier is the host's own order, before priority: every worker of tier 0 comes before any of 1.
	Tier uint8
	// Pool it belongs to; empty: none.
	Pool string
	// GPUType is the model of its GPUs; empty: none.
	GPUType string
	// Tenant that it serves alone; empty: shared, serves all.
	Tenant string
	// Machine it runs on, when a machine carries several workers; empty: none.
	Machine string
	// Labels by their keys.
	Labels map[string]string
	// RequiresSelector: serves only requests that name its pool.
	RequiresSelector bool
	// Preemptable: may be taken away at short notice; serves only requests that accept that.
	Preemptable bool
	// Pending: still being started; holds only reservations made ahead until [Engine.Ready].
	Pending bool
	// Generation of the rollout that it belongs to. In an update: a later one; the worker is pending
	// then until [Engine.ReadyGeneration] of that generation.
	Generation uint64
	// Lease: it ends with the first [Engine.Tick] at or after this time of the host's clock, unless
	// [Engine.Heartbeat] puts that off; for a worker on its way, until when it is waited for. 0: it
	// stays until it is removed. Not looked at in an update.
	Lease uint64
	// Devices are its GPUs one by one, at most MaxDevices, so that requests can ask for a part of one, or
	// are told which they got ([Terms] Devices). Total.GPUs is 0 or as many, and none is set aside.
	// Requests for a number of GPUs are not placed on such a worker, and requests for devices on no other.
	// They stay as they are while it is registered: an update looks at their number alone, for Total.
	Devices []Device
}

// Fields of a [WorkerSpec] that [Engine.UpdateWorker] takes over.
type Fields uint32

// The fields; | joins them.
const (
	SetTotal            Fields = 1
	SetSetAside         Fields = 2
	SetGPUType          Fields = 4
	SetPool             Fields = 8
	SetPriority         Fields = 16
	SetTier             Fields = 32
	SetLabels           Fields = 64
	SetTenant           Fields = 128
	SetMachine          Fields = 256
	SetRequiresSelector Fields = 512
	SetPreemptable      Fields = 1024
	SetGeneration       Fields = 2048
)

// WorkerInfo is a worker as it is at one version.
type WorkerInfo struct {
	// ID is the host's name of it. In a listing, it is empty for a worker that was removed before
	// its name was read.
	ID string
	// Worker is the engine's name of it.
	Worker Worker
	// State it is in.
	State State
	// Version of its slot when it was read.
	Version uint64
	// Total is what it has in all.
	Total Resources
	// SetAside is what the host keeps for itself.
	SetAside Resources
	// Held is what reservations hold.
	Held Resources
	// Free is Total - SetAside - Held. Where its GPUs are devices, those that are free as a whole.
	Free Resources
	// Priority it has.
	Priority int32
	// Tier it has.
	Tier uint8
	// RequiresSelector as in WorkerSpec.
	RequiresSelector bool
	// Preemptable as in WorkerSpec.
	Preemptable bool
	// LabelCount is how many labels it has; [Engine.WorkerSpec] reads them.
	LabelCount int
	// Generation of the rollout that it belongs to.
	Generation uint64
	// Lease: when it ends unless it is heard of before; 0: it stays until it is removed.
	Lease uint64
}

// String is such as "node-a: ready at version 3, free 15500m cpu, 64512 MiB of …".
func (w WorkerInfo) String() string {
	return fmt.Sprintf("%s: %v at version %d, free %v of %v, held %v",
		w.ID, w.State, w.Version, w.Free, w.Total, w.Held)
}

// A Snapshot is a worker's slot at one instant.
type Snapshot struct {
	// Version of the slot.
	Version uint64
	// Free is what is free.
	Free Resources
	// State it is in.
	State State
	_     uint32
}

// Added is what became of one worker of [Engine.AddWorkers].
type Added struct {
	// Worker is the engine's name of it; 0 where it was not registered.
	Worker Worker
	// Status is OK, or why not.
	Status Status
	_      uint32
}

// Lost is a reservation that ended with its worker: that was removed, handed off to one that had no
// room for it, or not heard of in time.
type Lost struct {
	// ID of the reservation; empty for an anonymous one.
	ID string
	// Ticket, which is not valid any more.
	Ticket Ticket
	// Worker that it was on.
	Worker Worker
	// Amount that it held.
	Amount Resources
}

// A Request is what one container, job or call needs.
type Request struct {
	// ID is the host's name of it, at most MaxIDLength bytes, unique among live reservations: an id
	// that is held already is answered with that reservation. Empty: anonymous, known by its ticket
	// alone.
	ID string
	// Need: at least one of the three is not 0.
	Need Resources
	// Selector from [Engine.Selector]; 0 is AnyWorker.
	Selector Selector
	// Policy; 0 is the engine's.
	Policy Policy
	// Key decides where the probe starts, instead of the id: a function, an image, a model, a
	// tenant. Empty: the id does.
	Key string
	// Hash, with HasHash, says where the probe starts, in place of the key and of the id; it is used
	// as it is, so its bits should be well mixed.
	Hash uint64
	// HasHash tells that Hash is given. Key is then empty.
	HasHash bool
	// Ahead: may also be held on pending workers.
	Ahead bool
	// Terms that it comes under beside; nil: none. Many requests may share them.
	Terms *Terms
}

func (r *Request) flags() (flags uint32) {
	if r.Ahead {
		flags = 1
	}
	if r.HasHash {
		flags |= 2
	}
	return flags
}

// A Reservation is where a request was placed.
type Reservation struct {
	// Ticket names the reservation from now on.
	Ticket Ticket
	// Worker that it is on.
	Worker Worker
	// Version of the worker that the reservation made.
	Version uint64
	// Standing has Existing and Provisional.
	Standing
}

// Standing is what a [Reservation] is beside where it is. It is a structure of its own because the compiler
// keeps one of four fields in registers and puts one of five into memory, which takes a fifth longer for a
// prepared reserve and release.
type Standing struct {
	// Existing: the id was held already; this is that reservation, and nothing was changed.
	Existing bool
	// Provisional: it is yet to be confirmed ([Terms] HoldUntil, [Engine.Preempt]).
	Provisional bool
}

func (r Reservation) String() string {
	text := fmt.Sprintf("%v on %v at version %d", r.Ticket, r.Worker, r.Version)
	if r.Existing {
		text += " (existing)"
	}
	if r.Provisional {
		text += " (provisional)"
	}
	return text
}

// A Result is what became of one request of a batch. The engine writes it where it lies.
type Result struct {
	// Ticket of the reservation; 0 where there is none.
	Ticket Ticket
	// Worker that it is on; 0 where it was not placed.
	Worker Worker
	// Version of the worker that the reservation made.
	Version uint64
	// Status is OK, or why it was not placed.
	Status                Status
	existing, provisional uint8
	// Dimension that ErrBusy, ErrNever and ErrTooLarge are for.
	Dimension Dimension
}

// Existing tells that the id was held already, and nothing was changed.
func (r *Result) Existing() bool { return r.existing != 0 }

// Provisional tells that the reservation is yet to be confirmed.
func (r *Result) Provisional() bool { return r.provisional != 0 }

// Err is nil where the request was placed, and otherwise its status. It does not allocate.
func (r *Result) Err() error { return r.Status.Err() }

// Reservation of a request that was placed.
func (r *Result) Reservation() Reservation {
	return Reservation{r.Ticket, r.Worker, r.Version, Standing{r.existing != 0, r.provisional != 0}}
}

func (r Result) String() string {
	if r.Status == OK {
		return r.Reservation().String()
	}
	if r.Dimension != NoDimension {
		return fmt.Sprintf("%s for %v", r.Status.String(), r.Dimension)
	}
	return r.Status.String()
}

// Released is what a release did.
type Released struct {
	// Worker that the reservation was on.
	Worker Worker
	// Version of the worker that the release made; 0 where nothing was credited.
	Version uint64
	// Amount that was held.
	Amount   Resources
	credited uint32
	// Status is OK, or why nothing was released.
	Status Status
}

// Credited tells that the worker got the amount back; false where it was removed meanwhile.
func (r *Released) Credited() bool { return r.credited != 0 }

func (r Released) String() string {
	if r.Status != OK {
		return r.Status.String()
	}
	if r.credited == 0 {
		return fmt.Sprintf("%v, whose worker has gone", r.Amount)
	}
	return fmt.Sprintf("%v to %v at version %d", r.Amount, r.Worker, r.Version)
}

// Resized is what a resize did.
type Resized struct {
	// Ticket of the reservation.
	Ticket Ticket
	// Worker that it is on.
	Worker Worker
	// Version of the worker that the resize made; as it was where the amount did not change.
	Version uint64
	// Before is what was held before.
	Before Resources
}

// Done is what a batch did.
type Done struct {
	// Placed requests hold something now, existing ones included.
	Placed int
	// Failed ones do not.
	Failed int
	// Replayed: the batch id was known; the answer is that of then, and nothing was changed.
	Replayed bool
}

// A StepKind says what a [Step] does.
type StepKind uint32

// The kinds.
const (
	StepReserve   StepKind = 1
	StepReleaseID StepKind = 2
	StepRelease   StepKind = 3
)

// A Step of a [Group]. [ReserveStep], [ReleaseIDStep] and [ReleaseStep] make them.
type Step struct {
	// Kind of the step.
	Kind StepKind
	// ID for the kinds that name one.
	ID string
	// Ticket for StepRelease.
	Ticket Ticket
	// Need for StepReserve.
	Need Resources
}

// ReserveStep holds need under id; an empty id is anonymous.
func ReserveStep(id string, need Resources) Step { return Step{Kind: StepReserve, ID: id, Need: need} }

// ReleaseIDStep gives back what id holds on the group's worker.
func ReleaseIDStep(id string) Step { return Step{Kind: StepReleaseID, ID: id} }

// ReleaseStep gives back what the ticket holds on the group's worker.
func ReleaseStep(ticket Ticket) Step { return Step{Kind: StepRelease, Ticket: ticket} }

// A Group is steps that are done on one worker as one change of it, or not at all.
type Group struct {
	// Worker is the worker's id.
	Worker string
	// Steps to do there. Releases count before reservations.
	Steps []Step
	// Done gets one result a step: room for as many, or nil where they are not wanted.
	Done []StepDone
}

// StepDone is what became of a step.
type StepDone struct {
	// Status is OK, or why it was not done.
	Status                Status
	existing, provisional uint8
	// Dimension that ErrBusy, ErrNever and ErrTooLarge are for.
	Dimension Dimension
	// Ticket of a reservation; otherwise 0.
	Ticket Ticket
	// Worker; 0 where the step was not done.
	Worker Worker
	// Version of the worker that the step made.
	Version uint64
	// Amount that a release gave back.
	Amount Resources
}

// Existing tells that the id was held already.
func (d *StepDone) Existing() bool { return d.existing != 0 }

// Provisional tells that the reservation that the id held already is yet to be confirmed.
func (d *StepDone) Provisional() bool { return d.provisional != 0 }

// Err is nil where the step was done, and otherwise its status.
func (d *StepDone) Err() error { return d.Status.Err() }

// Stats are counters since the engine was made. Each is exact; together they are not one instant's
// picture.
type Stats struct {
	// Placed: reservations made.
	Placed uint64
	// Existing: requests answered with the reservation that their id held already.
	Existing uint64
	// Busy: requests refused because nothing is free now: the want of capacity.
	Busy uint64
	// Never: requests refused because nothing registered could ever hold them.
	Never uint64
	// Released: reservations given back.
	Released uint64
	// Resized: reservations made larger or smaller.
	Resized uint64
	// CASRetries: changes of a slot that another came before and that were done again inside:
	// contention, which no caller sees.
	CASRetries uint64
	// VersionConflicts returned to callers who asked for a version.
	VersionConflicts uint64
	// GangRollbacks: all-or-nothing batches undone and planned anew.
	GangRollbacks uint64
	// Probes: candidates looked at per request; entry k counts requests that looked at fewer than
	// 2^k and at least 2^(k-1).
	Probes [24]uint64
	// Confirmed: provisional reservations that were confirmed.
	Confirmed uint64
	// Expired: provisional reservations that were not, and have ended.
	Expired uint64
	// Preempted: reservations that were told to leave by preemptions.
	Preempted uint64
}

// An Audit is what [Engine.Audit] found.
type Audit struct {
	// OK: the books add up. Otherwise slotwise is broken; see Imbalances.
	OK bool
	// Workers looked at.
	Workers int
	// Reservations counted.
	Reservations int
	// OverCommitted workers have less free than nothing, because their totals were lowered.
	OverCommitted int
	// Unsettled workers were changed by others all the while, so that only bounds could be checked.
	Unsettled int
	// Imbalanced is how many slots do not add up.
	Imbalanced int
	// Imbalances are the first 16 of them.
	Imbalances []Imbalance
}

func (a Audit) String() string {
	if a.OK {
		return fmt.Sprintf("the books of %d workers and %d reservations add up", a.Workers, a.Reservations)
	}
	return fmt.Sprintf("the books of %d of %d workers do not add up", a.Imbalanced, a.Workers)
}

// An Imbalance is a slot whose books do not add up.
type Imbalance struct {
	// Worker of the slot.
	Worker Worker
	// Held by live reservations, by the ledger.
	Held Resources
	// Missing is total - set aside - free - held.
	Missing Resources
}
