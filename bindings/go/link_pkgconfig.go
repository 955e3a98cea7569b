//go:build slotwise_pkgconfig

package slotwise

// The library that `make install` installed, found by pkg-config.

// #cgo pkg-config: slotwise
import "C"
