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
