package workerrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is the repository as it is without the engine: a hash for each worker, and for each change of
// one: list all, filter, lock the worker, check that its version is still the one that was read, write,
// unlock.
type Redis struct{ client *redis.Client }

// NewRedis makes one.
func NewRedis(client *redis.Client) *Redis { return &Redis{client} }

var _ Repository = (*Redis)(nil)

const allWorkers = "workers"

func workerKey(id string) string     { return "worker:" + id }
func containersKey(id string) string { return "worker:" + id + ":containers" }
func lockKey(id string) string       { return "worker:" + id + ":lock" }
func whereKey(id string) string      { return "container:" + id }

func fieldsOf(w Worker) map[string]any {
	return map[string]any{
		"id": w.ID, "pool": w.Pool, "gpu_type": w.GPUType, "priority": w.Priority,
		"cpu": w.CPU, "memory": w.Memory, "gpus": w.GPUs,
		"free_cpu": w.FreeCPU, "free_memory": w.FreeMemory, "free_gpus": w.FreeGPUs,
		"enabled": w.Enabled, "version": w.ResourceVersion,
	}
}

func workerOf(f map[string]string) (Worker, error) {
	if len(f) == 0 {
		return Worker{}, ErrNoWorker
	}
	var failed error
	number := func(field string) int64 {
		n, err := strconv.ParseInt(f[field], 10, 64)
		failed = errors.Join(failed, err)
		return n
	}
	w := Worker{
		ID: f["id"], Pool: f["pool"], GPUType: f["gpu_type"], Priority: int32(number("priority")),
		CPU: number("cpu"), Memory: number("memory"), GPUs: number("gpus"),
		FreeCPU: number("free_cpu"), FreeMemory: number("free_memory"), FreeGPUs: number("free_gpus"),
		Enabled: f["enabled"] == "1", ResourceVersion: uint64(number("version")),
	}
	return w, failed
}

// Add is of Repository.
func (r *Redis) Add(ctx context.Context, w Worker) error {
	added, err := r.client.SAdd(ctx, allWorkers, w.ID).Result()
	if err != nil {
		return err
	}
	if added == 0 {
		return ErrExists
	}
	w.FreeCPU, w.FreeMemory, w.FreeGPUs, w.Enabled = w.CPU, w.Memory, w.GPUs, true
	return r.client.HSet(ctx, workerKey(w.ID), fieldsOf(w)).Err()
}

// Get is of Repository.
func (r *Redis) Get(ctx context.Context, id string) (Worker, error) {
	fields, err := r.client.HGetAll(ctx, workerKey(id)).Result()
	if err != nil {
		return Worker{}, err
	}
	return workerOf(fields)
}

// List is of Repository: two round trips.
func (r *Redis) List(ctx context.Context) ([]Worker, error) {
	ids, err := r.client.SMembers(ctx, allWorkers).Result()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	answers := make([]*redis.MapStringStringCmd, len(ids))
	_, err = r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for k, id := range ids {
			answers[k] = p.HGetAll(ctx, workerKey(id))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	workers := make([]Worker, 0, len(ids))
	for _, answer := range answers {
		w, err := workerOf(answer.Val())
		if errors.Is(err, ErrNoWorker) {
			continue
		} else if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// errStale: the worker is not as it was when it was read.
var errStale = errors.New("workerrepo: the worker has changed")

var unlock = redis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`)

// locked does something with a worker under its lock.
func (r *Redis) locked(ctx context.Context, id string, do func(Worker) error) error {
	token := strconv.FormatInt(time.Now().UnixNano(), 36) + id
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		mine, err := r.client.SetNX(ctx, lockKey(id), token, 10*time.Second).Result()
		if err != nil {
			return err
		}
		if mine {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	w, err := r.Get(ctx, id)
	if err == nil {
		err = do(w)
	}
	return errors.Join(err, unlock.Run(context.WithoutCancel(ctx), r.client, []string{lockKey(id)}, token).Err())
}

// change gives back and takes on one worker that is locked.
func (r *Redis) change(ctx context.Context, w Worker, change Change) error {
	held := map[string]string{}
	for _, id := range change.Release {
		text, err := r.client.HGet(ctx, containersKey(w.ID), id).Result()
		if errors.Is(err, redis.Nil) {
			return ErrNoContainer
		} else if err != nil {
			return err
		}
		var c Container
		if _, err := fmt.Sscanf(text, "%d:%d:%d", &c.CPU, &c.Memory, &c.GPUs); err != nil {
			return err
		}
		held[id] = text
		w.FreeCPU, w.FreeMemory, w.FreeGPUs = w.FreeCPU+c.CPU, w.FreeMemory+c.Memory, w.FreeGPUs+c.GPUs
	}
	for _, c := range change.Reserve {
		if !fits(w, c) {
			return ErrNoCapacity
		}
		w.FreeCPU, w.FreeMemory, w.FreeGPUs = w.FreeCPU-c.CPU, w.FreeMemory-c.Memory, w.FreeGPUs-c.GPUs
	}
	w.ResourceVersion += uint64(len(change.Release) + len(change.Reserve))
	_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, workerKey(w.ID), "free_cpu", w.FreeCPU, "free_memory", w.FreeMemory,
			"free_gpus", w.FreeGPUs, "version", w.ResourceVersion)
		for id := range held {
			p.HDel(ctx, containersKey(w.ID), id)
			p.Del(ctx, whereKey(id))
		}
		for _, c := range change.Reserve {
			p.HSet(ctx, containersKey(w.ID), c.ID, fmt.Sprintf("%d:%d:%d", c.CPU, c.Memory, c.GPUs))
			p.Set(ctx, whereKey(c.ID), w.ID, 0)
		}
		return nil
	})
	return err
}

func fits(w Worker, c Container) bool {
	return w.Enabled && w.FreeCPU >= c.CPU && w.FreeMemory >= c.Memory && w.FreeGPUs >= c.GPUs &&
		(c.GPUs > 0) == (w.GPUs > 0)
}

// UpdateCapacity is of Repository.
func (r *Redis) UpdateCapacity(ctx context.Context, id string, cpu, memory, gpus int64) error {
	return r.locked(ctx, id, func(w Worker) error {
		w.FreeCPU, w.FreeMemory, w.FreeGPUs = w.FreeCPU+cpu-w.CPU, w.FreeMemory+memory-w.Memory, w.FreeGPUs+gpus-w.GPUs
		w.CPU, w.Memory, w.GPUs = cpu, memory, gpus
		w.ResourceVersion++
		return r.client.HSet(ctx, workerKey(id), fieldsOf(w)).Err()
	})
}

// Schedule is of Repository.
func (r *Redis) Schedule(ctx context.Context, c Container) (string, error) {
	for {
		workers, err := r.List(ctx)
		if err != nil {
			return "", err
		}
		workers = slices.DeleteFunc(workers, func(w Worker) bool { return !fits(w, c) })
		if len(workers) == 0 {
			return "", ErrNoCapacity
		}
		best := slices.MinFunc(workers, func(a, b Worker) int {
			if a.Priority != b.Priority {
				return int(b.Priority) - int(a.Priority)
			}
			return strings.Compare(a.ID, b.ID)
		})
		err = r.locked(ctx, best.ID, func(now Worker) error {
			if now.ResourceVersion != best.ResourceVersion {
				return errStale
			}
			return r.change(ctx, now, Change{Worker: best.ID, Reserve: []Container{c}})
		})
		if errors.Is(err, errStale) || errors.Is(err, ErrNoWorker) {
			continue
		}
		return best.ID, err
	}
}

// ScheduleMany is of Repository: one after the other.
func (r *Redis) ScheduleMany(ctx context.Context, containers []Container) ([]string, error) {
	workers := make([]string, len(containers))
	for k, c := range containers {
		worker, err := r.Schedule(ctx, c)
		if err != nil && !errors.Is(err, ErrNoCapacity) {
			return nil, err
		}
		workers[k] = worker
	}
	return workers, nil
}

// Finish is of Repository.
func (r *Redis) Finish(ctx context.Context, container string) error {
	id, err := r.client.Get(ctx, whereKey(container)).Result()
	if errors.Is(err, redis.Nil) {
		return ErrNoContainer
	} else if err != nil {
		return err
	}
	return r.locked(ctx, id, func(w Worker) error {
		return r.change(ctx, w, Change{Worker: id, Release: []string{container}})
	})
}

// BatchUpdate is of Repository.
func (r *Redis) BatchUpdate(ctx context.Context, changes []Change) []error {
	failed := make([]error, len(changes))
	for k, change := range changes {
		failed[k] = r.locked(ctx, change.Worker, func(w Worker) error { return r.change(ctx, w, change) })
	}
	return failed
}

func (r *Redis) enable(ctx context.Context, id string, enabled func(Worker) bool) (is bool, err error) {
	err = r.locked(ctx, id, func(w Worker) error {
		is = enabled(w)
		return r.client.HSet(ctx, workerKey(id), "enabled", is, "version", w.ResourceVersion+1).Err()
	})
	return is, err
}

// Cordon is of Repository.
func (r *Redis) Cordon(ctx context.Context, id string) error {
	_, err := r.enable(ctx, id, func(Worker) bool { return false })
	return err
}

// Toggle is of Repository.
func (r *Redis) Toggle(ctx context.Context, id string) (bool, error) {
	return r.enable(ctx, id, func(w Worker) bool { return !w.Enabled })
}

// Remove is of Repository.
func (r *Redis) Remove(ctx context.Context, id string) (lost []string, err error) {
	err = r.locked(ctx, id, func(Worker) error {
		if lost, err = r.client.HKeys(ctx, containersKey(id)).Result(); err != nil {
			return err
		}
		_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.SRem(ctx, allWorkers, id)
			p.Del(ctx, workerKey(id), containersKey(id))
			for _, container := range lost {
				p.Del(ctx, whereKey(container))
			}
			return nil
		})
		return err
	})
	return lost, err
}
