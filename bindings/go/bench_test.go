package slotwise_test

import (
	"strconv"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
	"github.com/slotwise/slotwise/bindings/go/internal/empty"
)

// Each operation is a reserve and a release; `go run ./internal/ratios` sets them beside a mutex.

func BenchmarkEmptyCall(b *testing.B) {
	for b.Loop() {
		empty.Call()
	}
}

// quick is must without looking for who called: that would take longer than what is measured.
func quick(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPair(b *testing.B) {
	e := engine(b, 20)
	b.ReportAllocs()
	for b.Loop() {
		placed, err := e.Reserve(slotwise.Request{Need: amount(5, 10)})
		quick(b, err)
		quick(b, third(e.Release(placed.Ticket)))
	}
}

func BenchmarkPairPrepared(b *testing.B) {
	e := engine(b, 20)
	prepared := must2(e.Prepare(slotwise.Request{Need: amount(5, 10)}))
	b.ReportAllocs()
	for b.Loop() {
		placed, err := prepared.Reserve()
		quick(b, err)
		quick(b, third(e.Release(placed.Ticket)))
	}
}

func BenchmarkPairByID(b *testing.B) {
	e := engine(b, 20)
	b.ReportAllocs()
	for b.Loop() {
		quick(b, third(e.Reserve(slotwise.Request{ID: "b7a1c0de-4aa1-9bb2-acc3-000000000001", Need: amount(5, 10)})))
		quick(b, third(e.ReleaseID("b7a1c0de-4aa1-9bb2-acc3-000000000001")))
	}
}

func BenchmarkPairParallel(b *testing.B) {
	e := engine(b, 20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			placed, err := e.Reserve(slotwise.Request{Need: amount(5, 10)})
			quick(b, err)
			quick(b, third(e.Release(placed.Ticket)))
		}
	})
}

// BenchmarkBatch reports its time a pair beside that of a batch of 100.
func BenchmarkBatch(b *testing.B) {
	e := engine(b, 20)
	batch := slotwise.NewBatch(100)
	for range 100 {
		must(b, batch.Add(slotwise.Request{Need: amount(5, 10)}))
	}
	results, tickets := make([]slotwise.Result, 100), make([]slotwise.Ticket, 100)
	b.ReportAllocs()
	for b.Loop() {
		quick(b, third(e.ReserveBatch(batch, results)))
		for k := range results {
			tickets[k] = results[k].Ticket
		}
		quick(b, third(e.ReleaseBatch(tickets, nil)))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/pair")
}

func BenchmarkRefusal(b *testing.B) {
	for _, workers := range []int{20, 1000} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			e := engine(b, workers)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Reserve(slotwise.Request{Need: amount(1001, 1)}); err == nil {
					b.Fatal("placed")
				}
			}
		})
	}
}
