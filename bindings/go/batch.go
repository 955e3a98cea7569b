package slotwise

import (
	"runtime"
	"sync"
	"unsafe"
)

// memory that stays where it is, pinned for as long as something refers to it, so that it may hold
// addresses of more such memory when C reads it. It is Go's, so that the collector knows of its size.
type memory struct{ start unsafe.Pointer }

func newMemory(bytes int) *memory {
	words := make([]uint64, (bytes+7)/8)
	pinner := new(runtime.Pinner)
	pinner.Pin(&words[0])
	m := &memory{unsafe.Pointer(&words[0])}
	runtime.AddCleanup(m, (*runtime.Pinner).Unpin, pinner)
	return m
}

// keyRoom is the size of a piece of the memory that keys are copied to.
const keyRoom = 64 << 10

// A records is requests as C has them, side by side, each with room for its id.
type records struct {
	requests, ids *memory
	list          []record
	terms         *memory // nil until a request comes under terms.
	rooms         []termsRoom
	keys          []*memory
	keysUsed      int // Of the last piece.
}

func newRecords(capacity int) *records {
	r := &records{requests: newMemory(capacity * recordSize), ids: newMemory(capacity * MaxIDLength)}
	r.list = unsafe.Slice((*record)(r.requests.start), capacity)
	for k := range r.list {
		r.list[k] = record{size: recordSize}
	}
	return r
}

// setTerms copies terms to where C may follow a request's address to them. There is room for them from
// the first request on that has any.
func (r *records) setTerms(k int, terms *Terms) {
	record := &r.list[k]
	if terms == nil {
		record.terms = 0
		return
	}
	if r.terms == nil {
		r.makeRooms()
	}
	room := &r.rooms[k]
	room.set(terms)
	copy(room.limits[:], terms.Limits)
	r.point(k)
}

func (r *records) makeRooms() {
	r.terms = newMemory(len(r.list) * int(unsafe.Sizeof(termsRoom{})))
	r.rooms = unsafe.Slice((*termsRoom)(r.terms.start), len(r.list))
}

// point makes a request come under the terms in its room.
func (r *records) point(k int) {
	room := &r.rooms[k]
	room.terms.limits = uintptr(unsafe.Pointer(&room.limits))
	r.list[k].terms = uintptr(unsafe.Pointer(room))
	runtime.KeepAlive(r)
}

func (r *records) reset() {
	if len(r.keys) > 1 {
		r.keys = r.keys[len(r.keys)-1:]
	}
	r.keysUsed = 0
}

func (r *records) setID(k int, id string) {
	to := unsafe.Add(r.ids.start, k*MaxIDLength)
	copy(unsafe.Slice((*byte)(to), MaxIDLength), id)
	record := &r.list[k]
	record.id, record.idLength = uintptr(to), uint64(len(id))
	runtime.KeepAlive(r)
}

func (r *records) set(k int, request *Request) {
	record := &r.list[k]
	record.flags = request.flags()
	record.cpu, record.memory, record.gpus = request.Need.CPU, request.Need.Memory, request.Need.GPUs
	record.selector, record.policy = uint32(request.Selector), uint32(request.Policy)
	record.hash = request.Hash
	r.setID(k, request.ID)
	record.key, record.keyLength = 0, 0
	if length := len(request.Key); length > 0 {
		if len(r.keys) == 0 || r.keysUsed+length > keyRoom {
			r.keys = append(r.keys, newMemory(max(keyRoom, length)))
			r.keysUsed = 0
		}
		to := unsafe.Add(r.keys[len(r.keys)-1].start, r.keysUsed)
		copy(unsafe.Slice((*byte)(to), length), request.Key)
		r.keysUsed += length
		record.key, record.keyLength = uintptr(to), uint64(length)
	}
	r.setTerms(k, request.Terms)
	runtime.KeepAlive(r)
}

// A PreparedRequest is filled in once and used again: what a call takes is one pointer. Any number of
// goroutines may use one at once, but none while [PreparedRequest.SetID], [PreparedRequest.SetNeed] or
// [PreparedRequest.SetTerms] changes it. It is the engine's that prepared it.
type PreparedRequest struct {
	engine  *Engine
	records *records
}

// Prepare fills a request in for use again and again. What is passed is copied, its terms too.
func (e *Engine) Prepare(request Request) (*PreparedRequest, error) {
	if len(request.ID) > MaxIDLength {
		return nil, wrong("Prepare", "ID", ErrIDLength, len(request.ID), MaxIDLength)
	}
	if limits := request.Terms.limitCount(); limits > MaxLimits {
		return nil, wrong("Prepare", "Terms.Limits", ErrTooManyLimits, limits, MaxLimits)
	}
	if e.get() == 0 {
		return nil, &Error{Op: "Prepare", Status: ErrStaleHandle}
	}
	p := &PreparedRequest{e, newRecords(1)}
	p.records.set(0, &request)
	return p, nil
}

// SetID makes it a request for another id.
func (p *PreparedRequest) SetID(id string) error {
	if p == nil || p.records == nil {
		return &Error{Op: "SetID", Arg: "p", Status: ErrNullPointer}
	}
	if len(id) > MaxIDLength {
		return wrong("SetID", "id", ErrIDLength, len(id), MaxIDLength)
	}
	p.records.setID(0, id)
	return nil
}

// SetNeed makes it a request for another amount.
func (p *PreparedRequest) SetNeed(need Resources) error {
	if p == nil || p.records == nil {
		return &Error{Op: "SetNeed", Arg: "p", Status: ErrNullPointer}
	}
	record := &p.records.list[0]
	record.cpu, record.memory, record.gpus = need.CPU, need.Memory, need.GPUs
	runtime.KeepAlive(p)
	return nil
}

// SetTerms makes it a request under other terms, which are copied; nil: under none. It allocates at most
// once.
func (p *PreparedRequest) SetTerms(terms *Terms) error {
	if p == nil || p.records == nil {
		return &Error{Op: "SetTerms", Arg: "p", Status: ErrNullPointer}
	}
	if limits := terms.limitCount(); limits > MaxLimits {
		return wrong("SetTerms", "Limits", ErrTooManyLimits, limits, MaxLimits)
	}
	p.records.setTerms(0, terms)
	return nil
}

// Reserve is [Engine.Reserve] of the prepared request.
func (p *PreparedRequest) Reserve() (Reservation, error) {
	if p == nil || p.records == nil {
		return Reservation{}, &Error{Op: "Reserve", Arg: "p", Status: ErrNullPointer}
	}
	placed, err := cReservePrepared("Reserve", p.engine.get(), p.records.requests.start)
	runtime.KeepAlive(p)
	return placed, err
}

// A Batch is requests that are reserved in one call. It is filled where C reads it, and used again after
// [Batch.Reset] without allocation. One goroutine at a time may use it.
type Batch struct {
	// Mode: each request for itself, or all or none. Reset leaves it as it is.
	Mode Mode
	// ID of the batch itself: the same id again has no effect and gets the same answer. Empty: none.
	ID string
	// Reasons, where it is not nil, gets why workers were out of the question for each request that
	// was refused. It is as long as the batch.
	Reasons []Reasons

	records *records
	length  int
}

// NewBatch makes a batch with room for this many requests before it has to grow.
func NewBatch(capacity int) *Batch {
	return &Batch{records: newRecords(min(max(capacity, 1), MaxCount))}
}

// Len is how many requests the batch has.
func (b *Batch) Len() int { return b.length }

// Reset empties the batch and takes its ID away; the memory stays.
func (b *Batch) Reset() {
	b.length, b.ID = 0, ""
	if b.records != nil {
		b.records.reset()
	}
}

// Add puts requests at the end; they are copied, their terms too. One whose id is longer than
// MaxIDLength is refused with [ErrIDLength], one under more limits than MaxLimits with
// [ErrTooManyLimits], and those before it have been added; everything else is looked at when the batch
// is reserved.
func (b *Batch) Add(requests ...Request) error {
	return b.add("Add", requests)
}

func (b *Batch) add(op string, requests []Request) error {
	if b.length+len(requests) > MaxCount {
		return wrong(op, "requests", ErrCount, b.length+len(requests), MaxCount)
	}
	b.grow(b.length + len(requests))
	for k := range requests {
		if length := len(requests[k].ID); length > MaxIDLength {
			return &Error{Op: op, Arg: "ID", Status: ErrIDLength, Given: int64(length), Limit: MaxIDLength, Index: k}
		}
		if limits := requests[k].Terms.limitCount(); limits > MaxLimits {
			return &Error{Op: op, Arg: "Terms.Limits", Status: ErrTooManyLimits, Given: int64(limits), Limit: MaxLimits, Index: k}
		}
		b.records.set(b.length, &requests[k])
		b.length++
	}
	return nil
}

func (b *Batch) grow(capacity int) {
	if b.records != nil && capacity <= len(b.records.list) {
		return
	}
	old := b.records
	b.records = newRecords(max(capacity, 2*b.length, 16))
	if old == nil {
		return
	}
	for k := range b.length {
		from := old.list[k]
		b.records.list[k] = from
		to := unsafe.Add(b.records.ids.start, k*MaxIDLength)
		copy(unsafe.Slice((*byte)(to), MaxIDLength),
			unsafe.Slice((*byte)(unsafe.Add(old.ids.start, k*MaxIDLength)), from.idLength))
		b.records.list[k].id = uintptr(to)
	}
	if old.terms != nil {
		b.records.makeRooms()
		for k := range b.length {
			if old.list[k].terms != 0 {
				b.records.rooms[k] = old.rooms[k]
				b.records.point(k)
			}
		}
	}
	b.records.keys, b.records.keysUsed = old.keys, old.keysUsed
}

// SetID gives request k of the batch another id.
func (b *Batch) SetID(k int, id string) error {
	if k < 0 || k >= b.length {
		return wrong("SetID", "k", ErrCount, k, b.length)
	}
	if len(id) > MaxIDLength {
		return wrong("SetID", "id", ErrIDLength, len(id), MaxIDLength)
	}
	b.records.setID(k, id)
	return nil
}

// SetTerms puts request k of the batch under other terms, which are copied; nil: under none. A batch
// that is filled once gets new deadlines so.
func (b *Batch) SetTerms(k int, terms *Terms) error {
	if k < 0 || k >= b.length {
		return wrong("SetTerms", "k", ErrCount, k, b.length)
	}
	if limits := terms.limitCount(); limits > MaxLimits {
		return wrong("SetTerms", "Limits", ErrTooManyLimits, limits, MaxLimits)
	}
	b.records.setTerms(k, terms)
	return nil
}

func (b *Batch) check(op string, results []Result) error {
	switch {
	case b == nil:
		return &Error{Op: op, Arg: "batch", Status: ErrNullPointer}
	case len(results) != b.length:
		return wrong(op, "len(results)", ErrCount, len(results), b.length)
	case b.Reasons != nil && len(b.Reasons) != b.length:
		return wrong(op, "len(Reasons)", ErrCount, len(b.Reasons), b.length)
	}
	b.grow(1)
	return nil
}

// ReserveBatch reserves for the requests of a batch in one call, and writes one result each to
// results, which is as long as the batch. It does not allocate.
//
// The error is nil also where requests were refused; each result has its own status. Where it is
// not, nothing was placed, and results are as they were: [ErrInFlight] while another goroutine is
// doing the batch of this id, [ErrOtherBatch], and what can be wrong with a batch.
func (e *Engine) ReserveBatch(batch *Batch, results []Result) (Done, error) {
	if err := batch.check("ReserveBatch", results); err != nil {
		return Done{}, err
	}
	done, err := cReserveBatch("ReserveBatch", e.get(), batch.records.requests.start, batch.length,
		batch.Mode, batch.ID, results, batch.Reasons)
	runtime.KeepAlive(batch)
	runtime.KeepAlive(e)
	return done, err
}

// DryRun is what ReserveBatch would do now, if the reservations of credited were gone; it changes
// nothing. Of a request that would be placed, Worker and Version say where it would go and at which
// version that worker was looked at; its Ticket is 0 unless its id is held already. The batch has no
// ID. It allocates in C.
func (e *Engine) DryRun(batch *Batch, credited []Ticket, results []Result) (Done, error) {
	if err := batch.check("DryRun", results); err != nil {
		return Done{}, err
	}
	done, err := cDryRun("DryRun", e.get(), batch.records.requests.start, batch.length, batch.Mode,
		batch.ID, credited, results, batch.Reasons)
	runtime.KeepAlive(batch)
	runtime.KeepAlive(e)
	return done, err
}

var batches = sync.Pool{New: func() any { return NewBatch(64) }}

// ReserveMany is ReserveBatch of a slice of requests, each for itself. A batch of its own spares the
// copy.
func (e *Engine) ReserveMany(requests []Request, results []Result) (Done, error) {
	return e.many("ReserveMany", requests, Independent, results)
}

// ReserveGang is ReserveMany, all or none: a gang that does not fit leaves every worker as it was. A
// peer of one that was refused has the status [ErrPeer].
func (e *Engine) ReserveGang(requests []Request, results []Result) (Done, error) {
	return e.many("ReserveGang", requests, AllOrNothing, results)
}

func (e *Engine) many(op string, requests []Request, mode Mode, results []Result) (Done, error) {
	if len(results) != len(requests) {
		return Done{}, wrong(op, "len(results)", ErrCount, len(results), len(requests))
	}
	batch := batches.Get().(*Batch)
	defer batches.Put(batch)
	batch.Reset()
	batch.Mode = mode
	if err := batch.add(op, requests); err != nil {
		return Done{}, err
	}
	done, err := cReserveBatch(op, e.get(), batch.records.requests.start, batch.length, mode, "", results, nil)
	runtime.KeepAlive(batch)
	runtime.KeepAlive(e)
	return done, err
}

// Columns are requests as columns of numbers, and columns for their results: what a host has that
// keeps its requests that way. Statuses decides how many there are; every other column is as long, or
// nil. What no column gives, Common does. No column may overlap one that is written, and none may be
// changed during the call.
type Columns struct {
	// Mode of the batch.
	Mode Mode
	// Common is what all have in common, its Terms too; its ID is empty.
	Common Request
	// IDs are the bytes of all ids. nil: all are anonymous.
	IDs []byte
	// IDOffsets, one more than there are requests, rise: id k lies from IDs[IDOffsets[k]] up to
	// IDs[IDOffsets[k+1]]. nil: ids have a fixed width.
	IDOffsets []uint64
	// IDWidth, without offsets: the width of an id; NULs at its end do not count.
	IDWidth int
	// CPU in millicores.
	CPU []int64
	// Memory in MiB.
	Memory []int64
	// GPUs, whole.
	GPUs []int64
	// Selectors of requests.
	Selectors []Selector
	// Hashes say where the probes start.
	Hashes []uint64
	// Tickets gets the tickets; 0 for requests that were not placed.
	Tickets []Ticket
	// Workers gets the workers; 0 for requests that were not placed.
	Workers []Worker
	// Versions gets the versions that the reservations made.
	Versions []uint64
	// Statuses gets the status of each.
	Statuses []Status
	// BatchID as [Batch] ID.
	BatchID string
}

// ReserveColumns reserves for many requests in one call, from columns into columns. It does not
// allocate. Otherwise as ReserveBatch.
func (e *Engine) ReserveColumns(columns *Columns) (Done, error) {
	const op = "ReserveColumns"
	if columns == nil {
		return Done{}, &Error{Op: op, Arg: "columns", Status: ErrNullPointer}
	}
	count := len(columns.Statuses)
	// Not nil and empty is wrong, too: C would take its address for a column.
	for k, length := range [...]int{
		lengthOr(columns.CPU, count), lengthOr(columns.Memory, count), lengthOr(columns.GPUs, count),
		lengthOr(columns.Selectors, count), lengthOr(columns.Hashes, count),
		lengthOr(columns.Tickets, count), lengthOr(columns.Workers, count),
		lengthOr(columns.Versions, count),
	} {
		if length != count {
			return Done{}, wrong(op, columnNames[k], ErrCount, length, count)
		}
	}
	if columns.Common.ID != "" {
		return Done{}, wrong(op, "Common.ID", ErrUnknownValue, len(columns.Common.ID), 0)
	}
	if columns.IDs != nil {
		switch {
		case columns.IDOffsets == nil && (columns.IDWidth < 0 || columns.IDWidth > MaxIDLength):
			return Done{}, wrong(op, "IDWidth", ErrIDLength, columns.IDWidth, MaxIDLength)
		case columns.IDOffsets == nil && len(columns.IDs) != count*columns.IDWidth:
			return Done{}, wrong(op, "len(IDs)", ErrCount, len(columns.IDs), count*columns.IDWidth)
		case columns.IDOffsets != nil && len(columns.IDOffsets) != count+1:
			return Done{}, wrong(op, "len(IDOffsets)", ErrCount, len(columns.IDOffsets), count+1)
		case columns.IDOffsets != nil && columns.IDOffsets[count] > uint64(len(columns.IDs)):
			return Done{}, wrong(op, "IDOffsets", ErrOffsets, int(columns.IDOffsets[count]), len(columns.IDs))
		}
	} else if columns.IDOffsets != nil || columns.IDWidth != 0 {
		return Done{}, &Error{Op: op, Arg: "IDs", Status: ErrNullPointer}
	}
	statuses := columns.Statuses
	if statuses == nil { // C wants an address, also of none.
		statuses = noStatuses[:0]
	}
	done, err := cReserveColumns(op, e.get(), columns, statuses)
	runtime.KeepAlive(e)
	return done, err
}

var noStatuses [1]Status

func lengthOr[T any](column []T, count int) int {
	if column == nil {
		return count
	}
	return len(column)
}

var columnNames = [...]string{
	"len(CPU)", "len(Memory)", "len(GPUs)", "len(Selectors)", "len(Hashes)", "len(Tickets)",
	"len(Workers)", "len(Versions)",
}
