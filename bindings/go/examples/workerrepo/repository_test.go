package workerrepo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/slotwise/slotwise/bindings/go"
)

// startRedis starts a server on a free port and ends it, by its process id, after the test.
func startRedis(t *testing.T) *redis.Client {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	server := exec.Command(program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port)})
	t.Cleanup(func() {
		client.Close()
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		server.Wait()
	})
	for try := 0; ; try++ {
		if err := client.Ping(t.Context()).Err(); err == nil {
			return client
		} else if try == 100 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func newEmbedded(t *testing.T) (*Embedded, *slotwise.Engine) {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return NewEmbedded(engine), engine
}

// What a scheduler relies on, of both.
func TestRepository(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		repository, engine := newEmbedded(t)
		behaves(t, repository)
		if audit, err := engine.Audit(); err != nil || !audit.OK {
			t.Error(audit, err)
		}
	})
	t.Run("redis", func(t *testing.T) { behaves(t, NewRedis(startRedis(t))) })
}

func behaves(t *testing.T, r Repository) {
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("%v is not %v", err, want)
		}
	}
	ok(r.Add(ctx, Worker{ID: "a", CPU: 1000, Memory: 1000, Pool: "web", Priority: 5}))
	ok(r.Add(ctx, Worker{ID: "b", CPU: 1000, Memory: 1000}))
	ok(r.Add(ctx, Worker{ID: "g", CPU: 1000, Memory: 1000, GPUs: 2, GPUType: "A10G"}))
	is(r.Add(ctx, Worker{ID: "a", CPU: 1, Memory: 1}), ErrExists)

	where, err := r.Schedule(ctx, Container{ID: "1", CPU: 600, Memory: 100})
	ok(err)
	if where != "a" {
		t.Fatalf("on %s", where)
	}
	where, err = r.Schedule(ctx, Container{ID: "2", CPU: 10, Memory: 100, GPUs: 2})
	ok(err)
	if where != "g" {
		t.Fatalf("on %s", where)
	}
	_, err = r.Schedule(ctx, Container{ID: "3", CPU: 10, Memory: 100, GPUs: 1})
	is(err, ErrNoCapacity)
	many, err := r.ScheduleMany(ctx, []Container{{ID: "4", CPU: 600, Memory: 1}, {ID: "5", CPU: 600, Memory: 1}})
	ok(err)
	if !slices.Equal(many, []string{"b", ""}) {
		t.Fatal(many)
	}
	w, err := r.Get(ctx, "a")
	ok(err)
	want := Worker{
		ID: "a", Pool: "web", Priority: 5, CPU: 1000, Memory: 1000, FreeCPU: 400, FreeMemory: 900,
		Enabled: true, ResourceVersion: 1,
	}
	if w != want {
		t.Fatalf("%+v, not %+v", w, want)
	}
	ok(r.UpdateCapacity(ctx, "a", 2000, 1000, 0))
	w, err = r.Get(ctx, "a")
	ok(err)
	if w.FreeCPU != 1400 || w.ResourceVersion != 2 {
		t.Fatalf("%+v", w)
	}
	for k, err := range r.BatchUpdate(ctx, []Change{
		{Worker: "a", Release: []string{"1"}, Reserve: []Container{{ID: "6", CPU: 2000, Memory: 1}}},
		{Worker: "b", Reserve: []Container{{ID: "7", CPU: 300, Memory: 1}, {ID: "8", CPU: 300, Memory: 1}}},
		{Worker: "nobody", Reserve: []Container{{ID: "9", CPU: 1, Memory: 1}}},
	}) {
		is(err, []error{nil, ErrNoCapacity, ErrNoWorker}[k])
	}
	is(r.Finish(ctx, "1"), ErrNoContainer)
	is(r.Finish(ctx, "7"), ErrNoContainer)
	ok(r.Finish(ctx, "6"))
	ok(r.Cordon(ctx, "a"))
	ok(r.Cordon(ctx, "a"))
	is(r.Cordon(ctx, "nobody"), ErrNoWorker)
	_, err = r.Schedule(ctx, Container{ID: "10", CPU: 900, Memory: 1})
	is(err, ErrNoCapacity)
	enabled, err := r.Toggle(ctx, "a")
	ok(err)
	if !enabled {
		t.Fatal("cordoned still")
	}
	if enabled, err = r.Toggle(ctx, "a"); enabled || err != nil {
		t.Fatal(enabled, err)
	}
	all, err := r.List(ctx)
	ok(err)
	if len(all) != 3 {
		t.Fatal(all)
	}
	lost, err := r.Remove(ctx, "b")
	ok(err)
	if !slices.Equal(lost, []string{"4"}) {
		t.Fatal(lost)
	}
	is(r.Finish(ctx, "4"), ErrNoContainer)
	_, err = r.Remove(ctx, "b")
	is(err, ErrNoWorker)
	_, err = r.Get(ctx, "b")
	is(err, ErrNoWorker)
}

// The same requests by the old flow and by the new one, from four goroutines: each schedules, and
// finishes what it scheduled some while before.
func TestOldFlowAndNew(t *testing.T) {
	const workers, goroutines, each, alive = 50, 4, 60, 8
	run := func(r Repository) (took time.Duration, placed int) {
		ctx := t.Context()
		for k := range workers {
			if err := r.Add(ctx, Worker{ID: fmt.Sprintf("node-%02d", k), CPU: 16_000, Memory: 65_536}); err != nil {
				t.Fatal(err)
			}
		}
		counts := make([]int, goroutines)
		start := time.Now()
		var group sync.WaitGroup
		for g := range goroutines {
			group.Add(1)
			go func() {
				defer group.Done()
				for k := range each {
					counts[g] += one(ctx, t, r, g, k, alive)
				}
			}()
		}
		group.Wait()
		took = time.Since(start)
		for _, count := range counts {
			placed += count
		}
		return took, placed
	}
	client := startRedis(t)
	embedded, engine := newEmbedded(t)
	old, placedOld := run(NewRedis(client))
	now, placedNow := run(embedded)
	if placedOld != goroutines*each || placedNow != placedOld {
		t.Errorf("placed: %d by the old flow, %d by the new one", placedOld, placedNow)
	}
	if audit, err := engine.Audit(); err != nil || !audit.OK || audit.Reservations != goroutines*alive {
		t.Error(audit, err)
	}
	requests := goroutines * each
	fmt.Printf("%d requests on %d workers, %d goroutines: redis %v (%v each), embedded %v (%v each), %.0f times as fast\n",
		requests, workers, goroutines, old.Round(time.Millisecond), (old / time.Duration(requests)).Round(time.Microsecond),
		now.Round(time.Microsecond), (now / time.Duration(requests)).Round(10*time.Nanosecond), float64(old)/float64(now))
	if now > old {
		t.Error("the new flow is slower")
	}
}

func one(ctx context.Context, t *testing.T, r Repository, g, k, alive int) int {
	id := func(k int) string { return fmt.Sprintf("container-%d-%d", g, k) }
	if _, err := r.Schedule(ctx, Container{ID: id(k), CPU: 500, Memory: 1024}); err != nil {
		t.Error(err)
		return 0
	}
	if k >= alive {
		if err := r.Finish(ctx, id(k-alive)); err != nil {
			t.Error(err)
		}
	}
	return 1
}
