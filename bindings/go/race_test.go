//go:build race

package slotwise_test

// The detector makes pools forget at random.
const racing = true
