// Package mutex is what one would write instead: a mutex, a slice of workers, a map of who holds what.
// It knows no selectors, no GPUs, no states, and searches first fit.
package mutex

import "sync"

// A Worker has this much free.
type Worker struct{ CPU, Memory int64 }

// Held is where something is held, and how much.
type Held struct {
	Worker      int
	CPU, Memory int64
}

// Slice is a mutex and a slice: who holds what is the caller's business.
type Slice struct {
	mutex   sync.Mutex
	Workers []Worker
}

// Reserve on the first worker that fits; -1 where none does.
func (s *Slice) Reserve(cpu, memory int64) Held {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.take(cpu, memory)
}

func (s *Slice) take(cpu, memory int64) Held {
	for k := range s.Workers {
		if w := &s.Workers[k]; w.CPU >= cpu && w.Memory >= memory {
			w.CPU -= cpu
			w.Memory -= memory
			return Held{k, cpu, memory}
		}
	}
	return Held{Worker: -1}
}

// Release what is held.
func (s *Slice) Release(held Held) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.give(held)
}

func (s *Slice) give(held Held) {
	s.Workers[held.Worker].CPU += held.CPU
	s.Workers[held.Worker].Memory += held.Memory
}

// Map is a mutex, a slice, and a map by id, so that an id is reserved and released once.
type Map struct {
	Slice
	held map[string]Held
}

// NewMap of these workers.
func NewMap(workers []Worker) *Map { return &Map{Slice{Workers: workers}, map[string]Held{}} }

// Reserve for an id.
func (m *Map) Reserve(id string, cpu, memory int64) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if _, ok := m.held[id]; ok {
		return true
	}
	held := m.take(cpu, memory)
	if held.Worker < 0 {
		return false
	}
	m.held[id] = held
	return true
}

// Release what an id holds.
func (m *Map) Release(id string) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	held, ok := m.held[id]
	if ok {
		m.give(held)
		delete(m.held, id)
	}
	return ok
}
