// Package slotwisemetrics shows an engine's counters as expvar variables, on /debug/vars of a program
// that serves it.
package slotwisemetrics

import (
	"encoding/json"
	"expvar"

	"github.com/slotwise/slotwise/bindings/go"
)

// Values are what is shown: the counters since the engine was made, and what there is now.
type Values struct {
	Workers          int    `json:"workers"`
	Reservations     int    `json:"reservations"`
	Placed           uint64 `json:"placed"`
	Existing         uint64 `json:"existing"`
	Busy             uint64 `json:"busy"`
	Never            uint64 `json:"never"`
	Released         uint64 `json:"released"`
	Resized          uint64 `json:"resized"`
	CASRetries       uint64 `json:"cas_retries"`
	VersionConflicts uint64 `json:"version_conflicts"`
	GangRollbacks    uint64 `json:"gang_rollbacks"`
	// Probes: entry k counts requests that looked at fewer than 2^k candidates and at least 2^(k-1).
	Probes [24]uint64 `json:"probes"`
	// Confirmed, Expired and Preempted as in [slotwise.Stats].
	Confirmed uint64 `json:"confirmed"`
	Expired   uint64 `json:"expired"`
	Preempted uint64 `json:"preempted"`
}

// Read them. O(most reservations there ever were): for a page that is asked for now and then.
func Read(engine *slotwise.Engine) (Values, error) {
	stats, err := engine.Stats()
	if err != nil {
		return Values{}, err
	}
	workers, reservations, err := engine.Counts()
	if err != nil {
		return Values{}, err
	}
	return Values{
		workers, reservations, stats.Placed, stats.Existing, stats.Busy, stats.Never, stats.Released,
		stats.Resized, stats.CASRetries, stats.VersionConflicts, stats.GangRollbacks, stats.Probes,
		stats.Confirmed, stats.Expired, stats.Preempted,
	}, nil
}

// Var is an expvar variable that reads them each time; of an engine that is closed, it has an error.
func Var(engine *slotwise.Engine) expvar.Var { return variable{engine} }

// Publish the engine's variable under a name that no other has: two of one name are a panic, as
// everywhere in expvar.
func Publish(name string, engine *slotwise.Engine) { expvar.Publish(name, Var(engine)) }

type variable struct{ engine *slotwise.Engine }

func (v variable) String() string {
	values, err := Read(v.engine)
	var text []byte
	if err != nil {
		text, err = json.Marshal(map[string]string{"error": err.Error()})
	} else {
		text, err = json.Marshal(values)
	}
	if err != nil {
		return "{}" // Numbers and texts are always JSON.
	}
	return string(text)
}
