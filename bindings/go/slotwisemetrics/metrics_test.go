package slotwisemetrics

import (
	"encoding/json"
	"expvar"
	"strings"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

func TestVar(t *testing.T) {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.AddWorker(slotwise.WorkerSpec{ID: "w", Total: slotwise.Resources{CPU: 10, Memory: 10}}); err != nil {
		t.Fatal(err)
	}
	Publish("slotwise", engine)
	for range 3 {
		engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 4, Memory: 4}})
	}
	engine.Reserve(slotwise.Request{Need: slotwise.Resources{CPU: 1, Memory: 1}, Terms: &slotwise.Terms{HoldUntil: 5}})
	engine.Tick(5)
	var values Values
	if err := json.Unmarshal([]byte(expvar.Get("slotwise").String()), &values); err != nil {
		t.Fatal(err)
	}
	if values.Workers != 1 || values.Reservations != 2 || values.Placed != 3 || values.Expired != 1 || values.Busy != 1 {
		t.Errorf("%+v", values)
	}
	engine.Close()
	if text := Var(engine).String(); !strings.Contains(text, `"error":"slotwise: `) {
		t.Error(text)
	}
}
