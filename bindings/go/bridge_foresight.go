package slotwise

// The calls that say what would be, and why: translation and nothing else, as in bridge.go.

/*
#cgo CFLAGS: -std=c11 -O2
#include "bridge_foresight.h"
// As in bridge.go: what is passed may stay on the stack.
#cgo noescape sw_explain
#cgo nocallback sw_explain
#cgo noescape sw_unmet_demand
#cgo nocallback sw_unmet_demand
#cgo noescape sw_forget_unmet
#cgo nocallback sw_forget_unmet
#cgo noescape sw_dry_run_with
#cgo nocallback sw_dry_run_with
#cgo noescape sw_replicas
#cgo nocallback sw_replicas
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Results are written where the slices lie that are returned.
const (
	_ = -(unsafe.Sizeof(Explained{}) ^ C.sizeof_slotwise_explained_t)
	_ = -(unsafe.Offsetof(Explained{}.Missing) ^ unsafe.Offsetof(C.slotwise_explained_t{}.missing))
	_ = -(unsafe.Sizeof(Demand{}) ^ C.sizeof_slotwise_demand_t)
	_ = -(unsafe.Offsetof(Demand{}.Joining) ^ unsafe.Offsetof(C.slotwise_demand_t{}.joining))
	_ = -(unsafe.Offsetof(Demand{}.Unservable) ^ unsafe.Offsetof(C.slotwise_demand_t{}.unservable))
	_ = -(unsafe.Sizeof(Mismatches{}) ^ C.sizeof_slotwise_mismatches_t)
	_ = -(unsafe.Offsetof(Mismatches{}.Preemptable) ^ unsafe.Offsetof(C.slotwise_mismatches_t{}.preemptable))
	_ = -(unsafe.Offsetof(Mismatches{}.Devices) ^ unsafe.Offsetof(C.slotwise_mismatches_t{}.devices))
)

func explanationOf(c *C.slotwise_explanation_t) Explanation {
	return Explanation{
		Status: Status(c.status), Worker: Worker(c.worker), Version: uint64(c.version), Ticket: Ticket(c.ticket),
		Dimension: Dimension(c.dimension), Outlook: Outlook(c.outlook), Fitting: int(c.fitting),
		Reasons:    *(*Reasons)(unsafe.Pointer(&c.reasons)),
		Mismatches: *(*Mismatches)(unsafe.Pointer(&c.mismatches)),
		Nearest:    NearMiss{Worker(c.nearest.worker), uint64(c.nearest.version), goAmounts(&c.nearest.missing)},
	}
}

func cExplain(op string, engine uint64, r *Request, each bool) (Explanation, []Explained, error) {
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	c := C.slotwise_explanation_t{size: C.sizeof_slotwise_explanation_t}
	var count C.size_t
	if each {
		registered, _, err := cCounts(op, engine)
		if err != nil {
			return Explanation{}, nil, err
		}
		count = C.size_t(registered)
	}
	for {
		var e C.slotwise_error_t
		workers := make([]Explained, count)
		into := (*C.slotwise_explained_t)(unsafe.Pointer(unsafe.SliceData(workers)))
		if each {
			C.sw_explain(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits, limitCount,
				&c, into, C.size_t(len(workers)), &count, &e)
		} else {
			C.sw_explain(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits, limitCount,
				&c, nil, 0, nil, &e)
		}
		if e.status != 0 {
			return Explanation{}, nil, failure(op, &e)
		}
		if int(count) <= len(workers) {
			return explanationOf(&c), workers[:count], nil
		}
	}
}

func cUnmetDemand(op string, engine uint64, shape *WorkerSpec, since uint64) ([]Demand, error) {
	var p runtime.Pinner
	defer p.Unpin()
	c := spec(&p, shape)
	for count := C.size_t(16); ; {
		var e C.slotwise_error_t
		demand := make([]Demand, count)
		C.sw_unmet_demand(C.slotwise_engine_t(engine), &c, C.uint64_t(since),
			(*C.slotwise_demand_t)(unsafe.Pointer(unsafe.SliceData(demand))), C.size_t(len(demand)), &count, &e)
		if e.status != 0 {
			return nil, failure(op, &e)
		}
		if int(count) <= len(demand) {
			return demand[:count], nil
		}
	}
}

func cForgetUnmet(op string, engine uint64, name string) (bool, error) {
	var e C.slotwise_error_t
	var forgotten C.uint32_t
	id, length := bytesOf(name)
	C.sw_forget_unmet(C.slotwise_engine_t(engine), id, length, &forgotten, &e)
	if e.status != 0 {
		return false, failure(op, &e)
	}
	return forgotten != 0, nil
}

// Specs of workers that are supposed to be registered; their texts are pinned.
func specs(p *runtime.Pinner, added []WorkerSpec) (*C.slotwise_worker_spec_t, C.size_t) {
	if len(added) == 0 {
		return nil, 0
	}
	cs := make([]C.slotwise_worker_spec_t, len(added))
	for k := range added {
		cs[k] = spec(p, &added[k])
	}
	return &cs[0], C.size_t(len(cs))
}

func cDryRunWith(op string, engine uint64, records unsafe.Pointer, count int, mode Mode, name string,
	supposed *Supposition, results []Result, reasons []Reasons,
) (Done, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	var done C.slotwise_batch_done_t
	id, length := bytesOf(name)
	added, addedCount := specs(&p, supposed.Added)
	C.sw_dry_run_with(C.slotwise_engine_t(engine), C.uintptr_t(uintptr(records)), C.size_t(count), C.uint32_t(mode),
		id, length, (*C.uint64_t)(unsafe.SliceData(supposed.Credited)), C.size_t(len(supposed.Credited)),
		(*C.uint64_t)(unsafe.SliceData(supposed.Without)), C.size_t(len(supposed.Without)), added, addedCount,
		(*C.slotwise_placement_t)(unsafe.Pointer(unsafe.SliceData(results))),
		(*C.slotwise_reasons_t)(unsafe.Pointer(unsafe.SliceData(reasons))), &done, &e)
	if e.status != 0 {
		return Done{}, failure(op, &e)
	}
	return doneOf(&done), nil
}

func cReplicas(op string, engine uint64, r *Request, n int, supposed *Supposition) (int, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	terms, limits, limitCount := termsOf(r.Terms)
	added, addedCount := specs(&p, supposed.Added)
	var fit C.uint32_t
	C.sw_replicas(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &terms, limits, limitCount,
		C.uint32_t(n), (*C.uint64_t)(unsafe.SliceData(supposed.Credited)), C.size_t(len(supposed.Credited)),
		(*C.uint64_t)(unsafe.SliceData(supposed.Without)), C.size_t(len(supposed.Without)), added, addedCount,
		&fit, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return int(fit), nil
}
