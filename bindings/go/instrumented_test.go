//go:build !race && !asan

package slotwise_test

const racing, asan = false, false
