package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
)

func newServer(t *testing.T) (*slotwise.Engine, *Service, string) {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		t.Fatal(err)
	}
	service := NewService(engine)
	server := httptest.NewServer(service)
	t.Cleanup(func() {
		server.Close()
		engine.Close()
	})
	return engine, service, server.URL
}

func TestService(t *testing.T) {
	_, service, url := newServer(t)
	for _, step := range []struct {
		method, path, body string
		code               int
		has                string
	}{
		{"POST", "/workers", `{"id": "w", "cpu": 1000, "memory": 1000, "pool": "web"}`, 201, `"ID":"w"`},
		{"POST", "/workers", `{"id": "w", "cpu": 1000, "memory": 1000}`, 409, "registered"},
		{"POST", "/workers", `{"id": "x", "cpu": -1, "memory": 1000}`, 422, "given -1"},
		{"GET", "/workers", "", 200, `"Pool"`},
		{"POST", "/jobs", `{"id": "a", "cpu": 600, "memory": 10, "pool": "web"}`, 201, `"worker":"w"`},
		{"POST", "/jobs", `{"id": "a", "cpu": 600, "memory": 10}`, 201, `"existing":true`},
		{"POST", "/jobs", `{"id": "b", "cpu": 600, "memory": 10}`, 503, "short of cpu"},
		{"POST", "/jobs", `{"id": "b", "cpu": 600, "memory": 10, "wait_ms": 20}`, 503, "short of cpu"},
		{"POST", "/jobs", `{"id": "b", "cpu": 6000, "memory": 10}`, 422, "never"},
		{"POST", "/jobs", `{"id": "b", "cpu": 6, "memory": 10, "pool": "nope"}`, 422, "never"},
		{"POST", "/jobs", `{"id": "", "cpu": 6, "memory": 10}`, 422, "id"},
		{"POST", "/jobs", `{"id": "` + strings.Repeat("x", 65) + `", "cpu": 6}`, 422, "given 65, limit 64"},
		{"POST", "/jobs", `{"cpu": "many"}`, 400, "error"},
		{"POST", "/jobs", `{"id": "b", "cpu": 1, "run_ms": -1}`, 422, "run_ms"},
		{"GET", "/jobs/a", "", 200, `"worker":"w"`},
		{"GET", "/jobs/b", "", 404, "error"},
		{"DELETE", "/jobs/a", "", 200, `"CPU":600`},
		{"DELETE", "/jobs/a", "", 404, "error"},
		{"POST", "/jobs", `{"id": "c", "cpu": 6, "memory": 10, "run_ms": 5}`, 201, `"worker":"w"`},
		{"POST", "/workers/w/cordon", "", 200, `"State":3`},
		{"POST", "/jobs", `{"id": "d", "cpu": 6, "memory": 10}`, 503, "not ready"},
		{"POST", "/workers/w/uncordon", "", 200, `"State":2`},
		{"POST", "/jobs", `{"id": "d", "cpu": 6, "memory": 10}`, 201, "w"},
		{"POST", "/workers/nobody/drain", "", 404, "error"},
		{"GET", "/metrics", "", 200, `slotwise_requests_total{result="placed"} 3`},
		{"GET", "/debug/vars", "", 200, `"placed":3`},
		{"DELETE", "/workers/w", "", 200, `"d"`},
		{"GET", "/healthz", "", 200, "ok"},
	} {
		if step.path == "/workers" && step.method == "GET" {
			step.has = `"Worker":`
		}
		request, err := http.NewRequest(step.method, url+step.path, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != step.code || !strings.Contains(string(text), step.has) {
			t.Errorf("%s %s %s: %d %s %v", step.method, step.path, step.body, response.StatusCode, text, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := service.Wait(ctx); err != nil {
		t.Error(err)
	}
}

// 64 goroutines send jobs; the service stops in good order, and the books add up.
func TestUnderLoad(t *testing.T) {
	if err := run(context.Background(), "127.0.0.1:0", 4, 64, 500*time.Millisecond, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	engine, _, url := newServer(t)
	if _, err := engine.AddWorker(slotwise.WorkerSpec{ID: "w", Total: slotwise.Resources{CPU: 8_000, Memory: 32_768}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	load := Generate(ctx, url, 64)
	t.Log(load)
	if load.Placed == 0 || load.Failed > 0 {
		t.Error(load)
	}
}
