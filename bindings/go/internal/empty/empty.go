// Package empty has a C function that does nothing, for benchmarks to measure against: what any call
// into C costs.
package empty

// static void nothing(void) {}
import "C"

// Call calls it.
func Call() { C.nothing() }
