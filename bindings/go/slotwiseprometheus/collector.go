// Package slotwiseprometheus collects an engine's counters for Prometheus. It is a module of its own,
// so that the binding has no dependencies.
package slotwiseprometheus

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/slotwise/slotwise/bindings/go"
)

// A Collector reads an engine's counters each time that it is asked.
type Collector struct {
	engine *slotwise.Engine

	workers, reservations, requests, released, resized, retries, conflicts, rollbacks, probes *prometheus.Desc
	confirmed, expired, preempted                                                             *prometheus.Desc
}

// New makes one. labels, such as {"cluster": "a"}, tell several engines apart.
func New(engine *slotwise.Engine, labels prometheus.Labels) *Collector {
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("slotwise_"+name, help, variable, labels)
	}
	return &Collector{
		engine:       engine,
		workers:      desc("workers", "Registered workers."),
		reservations: desc("reservations", "Live reservations."),
		requests:     desc("requests_total", "Requests by what became of them: placed, existing, busy, never.", "result"),
		released:     desc("released_total", "Reservations given back."),
		resized:      desc("resized_total", "Reservations made larger or smaller."),
		retries:      desc("cas_retries_total", "Changes of a slot done again inside: contention, which no caller sees."),
		conflicts:    desc("version_conflicts_total", "Version conflicts returned to callers who asked for a version."),
		rollbacks:    desc("gang_rollbacks_total", "All-or-nothing batches undone and planned anew."),
		probes:       desc("probes", "Candidates looked at per request."),
		confirmed:    desc("confirmed_total", "Provisional reservations that were confirmed."),
		expired:      desc("expired_total", "Provisional reservations that were not confirmed in time, and have ended."),
		preempted:    desc("preempted_total", "Reservations that were told to leave by preemptions."),
	}
}

// Describe is of prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect is of prometheus.Collector. An engine that is closed has an error in place of its counters.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	stats, err := c.engine.Stats()
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.requests, err)
		return
	}
	workers, reservations, err := c.engine.Counts()
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.workers, err)
		return
	}
	to <- prometheus.MustNewConstMetric(c.workers, prometheus.GaugeValue, float64(workers))
	to <- prometheus.MustNewConstMetric(c.reservations, prometheus.GaugeValue, float64(reservations))
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	count(c.requests, stats.Placed, "placed")
	count(c.requests, stats.Existing, "existing")
	count(c.requests, stats.Busy, "busy")
	count(c.requests, stats.Never, "never")
	count(c.released, stats.Released)
	count(c.resized, stats.Resized)
	count(c.retries, stats.CASRetries)
	count(c.conflicts, stats.VersionConflicts)
	count(c.rollbacks, stats.GangRollbacks)
	count(c.confirmed, stats.Confirmed)
	count(c.expired, stats.Expired)
	count(c.preempted, stats.Preempted)

	// Entry k has requests that looked at fewer than 2^k candidates; a bucket has all up to its bound.
	buckets, total, sum := map[float64]uint64{}, uint64(0), 0.0
	for k, requests := range stats.Probes {
		bound := math.Exp2(float64(k)) - 1
		total += requests
		sum += bound * float64(requests) // At most; the exact sum is not counted.
		buckets[bound] = total
	}
	to <- prometheus.MustNewConstHistogram(c.probes, total, sum, buckets)
}
