package slotwise

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Engine is an in-process scheduler: workers with their free capacity, and who holds it. Every
// method may be called by any goroutine at any time.
//
// [New] makes one. The zero Engine and a nil one are none: their methods return [ErrStaleHandle].
type Engine struct {
	handle uint64
	closed atomic.Bool
	// ticking lets one goroutine have all that its tick has ended, also if that is fetched in pieces.
	ticking sync.Mutex
}

// idle is how many engines are closed and not freed yet. Go's collector does not know of their memory,
// and may take its time.
var idle atomic.Int64

// mostIdle is how many may be before New has them freed.
const mostIdle = 8

// New makes an engine without workers. The zero Config is the defaults.
func New(config Config) (*Engine, error) {
	if abi != nil {
		return nil, abi
	}
	if idle.Load() >= mostIdle {
		runtime.GC()
	}
	handle, err := cEngineNew("New", config)
	if errors.Is(err, ErrTooManyEngines) {
		// Closed ones, whose last use is over, may only wait for the collector.
		for try := 0; try < 3 && errors.Is(err, ErrTooManyEngines); try++ {
			runtime.GC()
			time.Sleep(time.Millisecond)
			handle, err = cEngineNew("New", config)
		}
	}
	if err != nil {
		return nil, err
	}
	e := &Engine{handle: handle}
	runtime.AddCleanup(e, freeEngine, handle)
	return e, nil
}

func freeEngine(handle uint64) {
	// It is refused where it was closed before: then it is one less that waits.
	if _, err := cEngineConfig("", handle); errors.Is(err, ErrClosed) {
		idle.Add(-1)
	}
	cEngineFree(handle)
}

// LibraryVersion is the version of the library that runs; [HeaderVersion] is that of the one that
// this package was compiled for.
func LibraryVersion() string { return cVersion() }

// A program that was compiled for one interface must not go on with another; New says so.
var abi = checkABI(headerABI, cABIVersion())

func checkABI(compiled, runs uint32) error {
	if compiled == runs {
		return nil
	}
	return fmt.Errorf("slotwise: compiled for interface %d (version %s), but library %s has interface %d",
		compiled, HeaderVersion, cVersion(), runs)
}

func (e *Engine) get() uint64 {
	if e == nil {
		return 0
	}
	return e.handle
}

// Close makes every later call return [ErrClosed]; calls that are under way end as they would have.
// It may be called at any time, by any goroutine, and again. The memory is freed once the Engine is
// not referred to any more, when the garbage collector finds that out; New sees to it that few wait for
// that.
func (e *Engine) Close() error {
	err := cEngineClose("Close", e.get())
	if err == nil && !e.closed.Swap(true) {
		idle.Add(1)
	}
	runtime.KeepAlive(e)
	return err
}

// Config that the engine was made with, the defaults filled in.
func (e *Engine) Config() (Config, error) {
	config, err := cEngineConfig("Config", e.get())
	runtime.KeepAlive(e)
	return config, err
}

// Selector compiles constraints. The same constraints always give the same selector; intern what you
// use and pass the number with each request.
func (e *Engine) Selector(constraints Constraints) (Selector, error) {
	selector, err := cSelector("Selector", e.get(), &constraints)
	runtime.KeepAlive(e)
	return selector, err
}

// AddWorker registers a worker. Placements go on meanwhile.
func (e *Engine) AddWorker(spec WorkerSpec) (Worker, error) {
	worker, err := cWorkerAdd("AddWorker", e.get(), &spec)
	runtime.KeepAlive(e)
	return worker, err
}

// AddWorkers registers many under one lock, each for itself, and returns what became of each, and how
// many were registered. The error is that of the call; where it is not nil, none was: so also where a
// device's Island is over MaxIsland.
func (e *Engine) AddWorkers(specs []WorkerSpec) ([]Added, int, error) {
	added := make([]Added, len(specs))
	registered, err := cWorkersAdd("AddWorkers", e.get(), specs, added)
	runtime.KeepAlive(e)
	if err != nil {
		return nil, 0, err
	}
	return added, registered, nil
}

// UpdateWorker changes a worker as one step. fields say what of spec is taken over; the rest of it,
// its id too, is not looked at. A total may be lowered under what is held: nothing is taken from
// anybody, and nothing new is placed until enough has been released.
func (e *Engine) UpdateWorker(id string, fields Fields, spec WorkerSpec) (WorkerInfo, error) {
	spec.ID = ""
	info, err := cWorkerUpdate("UpdateWorker", e.get(), id, fields, &spec)
	runtime.KeepAlive(e)
	return info, err
}

// RemoveWorker takes a worker out and ends what was held there, each reservation once: those are
// returned. A release that comes later finds nothing, also when the id has been registered again.
// Where goroutines remove and take at once, one may be told of what ended by another's call, but each
// reservation is told of exactly once.
func (e *Engine) RemoveWorker(id string) ([]Lost, error) {
	lost, ended, err := cWorkerRemove("RemoveWorker", e.get(), id, nil)
	if err == nil && ended > len(lost) {
		lost = slices.AppendSeq(slices.Grow(lost, ended-len(lost)), e.TakeLost())
	}
	runtime.KeepAlive(e)
	return lost, err
}

// TakeLost tells of reservations that ended with their worker and that no call of RemoveWorker or
// HandOff returned, each once, the oldest first.
func (e *Engine) TakeLost() iter.Seq[Lost] {
	return func(yield func(Lost) bool) {
		for {
			// One at a time: what a loop that is left does not look at is not lost.
			lost, count, err := cLostTake("TakeLost", e.get(), nil, 1)
			runtime.KeepAlive(e)
			if err != nil || count == 0 || !yield(lost[0]) {
				return
			}
		}
	}
}

func (e *Engine) turn(op string, turn int, id string) (WorkerInfo, error) {
	info, err := cWorkerTurn(op, e.get(), turn, id)
	runtime.KeepAlive(e)
	return info, err
}

// Ready is the host's readiness signal: a pending worker becomes ready. It does not lift a cordon.
func (e *Engine) Ready(id string) (WorkerInfo, error) { return e.turn("Ready", turnReady, id) }

// Unready takes the readiness back: the worker is pending again. What it holds stays.
func (e *Engine) Unready(id string) (WorkerInfo, error) { return e.turn("Unready", turnUnready, id) }

// Cordon is the operator's durable intent that nothing new lands here. Once it returns, nothing does;
// what is held stays.
func (e *Engine) Cordon(id string) (WorkerInfo, error) { return e.turn("Cordon", turnCordon, id) }

// Uncordon lifts cordon and drain: the worker is as ready as its last readiness signal said.
func (e *Engine) Uncordon(id string) (WorkerInfo, error) {
	return e.turn("Uncordon", turnUncordon, id)
}

// Drain is as Cordon, to empty the worker: Held of the answer says how much is still there, also
// what was reserved by goroutines that are no more.
func (e *Engine) Drain(id string) (WorkerInfo, error) { return e.turn("Drain", turnDrain, id) }

// DrainWait drains a worker and waits until nothing is held there, or the context is done; the error
// is then the context's, and the answer how far it got.
func (e *Engine) DrainWait(ctx context.Context, id string) (WorkerInfo, error) {
	info, err := e.turn("DrainWait", turnDrain, id)
	for pause := firstPause; err == nil && !info.Held.IsZero(); {
		if pause, err = sleep(ctx, pause); err != nil {
			return info, fmt.Errorf("slotwise: DrainWait: %w; still held: %v", err, info.Held)
		}
		info, err = e.turn("DrainWait", turnDrain, id)
	}
	return info, err
}

// FindWorker gives the engine's name for the worker of this id.
func (e *Engine) FindWorker(id string) (Worker, error) {
	worker, err := cWorkerFind("FindWorker", e.get(), id)
	runtime.KeepAlive(e)
	return worker, err
}

// WorkerInfo is a worker in full.
func (e *Engine) WorkerInfo(worker Worker) (WorkerInfo, error) {
	info, err := cWorkerInfo("WorkerInfo", e.get(), worker)
	runtime.KeepAlive(e)
	return info, err
}

// WorkerByID is the worker of this id in full.
func (e *Engine) WorkerByID(id string) (WorkerInfo, error) {
	worker, err := e.FindWorker(id)
	if err != nil {
		return WorkerInfo{}, err
	}
	return e.WorkerInfo(worker)
}

// Snapshot is a worker's slot as it is this instant. It takes no lock.
func (e *Engine) Snapshot(worker Worker) (Snapshot, error) {
	snapshot, err := cWorkerSnapshot("Snapshot", e.get(), worker)
	runtime.KeepAlive(e)
	return snapshot, err
}

// WorkerSpec is the worker as it would be registered now, its names and labels included. The IDs of its
// Devices alone are empty: the engine does not tell them.
func (e *Engine) WorkerSpec(worker Worker) (WorkerSpec, error) {
	const op = "WorkerSpec"
	info, err := e.WorkerInfo(worker)
	if err != nil {
		return WorkerSpec{}, err
	}
	spec := WorkerSpec{
		ID: info.ID, Total: info.Total, SetAside: info.SetAside, Priority: info.Priority, Tier: info.Tier,
		RequiresSelector: info.RequiresSelector, Preemptable: info.Preemptable,
		Pending: info.State == Pending, Generation: info.Generation, Lease: info.Lease,
	}
	if info.Total.GPUs > 0 {
		states, err := cWorkerDevices(op, e.get(), worker)
		if err != nil {
			return WorkerSpec{}, err
		}
		for _, state := range states {
			spec.Devices = append(spec.Devices, Device{Memory: state.Memory, Island: state.Island})
		}
	}
	for _, text := range [...]struct {
		field int
		to    *string
	}{
		{textPool, &spec.Pool}, {textGPUType, &spec.GPUType}, {textTenant, &spec.Tenant},
		{textMachine, &spec.Machine},
	} {
		if *text.to, err = cWorkerText(op, e.get(), worker, text.field, 0); err != nil {
			return WorkerSpec{}, err
		}
	}
	for k := range info.LabelCount {
		key, err := cWorkerText(op, e.get(), worker, textLabelKey, k)
		if err != nil {
			return WorkerSpec{}, err
		}
		value, err := cWorkerText(op, e.get(), worker, textLabelValue, k)
		if err != nil {
			return WorkerSpec{}, err
		}
		if spec.Labels == nil {
			spec.Labels = make(map[string]string, info.LabelCount)
		}
		spec.Labels[key] = value
	}
	runtime.KeepAlive(e)
	return spec, nil
}

func (e *Engine) list(op string, by int, name string) ([]WorkerInfo, error) {
	infos, err := cWorkersList(op, e.get(), by, name)
	runtime.KeepAlive(e)
	return infos, err
}

// ListWorkers lists all workers in full, by index, as of one instant. O(workers).
func (e *Engine) ListWorkers() ([]WorkerInfo, error) { return e.list("ListWorkers", listAll, "") }

// ListPool lists the workers of a pool; of none, with the empty name.
func (e *Engine) ListPool(pool string) ([]WorkerInfo, error) {
	return e.list("ListPool", listPool, pool)
}

// ListMachine lists the workers on a machine.
func (e *Engine) ListMachine(machine string) ([]WorkerInfo, error) {
	return e.list("ListMachine", listMachine, machine)
}

// Workers goes through all workers as of the instant when the loop begins. There are none in an
// engine that is closed; ListWorkers has the error.
func (e *Engine) Workers() iter.Seq[WorkerInfo] { return e.each(listAll, "") }

// PoolWorkers goes through the workers of a pool.
func (e *Engine) PoolWorkers(pool string) iter.Seq[WorkerInfo] { return e.each(listPool, pool) }

// MachineWorkers goes through the workers on a machine.
func (e *Engine) MachineWorkers(machine string) iter.Seq[WorkerInfo] {
	return e.each(listMachine, machine)
}

func (e *Engine) each(by int, name string) iter.Seq[WorkerInfo] {
	return func(yield func(WorkerInfo) bool) {
		infos, err := e.list("Workers", by, name)
		if err != nil {
			return
		}
		for _, info := range infos {
			if !yield(info) {
				return
			}
		}
	}
}

// Reserve holds capacity for a request on the worker that the policy gives it. An id that is held
// already is answered with that reservation, and nothing changes. It takes no lock and makes no
// system call, and allocates only where it fails.
//
// Errors: [ErrBusy] or [ErrNever] where no worker took it, and what can be wrong with a request. Of its
// terms: [ErrQuotaExceeded], [ErrDeadlinePassed], [ErrTooManyLimits], [ErrUnknownAccount] and
// [ErrUnknownGroup]; of the devices that they ask for: [ErrDeviceOverWhole], [ErrDeviceEmpty],
// [ErrDeviceParts], [ErrTooManyDevices] and [ErrGPUsBesideDevices].
func (e *Engine) Reserve(request Request) (Reservation, error) {
	placed, err := cReserve("Reserve", e.get(), &request)
	runtime.KeepAlive(e)
	return placed, err
}

// ReserveWait is Reserve that asks again, with growing pauses, while waiting may help
// ([Status.Retryable]), until the context is done. The error is then both the context's and the last
// refusal.
func (e *Engine) ReserveWait(ctx context.Context, request Request) (Reservation, error) {
	for pause := firstPause; ; {
		placed, err := cReserve("ReserveWait", e.get(), &request)
		runtime.KeepAlive(e)
		var failed *Error
		if err == nil || !errors.As(err, &failed) || !failed.Status.Retryable() {
			return placed, err
		}
		var stopped error
		if pause, stopped = sleep(ctx, pause); stopped != nil {
			return Reservation{}, fmt.Errorf("%w: %w", stopped, err)
		}
	}
}

const (
	firstPause = 50 * time.Microsecond
	lastPause  = 10 * time.Millisecond
)

// sleep waits between half a pause and a whole one, and gives the next.
func sleep(ctx context.Context, pause time.Duration) (time.Duration, error) {
	if err := context.Cause(ctx); err != nil {
		return pause, err
	}
	timer := time.NewTimer(pause/2 + rand.N(pause/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return pause, context.Cause(ctx)
	case <-timer.C:
		return min(2*pause, lastPause), nil
	}
}

// ReserveOn holds capacity on one named worker, if its other attributes suit the request; the pool
// rule does not apply.
func (e *Engine) ReserveOn(worker Worker, request Request) (Reservation, error) {
	placed, err := cReserveOn("ReserveOn", e.get(), worker, &request, nil)
	runtime.KeepAlive(e)
	return placed, err
}

// ReserveAt is ReserveOn if the worker is still at this version. Otherwise the error is
// [ErrVersionConflict], and the [*Error] has the version and what is free now.
func (e *Engine) ReserveAt(worker Worker, version uint64, request Request) (Reservation, error) {
	placed, err := cReserveOn("ReserveAt", e.get(), worker, &request, &version)
	runtime.KeepAlive(e)
	return placed, err
}

// Reservation that an id holds; [ErrNotHeld] where it holds none.
func (e *Engine) Reservation(id string) (Reservation, error) {
	placed, err := cReservation("Reservation", e.get(), id)
	runtime.KeepAlive(e)
	return placed, err
}

// Release gives back what a ticket holds, exactly once: a second release, a late one, or one of a
// number that was never a ticket returns [ErrNotHeld] and changes nothing.
func (e *Engine) Release(ticket Ticket) (released Released, err error) {
	err = cRelease("Release", e.get(), ticket, &released)
	runtime.KeepAlive(e)
	return released, err
}

// ReleaseID gives back what an id holds; otherwise as Release.
func (e *Engine) ReleaseID(id string) (released Released, err error) {
	err = cReleaseID("ReleaseID", e.get(), id, &released)
	runtime.KeepAlive(e)
	return released, err
}

// ReleaseBatch gives back many, each for itself, and returns how many were. released gets what became
// of each; it is as long as tickets, or nil. It does not allocate.
func (e *Engine) ReleaseBatch(tickets []Ticket, released []Released) (int, error) {
	if released != nil && len(released) != len(tickets) {
		return 0, wrong("ReleaseBatch", "len(released)", ErrCount, len(released), len(tickets))
	}
	count, err := cReleaseBatch("ReleaseBatch", e.get(), tickets, nil, released)
	runtime.KeepAlive(e)
	return count, err
}

// Resize makes a live reservation hold need instead of what it holds, as one change of its worker. A
// dimension that does not grow never stands in the way; devices stay as they are, and in a need with GPUs
// they are [ErrDevicesStay]. [ErrShort]: there is no room to grow, and the [*Error] says what is missing;
// [ErrState]: the worker takes nothing more; [ErrLost]: the worker was
// removed during the call, and the reservation with it.
func (e *Engine) Resize(ticket Ticket, need Resources) (Resized, error) {
	resized, err := cResize("Resize", e.get(), ticket, need)
	runtime.KeepAlive(e)
	return resized, err
}

// ResizeID makes what an id holds another amount; otherwise as Resize.
func (e *Engine) ResizeID(id string, need Resources) (Resized, error) {
	resized, err := cResizeID("ResizeID", e.get(), id, need)
	runtime.KeepAlive(e)
	return resized, err
}

// ApplyGroups does each group's steps as one change of its worker, and each group by itself: either
// all of its steps are done, or none is and the worker is as it was. Where a group has Done, that gets
// what became of each step. The error is that of the call; where it is not nil, nothing was done.
func (e *Engine) ApplyGroups(groups []Group) error {
	for k := range groups {
		if done := groups[k].Done; done != nil && len(done) != len(groups[k].Steps) {
			return &Error{Op: "ApplyGroups", Arg: "len(Done)", Status: ErrCount, Given: int64(len(done)),
				Limit: int64(len(groups[k].Steps)), Index: k}
		}
	}
	err := cGroupsApply("ApplyGroups", e.get(), groups)
	runtime.KeepAlive(e)
	return err
}

// Stats says what has been done so far: "conflicts or capacity?" answered in numbers.
func (e *Engine) Stats() (Stats, error) {
	stats, err := cStats("Stats", e.get())
	runtime.KeepAlive(e)
	return stats, err
}

// Counts says how many workers are registered, and how many reservations are alive. O(most
// reservations there ever were).
func (e *Engine) Counts() (workers, reservations int, err error) {
	workers, reservations, err = cCounts("Counts", e.get())
	runtime.KeepAlive(e)
	return workers, reservations, err
}

// Audit proves for every registered worker that free + set aside + live reservations = total, while
// other goroutines go on. O(workers + most reservations there ever were).
func (e *Engine) Audit() (Audit, error) {
	audit, err := cAudit("Audit", e.get())
	runtime.KeepAlive(e)
	return audit, err
}

// String is such as "slotwise engine: 20 workers, 3 reservations".
func (e *Engine) String() string {
	workers, reservations, err := e.Counts()
	if err != nil {
		return "slotwise engine: " + strings.TrimPrefix(err.Error(), "slotwise: ")
	}
	return fmt.Sprintf("slotwise engine: %d workers, %d reservations", workers, reservations)
}
