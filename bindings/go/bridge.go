package slotwise

// The files whose names begin with bridge call C: translation and nothing else. The rest of the package is
// Go.

/*
#cgo CFLAGS: -std=c11 -O2
#include "bridge.h"
// The library never calls back and keeps nothing that is passed in, so what is passed may stay on
// the stack.
#cgo noescape sw_engine_new
#cgo nocallback sw_engine_new
#cgo noescape sw_engine_config
#cgo nocallback sw_engine_config
#cgo noescape sw_engine_close
#cgo nocallback sw_engine_close
#cgo noescape sw_selector
#cgo nocallback sw_selector
#cgo noescape sw_worker_add
#cgo nocallback sw_worker_add
#cgo noescape sw_workers_add
#cgo nocallback sw_workers_add
#cgo noescape sw_worker_update
#cgo nocallback sw_worker_update
#cgo noescape sw_worker_turn
#cgo nocallback sw_worker_turn
#cgo noescape sw_worker_remove
#cgo nocallback sw_worker_remove
#cgo noescape sw_lost_take
#cgo nocallback sw_lost_take
#cgo noescape sw_worker_find
#cgo nocallback sw_worker_find
#cgo noescape sw_worker_info
#cgo nocallback sw_worker_info
#cgo noescape sw_worker_snapshot
#cgo nocallback sw_worker_snapshot
#cgo noescape sw_worker_text
#cgo nocallback sw_worker_text
#cgo noescape sw_workers_list
#cgo nocallback sw_workers_list
#cgo noescape sw_worker_ids
#cgo nocallback sw_worker_ids
#cgo noescape sw_reserve
#cgo nocallback sw_reserve
#cgo noescape sw_reserve_prepared
#cgo nocallback sw_reserve_prepared
#cgo noescape sw_reserve_on
#cgo nocallback sw_reserve_on
#cgo noescape sw_reservation
#cgo nocallback sw_reservation
#cgo noescape sw_release
#cgo nocallback sw_release
#cgo noescape sw_release_id
#cgo nocallback sw_release_id
#cgo noescape sw_release_batch
#cgo nocallback sw_release_batch
#cgo noescape sw_resize
#cgo nocallback sw_resize
#cgo noescape sw_resize_id
#cgo nocallback sw_resize_id
#cgo noescape sw_reserve_batch
#cgo nocallback sw_reserve_batch
#cgo noescape sw_dry_run
#cgo nocallback sw_dry_run
#cgo noescape sw_reserve_columns
#cgo nocallback sw_reserve_columns
#cgo noescape sw_groups_apply
#cgo nocallback sw_groups_apply
#cgo noescape sw_stats
#cgo nocallback sw_stats
#cgo noescape sw_counts
#cgo nocallback sw_counts
#cgo noescape sw_audit
#cgo nocallback sw_audit
#cgo noescape slotwise_config_default
#cgo nocallback slotwise_config_default
#cgo nocallback slotwise_engine_free
#cgo nocallback slotwise_status_text
#cgo nocallback slotwise_version
#cgo nocallback slotwise_abi_version
*/
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// Results are written where the caller's slices lie, so these structures are those of C.
const (
	_ = -(unsafe.Sizeof(Result{}) ^ C.sizeof_slotwise_placement_t)
	_ = -(unsafe.Sizeof(Released{}) ^ C.sizeof_slotwise_released_t)
	_ = -(unsafe.Sizeof(Resized{}) ^ C.sizeof_slotwise_resized_t)
	_ = -(unsafe.Sizeof(Resources{}) ^ C.sizeof_slotwise_resources_t)
	_ = -(unsafe.Sizeof(Reasons{}) ^ C.sizeof_slotwise_reasons_t)
	_ = -(unsafe.Sizeof(Added{}) ^ C.sizeof_slotwise_added_t)
	_ = -(unsafe.Sizeof(Snapshot{}) ^ C.sizeof_slotwise_snapshot_t)
	_ = -(unsafe.Sizeof(StepDone{}) ^ C.sizeof_slotwise_step_done_t)
	_ = -(unsafe.Sizeof(Imbalance{}) ^ C.sizeof_slotwise_imbalance_t)
	// Without the size before them.
	_ = -(unsafe.Sizeof(Stats{}) + 8 ^ C.sizeof_slotwise_stats_t)
	_ = -(unsafe.Sizeof(record{}) ^ C.sizeof_slotwise_request_t)

	_ = -(unsafe.Offsetof(Result{}.Status) ^ unsafe.Offsetof(C.slotwise_placement_t{}.status))
	_ = -(unsafe.Offsetof(Result{}.Dimension) ^ unsafe.Offsetof(C.slotwise_placement_t{}.dimension))
	_ = -(unsafe.Offsetof(Released{}.Status) ^ unsafe.Offsetof(C.slotwise_released_t{}.status))
	_ = -(unsafe.Offsetof(Released{}.Amount) ^ unsafe.Offsetof(C.slotwise_released_t{}.amount))
	_ = -(unsafe.Offsetof(StepDone{}.Amount) ^ unsafe.Offsetof(C.slotwise_step_done_t{}.amount))
	_ = -(unsafe.Offsetof(StepDone{}.Dimension) ^ unsafe.Offsetof(C.slotwise_step_done_t{}.dimension))
	_ = -(unsafe.Offsetof(Snapshot{}.State) ^ unsafe.Offsetof(C.slotwise_snapshot_t{}.state))
	_ = -(unsafe.Offsetof(Added{}.Status) ^ unsafe.Offsetof(C.slotwise_added_t{}.status))
	_ = -(unsafe.Offsetof(record{}.cpu) ^ unsafe.Offsetof(C.slotwise_request_t{}.cpu))
	_ = -(unsafe.Offsetof(record{}.hash) ^ unsafe.Offsetof(C.slotwise_request_t{}.hash))
)

const headerABI = C.SLOTWISE_ABI_VERSION

// HeaderVersion is the version of the library that this package was compiled for.
const HeaderVersion = C.SLOTWISE_VERSION

func cVersion() string    { return C.GoString(C.slotwise_version()) }
func cABIVersion() uint32 { return uint32(C.slotwise_abi_version()) }

var statusTexts sync.Map

func cStatusText(s Status) string {
	if text, ok := statusTexts.Load(s); ok {
		return text.(string)
	}
	text := C.GoString(C.slotwise_status_text(C.int32_t(s)))
	statusTexts.Store(s, text)
	return text
}

// failure is not inlined: a call that succeeds pays for one comparison.
//
//go:noinline
func failure(op string, e *C.slotwise_error_t) error {
	failed := &Error{
		Op:        op,
		Status:    Status(e.status),
		Dimension: Dimension(e.dimension),
		State:     State(e.state),
		Given:     int64(e.given),
		Limit:     int64(e.limit),
		Index:     int(e.index),
		Version:   uint64(e.version),
		Reasons: Reasons{
			uint32(e.reasons.not_matching), uint32(e.reasons.not_ready), uint32(e.reasons.cpu),
			uint32(e.reasons.memory), uint32(e.reasons.gpus), uint32(e.reasons.spread),
		},
		Outlook: Outlook(e.outlook),
	}
	amounts := Resources{int64(e.cpu), int64(e.memory), int64(e.gpus)}
	if failed.Status == ErrShort {
		failed.Missing = amounts
	} else {
		failed.Free = amounts
	}
	return failed
}

func bytesOf(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// mostPlanners is the most that [Config] MaxPlanners can be.
const mostPlanners = 64

func cEngineNew(op string, config Config) (uint64, error) {
	var c C.slotwise_config_t
	var e C.slotwise_error_t
	C.slotwise_config_default(&c)
	for _, limit := range [...]struct {
		given int
		field *C.uint64_t
	}{
		{config.MaxWorkers, &c.max_workers}, {config.MaxReservations, &c.max_reservations},
		{config.MaxSelectors, &c.max_selectors}, {config.MaxBatches, &c.max_batches},
		{config.MaxAccounts, &c.max_accounts}, {config.MaxGroups, &c.max_groups},
		{config.MaxUnmet, &c.max_unmet},
	} {
		if limit.given != 0 {
			*limit.field = C.uint64_t(limit.given)
		}
	}
	if config.NoUnmet {
		c.max_unmet = 0
	}
	c.policy = C.uint32_t(config.Policy)
	if config.MaxPlanners != 0 {
		// Half as wide as the others: what does not fit must not become another number.
		if config.MaxPlanners < 0 || config.MaxPlanners > mostPlanners {
			return 0, wrong(op, "MaxPlanners", ErrConfig, config.MaxPlanners, mostPlanners)
		}
		c.max_planners = C.uint32_t(config.MaxPlanners)
	}
	if config.Seed != 0 {
		c.seed = C.uint64_t(config.Seed)
	}
	if config.NoGPUSeparation {
		c.flags |= C.SLOTWISE_NO_GPU_SEPARATION
	}
	if config.NoReasons {
		c.flags |= C.SLOTWISE_NO_REASONS
	}
	var handle C.slotwise_engine_t
	C.sw_engine_new(&c, &handle, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return uint64(handle), nil
}

func cEngineConfig(op string, engine uint64) (Config, error) {
	var e C.slotwise_error_t
	c := C.slotwise_config_t{size: C.sizeof_slotwise_config_t}
	C.sw_engine_config(C.slotwise_engine_t(engine), &c, &e)
	if e.status != 0 {
		return Config{}, failure(op, &e)
	}
	return Config{
		int(c.max_workers), int(c.max_reservations), int(c.max_selectors), int(c.max_batches),
		Policy(c.policy), c.flags&C.SLOTWISE_NO_GPU_SEPARATION != 0, c.flags&C.SLOTWISE_NO_REASONS != 0,
		int(c.max_accounts), int(c.max_groups), int(c.max_unmet), c.max_unmet == 0,
		int(c.max_planners), uint64(c.seed),
	}, nil
}

func cEngineClose(op string, engine uint64) error {
	var e C.slotwise_error_t
	C.sw_engine_close(C.slotwise_engine_t(engine), &e)
	if e.status != 0 {
		return failure(op, &e)
	}
	return nil
}

func cEngineFree(engine uint64) { C.slotwise_engine_free(C.slotwise_engine_t(engine)) }

// A pinned text stays where it is until the pinner lets go, so that structures may point to it.
func pinned(p *runtime.Pinner, s string) C.slotwise_text_t {
	if s == "" {
		return C.slotwise_text_t{}
	}
	data := unsafe.StringData(s)
	p.Pin(data)
	return C.slotwise_text_t{data: (*C.char)(unsafe.Pointer(data)), length: C.size_t(len(s))}
}

func pinnedList(p *runtime.Pinner, list []string) (*C.slotwise_text_t, C.size_t) {
	if len(list) == 0 {
		return nil, 0
	}
	texts := make([]C.slotwise_text_t, len(list))
	for k, s := range list {
		texts[k] = pinned(p, s)
		if s == "" { // An empty text, and not none.
			texts[k].data = &nul
		}
	}
	p.Pin(&texts[0])
	return &texts[0], C.size_t(len(texts))
}

var nul C.char

func cSelector(op string, engine uint64, constraints *Constraints) (Selector, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	c := C.slotwise_constraints_t{size: C.sizeof_slotwise_constraints_t}
	c.machine = pinned(&p, constraints.Machine)
	c.tenant = pinned(&p, constraints.Tenant)
	c.pools, c.pool_count = pinnedList(&p, constraints.Pools)
	c.gpu_types, c.gpu_type_count = pinnedList(&p, constraints.GPUTypes)
	if constraints.AcceptPreemptable {
		c.flags = C.SLOTWISE_ACCEPT_PREEMPTABLE
	}
	if len(constraints.Labels) > 0 {
		labels := make([]C.slotwise_label_in_t, 0, len(constraints.Labels))
		for key, values := range constraints.Labels {
			label := C.slotwise_label_in_t{key: pinned(&p, key)}
			label.values, label.value_count = pinnedList(&p, values)
			labels = append(labels, label)
		}
		p.Pin(&labels[0])
		c.labels, c.label_count = &labels[0], C.size_t(len(labels))
	}
	var selector C.uint32_t
	C.sw_selector(C.slotwise_engine_t(engine), &c, &selector, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return Selector(selector), nil
}

func amounts(r Resources) C.slotwise_resources_t {
	return C.slotwise_resources_t{C.uint64_t(r.CPU), C.uint64_t(r.Memory), C.uint64_t(r.GPUs)}
}

func spec(p *runtime.Pinner, w *WorkerSpec) C.slotwise_worker_spec_t {
	c := C.slotwise_worker_spec_t{
		size:      C.sizeof_slotwise_worker_spec_t,
		id:        pinned(p, w.ID),
		total:     amounts(w.Total),
		set_aside: amounts(w.SetAside),
		priority:  C.int32_t(w.Priority),
		tier:      C.uint32_t(w.Tier),
		pool:      pinned(p, w.Pool),
		gpu_type:  pinned(p, w.GPUType),
		tenant:    pinned(p, w.Tenant),
		machine:   pinned(p, w.Machine),

		generation: C.uint64_t(w.Generation),
		lease:      C.uint64_t(w.Lease),
	}
	if w.RequiresSelector {
		c.flags |= C.SLOTWISE_REQUIRES_SELECTOR
	}
	if w.Preemptable {
		c.flags |= C.SLOTWISE_PREEMPTABLE
	}
	if w.Pending {
		c.flags |= C.SLOTWISE_PENDING
	}
	if len(w.Labels) > 0 {
		labels := make([]C.slotwise_label_t, 0, len(w.Labels))
		for key, value := range w.Labels {
			label := C.slotwise_label_t{key: pinned(p, key), value: pinned(p, value)}
			if value == "" {
				label.value.data = &nul
			}
			labels = append(labels, label)
		}
		p.Pin(&labels[0])
		c.labels, c.label_count = &labels[0], C.size_t(len(labels))
	}
	if len(w.Devices) > 0 {
		devices := make([]C.slotwise_device_t, len(w.Devices))
		for k, device := range w.Devices {
			devices[k] = C.slotwise_device_t{
				id: pinned(p, device.ID), memory: C.uint64_t(device.Memory), island: C.uint32_t(device.Island),
			}
		}
		p.Pin(&devices[0])
		c.devices, c.device_count = &devices[0], C.size_t(len(devices))
	}
	return c
}

func cWorkerAdd(op string, engine uint64, w *WorkerSpec) (Worker, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	c := spec(&p, w)
	var worker C.slotwise_worker_t
	C.sw_worker_add(C.slotwise_engine_t(engine), &c, &worker, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return Worker(worker), nil
}

func cWorkersAdd(op string, engine uint64, specs []WorkerSpec, added []Added) (int, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	cs := make([]C.slotwise_worker_spec_t, len(specs))
	for k := range specs {
		cs[k] = spec(&p, &specs[k])
	}
	var registered C.size_t
	C.sw_workers_add(C.slotwise_engine_t(engine), unsafe.SliceData(cs), C.size_t(len(cs)),
		(*C.slotwise_added_t)(unsafe.Pointer(unsafe.SliceData(added))), &registered, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return int(registered), nil
}

func infoOf(c *C.slotwise_worker_info_t, id string) WorkerInfo {
	return WorkerInfo{
		ID: id, Worker: Worker(c.worker), State: State(c.state), Version: uint64(c.version),
		Total: goAmounts(&c.total), SetAside: goAmounts(&c.set_aside), Held: goAmounts(&c.held),
		Free:     Resources{int64(c.free.cpu), int64(c.free.memory), int64(c.free.gpus)},
		Priority: int32(c.priority), Tier: uint8(c.tier),
		RequiresSelector: c.flags&C.SLOTWISE_REQUIRES_SELECTOR != 0,
		Preemptable:      c.flags&C.SLOTWISE_PREEMPTABLE != 0,
		LabelCount:       int(c.label_count),
		Generation:       uint64(c.generation), Lease: uint64(c.lease),
	}
}

func goAmounts(c *C.slotwise_resources_t) Resources {
	return Resources{int64(c.cpu), int64(c.memory), int64(c.gpus)}
}

func cWorkerUpdate(op string, engine uint64, id string, fields Fields, w *WorkerSpec) (WorkerInfo, error) {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	c := spec(&p, w)
	info := C.slotwise_worker_info_t{size: C.sizeof_slotwise_worker_info_t}
	data, length := bytesOf(id)
	C.sw_worker_update(C.slotwise_engine_t(engine), data, length, &c, C.uint32_t(fields), &info, &e)
	if e.status != 0 {
		return WorkerInfo{}, failure(op, &e)
	}
	return infoOf(&info, id), nil
}

const (
	turnReady    = C.SW_READY
	turnUnready  = C.SW_UNREADY
	turnCordon   = C.SW_CORDON
	turnUncordon = C.SW_UNCORDON
	turnDrain    = C.SW_DRAIN
)

func cWorkerTurn(op string, engine uint64, turn int, id string) (WorkerInfo, error) {
	var e C.slotwise_error_t
	info := C.slotwise_worker_info_t{size: C.sizeof_slotwise_worker_info_t}
	data, length := bytesOf(id)
	C.sw_worker_turn(C.slotwise_engine_t(engine), C.int(turn), data, length, &info, &e)
	if e.status != 0 {
		return WorkerInfo{}, failure(op, &e)
	}
	return infoOf(&info, id), nil
}

func lostOf(c *C.slotwise_lost_t) Lost {
	return Lost{
		ID:     C.GoStringN(&c.id[0], C.int(c.id_length)),
		Ticket: Ticket(c.ticket), Worker: Worker(c.worker), Amount: goAmounts(&c.amount),
	}
}

// lostBuffers are what C writes lost reservations to, before they become Lost.
var lostBuffers = sync.Pool{New: func() any { return new([64]C.slotwise_lost_t) }}

// cWorkerRemove tells of the first 64 that were lost, and how many there were.
func cWorkerRemove(op string, engine uint64, id string, lost []Lost) ([]Lost, int, error) {
	var e C.slotwise_error_t
	buffer := lostBuffers.Get().(*[64]C.slotwise_lost_t)
	defer lostBuffers.Put(buffer)
	data, length := bytesOf(id)
	var count C.size_t
	C.sw_worker_remove(C.slotwise_engine_t(engine), data, length, &buffer[0], C.size_t(len(buffer)), &count, &e)
	if e.status != 0 {
		return lost, 0, failure(op, &e)
	}
	for k := range buffer[:min(int(count), len(buffer))] {
		lost = append(lost, lostOf(&buffer[k]))
	}
	return lost, int(count), nil
}

func cLostTake(op string, engine uint64, lost []Lost, most int) ([]Lost, int, error) {
	var e C.slotwise_error_t
	buffer := lostBuffers.Get().(*[64]C.slotwise_lost_t)
	defer lostBuffers.Put(buffer)
	var count C.size_t
	C.sw_lost_take(C.slotwise_engine_t(engine), &buffer[0], C.size_t(min(most, len(buffer))), &count, &e)
	if e.status != 0 {
		return lost, 0, failure(op, &e)
	}
	for k := range buffer[:count] {
		lost = append(lost, lostOf(&buffer[k]))
	}
	return lost, int(count), nil
}

func cWorkerFind(op string, engine uint64, id string) (Worker, error) {
	var e C.slotwise_error_t
	var worker C.slotwise_worker_t
	data, length := bytesOf(id)
	C.sw_worker_find(C.slotwise_engine_t(engine), data, length, &worker, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return Worker(worker), nil
}

func cWorkerInfo(op string, engine uint64, worker Worker) (WorkerInfo, error) {
	var e C.slotwise_error_t
	info := C.slotwise_worker_info_t{size: C.sizeof_slotwise_worker_info_t}
	C.sw_worker_info(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker), &info, &e)
	if e.status != 0 {
		return WorkerInfo{}, failure(op, &e)
	}
	var id [C.SLOTWISE_MAX_ID_LENGTH]byte
	var length C.uint8_t
	C.sw_worker_ids(C.slotwise_engine_t(engine), &info, 1, (*C.char)(unsafe.Pointer(&id[0])), &length)
	return infoOf(&info, string(id[:length])), nil
}

func cWorkerSnapshot(op string, engine uint64, worker Worker) (s Snapshot, err error) {
	var e C.slotwise_error_t
	C.sw_worker_snapshot(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker),
		(*C.slotwise_snapshot_t)(unsafe.Pointer(&s)), &e)
	if e.status != 0 {
		return Snapshot{}, failure(op, &e)
	}
	return s, nil
}

const (
	textID         = C.SLOTWISE_TEXT_ID
	textPool       = C.SLOTWISE_TEXT_POOL
	textGPUType    = C.SLOTWISE_TEXT_GPU_TYPE
	textTenant     = C.SLOTWISE_TEXT_TENANT
	textMachine    = C.SLOTWISE_TEXT_MACHINE
	textLabelKey   = C.SLOTWISE_TEXT_LABEL_KEY
	textLabelValue = C.SLOTWISE_TEXT_LABEL_VALUE
)

func cWorkerText(op string, engine uint64, worker Worker, field, index int) (string, error) {
	var e C.slotwise_error_t
	var buffer [MaxNameLength + 1]byte
	var length C.size_t
	C.sw_worker_text(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker), C.uint32_t(field),
		C.uint32_t(index), (*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer)), &length, &e)
	if e.status != 0 {
		return "", failure(op, &e)
	}
	return string(buffer[:min(int(length), len(buffer)-1)]), nil
}

const (
	listAll     = C.SLOTWISE_LIST_ALL
	listPool    = C.SLOTWISE_LIST_POOL
	listMachine = C.SLOTWISE_LIST_MACHINE
)

func cWorkersList(op string, engine uint64, by int, name string) ([]WorkerInfo, error) {
	var e C.slotwise_error_t
	var registered C.uint64_t
	C.sw_counts(C.slotwise_engine_t(engine), &registered, nil, &e)
	if e.status != 0 {
		return nil, failure(op, &e)
	}
	data, length := bytesOf(name)
	if data == nil {
		data = &nul
	}
	var infos []C.slotwise_worker_info_t
	count := C.size_t(registered)
	if by != listAll { // Most lists are short.
		count = min(count, 256)
	}
	for {
		room := count
		infos = make([]C.slotwise_worker_info_t, room)
		C.sw_workers_list(C.slotwise_engine_t(engine), C.uint32_t(by), data, length,
			unsafe.SliceData(infos), room, &count, &e)
		if e.status != 0 {
			return nil, failure(op, &e)
		}
		if count <= room {
			infos = infos[:count]
			break
		}
	}
	if len(infos) == 0 {
		return nil, nil
	}
	ids := make([]byte, len(infos)*MaxIDLength)
	lengths := make([]uint8, len(infos))
	C.sw_worker_ids(C.slotwise_engine_t(engine), &infos[0], C.size_t(len(infos)),
		(*C.char)(unsafe.Pointer(&ids[0])), (*C.uint8_t)(&lengths[0]))
	listed := make([]WorkerInfo, len(infos))
	for k := range infos {
		listed[k] = infoOf(&infos[k], string(ids[k*MaxIDLength:][:lengths[k]]))
	}
	return listed, nil
}

func needOf(r *Request) C.sw_need_t {
	return C.sw_need_t{
		cpu: C.uint64_t(r.Need.CPU), memory: C.uint64_t(r.Need.Memory), gpus: C.uint64_t(r.Need.GPUs),
		hash: C.uint64_t(r.Hash), selector: C.uint32_t(r.Selector), policy: C.uint32_t(r.Policy),
		flags: C.uint32_t(r.flags()),
	}
}

func reservationOf(p *C.slotwise_placement_t) Reservation {
	return Reservation{Ticket(p.ticket), Worker(p.worker), uint64(p.version), Standing{p.existing != 0, p.provisional != 0}}
}

func cReserve(op string, engine uint64, r *Request) (Reservation, error) {
	if r.Terms != nil { // Few have.
		return cReserveOnTerms(op, engine, r)
	}
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	C.sw_reserve(C.slotwise_engine_t(engine), id, idLength, key, keyLength, &need, &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cReservePrepared(op string, engine uint64, record unsafe.Pointer) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	C.sw_reserve_prepared(C.slotwise_engine_t(engine), C.uintptr_t(uintptr(record)), &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cReserveOn(op string, engine uint64, worker Worker, r *Request, expected *uint64) (Reservation, error) {
	if r.Terms != nil {
		return cReserveThere(op, engine, worker, r, expected)
	}
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	need := needOf(r)
	id, idLength := bytesOf(r.ID)
	key, keyLength := bytesOf(r.Key)
	C.sw_reserve_on(C.slotwise_engine_t(engine), C.slotwise_worker_t(worker), id, idLength, key,
		keyLength, &need, (*C.uint64_t)(expected), &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

func cReservation(op string, engine uint64, name string) (Reservation, error) {
	var e C.slotwise_error_t
	var placed C.slotwise_placement_t
	id, length := bytesOf(name)
	C.sw_reservation(C.slotwise_engine_t(engine), id, length, &placed, &e)
	if e.status != 0 {
		return Reservation{}, failure(op, &e)
	}
	return reservationOf(&placed), nil
}

// The caller's own result is written to: what is returned is copied on the way by loads of what C has just
// stored by two, which wait for them.
func cRelease(op string, engine uint64, ticket Ticket, released *Released) error {
	var e C.slotwise_error_t
	C.sw_release(C.slotwise_engine_t(engine), C.uint64_t(ticket),
		(*C.slotwise_released_t)(unsafe.Pointer(released)), &e)
	if e.status != 0 {
		*released = Released{Status: Status(e.status)}
		return failure(op, &e)
	}
	return nil
}

func cReleaseID(op string, engine uint64, name string, released *Released) error {
	var e C.slotwise_error_t
	id, length := bytesOf(name)
	C.sw_release_id(C.slotwise_engine_t(engine), id, length,
		(*C.slotwise_released_t)(unsafe.Pointer(released)), &e)
	if e.status != 0 {
		*released = Released{Status: Status(e.status)}
		return failure(op, &e)
	}
	return nil
}

func cReleaseBatch(op string, engine uint64, tickets []Ticket, statuses []Status, released []Released) (int, error) {
	var e C.slotwise_error_t
	var count C.size_t
	C.sw_release_batch(C.slotwise_engine_t(engine), (*C.uint64_t)(unsafe.SliceData(tickets)),
		C.size_t(len(tickets)), (*C.int32_t)(unsafe.SliceData(statuses)),
		(*C.slotwise_released_t)(unsafe.Pointer(unsafe.SliceData(released))), &count, &e)
	if e.status != 0 {
		return 0, failure(op, &e)
	}
	return int(count), nil
}

func cResize(op string, engine uint64, ticket Ticket, need Resources) (resized Resized, err error) {
	var e C.slotwise_error_t
	c := amounts(need)
	C.sw_resize(C.slotwise_engine_t(engine), C.uint64_t(ticket), &c,
		(*C.slotwise_resized_t)(unsafe.Pointer(&resized)), &e)
	if e.status != 0 {
		return Resized{}, failure(op, &e)
	}
	return resized, nil
}

func cResizeID(op string, engine uint64, name string, need Resources) (resized Resized, err error) {
	var e C.slotwise_error_t
	c := amounts(need)
	id, length := bytesOf(name)
	C.sw_resize_id(C.slotwise_engine_t(engine), id, length, &c,
		(*C.slotwise_resized_t)(unsafe.Pointer(&resized)), &e)
	if e.status != 0 {
		return Resized{}, failure(op, &e)
	}
	return resized, nil
}

func doneOf(d *C.slotwise_batch_done_t) Done {
	return Done{int(d.placed), int(d.failed), d.replayed != 0}
}

func cReserveBatch(op string, engine uint64, records unsafe.Pointer, count int, mode Mode, name string,
	results []Result, reasons []Reasons,
) (Done, error) {
	var e C.slotwise_error_t
	var done C.slotwise_batch_done_t
	id, length := bytesOf(name)
	C.sw_reserve_batch(C.slotwise_engine_t(engine), C.uintptr_t(uintptr(records)), C.size_t(count),
		C.uint32_t(mode), id, length, (*C.slotwise_placement_t)(unsafe.Pointer(unsafe.SliceData(results))),
		(*C.slotwise_reasons_t)(unsafe.Pointer(unsafe.SliceData(reasons))), &done, &e)
	if e.status != 0 {
		return Done{}, failure(op, &e)
	}
	return doneOf(&done), nil
}

func cDryRun(op string, engine uint64, records unsafe.Pointer, count int, mode Mode, name string,
	credited []Ticket, results []Result, reasons []Reasons,
) (Done, error) {
	var e C.slotwise_error_t
	var done C.slotwise_batch_done_t
	id, length := bytesOf(name)
	C.sw_dry_run(C.slotwise_engine_t(engine), C.uintptr_t(uintptr(records)), C.size_t(count),
		C.uint32_t(mode), id, length, (*C.uint64_t)(unsafe.SliceData(credited)), C.size_t(len(credited)),
		(*C.slotwise_placement_t)(unsafe.Pointer(unsafe.SliceData(results))),
		(*C.slotwise_reasons_t)(unsafe.Pointer(unsafe.SliceData(reasons))), &done, &e)
	if e.status != 0 {
		return Done{}, failure(op, &e)
	}
	return doneOf(&done), nil
}

func cReserveColumns(op string, engine uint64, c *Columns, statuses []Status) (Done, error) {
	var e C.slotwise_error_t
	var done C.slotwise_batch_done_t
	need := needOf(&c.Common)
	key, keyLength := bytesOf(c.Common.Key)
	terms, limits, limitCount := termsOf(c.Common.Terms)
	batch, batchLength := bytesOf(c.BatchID)
	C.sw_reserve_columns(C.slotwise_engine_t(engine), C.uint32_t(c.Mode), C.size_t(len(statuses)), key, keyLength,
		&need, &terms, limits, limitCount, (*C.char)(unsafe.Pointer(unsafe.SliceData(c.IDs))),
		(*C.uint64_t)(unsafe.SliceData(c.IDOffsets)), C.size_t(c.IDWidth),
		(*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(c.CPU))),
		(*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(c.Memory))),
		(*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(c.GPUs))),
		(*C.uint32_t)(unsafe.SliceData(c.Selectors)), (*C.uint64_t)(unsafe.SliceData(c.Hashes)),
		(*C.uint64_t)(unsafe.SliceData(c.Tickets)), (*C.uint64_t)(unsafe.SliceData(c.Workers)),
		(*C.uint64_t)(unsafe.SliceData(c.Versions)), (*C.int32_t)(unsafe.SliceData(statuses)),
		batch, batchLength, &done, &e)
	if e.status != 0 {
		return Done{}, failure(op, &e)
	}
	return doneOf(&done), nil
}

func cGroupsApply(op string, engine uint64, groups []Group) error {
	var e C.slotwise_error_t
	var p runtime.Pinner
	defer p.Unpin()
	cs := make([]C.slotwise_group_t, len(groups))
	for k := range groups {
		g := &groups[k]
		cs[k] = C.slotwise_group_t{size: C.sizeof_slotwise_group_t, worker: pinned(&p, g.Worker)}
		if len(g.Steps) == 0 {
			continue
		}
		steps := make([]C.slotwise_step_t, len(g.Steps))
		for j, step := range g.Steps {
			id := pinned(&p, step.ID)
			steps[j] = C.slotwise_step_t{
				kind: C.uint32_t(step.Kind), id: id.data, id_length: id.length,
				ticket: C.uint64_t(step.Ticket), need: amounts(step.Need),
			}
		}
		done := g.Done
		if done == nil {
			done = make([]StepDone, len(steps))
		}
		p.Pin(&steps[0])
		p.Pin(&done[0])
		cs[k].steps, cs[k].step_count = &steps[0], C.size_t(len(steps))
		cs[k].done = (*C.slotwise_step_done_t)(unsafe.Pointer(&done[0]))
	}
	C.sw_groups_apply(C.slotwise_engine_t(engine), unsafe.SliceData(cs), C.size_t(len(cs)), &e)
	if e.status != 0 {
		return failure(op, &e)
	}
	return nil
}

func cStats(op string, engine uint64) (Stats, error) {
	var e C.slotwise_error_t
	c := C.slotwise_stats_t{size: C.sizeof_slotwise_stats_t}
	C.sw_stats(C.slotwise_engine_t(engine), &c, &e)
	if e.status != 0 {
		return Stats{}, failure(op, &e)
	}
	return *(*Stats)(unsafe.Pointer(&c.placed)), nil
}

func cCounts(op string, engine uint64) (workers, reservations int, err error) {
	var e C.slotwise_error_t
	var w, r C.uint64_t
	C.sw_counts(C.slotwise_engine_t(engine), &w, &r, &e)
	if e.status != 0 {
		return 0, 0, failure(op, &e)
	}
	return int(w), int(r), nil
}

func cAudit(op string, engine uint64) (Audit, error) {
	var e C.slotwise_error_t
	var found [16]Imbalance
	c := C.slotwise_audit_t{size: C.sizeof_slotwise_audit_t}
	C.sw_audit(C.slotwise_engine_t(engine), &c,
		(*C.slotwise_imbalance_t)(unsafe.Pointer(&found[0])), C.size_t(len(found)), &e)
	if e.status != 0 {
		return Audit{}, failure(op, &e)
	}
	audit := Audit{
		c.ok != 0, int(c.workers), int(c.reservations), int(c.over_committed), int(c.unsettled),
		int(c.imbalances), nil,
	}
	if audit.Imbalanced > 0 {
		audit.Imbalances = append(audit.Imbalances, found[:min(audit.Imbalanced, len(found))]...)
	}
	return audit, nil
}

// A record is a slotwise_request_t. Its pointers are numbers here: they point into pinned memory only,
// so that storing one is no business of the garbage collector's.
type record struct {
	size, flags       uint32
	id                uintptr
	idLength          uint64
	cpu, memory, gpus int64
	selector, policy  uint32
	key               uintptr
	keyLength         uint64
	hash              uint64
	terms             uintptr
}

const recordSize = C.sizeof_slotwise_request_t
