package slotwise_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// Steps of the table about what requests may come under, about the clock, preemption, hand-offs and devices.

// terms of a step; nil where it names none of them.
func (r *tableRun) terms(t *testing.T, in fields) *slotwise.Terms {
	t.Helper()
	terms := slotwise.Terms{
		HoldUntil: uint64(in.number(t, "hold")), Priority: int32(in.number(t, "priority")),
		Preemptable: in["preemptable"] == "1",
	}
	named := false
	for _, key := range []string{"hold", "priority", "preemptable", "account", "limits", "device_count"} {
		_, is := in[key]
		named = named || is
	}
	if !named {
		return nil
	}
	if name, is := in["account"]; is {
		if terms.Account = r.accounts[name]; terms.Account == 0 {
			t.Fatalf("account %q", name)
		}
	}
	for _, limit := range in.list("limits") {
		name, atMost, _ := strings.Cut(limit, ":")
		group, is := r.groups[name]
		n, err := strconv.ParseUint(atMost, 10, 32)
		if !is || err != nil {
			t.Fatalf("limit %q", limit)
		}
		terms.Limits = append(terms.Limits, slotwise.Limit{Group: group, AtMost: uint32(n)})
	}
	if _, is := in["device_count"]; is {
		island, is := map[string]slotwise.Island{
			"": slotwise.IslandAny, "any": slotwise.IslandAny, "prefer": slotwise.IslandPrefer, "insist": slotwise.IslandInsist,
		}[in["island"]]
		if !is {
			t.Fatalf("island %q", in["island"])
		}
		terms.Devices = slotwise.WholeDevices(uint32(in.number(t, "device_count")), island)
		terms.Devices.Memory = uint64(in.number(t, "device_memory"))
		if _, is := in["device_milli"]; is {
			terms.Devices.Milli = uint32(in.number(t, "device_milli"))
		}
	}
	return &terms
}

// sorted ids of what ended, as the table has them.
func sortedIDs[T any](list []T, id func(T) string) string {
	var ids []string
	for _, one := range list {
		ids = append(ids, id(one))
	}
	slices.Sort(ids)
	return orNone(strings.Join(ids, ","))
}

func lostID(lost slotwise.Lost) string { return lost.ID }

func (r *tableRun) doOnTerms(t *testing.T, line tableLine) fields {
	in, e := line.in, r.engine
	got := fields{}
	status := func(err error) { got["status"] = statusOf(err).String() }
	switch line.op {
	case "tick":
		ticked, err := e.Tick(uint64(in.number(t, "now")))
		status(err)
		now, err := e.Now()
		must(t, err)
		got["now"] = strconv.FormatUint(now, 10)
		got["expired"] = sortedIDs(ticked.Expired, func(one slotwise.Expired) string { return one.ID })
		got["workers"] = sortedIDs(ticked.Workers, func(one slotwise.LostWorker) string { return one.ID })
		var lost []slotwise.Lost
		for _, worker := range ticked.Workers {
			lost = append(lost, worker.Lost...)
		}
		got["lost"] = sortedIDs(lost, lostID)
	case "confirm":
		placed, err := e.ConfirmID(in["id"])
		r.placed(got, in["id"], placed, err)
	case "confirm_ticket":
		placed, err := e.Confirm(r.tickets[in["of"]])
		r.placed(got, in["of"], placed, err)
	case "deadline":
		deadline, err := e.Deadline(r.tickets[in["of"]])
		status(err)
		got["deadline"] = strconv.FormatUint(deadline, 10)
	case "heartbeat":
		status(e.Heartbeat(in["id"], uint64(in.number(t, "until"))))
	case "hand_off":
		handed, err := e.HandOff(in["expected"], in["real"])
		status(err)
		if err == nil {
			r.ids[handed.Worker] = in["real"]
		}
		got["worker"], got["moved"] = orNone(r.ids[handed.Worker]), strconv.Itoa(handed.Moved)
		got["lost"] = sortedIDs(handed.Lost, lostID)
	case "account":
		account, err := e.Account(in["name"])
		status(err)
		must(t, err)
		r.accounts[in["name"]] = account
		limit := func(key string) int64 {
			if _, is := in[key]; !is {
				return slotwise.Unlimited
			}
			return in.number(t, key)
		}
		must(t, e.SetQuota(account, slotwise.Quota{CPU: limit("cpu"), Memory: limit("memory"), GPUs: limit("gpus")}))
	case "usage":
		usage, err := e.Usage(r.accounts[in["name"]])
		status(err)
		got["cpu"], got["memory"] = strconv.FormatInt(usage.Used.CPU, 10), strconv.FormatInt(usage.Used.Memory, 10)
		got["gpus"] = strconv.FormatInt(usage.Used.GPUs, 10)
	case "spread":
		scope, is := map[string]slotwise.Scope{
			"worker": slotwise.WorkerScope(), "machine": slotwise.MachineScope(), "label": slotwise.LabelScope(in["label"]),
		}[in["scope"]]
		if !is {
			t.Fatalf("line %d: scope=%s", line.number, in["scope"])
		}
		group, err := e.SpreadGroup(in["name"], scope)
		status(err)
		r.groups[in["name"]] = group
	case "spread_count":
		worker, err := e.FindWorker(in["worker"])
		must(t, err)
		count, err := e.SpreadCount(r.groups[in["name"]], worker)
		status(err)
		got["count"] = strconv.Itoa(count)
	case "plan":
		plan, err := e.PlanPreemption(r.request(t, in))
		status(err)
		r.plans[in["name"]] = plan
		got["worker"], got["version"] = orNone(r.ids[plan.Worker]), strconv.FormatUint(plan.Version, 10)
		got["victims"] = sortedIDs(plan.Victims, func(one slotwise.Victim) string { return one.ID })
		got["leaving"] = strconv.Itoa(len(plan.Leaving))
	case "preempt":
		plan, is := r.plans[in["plan"]]
		if !is {
			t.Fatalf("line %d: plan=%s", line.number, in["plan"])
		}
		placed, err := e.Preempt(r.request(t, in), plan)
		r.placed(got, in["id"], placed, err)
	case "granted":
		granted, err := e.Granted(r.tickets[in["of"]])
		status(err)
		var places []string
		for place := range granted.Devices.All() {
			places = append(places, strconv.Itoa(place))
		}
		got["devices"] = orNone(strings.Join(places, ","))
		got["milli"] = strconv.FormatUint(uint64(granted.Milli), 10)
		got["memory"] = strconv.FormatUint(granted.Memory, 10)
	case "devices":
		worker, err := e.FindWorker(in["id"])
		must(t, err)
		states, err := e.WorkerDevices(worker)
		status(err)
		var free []string
		for _, state := range states {
			free = append(free, fmt.Sprintf("%d:%d", state.FreeMilli, state.FreeMemory))
		}
		got["free"] = orNone(strings.Join(free, ","))
	default:
		t.Fatalf("line %d: unknown operation %q", line.number, line.op)
	}
	return got
}

// told adds what an error has of terms.
func told(got fields, err error) {
	var failed *slotwise.Error
	if !errors.As(err, &failed) {
		return
	}
	switch failed.Status {
	case slotwise.ErrQuotaExceeded:
		got["used"], got["limit"] = strconv.FormatInt(failed.Given, 10), strconv.FormatInt(failed.Limit, 10)
	case slotwise.ErrWaiting:
		got["left"] = strconv.FormatInt(failed.Given, 10)
	}
}
