// Command jobservice accepts jobs over HTTP and places them on registered workers.
//
//	go run ./examples/jobservice                       # serves until it is interrupted
//	go run ./examples/jobservice -load 64 -for 2s      # with 64 goroutines of load beside it
//
//	curl localhost:8080/jobs -d '{"id": "a", "cpu": 500, "memory": 1024, "wait_ms": 1000}'
//	curl localhost:8080/workers
//	curl -X POST localhost:8080/workers/node-3/drain
//	curl localhost:8080/metrics
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/slotwise/slotwise/bindings/go"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "address; port 0 takes a free one")
	workers := flag.Int("workers", 20, "workers to begin with; more come by POST /workers")
	load := flag.Int("load", 0, "goroutines that send jobs")
	span := flag.Duration("for", 0, "stop after so long; 0: when interrupted")
	grace := flag.Duration("grace", 10*time.Second, "how long running jobs may take to end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address, *workers, *load, *span, *grace); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, workers, load int, span, grace time.Duration) error {
	engine, err := slotwise.New(slotwise.Config{})
	if err != nil {
		return err
	}
	defer engine.Close()
	for k := range workers {
		_, err := engine.AddWorker(slotwise.WorkerSpec{
			ID: fmt.Sprintf("node-%d", k), Total: slotwise.Resources{CPU: 16_000, Memory: 65_536},
		})
		if err != nil {
			return err
		}
	}
	if span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, span)
		defer cancel()
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	service := NewService(engine)
	server := &http.Server{Handler: service, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Printf("%v on http://%v", engine, listener.Addr())

	if load > 0 {
		log.Print(Generate(ctx, "http://"+listener.Addr().String(), load))
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}

	// No new jobs; those that are here may end.
	graceful, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(graceful); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := service.Wait(graceful); err != nil {
		log.Printf("jobs still run: %v", err)
	}
	audit, err := engine.Audit()
	if err != nil {
		return err
	}
	log.Printf("stopped: %v", audit)
	if !audit.OK {
		return errors.New("the books do not add up")
	}
	return nil
}
