// Package workerrepo is a worker repository as container platforms have one, twice: [Redis] keeps
// workers in Redis hashes behind locks and resource versions, as such schedulers do today; [Embedded]
// puts the engine behind the same functions. A scheduler that calls the one can call the other.
package workerrepo

import (
	"context"
	"errors"
)

// A Worker as the scheduler sees it.
type Worker struct {
	ID       string
	Pool     string
	GPUType  string
	Priority int32
	// What it has in all, in millicores, MiB, and whole GPUs.
	CPU, Memory, GPUs int64
	// What is free of it.
	FreeCPU, FreeMemory, FreeGPUs int64
	// Enabled: takes containers.
	Enabled bool
	// ResourceVersion rises with each change.
	ResourceVersion uint64
}

// A Container that is to run on a worker.
type Container struct {
	ID                string
	CPU, Memory, GPUs int64
}

// A Change of one worker: all of it is done as one step, or nothing of it.
type Change struct {
	Worker  string
	Release []string
	Reserve []Container
}

// What the functions return beside what went wrong on the way.
var (
	ErrNoWorker    = errors.New("workerrepo: no such worker")
	ErrExists      = errors.New("workerrepo: the worker is registered already")
	ErrNoCapacity  = errors.New("workerrepo: no worker has room")
	ErrNoContainer = errors.New("workerrepo: no such container")
)

// A Repository is what a scheduler calls.
type Repository interface {
	// Add a worker, with all that it has free.
	Add(ctx context.Context, worker Worker) error
	// Get a worker.
	Get(ctx context.Context, id string) (Worker, error)
	// List all workers.
	List(ctx context.Context) ([]Worker, error)
	// UpdateCapacity of a worker: its total. What is held stays held.
	UpdateCapacity(ctx context.Context, id string, cpu, memory, gpus int64) error
	// Schedule a container, and tell on which worker.
	Schedule(ctx context.Context, container Container) (string, error)
	// ScheduleMany, each for itself; a worker is "" for one that has no room.
	ScheduleMany(ctx context.Context, containers []Container) ([]string, error)
	// Finish a container: what it held is free again.
	Finish(ctx context.Context, container string) error
	// BatchUpdate of workers, each change for itself; one error each.
	BatchUpdate(ctx context.Context, changes []Change) []error
	// Cordon a worker: nothing new lands there.
	Cordon(ctx context.Context, id string) error
	// Toggle a worker: the other way round than it is. Tells which way.
	Toggle(ctx context.Context, id string) (enabled bool, err error)
	// Remove a worker, and tell which containers went with it.
	Remove(ctx context.Context, id string) ([]string, error)
}
