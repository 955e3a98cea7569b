package workerrepo

import (
	"context"
	"errors"
	"slices"

	"github.com/slotwise/slotwise/bindings/go"
)

// Embedded is the repository on an engine in the scheduler's own process.
type Embedded struct{ engine *slotwise.Engine }

// NewEmbedded makes one.
func NewEmbedded(engine *slotwise.Engine) *Embedded { return &Embedded{engine} }

var _ Repository = (*Embedded)(nil)

// translate puts the repository's errors in front of the engine's.
func translate(err error) error {
	for status, known := range map[slotwise.Status]error{
		slotwise.ErrUnknownWorker: ErrNoWorker, slotwise.ErrDuplicateWorker: ErrExists,
		slotwise.ErrBusy: ErrNoCapacity, slotwise.ErrNever: ErrNoCapacity, slotwise.ErrNotHeld: ErrNoContainer,
	} {
		if errors.Is(err, status) {
			return errors.Join(known, err)
		}
	}
	return err
}

// Add is of Repository.
func (r *Embedded) Add(_ context.Context, w Worker) error {
	_, err := r.engine.AddWorker(slotwise.WorkerSpec{
		ID: w.ID, Pool: w.Pool, GPUType: w.GPUType, Priority: w.Priority,
		Total: slotwise.Resources{CPU: w.CPU, Memory: w.Memory, GPUs: w.GPUs},
	})
	return translate(err)
}

func seen(info slotwise.WorkerInfo, spec slotwise.WorkerSpec) Worker {
	return Worker{
		ID: info.ID, Pool: spec.Pool, GPUType: spec.GPUType, Priority: info.Priority,
		CPU: info.Total.CPU, Memory: info.Total.Memory, GPUs: info.Total.GPUs,
		FreeCPU: info.Free.CPU, FreeMemory: info.Free.Memory, FreeGPUs: info.Free.GPUs,
		Enabled: info.State == slotwise.Ready, ResourceVersion: info.Version,
	}
}

// Get is of Repository.
func (r *Embedded) Get(_ context.Context, id string) (Worker, error) {
	info, err := r.engine.WorkerByID(id)
	if err != nil {
		return Worker{}, translate(err)
	}
	spec, err := r.engine.WorkerSpec(info.Worker)
	return seen(info, spec), translate(err)
}

// List is of Repository.
func (r *Embedded) List(context.Context) ([]Worker, error) {
	infos, err := r.engine.ListWorkers()
	if err != nil {
		return nil, translate(err)
	}
	workers := make([]Worker, 0, len(infos))
	for _, info := range infos {
		spec, err := r.engine.WorkerSpec(info.Worker)
		if errors.Is(err, slotwise.ErrUnknownWorker) {
			continue // Removed meanwhile.
		} else if err != nil {
			return nil, err
		}
		workers = append(workers, seen(info, spec))
	}
	return workers, nil
}

// UpdateCapacity is of Repository.
func (r *Embedded) UpdateCapacity(_ context.Context, id string, cpu, memory, gpus int64) error {
	_, err := r.engine.UpdateWorker(id, slotwise.SetTotal,
		slotwise.WorkerSpec{Total: slotwise.Resources{CPU: cpu, Memory: memory, GPUs: gpus}})
	return translate(err)
}

func request(c Container) slotwise.Request {
	return slotwise.Request{ID: c.ID, Need: slotwise.Resources{CPU: c.CPU, Memory: c.Memory, GPUs: c.GPUs}}
}

func (r *Embedded) name(worker slotwise.Worker) (string, error) {
	info, err := r.engine.WorkerInfo(worker)
	return info.ID, translate(err)
}

// Schedule is of Repository. There is nothing to lock, no version to check, and nothing to try again.
func (r *Embedded) Schedule(_ context.Context, c Container) (string, error) {
	placed, err := r.engine.Reserve(request(c))
	if err != nil {
		return "", translate(err)
	}
	return r.name(placed.Worker)
}

// ScheduleMany is of Repository.
func (r *Embedded) ScheduleMany(_ context.Context, containers []Container) ([]string, error) {
	requests, results := make([]slotwise.Request, len(containers)), make([]slotwise.Result, len(containers))
	for k, c := range containers {
		requests[k] = request(c)
	}
	if _, err := r.engine.ReserveMany(requests, results); err != nil {
		return nil, translate(err)
	}
	names := map[slotwise.Worker]string{0: ""}
	workers := make([]string, len(results))
	for k := range results {
		name, ok := names[results[k].Worker]
		if !ok {
			var err error
			if name, err = r.name(results[k].Worker); err != nil && !errors.Is(err, ErrNoWorker) {
				return nil, err
			}
			names[results[k].Worker] = name
		}
		workers[k] = name
	}
	return workers, nil
}

// Finish is of Repository.
func (r *Embedded) Finish(_ context.Context, container string) error {
	_, err := r.engine.ReleaseID(container)
	return translate(err)
}

// BatchUpdate is of Repository.
func (r *Embedded) BatchUpdate(_ context.Context, changes []Change) []error {
	groups := make([]slotwise.Group, len(changes))
	for k, change := range changes {
		groups[k].Worker = change.Worker
		for _, id := range change.Release {
			groups[k].Steps = append(groups[k].Steps, slotwise.ReleaseIDStep(id))
		}
		for _, c := range change.Reserve {
			groups[k].Steps = append(groups[k].Steps, slotwise.ReserveStep(c.ID, request(c).Need))
		}
		groups[k].Done = make([]slotwise.StepDone, len(groups[k].Steps))
	}
	failed := make([]error, len(changes))
	if err := r.engine.ApplyGroups(groups); err != nil {
		return slices.Repeat([]error{translate(err)}, len(changes))
	}
	for k := range groups {
		for j := range groups[k].Done {
			// A peer of the step that could not be done is not the reason.
			if err := groups[k].Done[j].Err(); err != nil && !errors.Is(err, slotwise.ErrPeer) {
				failed[k] = translate(err)
			}
		}
	}
	return failed
}

// Cordon is of Repository.
func (r *Embedded) Cordon(_ context.Context, id string) error {
	_, err := r.engine.Cordon(id)
	return translate(err)
}

// Toggle is of Repository.
func (r *Embedded) Toggle(_ context.Context, id string) (bool, error) {
	info, err := r.engine.WorkerByID(id)
	if err != nil {
		return false, translate(err)
	}
	if info.State == slotwise.Ready {
		_, err = r.engine.Cordon(id)
	} else {
		info, err = r.engine.Uncordon(id)
		return info.State == slotwise.Ready, translate(err)
	}
	return false, translate(err)
}

// Remove is of Repository.
func (r *Embedded) Remove(_ context.Context, id string) ([]string, error) {
	lost, err := r.engine.RemoveWorker(id)
	ids := make([]string, len(lost))
	for k := range lost {
		ids[k] = lost[k].ID
	}
	return ids, translate(err)
}
