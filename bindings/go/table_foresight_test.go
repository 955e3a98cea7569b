package slotwise_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// doForeseen does a line that asks what would be, or why.
func (r *tableRun) doForeseen(t *testing.T, line tableLine) (fields, bool) {
	in, e := line.in, r.engine
	got := fields{}
	switch line.op {
	case "explain":
		explained, err := e.Explain(r.request(t, in))
		must(t, err)
		got["status"], got["worker"] = explained.Status.String(), orNone(r.ids[explained.Worker])
		got["outlook"] = explained.Outlook.String()
		got["fitting"] = strconv.Itoa(explained.Fitting)
		got["not_matching"] = fmt.Sprint(explained.Reasons.NotMatching)
		got["nearest"] = orNone(r.ids[explained.Nearest.Worker])
		amounts(got, "missing", explained.Nearest.Missing)
	case "replicas":
		var supposition slotwise.Supposition
		for _, id := range in.list("credit") {
			supposition.Credited = append(supposition.Credited, r.tickets[id])
		}
		for _, id := range in.list("without") {
			worker, err := e.FindWorker(id)
			must(t, err)
			supposition.Without = append(supposition.Without, worker)
		}
		for k := range in.number(t, "added") {
			supposition.Added = append(supposition.Added, slotwise.WorkerSpec{
				ID: fmt.Sprint("added-", k), Total: slotwise.Resources{CPU: in.number(t, "added_cpu"), Memory: in.number(t, "added_memory")},
			})
		}
		fit, err := e.Replicas(r.request(t, in), int(in.number(t, "n")), supposition)
		must(t, err)
		got["fit"] = strconv.Itoa(fit)
	case "demand":
		demand, err := e.UnmetDemand(slotwise.WorkerSpec{Total: in.need(t)}, uint64(in.number(t, "since")))
		must(t, err)
		var sum slotwise.Demand
		for _, one := range demand {
			sum.Requests += one.Requests
			sum.Joining += one.Joining
			sum.Packed += one.Packed
			sum.Workers += one.Workers
			sum.Unservable += one.Unservable
		}
		got["requests"], got["joining"], got["packed"] = fmt.Sprint(sum.Requests), fmt.Sprint(sum.Joining), fmt.Sprint(sum.Packed)
		got["workers"], got["unservable"] = fmt.Sprint(sum.Workers), fmt.Sprint(sum.Unservable)
	case "forget":
		forgotten, err := e.ForgetUnmet(in["id"])
		must(t, err)
		got["forgotten"] = flag(forgotten)
	default:
		return nil, false
	}
	return got, true
}
