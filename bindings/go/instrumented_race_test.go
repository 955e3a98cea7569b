//go:build race

package slotwise_test

// The race detector makes pools forget at random.
const racing, asan = true, false
