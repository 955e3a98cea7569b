//go:build !race

package slotwise_test

const racing = false
