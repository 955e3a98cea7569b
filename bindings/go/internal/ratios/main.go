// Command ratios measures the binding beside an empty call into C and beside a mutex, in one process,
// round by round in turn, and prints the medians of the rounds.
//
//	go run ./internal/ratios
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
	"github.com/slotwise/slotwise/bindings/go/internal/empty"
	"github.com/slotwise/slotwise/bindings/go/internal/mutex"
)

const (
	cpu, memory = 500, 1024
	batchSize   = 100
)

var need = slotwise.Resources{CPU: cpu, Memory: memory}

// Rounds of one way run warm for a while: what others left in the caches is over after the first thousands
// of pairs.

// A row is a way to do n pairs.
type row struct {
	name  string
	do    func(n int)
	times []float64
	pair  float64 // Median, in ns.
}

type table struct {
	title string
	rows  []*row
}

func (t *table) row(name string, do func(n int)) { t.rows = append(t.rows, &row{name: name, do: do}) }

func (t *table) measure(rounds int, span time.Duration) {
	counts := make([]int, len(t.rows))
	for k, r := range t.rows { // How many pairs take about that long?
		// Not the first ones: memory that is touched for the first time comes from the system, some of it
		// in large pages, and would be all that is measured.
		r.do(10_000)
		for n := batchSize; ; n *= 2 {
			start := time.Now()
			r.do(n)
			if took := time.Since(start); took > span/4 {
				counts[k] = max(batchSize, int(float64(n)*float64(span)/float64(took)))
				break
			}
		}
	}
	for range rounds {
		for k, r := range t.rows {
			start := time.Now()
			r.do(counts[k])
			r.times = append(r.times, float64(time.Since(start).Nanoseconds())/float64(counts[k]))
		}
	}
	for _, r := range t.rows {
		slices.Sort(r.times)
		r.pair = r.times[len(r.times)/2]
	}
}

func (t *table) print(unit *row) {
	fmt.Printf("\n| %s | ns | of %s |\n| --- | ---: | ---: |\n", t.title, unit.name)
	for _, r := range t.rows {
		fmt.Printf("| %s | %.1f | %.2f |\n", r.name, r.pair, r.pair/unit.pair)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newEngine(workers int, total slotwise.Resources) *slotwise.Engine {
	e, err := slotwise.New(slotwise.Config{})
	check(err)
	specs := make([]slotwise.WorkerSpec, workers)
	for k := range specs {
		specs[k] = slotwise.WorkerSpec{ID: fmt.Sprintf("node-%d", k), Total: total}
	}
	_, registered, err := e.AddWorkers(specs)
	check(err)
	if registered != workers {
		panic("not all were registered")
	}
	return e
}

func newWorkers(workers int, total slotwise.Resources) []mutex.Worker {
	w := make([]mutex.Worker, workers)
	for k := range w {
		w[k] = mutex.Worker{CPU: total.CPU, Memory: total.Memory}
	}
	return w
}

// Ids of 36 bytes, made beforehand: nobody pays for making them.
func newIDs(n int) []string {
	ids := make([]string, n)
	for k := range ids {
		ids[k] = fmt.Sprintf("%08x-%s-%012x", rand.Uint32(), "4aa1-9bb2-acc3", k)
	}
	return ids
}

// spread does n pairs with as many goroutines; each calls with its own numbers.
func spread(goroutines, n int, do func(goroutine, n int)) {
	var group sync.WaitGroup
	for g := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			do(g, (n+goroutines-1)/goroutines)
		}()
	}
	group.Wait()
}

func twenty() (*table, *row) {
	total := slotwise.Resources{CPU: 100_000, Memory: 262_144}
	t := &table{title: "reserve + release, 20 workers, one goroutine"}
	t.row("an empty cgo call", func(n int) {
		for range n {
			empty.Call()
		}
	})
	e := newEngine(20, total)
	ids := newIDs(256)
	t.row("single, anonymous", func(n int) {
		for range n {
			placed, err := e.Reserve(slotwise.Request{Need: need})
			check(err)
			_, err = e.Release(placed.Ticket)
			check(err)
		}
	})
	prepared, err := e.Prepare(slotwise.Request{Need: need})
	check(err)
	t.row("single, prepared", func(n int) {
		for range n {
			placed, err := prepared.Reserve()
			check(err)
			_, err = e.Release(placed.Ticket)
			check(err)
		}
	})
	t.row("single, by id", func(n int) {
		for k := range n {
			id := ids[k%len(ids)]
			_, err := e.Reserve(slotwise.Request{ID: id, Need: need})
			check(err)
			_, err = e.ReleaseID(id)
			check(err)
		}
	})
	results, tickets := make([]slotwise.Result, batchSize), make([]slotwise.Ticket, batchSize)
	giveBack := func() {
		for k := range results {
			tickets[k] = results[k].Ticket
		}
		released, err := e.ReleaseBatch(tickets, nil)
		check(err)
		if released != batchSize {
			panic("not all were released")
		}
	}
	anonymous, named := slotwise.NewBatch(batchSize), slotwise.NewBatch(batchSize)
	for k := range batchSize {
		check(anonymous.Add(slotwise.Request{Need: need}))
		check(named.Add(slotwise.Request{ID: ids[k], Need: need}))
	}
	t.row("batches of 100, anonymous", func(n int) {
		for k := 0; k < n; k += batchSize {
			_, err := e.ReserveBatch(anonymous, results)
			check(err)
			giveBack()
		}
	})
	columns := slotwise.Columns{
		Common: slotwise.Request{Need: need}, Tickets: tickets, Statuses: make([]slotwise.Status, batchSize),
	}
	t.row("batches of 100, columns", func(n int) {
		for k := 0; k < n; k += batchSize {
			_, err := e.ReserveColumns(&columns)
			check(err)
			_, err = e.ReleaseBatch(tickets, nil)
			check(err)
		}
	})
	t.row("batches of 100, by id, filled before", func(n int) {
		for k := 0; k < n; k += batchSize {
			_, err := e.ReserveBatch(named, results)
			check(err)
			giveBack()
		}
	})
	filled := slotwise.NewBatch(batchSize)
	t.row("batches of 100, by id, filled each time", func(n int) {
		for k := 0; k < n; k += batchSize {
			filled.Reset()
			for j := range batchSize {
				check(filled.Add(slotwise.Request{ID: ids[(k+j)%len(ids)], Need: need}))
			}
			_, err := e.ReserveBatch(filled, results)
			check(err)
			giveBack()
		}
	})
	slice := &mutex.Slice{Workers: newWorkers(20, total)}
	t.row("mutex + slice, no ids", func(n int) {
		for range n {
			slice.Release(slice.Reserve(cpu, memory))
		}
	})
	byID := mutex.NewMap(newWorkers(20, total))
	t.row("mutex + slice + map, by id", func(n int) {
		for k := range n {
			id := ids[k%len(ids)]
			byID.Reserve(id, cpu, memory)
			byID.Release(id)
		}
	})
	return t, t.rows[0]
}

func many(workers, goroutines int, scattered bool) (*table, *row) {
	total := slotwise.Resources{CPU: 1_000, Memory: 2_048}
	how := "in order"
	if scattered {
		how = "at random"
	}
	t := &table{title: fmt.Sprintf("%d workers, 95 %% full %s, %d goroutines, single calls", workers, how, goroutines)}
	full := make([]bool, workers)
	order := rand.New(rand.NewPCG(1, 2)).Perm(workers)
	for k := range workers * 95 / 100 {
		if scattered {
			full[order[k]] = true
		} else {
			full[k] = true
		}
	}
	ids := make([][]string, goroutines)
	for g := range ids {
		ids[g] = newIDs(256)
	}
	byID := mutex.NewMap(newWorkers(workers, total))
	for k := range full {
		if full[k] {
			byID.Workers[k] = mutex.Worker{}
		}
	}
	t.row("mutex + slice + map, by id", func(n int) {
		spread(goroutines, n, func(g, n int) {
			for k := range n {
				id := ids[g][k%len(ids[g])]
				byID.Reserve(id, cpu, memory)
				byID.Release(id)
			}
		})
	})
	e := newEngine(workers, total)
	k := 0
	for info := range e.Workers() {
		if full[k] {
			_, err := e.ReserveOn(info.Worker, slotwise.Request{Need: total})
			check(err)
		}
		k++
	}
	t.row("single, by id", func(n int) {
		spread(goroutines, n, func(g, n int) {
			for k := range n {
				id := ids[g][k%len(ids[g])]
				_, err := e.Reserve(slotwise.Request{ID: id, Need: need})
				check(err)
				_, err = e.ReleaseID(id)
				check(err)
			}
		})
	})
	t.row("single, by ticket", func(n int) {
		spread(goroutines, n, func(_, n int) {
			for range n {
				placed, err := e.Reserve(slotwise.Request{Need: need})
				check(err)
				_, err = e.Release(placed.Ticket)
				check(err)
			}
		})
	})
	return t, t.rows[0]
}

func main() {
	rounds := flag.Int("rounds", 31, "rounds")
	span := flag.Duration("span", 10*time.Millisecond, "how long one way takes in a round")
	flag.Parse()
	fmt.Printf("%s, %d processors, library %s\n", strings.TrimPrefix(runtime.Version(), "go"), runtime.NumCPU(), slotwise.LibraryVersion())
	var goals []string
	goal := func(what string, ratio, limit float64, less bool) {
		met := "met"
		if (ratio <= limit) != less {
			met = "MISSED"
		}
		goals = append(goals, fmt.Sprintf("%s: %.2f, goal %.1f: %s", what, ratio, limit, met))
	}
	t, unit := twenty()
	t.measure(*rounds, *span)
	t.print(unit)
	of := func(name string) float64 {
		for _, r := range t.rows {
			if r.name == name {
				return r.pair
			}
		}
		panic(name)
	}
	goal("a single pair, prepared, in empty calls", of("single, prepared")/unit.pair, 2.6, true)
	goal("a pair in batches of 100, in empty calls", of("batches of 100, anonymous")/unit.pair, 1.1, true)
	goal("a pair in batches of 100, of mutex + slice + map",
		of("batches of 100, anonymous")/of("mutex + slice + map, by id"), 1, true)
	goal("the same by id",
		of("batches of 100, by id, filled before")/of("mutex + slice + map, by id"), 1, true)
	for _, scattered := range []bool{false, true} {
		t, unit := many(10_000, 8, scattered)
		t.measure(*rounds, *span)
		t.print(unit)
		goal(t.title+": throughput of mutex + slice + map", unit.pair/t.rows[1].pair, 5, false)
	}
	fmt.Println()
	for _, line := range goals {
		fmt.Println(line)
	}
}
