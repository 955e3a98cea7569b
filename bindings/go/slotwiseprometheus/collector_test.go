package slotwiseprometheus

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/slotwise/slotwise/bindings/go"
)

func TestCollector(t *testing.T) {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.AddWorker(slotwise.WorkerSpec{ID: "w", Total: slotwise.Resources{CPU: 10, Memory: 10}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 4, Memory: 4}})
	}
	engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 1, Memory: 1}, Terms: &slotwise.Terms{HoldUntil: 5}})
	engine.Tick(5)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(New(engine, prometheus.Labels{"cluster": "a"}))
	want := `
# HELP slotwise_requests_total Requests by what became of them: placed, existing, busy, never.
# TYPE slotwise_requests_total counter
slotwise_requests_total{cluster="a",result="busy"} 1
slotwise_requests_total{cluster="a",result="existing"} 0
slotwise_requests_total{cluster="a",result="never"} 0
slotwise_requests_total{cluster="a",result="placed"} 3
# HELP slotwise_expired_total Provisional reservations that were not confirmed in time, and have ended.
# TYPE slotwise_expired_total counter
slotwise_expired_total{cluster="a"} 1
# HELP slotwise_reservations Live reservations.
# TYPE slotwise_reservations gauge
slotwise_reservations{cluster="a"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slotwise_requests_total", "slotwise_reservations", "slotwise_expired_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	engine.Close()
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}
