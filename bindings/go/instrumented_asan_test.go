//go:build asan

package slotwise_test

// With the address sanitizer, what C is passed lies on the heap.
const racing, asan = false, true
