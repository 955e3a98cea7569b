package slotwise

// The calls about what requests may come under, about the clock, preemption, hand-offs and devices:
// translation and nothing else, as in bridge.go.

/*
#cgo CFLAGS: -std=c11 -O2
#include "bridge_terms.h"
// As in bridge.go: what is passed may stay on the stack.
#cgo noescape sw_reserve_on_terms
#cgo nocallback sw_reserve_on_terms
#cgo noescape sw_reserve_there
#cgo nocallback sw_reserve_there
#cgo noescape sw_account
#cgo nocallback sw_account
#cgo noescape sw_quota_set
#cgo nocallback sw_quota_set
#cgo noescape sw_usage
#cgo nocallback sw_usage
#cgo noescape sw_spread_group
#cgo nocallback sw_spread_group
#cgo noescape sw_spread_count
#cgo nocallback sw_spread_count
#cgo noescape sw_tick
#cgo nocallback sw_tick
#cgo noescape sw_ended_take
#cgo nocallback sw_ended_take
#cgo noescape sw_now
#cgo nocallback sw_now
#cgo noescape sw_confirm
#cgo nocallback sw_confirm
#cgo noescape sw_confirm_id
#cgo nocallback sw_confirm_id
#cgo noescape sw_deadline
#cgo nocallback sw_deadline
#cgo noescape sw_heartbeat
#cgo nocallback sw_heartbeat
#cgo noescape sw_worker_ready_generation
#cgo nocallback sw_worker_ready_generation
#cgo noescape sw_hand_off
#cgo nocallback sw_hand_off
#cgo noescape sw_preemption_plan
#cgo nocallback sw_preemption_plan
#cgo noescape sw_preempt
#cgo nocallback sw_preempt
#cgo noescape sw_granted
#cgo nocallback sw_granted
#cgo noescape sw_worker_devices
#cgo nocallback sw_worker_devices
*/
import "C"

import (
	"sync"
	"unsafe"
)

const (
	// Limits are read where the caller's slice lies.
	_ = -(unsafe.Sizeof(Limit{}) ^ C.sizeof_slotwise_limit_t)
	_ = -(unsafe.Offsetof(Limit{}.AtMost) ^ unsafe.Offsetof(C.slotwise_limit_t{}.at_most))

	_ = -(unsafe.Sizeof(termsRecord{}) ^ C.sizeof_slotwise_terms_t)
	_ = -(unsafe.Offsetof(termsRecord{}.priority) ^ unsafe.Offsetof(C.slotwise_terms_t{}.priority))
	_ = -(unsafe.Offsetof(termsRecord{}.limits) ^ unsafe.Offsetof(C.slotwise_terms_t{}.limits))
	_ = -(unsafe.Offsetof(termsRecord{}.deviceCount) ^ unsafe.Offsetof(C.slotwise_terms_t{}.device_count))
	_ = -(unsafe.Offsetof(termsRecord{}.deviceMilli) ^ unsafe.Offsetof(C.slotwise_terms_t{}.device_milli))
	_ = -(unsafe.Offsetof(termsRecord{}.deviceMemory) ^ unsafe.Offsetof(C.slotwise_terms_t{}.device_memory))
	_ = -(unsafe.Offsetof(termsRecord{}.island) ^ unsafe.Offsetof(C.slotwise_terms_t{}.island))
	_ = -(termsHold ^ C.SLOTWISE_HOLD)
	_ = -(termsPreemptable ^ C.SLOTWISE_PREEMPTABLE)
	_ = -(termsAccount ^ C.SLOTWISE_ACCOUNT)
	_ = -(MaxLimits ^ C.SLOTWISE_MAX_LIMITS)

	// What is granted is written where it lies.
	_ = -(unsafe.Sizeof(Granted{}) ^ C.sizeof_slotwise_granted_t)
	_ = -(unsafe.Offsetof(Granted{}.Milli) ^ unsafe.Offsetof(C.slotwise_granted_t{}.milli))
	_ = -(unsafe.Offsetof(Granted{}.Memory) ^ unsafe.Offsetof(C.slotwise_granted_t{}.memory))
	_ = -(MaxDevices ^ C.SLOTWISE_MAX_DEVICES)
)

// A termsRecord is a slotwise_terms_t; its pointer is a number, as those of a record are.
type termsRecord struct {
	size, flags uint32
	holdUntil   uint64
	priority    int32
	account     uint32
	limits      uintptr
	limitCount  uint64
	reserved    uint64

	deviceCount, deviceMilli uint32
	deviceMemory             uint64
	island, reserved2        uint32
}

const termsSize = C.sizeof_slotwise_terms_t

// Numbers by value and limits by their address in the caller's slice: nothing that is passed holds a
// pointer, so nothing is pinned or copied.
func termsOf(t *Terms) (terms C.sw_terms_t, limits *C.slotwise_limit_t, count C.size_t) {
	if t == nil {
		return terms, nil, 0
	}
	flags, account := t.flags()
	terms = C.sw_terms_t{
		hold_until: C.uint64_t(t.HoldUntil), priority: C.int32_t(t.Priority),
		account: C.uint32_t(account), flags: C.uint32_t(flags), given: 1,
		device_memory: C.uint64_t(t.Devices.Memory), device_count: C.uint32_t(t.Devices.Count),
		device_milli: C.uint32_t(t.Devices.Milli), island: C.uint32_t(t.Devices.Island),
	}
	return terms, (*C.slotwise_limit_t)(unsafe.Pointer(unsafe.SliceData(t.Limits))), C.size_t(len(t.Limits))
}

func cReserveOnTerms(op string, engine uint64, r *Request) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	C.sw_reserve_on_terms(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits,
		limitCount, &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cReserveThere(op string, engine uint64, worker Worker, r *Request, expected *uint64) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	C.sw_reserve_there(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker), id, idLength, key, keyLength,
		&need, &terms, limits, limitCount, (*C.uint64_t)(expected), &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

// A name that is empty is refused for its length, and not for its address.
func nameOfBytes(s string) (*C.char, C.size_t) {
	data, length := bytesOf(s)
	if data == nil {
		data = &nul
	}
	return data, length
}

func cAccount(op string, engine uint64, name string) (Account, error) {
	var e C.slotwise_error_t
	var account C.uint32_t
	data, length := nameOfBytes(name)
	C.sw_account(C.slotwise_engine_t(engine), data, length, &account, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return accountOf(uint32(account)), nil
}

func cQuotaSet(op string, engine uint64, account Account, quota Quota) error {
	var e C.slotwise_error_t
	// Unlimited has all bits set, here and there.
	c := C.slotwise_quota_t{C.uint64_t(quota.CPU), C.uint64_t(quota.Memory), C.uint64_t(quota.GPUs)}
	C.sw_quota_set(C.slotwise_engine_t(engine), C.uint32_t(account.number()), &c, &e)
	if e.status != 0 {
		return failure(op, &e)
	}
	return nil
}

func cUsage(op string, engine uint64, account Account) (Usage, error) {
	var e C.slotwise_error_t
	c := C.slotwise_usage_t{size: C.sizeof_slotwise_usage_t}
	C.sw_usage(C.slotwise_engine_t(engine), C.uint32_t(account.number()), &c, &e)
	if e.status != 0 {
		return Usage{}, failure(op, &e)
	}
	return Usage{
		Used:  goAmounts(&c.used),
		Quota: Quota{int64(c.quota.cpu), int64(c.quota.memory), int64(c.quota.gpus)},
	}, nil
}

const (
	scopeMachine = C.SLOTWISE_SCOPE_MACHINE
	scopeLabel   = C.SLOTWISE_SCOPE_LABEL
)

func cSpreadGroup(op string, engine uint64, name string, scope Scope) (SpreadGroup, error) {
	var e C.slotwise_error_t
	var group C.uint32_t
	data, length := nameOfBytes(name)
	label, labelLength := nameOfBytes(scope.label)
	C.sw_spread_group(C.slotwise_engine_t(engine), data, length, C.uint32_t(scope.kind), label, labelLength, &group, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return SpreadGroup(group), nil
}

func cSpreadCount(op string, engine uint64, group SpreadGroup, worker Worker) (int, error) {
	var e C.slotwise_error_t
	var count C.uint64_t
	C.sw_spread_count(C.slotwise_engine_t(engine), C.uint32_t(group), C.slotwise_worker_t(worker), &count, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return int(count), nil
}

// endedBuffers are what C writes to, before it becomes Ticked.
var endedBuffers = sync.Pool{New: func() any { return new([64]C.slotwise_expired_t) }}

func (t *Ticked) add(ended []C.slotwise_expired_t) {
	for k := range ended {
		c := &ended[k]
		id, worker := C.GoStringN(&c.id[0], C.int(c.id_length)), Worker(c.worker)
		switch c.kind {
		case C.SLOTWISE_EXPIRED:
			t.Expired = append(t.Expired, Expired{id, Ticket(c.ticket), worker, goAmounts(&c.amount)})
		case C.SLOTWISE_LOST_WITH_WORKER:
			on := t.on(worker)
			on.Lost = append(on.Lost, Lost{id, Ticket(c.ticket), worker, goAmounts(&c.amount)})
		case C.SLOTWISE_WORKER_EXPIRED:
			t.on(worker).ID = id
		}
	}
}

// cTick tells whether more has ended than it had room for.
func cTick(op string, engine, now uint64, ticked *Ticked) (bool, error) {
	var e C.slotwise_error_t
	buffer := endedBuffers.Get().(*[64]C.slotwise_expired_t)
	defer endedBuffers.Put(buffer)
	var count C.size_t
	C.sw_tick(C.slotwise_engine_t(engine), C.uint64_t(now), &buffer[0], C.size_t(len(buffer)), &count, &e)
	if e.status != 0 {
		return false, failure(op, &e)
	}
	ticked.add(buffer[:min(int(count), len(buffer))])
	return int(count) > len(buffer), nil
}

// cEndedTake tells whether there may be more.
func cEndedTake(op string, engine uint64, ticked *Ticked) (bool, error) {
	var e C.slotwise_error_t
	buffer := endedBuffers.Get().(*[64]C.slotwise_expired_t)
	defer endedBuffers.Put(buffer)
	var count C.size_t
	C.sw_ended_take(C.slotwise_engine_t(engine), &buffer[0], C.size_t(len(buffer)), &count, &e)
	if e.status != 0 {
		return false, failure(op, &e)
	}
	ticked.add(buffer[:count])
	return int(count) == len(buffer), nil
}

func cNow(op string, engine uint64) (uint64, error) {
	var e C.slotwise_error_t
	var now C.uint64_t
	C.sw_now(C.slotwise_engine_t(engine), &now, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return uint64(now), nil
}

func cConfirm(op string, engine uint64, ticket Ticket) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	C.sw_confirm(C.slotwise_engine_t(engine), C.uint64_t(ticket), &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cConfirmID(op string, engine uint64, name string) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	id, length := bytesOf(name)
	C.sw_confirm_id(C.slotwise_engine_t(engine), id, length, &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cDeadline(op string, engine uint64, ticket Ticket) (uint64, error) {
	var e C.slotwise_error_t
	var deadline C.uint64_t
	C.sw_deadline(C.slotwise_engine_t(engine), C.uint64_t(ticket), &deadline, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return uint64(deadline), nil
}

func cHeartbeat(op string, engine uint64, name string, until uint64) error {
	var e C.slotwise_error_t
	id, length := bytesOf(name)
	C.sw_heartbeat(C.slotwise_engine_t(engine), id, length, C.uint64_t(until), &e)
	if e.status != 0 {
		return failure(op, &e)
	}
	return nil
}

func cWorkerReadyGeneration(op string, engine uint64, name string, generation uint64) (WorkerInfo, error) {
	var e C.slotwise_error_t
	info := C.slotwise_worker_info_t{size: C.sizeof_slotwise_worker_info_t}
	id, length := bytesOf(name)
	C.sw_worker_ready_generation(C.slotwise_engine_t(engine), id, length, C.uint64_t(generation), &info, &e)
	if e.status != 0 {
		return WorkerInfo{}, failure(op, &e)
	}
	return infoOf(&info, name), nil
}

// cHandOff tells of the first 64 that were lost, and how many there were.
func cHandOff(op string, engine uint64, expected, real string) (HandedOff, int, error) {
	var e C.slotwise_error_t
	buffer := lostBuffers.Get().(*[64]C.slotwise_lost_t)
	defer lostBuffers.Put(buffer)
	from, fromLength := bytesOf(expected)
	to, toLength := nameOfBytes(real)
	var c C.slotwise_handed_t
	var count C.size_t
	C.sw_hand_off(C.slotwise_engine_t(engine), from, fromLength, to, toLength, &c, &buffer[0],
		C.size_t(len(buffer)), &count, &e)
	if e.status != 0 {
		return HandedOff{}, 0, failure(op, &e)
	}
	handed := HandedOff{Worker: Worker(c.worker), Moved: int(c.moved)}
	for k := range buffer[:min(int(count), len(buffer))] {
		handed.Lost = append(handed.Lost, lostOf(&buffer[k]))
	}
	return handed, int(count), nil
}

func cPreemptionPlan(op string, engine uint64, r *Request) (Preemption, error) {
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	c := C.slotwise_preemption_t{size: C.sizeof_slotwise_preemption_t}
	for count := C.size_t(16); ; {
		var e C.slotwise_error_t
		victims := make([]C.slotwise_victim_t, count)
		C.sw_preemption_plan(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits,
			limitCount, &c, &victims[0], C.size_t(len(victims)), &count, &e)
		switch {
		case e.status == C.SLOTWISE_ARRAY_TOO_SMALL: // Once more, with room for so many.
		case e.status != 0:
			return Preemption{}, failure(op, &e)
		default:
			return planOf(&c, victims[:count]), nil
		}
	}
}

func planOf(c *C.slotwise_preemption_t, victims []C.slotwise_victim_t) Preemption {
	plan := Preemption{Worker: Worker(c.worker), Version: uint64(c.version)}
	for k := range victims {
		v := &victims[k]
		if v.flags&C.SLOTWISE_LEAVING != 0 {
			plan.Leaving = append(plan.Leaving, Ticket(v.ticket))
			continue
		}
		plan.Victims = append(plan.Victims, Victim{
			C.GoStringN(&v.id[0], C.int(v.id_length)), Ticket(v.ticket), goAmounts(&v.amount), int32(v.priority),
		})
	}
	return plan
}

func cPreempt(op string, engine uint64, r *Request, plan *Preemption) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	c := C.slotwise_preemption_t{
		size: C.sizeof_slotwise_preemption_t, worker: C.slotwise_worker_t(plan.Worker), version: C.uint64_t(plan.Version),
		victim_count: C.uint64_t(len(plan.Victims)), leaving_count: C.uint64_t(len(plan.Leaving)),
	}
	victims := make([]C.slotwise_victim_t, 0, len(plan.Victims)+len(plan.Leaving))
	for k := range plan.Victims {
		victims = append(victims, C.slotwise_victim_t{ticket: C.uint64_t(plan.Victims[k].Ticket)})
	}
	for _, ticket := range plan.Leaving {
		victims = append(victims, C.slotwise_victim_t{ticket: C.uint64_t(ticket), flags: C.SLOTWISE_LEAVING})
	}
	C.sw_preempt(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits, limitCount, &c,
		unsafe.SliceData(victims), C.size_t(len(victims)), &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cGranted(op string, engine uint64, ticket Ticket) (granted Granted, err error) {
	var e C.slotwise_error_t
	C.sw_granted(C.slotwise_engine_t(engine), C.uint64_t(ticket),
		(*C.slotwise_granted_t)(unsafe.Pointer(&granted)), &e)
	if e.status != 0 {
		return Granted{}, failure(op, &e)
	}
	return granted, nil
}

func cWorkerDevices(op string, engine uint64, worker Worker) ([]DeviceState, error) {
	var e C.slotwise_error_t
	var states [MaxDevices]C.slotwise_device_state_t
	var count C.size_t
	C.sw_worker_devices(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker), &states[0],
		C.size_t(len(states)), &count, &e)
	if e.status != 0 {
		return nil, failure(op, &e)
	}
	if count == 0 {
		return nil, nil
	}
	devices := make([]DeviceState, count)
	for k := range devices {
		c := &states[k]
		devices[k] = DeviceState{uint32(c.free_milli), uint8(c.island), uint64(c.free_memory), uint64(c.memory)}
	}
	return devices, nil
}
