package slotwise

// The calls about what policies have learned: translation and nothing else, as in bridge.go.

/*
#cgo CFLAGS: -std=c11 -O2
#include "bridge_learning.h"
// As in bridge.go: what is passed may stay on the stack.
#cgo noescape sw_learned
#cgo nocallback sw_learned
#cgo noescape sw_fragmentation
#cgo nocallback sw_fragmentation
#cgo noescape sw_repack
#cgo nocallback sw_repack
*/
import "C"

import "unsafe"

// Results are written where they are returned.
const (
	_ = -(unsafe.Sizeof(Kind{}) ^ C.sizeof_slotwise_kind_t)
	_ = -(unsafe.Offsetof(Kind{}.Count) ^ unsafe.Offsetof(C.slotwise_kind_t{}.count))
	_ = -(unsafe.Offsetof(Kind{}.Devices) ^ unsafe.Offsetof(C.slotwise_kind_t{}.devices))
	_ = -(unsafe.Offsetof(Kind{}.Milli) ^ unsafe.Offsetof(C.slotwise_kind_t{}.milli))
	_ = -(unsafe.Offsetof(Kind{}.GPUTypes) ^ unsafe.Offsetof(C.slotwise_kind_t{}.gpu_types))
	_ = -(unsafe.Sizeof(Fragmentation{}) ^ C.sizeof_slotwise_fragmentation_t)
	_ = -(unsafe.Offsetof(Fragmentation{}.UnusableMilli) ^ unsafe.Offsetof(C.slotwise_fragmentation_t{}.unusable_milli))
	_ = -(unsafe.Offsetof(Fragmentation{}.Arrived) ^ unsafe.Offsetof(C.slotwise_fragmentation_t{}.arrived))
	_ = -(unsafe.Sizeof(Move{}) ^ C.sizeof_slotwise_move_t)
	_ = -(unsafe.Offsetof(Move{}.To) ^ unsafe.Offsetof(C.slotwise_move_t{}.to))
	_ = -(unsafe.Offsetof(Move{}.ToVersion) ^ unsafe.Offsetof(C.slotwise_move_t{}.to_version))
	_ = -(unsafe.Offsetof(Move{}.Devices) ^ unsafe.Offsetof(C.slotwise_move_t{}.devices))
	_ = -(unsafe.Offsetof(Move{}.FreesMilli) ^ unsafe.Offsetof(C.slotwise_move_t{}.frees_milli))
)

func cLearned(op string, engine uint64) (Learned, error) {
	var e C.slotwise_error_t
	var count C.size_t
	var arrived C.uint64_t
	kinds := make([]Kind, MaxKinds) // There are no more.
	C.sw_learned(C.slotwise_engine_t(engine), (*C.slotwise_kind_t)(unsafe.Pointer(&kinds[0])), C.size_t(len(kinds)),
		&count, &arrived, &e)
	if e.status != 0 {
		return Learned{}, failure(op, &e)
	}
	return Learned{uint64(arrived), kinds[:count]}, nil
}

func cFragmentation(op string, engine uint64) (fragmentation Fragmentation, err error) {
	var e C.slotwise_error_t
	C.sw_fragmentation(C.slotwise_engine_t(engine), (*C.slotwise_fragmentation_t)(unsafe.Pointer(&fragmentation)), &e)
	if e.status != 0 {
		return Fragmentation{}, failure(op, &e)
	}
	return fragmentation, nil
}

func cRepack(op string, engine uint64, most int) (plan Repack, err error) {
	// No reservation moves twice, so this is room enough, also for whoever asks for as many as there are.
	_, reservations, err := cCounts(op, engine)
	if err != nil {
		return Repack{}, err
	}
	var e C.slotwise_error_t
	var count C.size_t
	moves := make([]Move, min(most, reservations, MaxCount))
	C.sw_repack(C.slotwise_engine_t(engine), (*C.slotwise_move_t)(unsafe.Pointer(unsafe.SliceData(moves))),
		C.size_t(len(moves)), &count, (*C.slotwise_fragmentation_t)(unsafe.Pointer(&plan.Before)),
		(*C.slotwise_fragmentation_t)(unsafe.Pointer(&plan.After)), &e)
	if e.status != 0 {
		return Repack{}, failure(op, &e)
	}
	plan.Moves = moves[:count]
	return plan, nil
}
