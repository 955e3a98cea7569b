package slotwise

import (
	"fmt"
	"strings"
)

// A Status is what a call or one entry of a batch came to: [OK], or why nothing was done. It is an
// error by itself, and what an [*Error] wraps, so both of these work:
//
//	if errors.Is(err, slotwise.ErrBusy) { … }
//	if result.Status == slotwise.ErrBusy { … }
//
// Numbers are those of the C interface; one that was once given is never given to anything else.
type Status int32

// Every status. A later library may have others.
const (
	// OK: done.
	OK Status = 0
	// ErrBusy: refused: it would fit on a registered worker if others left or a state changed.
	// Wait, or make room.
	ErrBusy Status = 1
	// ErrNever: refused: no registered worker that it may use could ever hold it. Add a worker.
	ErrNever Status = 2
	// ErrNullPointer: a pointer is NULL that must not be.
	ErrNullPointer Status = 10
	// ErrMisaligned: a pointer or a stride is not aligned to what it points to.
	ErrMisaligned Status = 11
	// ErrStructSize: a structure's `size` is none that this library knows.
	ErrStructSize Status = 12
	// ErrReserved: a reserved field is not zero.
	ErrReserved Status = 13
	// ErrUnknownValue: a number stands for nothing: a flag, policy, mode, field or kind, or fields
	// that exclude each other.
	ErrUnknownValue Status = 14
	// ErrStride: a stride is smaller than what it steps over.
	ErrStride Status = 15
	// ErrOverlap: an array that is read overlaps one that is written, or two that are written
	// overlap.
	ErrOverlap Status = 16
	// ErrCount: more entries than a call takes (MaxCount), or a length beyond any memory.
	ErrCount Status = 17
	// ErrOffsets: offsets of packed ids fall.
	ErrOffsets Status = 18
	// ErrArrayTooSmall: an array for results is too small. Methods of this package make room and do
	// not return it.
	ErrArrayTooSmall Status = 19
	// ErrStaleHandle: no such engine: the handle was freed, or never given out.
	ErrStaleHandle Status = 20
	// ErrClosed: the engine is closed.
	ErrClosed Status = 21
	// ErrTooManyEngines: as many engines as a process keeps (MaxEngines). Free some.
	ErrTooManyEngines Status = 22
	// ErrIDLength: an id is too long (MaxIDLength), or empty where it must not be.
	ErrIDLength Status = 30
	// ErrEmpty: the request needs nothing in every dimension.
	ErrEmpty Status = 31
	// ErrTooLarge: more than any worker can have.
	ErrTooLarge Status = 32
	// ErrDuplicateID: the id stands twice in one batch; the first stands.
	ErrDuplicateID Status = 33
	// ErrInFlight: another thread is at work on this very id, batch id or reservation. Ask again.
	ErrInFlight Status = 34
	// ErrUnknownSelector: the selector is not one of this engine's.
	ErrUnknownSelector Status = 35
	// ErrUnknownWorker: no such worker is registered, or not any more.
	ErrUnknownWorker Status = 36
	// ErrVersionConflict: the worker is not at the version that the caller expected; [*Error] says
	// at which it is and what is free there.
	ErrVersionConflict Status = 37
	// ErrLedgerFull: as many reservations as the engine keeps. Raise [Config] MaxReservations.
	ErrLedgerFull Status = 38
	// ErrContended: other changes came first too many times. Ask again.
	ErrContended Status = 39
	// ErrPeer: another entry of the same all-or-nothing batch or group could not be served.
	ErrPeer Status = 40
	// ErrNotHeld: nothing is held under this name: released already, lost with its worker, or
	// never reserved.
	ErrNotHeld Status = 41
	// ErrOtherWorker: it is held on another worker than the one named.
	ErrOtherWorker Status = 42
	// ErrShort: what a reservation should grow by is not free there; [*Error] says what is
	// missing.
	ErrShort Status = 43
	// ErrState: the worker's state takes nothing more.
	ErrState Status = 44
	// ErrLost: the worker was removed during the call, and the reservation went with it.
	ErrLost Status = 45
	// ErrOtherBatch: the batch id is that of a batch with another number of requests.
	ErrOtherBatch Status = 46
	// ErrQuotaExceeded: the account is charged with as much as its quota allows, or nearly; [*Error]
	// says with how much, and in which dimension.
	ErrQuotaExceeded Status = 47
	// ErrUnknownAccount: the account is not one of this engine's.
	ErrUnknownAccount Status = 48
	// ErrUnknownGroup: the spread group is not one of this engine's.
	ErrUnknownGroup Status = 49
	// ErrTooManyLimits: more limits than a request can have (MaxLimits).
	ErrTooManyLimits Status = 50
	// ErrDeadlinePassed: it would end before it begins: the host's clock has come to its deadline,
	// or the end of its lease.
	ErrDeadlinePassed Status = 51
	// ErrWaiting: it is promised what others hold who have not left yet: release them once they
	// have stopped. [*Error] says how many.
	ErrWaiting Status = 52
	// ErrClockWentBack: the time is before that of the last tick.
	ErrClockWentBack Status = 53
	// ErrNameLength: a name is too long (MaxNameLength), or empty where it must not be.
	ErrNameLength Status = 60
	// ErrSetAside: more is set aside than the worker has.
	ErrSetAside Status = 61
	// ErrGPUType: a GPU type is given but no GPU.
	ErrGPUType Status = 62
	// ErrDuplicateWorker: a worker of this id is registered. Update it, or remove it first.
	ErrDuplicateWorker Status = 63
	// ErrTableFull: as many workers as the engine keeps. Raise [Config] MaxWorkers.
	ErrTableFull Status = 64
	// ErrListLength: a list of a constraint is too long (MaxListLength), or a label has no value.
	ErrListLength Status = 65
	// ErrTooManySelectors: as many selectors as the engine keeps. Reuse handles, or raise [Config]
	// MaxSelectors.
	ErrTooManySelectors Status = 66
	// ErrConfig: a limit of the configuration is out of its range.
	ErrConfig Status = 67
	// ErrProcessor: the processor lacks an instruction that the engine needs.
	ErrProcessor Status = 68
	// ErrOldGeneration: the signal or update is of a generation of the rollout that is over; [*Error]
	// says which one the worker is of.
	ErrOldGeneration Status = 69
	// ErrNotPending: only a pending worker can be handed off; [*Error] says what it is.
	ErrNotPending Status = 70
	// ErrHandOffToItself: a worker cannot be handed off to itself.
	ErrHandOffToItself Status = 71
	// ErrTooManyNames: as many accounts or spread groups as the engine keeps. Raise [Config]
	// MaxAccounts or MaxGroups.
	ErrTooManyNames Status = 72
	// ErrDeviceOverWhole: more than 1,000 thousandths of a device are asked for.
	ErrDeviceOverWhole Status = 80
	// ErrDeviceEmpty: devices are asked for, but nothing of them: [DeviceNeed] Milli is 0.
	ErrDeviceEmpty Status = 81
	// ErrDeviceParts: a part of each of several devices is asked for: of several, each must be
	// whole.
	ErrDeviceParts Status = 82
	// ErrTooManyDevices: more devices than a worker can have (MaxDevices).
	ErrTooManyDevices Status = 83
	// ErrGPUsBesideDevices: GPUs by number beside devices: a request asks for one of the two; a
	// worker with devices has as many GPUs as devices, none of them set aside.
	ErrGPUsBesideDevices Status = 84
	// ErrDuplicateDevice: two devices of the worker have the same id; [*Error] says which is the
	// second.
	ErrDuplicateDevice Status = 85
	// ErrIslandTooHigh: a device's island is too high (MaxIsland).
	ErrIslandTooHigh Status = 86
	// ErrDevicesStay: the worker's GPUs are devices: a reservation can hold no number of GPUs
	// there, and its devices stay as they are.
	ErrDevicesStay Status = 87
	// ErrNothingLearned: no request has come yet to a policy that learns ([FGD], [Adaptive]), or other
	// goroutines have its planners in hand this very moment. Ask again.
	ErrNothingLearned Status = 88
	// ErrPanic: a fault in slotwise itself. Nothing was oversold; please report it with what it
	// wrote to the standard error stream.
	ErrPanic Status = 99
)

// The names of the constants of the C interface, in small letters and without their prefix.
var statusNames = map[Status]string{
	OK:                  "ok",
	ErrBusy:             "busy",
	ErrNever:            "never",
	ErrNullPointer:      "null_pointer",
	ErrMisaligned:       "misaligned",
	ErrStructSize:       "struct_size",
	ErrReserved:         "reserved",
	ErrUnknownValue:     "unknown_value",
	ErrStride:           "stride",
	ErrOverlap:          "overlap",
	ErrCount:            "count",
	ErrOffsets:          "offsets",
	ErrArrayTooSmall:    "array_too_small",
	ErrStaleHandle:      "stale_handle",
	ErrClosed:           "closed",
	ErrTooManyEngines:   "too_many_engines",
	ErrIDLength:         "id_length",
	ErrEmpty:            "empty",
	ErrTooLarge:         "too_large",
	ErrDuplicateID:      "duplicate_id",
	ErrInFlight:         "in_flight",
	ErrUnknownSelector:  "unknown_selector",
	ErrUnknownWorker:    "unknown_worker",
	ErrVersionConflict:  "version_conflict",
	ErrLedgerFull:       "ledger_full",
	ErrContended:        "contended",
	ErrPeer:             "peer",
	ErrNotHeld:          "not_held",
	ErrOtherWorker:      "other_worker",
	ErrShort:            "short",
	ErrState:            "state",
	ErrLost:             "lost",
	ErrOtherBatch:       "other_batch",
	ErrQuotaExceeded:    "quota_exceeded",
	ErrUnknownAccount:   "unknown_account",
	ErrUnknownGroup:     "unknown_group",
	ErrTooManyLimits:    "too_many_limits",
	ErrDeadlinePassed:   "deadline_passed",
	ErrWaiting:          "waiting",
	ErrClockWentBack:    "clock_went_back",
	ErrNameLength:       "name_length",
	ErrSetAside:         "set_aside",
	ErrGPUType:          "gpu_type",
	ErrDuplicateWorker:  "duplicate_worker",
	ErrTableFull:        "table_full",
	ErrListLength:       "list_length",
	ErrTooManySelectors: "too_many_selectors",
	ErrConfig:           "config",
	ErrProcessor:        "processor",
	ErrOldGeneration:    "old_generation",
	ErrNotPending:       "not_pending",
	ErrHandOffToItself:  "hand_off_to_itself",
	ErrTooManyNames:     "too_many_names",

	ErrDeviceOverWhole:   "device_over_whole",
	ErrDeviceEmpty:       "device_empty",
	ErrDeviceParts:       "device_parts",
	ErrTooManyDevices:    "too_many_devices",
	ErrGPUsBesideDevices: "gpus_beside_devices",
	ErrDuplicateDevice:   "duplicate_device",
	ErrIslandTooHigh:     "island_too_high",
	ErrDevicesStay:       "devices_stay",
	ErrNothingLearned:    "nothing_learned",
	ErrPanic:             "panic",
}

// String is the status's short name, such as "busy" or "not_held".
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status %d", int32(s))
}

// Text is a sentence on what the status means.
func (s Status) Text() string { return cStatusText(s) }

// Error makes a status an error; its text is the sentence of Text.
func (s Status) Error() string { return "slotwise: " + s.Text() }

// Err is nil for [OK], and otherwise the status itself. It does not allocate.
func (s Status) Err() error {
	if s == OK {
		return nil
	}
	return s
}

// An Error is what is known of a call that failed. What a status has nothing to say of is zero.
// errors.Is finds the [Status] in it: errors.Is(err, ErrBusy).
type Error struct {
	// Op is the method, such as "Reserve".
	Op string
	// Arg names the argument that is wrong, where one is, and it is known which.
	Arg string
	// Status is the reason.
	Status Status
	// Dimension is what it is about: what is blocking, too large, short, or at its quota.
	Dimension Dimension
	// State is the worker's, with ErrVersionConflict, ErrState and ErrNotPending.
	State State
	// Given is what was given, where that is out of a range: an amount, a length, a number. With
	// ErrQuotaExceeded, it is what is in use; with ErrWaiting, how many have not left. Times and
	// generations have all bits of theirs: uint64(Given).
	Given int64
	// Limit is what was passed or reached. With ErrDeadlinePassed and ErrClockWentBack, it is the time
	// that the last tick told; with ErrOldGeneration, the worker's generation.
	Limit int64
	// Index is the place, in an array, of the entry that is to blame.
	Index int
	// Version is where the worker is now, with ErrVersionConflict.
	Version uint64
	// Free is what is free there now, with ErrVersionConflict.
	Free Resources
	// Missing is what is not there, with ErrShort.
	Missing Resources
	// Reasons is why workers were out of the question, with ErrBusy and ErrNever.
	Reasons Reasons
	// Outlook, with ErrBusy and ErrNever: whether something is on its way that will take it.
	Outlook Outlook
}

// Error is a sentence with its numbers.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("slotwise: ")
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	if e.Arg != "" {
		b.WriteString(e.Arg)
		b.WriteString(": ")
	}
	b.WriteString(strings.TrimSuffix(e.Status.Text(), "."))
	switch e.Status {
	case ErrBusy, ErrNever:
		if e.Dimension != NoDimension {
			fmt.Fprintf(&b, " (short of %v)", e.Dimension)
		}
		if e.Reasons != (Reasons{}) {
			fmt.Fprintf(&b, "; %v", e.Reasons)
		}
		if e.Outlook == OutlookWait {
			b.WriteString("; one that is on its way has room")
		}
	case ErrVersionConflict:
		fmt.Fprintf(&b, "; it is at %d, %v, with %v free", e.Version, e.State, e.Free)
	case ErrShort:
		fmt.Fprintf(&b, "; missing: %v", e.Missing)
	case ErrState, ErrNotPending:
		fmt.Fprintf(&b, "; it is %v", e.State)
	case ErrQuotaExceeded:
		fmt.Fprintf(&b, "; %v: %d of %d in use", e.Dimension, e.Given, e.Limit)
	case ErrWaiting:
		fmt.Fprintf(&b, "; %d not left yet", e.Given)
	case ErrDeadlinePassed, ErrClockWentBack:
		fmt.Fprintf(&b, "; given %d, and it is %d", uint64(e.Given), uint64(e.Limit))
	case ErrOldGeneration:
		fmt.Fprintf(&b, "; given %d, and it is of %d", uint64(e.Given), uint64(e.Limit))
	case ErrPeer:
		fmt.Fprintf(&b, "; entry %d", e.Index)
	default:
		if e.Dimension != NoDimension {
			fmt.Fprintf(&b, "; %v", e.Dimension)
		}
		if e.Given != 0 || e.Limit != 0 {
			fmt.Fprintf(&b, "; given %d, limit %d", e.Given, e.Limit)
		}
		if e.Index != 0 {
			fmt.Fprintf(&b, "; entry %d", e.Index)
		}
	}
	return b.String()
}

// Unwrap gives the status.
func (e *Error) Unwrap() error { return e.Status }

// Retryable tells whether the same call may succeed later, by what others do meanwhile: [ErrBusy],
// [ErrInFlight], [ErrContended], [ErrQuotaExceeded], [ErrWaiting] and [ErrNothingLearned].
func (s Status) Retryable() bool {
	switch s {
	case ErrBusy, ErrInFlight, ErrContended, ErrQuotaExceeded, ErrWaiting, ErrNothingLearned:
		return true
	}
	return false
}

// wrong is the error of an argument that this package itself refuses.
func wrong(op, arg string, status Status, given, limit int) error {
	return &Error{Op: op, Arg: arg, Status: status, Given: int64(given), Limit: int64(limit)}
}
