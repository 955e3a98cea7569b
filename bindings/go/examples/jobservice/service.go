package main

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
	"github.com/slotwise/slotwise/bindings/go/slotwisemetrics"
)

// A Service accepts jobs over HTTP and places them. Who runs where is the engine's to know: the
// service keeps no table of its own.
type Service struct {
	engine    *slotwise.Engine
	mux       *http.ServeMux
	variables expvar.Var

	selectors sync.Map // Of pool names: compiled once, used by every job that names the pool.
	running   sync.WaitGroup
}

// NewService serves an engine.
func NewService(engine *slotwise.Engine) *Service {
	s := &Service{engine: engine, mux: http.NewServeMux(), variables: slotwisemetrics.Var(engine)}
	s.mux.HandleFunc("POST /jobs", s.submit)
	s.mux.HandleFunc("GET /jobs/{id}", s.job)
	s.mux.HandleFunc("DELETE /jobs/{id}", s.finish)
	s.mux.HandleFunc("GET /workers", s.workers)
	s.mux.HandleFunc("POST /workers", s.register)
	s.mux.HandleFunc("DELETE /workers/{id}", s.remove)
	for verb, turn := range map[string]func(string) (slotwise.WorkerInfo, error){
		"ready": engine.Ready, "cordon": engine.Cordon, "uncordon": engine.Uncordon, "drain": engine.Drain,
	} {
		s.mux.HandleFunc("POST /workers/{id}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			info, err := turn(r.PathValue("id"))
			answer(w, http.StatusOK, info, err)
		})
	}
	s.mux.HandleFunc("GET /metrics", s.metrics)
	s.mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"slotwise\": %s}\n", s.variables)
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return s
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Wait until no job with a time of its own runs any more, or the context is done.
func (s *Service) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Job as clients send it.
type Job struct {
	ID     string `json:"id"`
	CPU    int64  `json:"cpu"`    // Millicores.
	Memory int64  `json:"memory"` // MiB.
	GPUs   int64  `json:"gpus"`
	Pool   string `json:"pool"`
	// Image is what the job runs: jobs of one image keep landing where it is already.
	Image string `json:"image"`
	// RunMS: it ends by itself after so long; 0: with DELETE /jobs/{id}.
	RunMS int64 `json:"run_ms"`
	// WaitMS: how long it may wait for room.
	WaitMS int64 `json:"wait_ms"`
}

// Placed is the answer to a job.
type Placed struct {
	ID       string `json:"id"`
	Worker   string `json:"worker"`
	Version  uint64 `json:"version"`
	Existing bool   `json:"existing"`
}

// longest is the most a job may ask to wait or run, in ms.
const longest = int64(time.Hour / time.Millisecond)

func (s *Service) submit(w http.ResponseWriter, r *http.Request) {
	var job Job
	if !read(w, r, &job) {
		return
	}
	if job.ID == "" || job.RunMS < 0 || job.WaitMS < 0 || job.RunMS > longest || job.WaitMS > longest {
		fail(w, http.StatusUnprocessableEntity, "a job has an id, and run_ms and wait_ms of at most an hour")
		return
	}
	selector, err := s.selector(job.Pool)
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	request := slotwise.Request{
		ID: job.ID, Need: slotwise.Resources{CPU: job.CPU, Memory: job.Memory, GPUs: job.GPUs},
		Selector: selector, Key: job.Image,
	}
	var placed slotwise.Reservation
	if job.WaitMS > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), time.Duration(job.WaitMS)*time.Millisecond)
		placed, err = s.engine.ReserveWait(ctx, request)
		cancel()
	} else {
		placed, err = s.engine.Reserve(request)
	}
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	if job.RunMS > 0 && !placed.Existing {
		s.running.Add(1)
		time.AfterFunc(time.Duration(job.RunMS)*time.Millisecond, func() {
			defer s.running.Done()
			// By ticket: a job of the same id that came later is another one. That it may be gone
			// already, by DELETE or with its worker, is no error.
			_, _ = s.engine.Release(placed.Ticket)
		})
	}
	s.placed(w, http.StatusCreated, job.ID, placed)
}

func (s *Service) placed(w http.ResponseWriter, code int, id string, placed slotwise.Reservation) {
	info, err := s.engine.WorkerInfo(placed.Worker)
	answer(w, code, Placed{id, info.ID, placed.Version, placed.Existing}, err)
}

func (s *Service) selector(pool string) (slotwise.Selector, error) {
	if pool == "" {
		return slotwise.AnyWorker, nil
	}
	if known, ok := s.selectors.Load(pool); ok {
		return known.(slotwise.Selector), nil
	}
	selector, err := s.engine.Selector(slotwise.Constraints{Pools: []string{pool}})
	if err == nil {
		s.selectors.Store(pool, selector)
	}
	return selector, err
}

func (s *Service) job(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	placed, err := s.engine.Reservation(id)
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	s.placed(w, http.StatusOK, id, placed)
}

func (s *Service) finish(w http.ResponseWriter, r *http.Request) {
	released, err := s.engine.ReleaseID(r.PathValue("id"))
	answer(w, http.StatusOK, released.Amount, err)
}

// Worker as clients register it.
type Worker struct {
	ID      string            `json:"id"`
	CPU     int64             `json:"cpu"`
	Memory  int64             `json:"memory"`
	GPUs    int64             `json:"gpus"`
	GPUType string            `json:"gpu_type"`
	Pool    string            `json:"pool"`
	Labels  map[string]string `json:"labels"`
	Pending bool              `json:"pending"`
}

func (s *Service) register(w http.ResponseWriter, r *http.Request) {
	var worker Worker
	if !read(w, r, &worker) {
		return
	}
	_, err := s.engine.AddWorker(slotwise.WorkerSpec{
		ID: worker.ID, Total: slotwise.Resources{CPU: worker.CPU, Memory: worker.Memory, GPUs: worker.GPUs},
		GPUType: worker.GPUType, Pool: worker.Pool, Labels: worker.Labels, Pending: worker.Pending,
	})
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	info, err := s.engine.WorkerByID(worker.ID)
	answer(w, http.StatusCreated, info, err)
}

func (s *Service) workers(w http.ResponseWriter, _ *http.Request) {
	infos, err := s.engine.ListWorkers()
	if infos == nil {
		infos = []slotwise.WorkerInfo{}
	}
	answer(w, http.StatusOK, infos, err)
}

// What was held there is told: those jobs have to be placed again.
func (s *Service) remove(w http.ResponseWriter, r *http.Request) {
	lost, err := s.engine.RemoveWorker(r.PathValue("id"))
	ids := make([]string, len(lost))
	for k := range lost {
		ids[k] = lost[k].ID
	}
	answer(w, http.StatusOK, map[string][]string{"lost": ids}, err)
}

func (s *Service) metrics(w http.ResponseWriter, _ *http.Request) {
	values, err := slotwisemetrics.Read(s.engine)
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	line := func(kind, name, labels string, value any) {
		fmt.Fprintf(w, "# TYPE slotwise_%s %s\nslotwise_%s%s %v\n", name, kind, name, labels, value)
	}
	line("gauge", "workers", "", values.Workers)
	line("gauge", "reservations", "", values.Reservations)
	line("counter", "requests_total", `{result="placed"}`, values.Placed)
	fmt.Fprintf(w, "slotwise_requests_total{result=\"busy\"} %d\n", values.Busy)
	fmt.Fprintf(w, "slotwise_requests_total{result=\"never\"} %d\n", values.Never)
	line("counter", "released_total", "", values.Released)
	line("counter", "cas_retries_total", "", values.CASRetries)
}

func read(w http.ResponseWriter, r *http.Request, to any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

// codes are what a refusal means to a client: come again (503), never (422), not there (404).
var codes = map[slotwise.Status]int{
	slotwise.ErrBusy: http.StatusServiceUnavailable, slotwise.ErrInFlight: http.StatusServiceUnavailable,
	slotwise.ErrContended: http.StatusServiceUnavailable, slotwise.ErrLedgerFull: http.StatusServiceUnavailable,
	slotwise.ErrClosed: http.StatusServiceUnavailable, slotwise.ErrTableFull: http.StatusServiceUnavailable,
	slotwise.ErrNotHeld: http.StatusNotFound, slotwise.ErrUnknownWorker: http.StatusNotFound,
	slotwise.ErrDuplicateWorker: http.StatusConflict, slotwise.ErrPanic: http.StatusInternalServerError,
}

func answer(w http.ResponseWriter, code int, body any, err error) {
	if err != nil {
		var status slotwise.Status
		errors.As(err, &status)
		code, ok := codes[status]
		if !ok {
			code = http.StatusUnprocessableEntity
		}
		if code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		fail(w, code, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // The client has gone, if it fails.
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}
