package slotwise

import (
	"strings"
	"testing"
)

func TestABI(t *testing.T) {
	if err := checkABI(headerABI, cABIVersion()); err != nil {
		t.Fatal(err)
	}
	err := checkABI(headerABI, headerABI+1)
	if err == nil || !strings.Contains(err.Error(), "interface 2") {
		t.Fatal(err)
	}
	abi = err
	defer func() { abi = nil }()
	if _, err := New(Config{}); err != abi {
		t.Fatal(err)
	}
}

// The collector sees little of an engine; those that are closed do not pile up all the same.
func TestClosedEnginesAreFreed(t *testing.T) {
	for range 200 {
		e, err := New(Config{MaxWorkers: 1, MaxReservations: 1, MaxSelectors: 1, MaxBatches: 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if waiting := idle.Load(); waiting > 4*mostIdle {
			t.Fatalf("%d wait", waiting)
		}
	}
}
