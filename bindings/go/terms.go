package slotwise

import (
	"fmt"
	"runtime"
)

// Terms are what a request comes under beside what it needs and where it may be. The zero value is none
// of it. Nothing of them is kept after a call; batches and prepared requests have copies.
//
// Times are numbers of the host's clock, in whatever unit it counts, say milliseconds since it started,
// which [Engine.Tick] tells; they do not go back.
type Terms struct {
	// HoldUntil, where it is not 0, makes the reservation provisional: unless [Engine.Confirm] comes
	// before, the first [Engine.Tick] at or after this time ends it, and its capacity returns. A time
	// that the clock has come to already is [ErrDeadlinePassed].
	HoldUntil uint64
	// Priority is its rank in a preemption: higher may displace lower.
	Priority int32
	// Preemptable: a request of higher priority may displace it ([Engine.Preempt]).
	Preemptable bool
	// Account that it is charged to, from [Engine.Account]; 0: none. A request that its quota has no
	// room for is refused with [ErrQuotaExceeded].
	Account Account
	// Limits on the groups that it is a member of: at most MaxLimits. Where it cannot be counted without
	// going over one, it is not placed.
	Limits []Limit
	// Devices that it asks for, as a part of a GPU, on a worker that was registered with its own: the
	// request's Need has no GPUs then, and [Engine.Granted] says which they are. Its account is charged
	// with a GPU for each, also for a part.
	Devices DeviceNeed
}

// The flags of terms, as C has them.
const (
	termsHold        = 1
	termsPreemptable = 2
	termsAccount     = 4
)

// flags of the terms, and the number of their account.
func (t *Terms) flags() (flags, account uint32) {
	if t.HoldUntil != 0 {
		flags = termsHold
	}
	if t.Preemptable {
		flags |= termsPreemptable
	}
	if t.Account != 0 {
		flags |= termsAccount
		account = t.Account.number()
	}
	return flags, account
}

func (t *Terms) limitCount() int {
	if t == nil {
		return 0
	}
	return len(t.Limits)
}

// A Limit says how many of a group may be in one place.
type Limit struct {
	// Group that the request is a member of, from [Engine.SpreadGroup].
	Group SpreadGroup
	// AtMost so many, this one included, at least 1; 1 is anti-affinity.
	AtMost uint32
}

// A termsRoom is a slotwise_terms_t and its limits, in pinned memory.
type termsRoom struct {
	terms  termsRecord
	limits [MaxLimits]Limit
}

func (r *termsRoom) set(t *Terms) {
	flags, account := t.flags()
	r.terms = termsRecord{
		size: termsSize, flags: flags, holdUntil: t.HoldUntil, priority: t.Priority, account: account,
		limitCount: uint64(len(t.Limits)), deviceCount: t.Devices.Count, deviceMilli: t.Devices.Milli,
		deviceMemory: t.Devices.Memory, island: uint32(t.Devices.Island),
	}
}

// An Account adds up what its reservations hold: a number that is valid for its engine's life. 0 is none.
type Account uint32

// C counts accounts from 0, which is none here.
func accountOf(number uint32) Account { return Account(number + 1) }

func (a Account) number() uint32 { return uint32(a) - 1 }

func (a Account) String() string {
	if a == 0 {
		return "no account"
	}
	return fmt.Sprintf("account %d", a.number())
}

// Unlimited, in a [Quota]: as much as there is.
const Unlimited int64 = -1

// A Quota is how much one account may be charged with in all. What is 0 may not be used at all: write
// [Unlimited] where there is no limit.
type Quota struct {
	// CPU in millicores.
	CPU int64
	// Memory in MiB.
	Memory int64
	// GPUs, whole.
	GPUs int64
}

// String is such as "10000m cpu, unlimited memory, 0 gpu".
func (q Quota) String() string {
	limit := func(n int64, unit, name string) string {
		if n == Unlimited {
			return "unlimited " + name
		}
		return fmt.Sprintf("%d%s", n, unit)
	}
	return limit(q.CPU, "m cpu", "cpu") + ", " + limit(q.Memory, " MiB", "memory") + ", " + limit(q.GPUs, " gpu", "gpu")
}

// Usage is what an account is charged with, and what it may be.
type Usage struct {
	// Used is what its reservations hold in all, and what is being tried this moment.
	Used Resources
	// Quota has its limits.
	Quota Quota
}

// String is such as "500m cpu, 512 MiB of 10000m cpu, unlimited memory, unlimited gpu".
func (u Usage) String() string { return fmt.Sprintf("%v of %v", u.Used, u.Quota) }

// Account of this name; the same one for the same name. One that there was not is opened: unlimited, and
// nothing is charged to it. It takes a lock: ask once, and name it in Terms.
//
// Errors: [ErrNameLength], [ErrTooManyNames].
func (e *Engine) Account(name string) (Account, error) {
	account, err := cAccount("Account", e.get(), name)
	runtime.KeepAlive(e)
	return account, err
}

// SetQuota limits what an account may be charged with from now on. What it is charged with already stays,
// also if that is more. It takes no lock.
//
// Errors: [ErrUnknownAccount]; [ErrTooLarge] where a limit is negative and not [Unlimited].
func (e *Engine) SetQuota(account Account, quota Quota) error {
	for k, limit := range [...]int64{quota.CPU, quota.Memory, quota.GPUs} {
		if limit < Unlimited {
			return &Error{Op: "SetQuota", Arg: "quota", Status: ErrTooLarge, Dimension: CPU + Dimension(k), Given: limit}
		}
	}
	err := cQuotaSet("SetQuota", e.get(), account, quota)
	runtime.KeepAlive(e)
	return err
}

// Usage of an account. It takes no lock.
//
// Errors: [ErrUnknownAccount].
func (e *Engine) Usage(account Account) (Usage, error) {
	usage, err := cUsage("Usage", e.get(), account)
	runtime.KeepAlive(e)
	return usage, err
}

// A SpreadGroup is a group of which there may be so many in one place: a number that is valid for its
// engine's life.
type SpreadGroup uint32

// A Scope says what one place of a spread group is. The zero value is [WorkerScope].
type Scope struct {
	kind  uint32
	label string
}

// WorkerScope: a place is a worker.
func WorkerScope() Scope { return Scope{} }

// MachineScope: a place is a machine; a worker that names none is one of its own.
func MachineScope() Scope { return Scope{kind: scopeMachine} }

// LabelScope: a place is all workers with the same value of a label, as a zone. Workers without the label
// are out of the question.
func LabelScope(key string) Scope { return Scope{scopeLabel, key} }

// String is such as "label zone".
func (s Scope) String() string {
	switch s.kind {
	case scopeMachine:
		return "machine"
	case scopeLabel:
		return "label " + s.label
	}
	return "worker"
}

// SpreadGroup of this name and scope; the same one for the same two. It takes a lock: ask once, and name
// it in a [Limit].
//
// Errors: [ErrNameLength], [ErrTooManyNames].
func (e *Engine) SpreadGroup(name string, scope Scope) (SpreadGroup, error) {
	group, err := cSpreadGroup("SpreadGroup", e.get(), name, scope)
	runtime.KeepAlive(e)
	return group, err
}

// SpreadCount is how many of a group are in the place of this worker. It takes no lock.
//
// Errors: [ErrUnknownWorker]; [ErrUnknownGroup], also where the worker is out of the question for the
// group, since it lacks its label.
func (e *Engine) SpreadCount(group SpreadGroup, worker Worker) (int, error) {
	count, err := cSpreadCount("SpreadCount", e.get(), group, worker)
	runtime.KeepAlive(e)
	return count, err
}
