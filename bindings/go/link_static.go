//go:build !slotwise_pkgconfig

package slotwise

// The library that `make lib` leaves in the repository.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/capi/lib/libslotwise.a -lgcc_s -lutil -lrt -lpthread -lm -ldl
import "C"
