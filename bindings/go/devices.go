package slotwise

import (
	"fmt"
	"iter"
	"math/bits"
	"runtime"
	"strings"
)

// A Device is a GPU that can be shared, or told apart from others, as the host registers it with its
// worker ([WorkerSpec] Devices).
type Device struct {
	// ID is the host's name of it, unlike those of the worker's other devices: 1 to MaxNameLength bytes.
	ID string
	// Memory in MiB. 0 where the host does not count it: then nothing but 0 can be asked for.
	Memory uint64
	// Island: devices with the same number are near to one another: on one NUMA node, or joined by
	// NVLink. At most MaxIsland.
	Island uint8
}

// A DeviceNeed is what a request asks of a worker's devices ([Terms] Devices). [PartOfDevice] and
// [WholeDevices] make one. The zero value asks for none.
type DeviceNeed struct {
	// Count of different devices, all on one worker: at most MaxDevices. 0: none, and the other fields
	// are 0, too.
	Count uint32
	// Milli is thousandths of each: 1 to 1,000; of several devices, 1,000.
	Milli uint32
	// Memory of each, in MiB; 0 where it does not count.
	Memory uint64
	// Island says, of several, whether they are to be near to one another.
	Island Island
}

// PartOfDevice asks for so many thousandths of one device, and so many MiB of its memory.
func PartOfDevice(milli uint32, memory uint64) DeviceNeed {
	return DeviceNeed{Count: 1, Milli: milli, Memory: memory}
}

// WholeDevices asks for so many devices that nobody else has a part of.
func WholeDevices(count uint32, island Island) DeviceNeed {
	return DeviceNeed{Count: count, Milli: wholeDevice, Island: island}
}

// wholeDevice is all of one, in thousandths.
const wholeDevice = 1000

// String is such as "2 devices, 1000/1000 and 0 MiB of each, one island if possible".
func (n DeviceNeed) String() string {
	if n == (DeviceNeed{}) {
		return "no devices"
	}
	text := fmt.Sprintf("%d devices, %d/%d and %d MiB of each", n.Count, n.Milli, wholeDevice, n.Memory)
	switch n.Island {
	case IslandAny:
	case IslandPrefer:
		text += ", one island if possible"
	case IslandInsist:
		text += ", one island"
	default:
		text += ", " + n.Island.String()
	}
	return text
}

// An Island says whether several devices are to be near to one another.
type Island uint32

// The islands.
const (
	// IslandAny: they may be anywhere on their worker.
	IslandAny Island = 0
	// IslandPrefer: they are on as few islands as the worker allows.
	IslandPrefer Island = 1
	// IslandInsist: they are on one island, or not on this worker.
	IslandInsist Island = 2
)

func (i Island) String() string {
	return nameOf([]string{"any", "prefer", "insist"}, int(i), "island")
}

// A DeviceSet is devices of one worker: bit k is the one at place k of those that it was registered with.
type DeviceSet uint64

// Has tells whether the device at this place is one of them.
func (s DeviceSet) Has(place int) bool { return place >= 0 && place < 64 && s>>place&1 != 0 }

// Len is how many there are.
func (s DeviceSet) Len() int { return bits.OnesCount64(uint64(s)) }

// All goes through their places, which rise. It does not allocate.
func (s DeviceSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for left := uint64(s); left != 0; left &= left - 1 {
			if !yield(bits.TrailingZeros64(left)) {
				return
			}
		}
	}
}

// String is such as "devices 0, 3".
func (s DeviceSet) String() string {
	if s == 0 {
		return "no devices"
	}
	var places []string
	for place := range s.All() {
		places = append(places, fmt.Sprint(place))
	}
	return "devices " + strings.Join(places, ", ")
}

// Granted is what a reservation holds of its worker's devices. The engine writes it where it lies.
type Granted struct {
	// Devices that it holds a part of, or as a whole; none where it asked for none.
	Devices DeviceSet
	// Milli is thousandths of each.
	Milli uint32
	_     uint32
	// Memory of each, in MiB.
	Memory uint64
}

// String is such as "devices 0: 500/1000 and 40960 MiB of each".
func (g Granted) String() string {
	if g.Devices == 0 {
		return g.Devices.String()
	}
	return fmt.Sprintf("%v: %d/%d and %d MiB of each", g.Devices, g.Milli, wholeDevice, g.Memory)
}

// DeviceState is what a device has free.
type DeviceState struct {
	// FreeMilli is thousandths of it that are free; 1,000: it is free as a whole.
	FreeMilli uint32
	// Island that it is on.
	Island uint8
	// FreeMemory in MiB.
	FreeMemory uint64
	// Memory in MiB, in all.
	Memory uint64
}

// String is such as "500/1000 and 40960 of 81920 MiB free".
func (d DeviceState) String() string {
	return fmt.Sprintf("%d/%d and %d of %d MiB free", d.FreeMilli, wholeDevice, d.FreeMemory, d.Memory)
}

// Granted says which devices a reservation holds, and how much of each: nothing where it asked for none.
// It takes no lock and does not allocate.
//
// Errors: [ErrNotHeld].
func (e *Engine) Granted(ticket Ticket) (Granted, error) {
	granted, err := cGranted("Granted", e.get(), ticket)
	runtime.KeepAlive(e)
	return granted, err
}

// WorkerDevices says what each device of a worker has free, in the order in which they were registered, as
// of one instant; nil where it was registered without. It takes the registry's lock, under which placements
// go on.
//
// Errors: [ErrUnknownWorker].
func (e *Engine) WorkerDevices(worker Worker) ([]DeviceState, error) {
	states, err := cWorkerDevices("WorkerDevices", e.get(), worker)
	runtime.KeepAlive(e)
	return states, err
}
