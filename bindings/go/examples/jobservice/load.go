package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Load is what the load generator saw.
type Load struct {
	Placed, Busy, Failed int
	Took                 time.Duration
	latencies            []time.Duration
}

func (l *Load) at(quantile float64) time.Duration {
	if len(l.latencies) == 0 {
		return 0
	}
	return l.latencies[min(int(quantile*float64(len(l.latencies))), len(l.latencies)-1)]
}

func (l *Load) String() string {
	return fmt.Sprintf("%d jobs placed, %d told busy, %d failed, in %v: %.0f a second; half of them within %v, 99 %% within %v",
		l.Placed, l.Busy, l.Failed, l.Took.Round(time.Millisecond), float64(l.Placed+l.Busy)/l.Took.Seconds(),
		l.at(0.5).Round(time.Microsecond), l.at(0.99).Round(time.Microsecond))
}

// Generate jobs from so many goroutines until the context is done. Each ends half of its jobs itself and
// leaves the others to their time.
func Generate(ctx context.Context, url string, goroutines int) *Load {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: goroutines, MaxConnsPerHost: goroutines}}
	defer client.CloseIdleConnections()
	start := time.Now()
	loads := make([]Load, goroutines)
	var group sync.WaitGroup
	for g := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := 0; ctx.Err() == nil; k++ {
				loads[g].one(client, url, fmt.Sprintf("load-%d-%d", g, k))
			}
		}()
	}
	group.Wait()
	sum := &Load{Took: time.Since(start)}
	for _, load := range loads {
		sum.Placed += load.Placed
		sum.Busy += load.Busy
		sum.Failed += load.Failed
		sum.latencies = append(sum.latencies, load.latencies...)
	}
	slices.Sort(sum.latencies)
	return sum
}

func (l *Load) one(client *http.Client, url, id string) {
	job := Job{
		ID: id, CPU: 100 + rand.Int64N(1900), Memory: 128 + rand.Int64N(4096),
		Image: fmt.Sprintf("image-%d", rand.IntN(50)), RunMS: 20 + rand.Int64N(200),
	}
	body, err := json.Marshal(job)
	if err != nil {
		panic(err)
	}
	start := time.Now()
	code := ask(client, http.MethodPost, url+"/jobs", body)
	l.latencies = append(l.latencies, time.Since(start))
	switch code {
	case http.StatusCreated:
		l.Placed++
		if rand.IntN(2) == 0 {
			if code := ask(client, http.MethodDelete, url+"/jobs/"+id, nil); code != http.StatusOK && code != http.StatusNotFound {
				l.Failed++
			}
		}
	case http.StatusServiceUnavailable:
		l.Busy++
	default:
		l.Failed++
	}
}

func ask(client *http.Client, method, url string, body []byte) int {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // So that the connection can be used again.
	return response.StatusCode
}
