package slotwise_test

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/slotwise/slotwise/bindings/go"
)

// TestTable does what ../../tests/cases.txt says; its head explains the words.
func TestTable(t *testing.T) {
	file, err := os.Open("../../tests/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var title string
	var lines []tableLine
	cases := 0
	run := func() {
		if title == "" {
			return
		}
		cases++
		lines := lines
		t.Run(title, func(t *testing.T) { runCase(t, lines) })
	}
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if name, is := strings.CutPrefix(text, "case "); is {
			run()
			title, lines = name, nil
			continue
		}
		lines = append(lines, parseLine(t, number, text))
	}
	run()
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if cases < 20 {
		t.Fatalf("only %d cases in the table", cases)
	}
}

type fields map[string]string

type tableLine struct {
	number   int
	op       string
	in, want fields
}

func parseLine(t *testing.T, number int, text string) tableLine {
	before, after, _ := strings.Cut(text, "->")
	words := strings.Fields(before)
	line := tableLine{number, words[0], fields{}, fields{}}
	for to, words := range map[*fields][]string{&line.in: words[1:], &line.want: strings.Fields(after)} {
		for _, word := range words {
			key, value, ok := strings.Cut(word, "=")
			if !ok {
				t.Fatalf("line %d: no key=value: %q", number, word)
			}
			(*to)[key] = value
		}
	}
	return line
}

func (f fields) number(t *testing.T, key string) int64 {
	t.Helper()
	text, ok := f[key]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s: %v", key, text, err)
	}
	return n
}

func (f fields) list(key string) []string {
	if f[key] == "" {
		return nil
	}
	return strings.Split(f[key], ",")
}

func (f fields) need(t *testing.T) slotwise.Resources {
	return slotwise.Resources{CPU: f.number(t, "cpu"), Memory: f.number(t, "memory"), GPUs: f.number(t, "gpus")}
}

var policies = map[string]slotwise.Policy{
	"": slotwise.PolicyDefault, "affinity": slotwise.Affinity, "first_fit": slotwise.FirstFit,
	"tightest_fit": slotwise.TightestFit, "spread": slotwise.Spread, "power_of_two": slotwise.PowerOfTwo,
}

type tableRun struct {
	engine    *slotwise.Engine
	selectors map[string]slotwise.Selector
	tickets   map[string]slotwise.Ticket
	ids       map[slotwise.Worker]string
	accounts  map[string]slotwise.Account
	groups    map[string]slotwise.SpreadGroup
	plans     map[string]slotwise.Preemption
}

func runCase(t *testing.T, lines []tableLine) {
	config := slotwise.Config{MaxWorkers: 1024, MaxReservations: 1024}
	if len(lines) > 0 && lines[0].op == "engine" {
		in := lines[0].in
		config.Policy = policies[in["policy"]]
		config.NoGPUSeparation = slices.Contains(in.list("flags"), "no_gpu_separation")
		config.NoReasons = slices.Contains(in.list("flags"), "no_reasons")
		lines = lines[1:]
	}
	engine, err := slotwise.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	r := &tableRun{
		engine, map[string]slotwise.Selector{}, map[string]slotwise.Ticket{}, map[slotwise.Worker]string{},
		map[string]slotwise.Account{}, map[string]slotwise.SpreadGroup{}, map[string]slotwise.Preemption{},
	}
	for _, line := range lines {
		got := r.do(t, line)
		for _, key := range slices.Sorted(maps.Keys(line.want)) {
			want := line.want[key]
			have, ok := got[key]
			if !ok {
				t.Fatalf("line %d: %s has no %s", line.number, line.op, key)
			}
			if !slices.Contains(strings.Split(want, "|"), have) {
				t.Errorf("line %d: %s: %s is %s, not %s", line.number, line.op, key, have, want)
			}
		}
	}
	audit, err := engine.Audit()
	if err != nil || !audit.OK {
		t.Errorf("%v, %v", audit, err)
	}
}

func statusOf(err error) slotwise.Status {
	var status slotwise.Status
	if err == nil {
		return slotwise.OK
	}
	if !errors.As(err, &status) {
		panic(fmt.Sprintf("no status in %T: %v", err, err))
	}
	return status
}

func (r *tableRun) do(t *testing.T, line tableLine) fields {
	in, e := line.in, r.engine
	got := fields{}
	status := func(err error) { got["status"] = statusOf(err).String() }
	switch line.op {
	case "worker":
		spec, _ := workerSpec(t, in)
		spec.ID = in["id"]
		worker, err := e.AddWorker(spec)
		status(err)
		if err == nil {
			r.ids[worker] = spec.ID
		}
	case "workers":
		specs := make([]slotwise.WorkerSpec, in.number(t, "count"))
		for k := range specs {
			specs[k], _ = workerSpec(t, in)
			specs[k].ID = in["prefix"] + strconv.Itoa(k)
		}
		added, registered, err := e.AddWorkers(specs)
		status(err)
		got["registered"] = strconv.Itoa(registered)
		for k := range added {
			r.ids[added[k].Worker] = specs[k].ID
		}
	case "update":
		spec, fields := workerSpec(t, in)
		info, err := e.UpdateWorker(in["id"], fields, spec)
		status(err)
		describe(got, info)
	case "remove":
		lost, err := e.RemoveWorker(in["id"])
		status(err)
		got["lost"] = sortedIDs(lost, lostID)
	case "ready", "unready", "cordon", "uncordon", "drain":
		op := line.op
		if _, is := in["generation"]; is {
			op += " generation"
		}
		info, err := map[string]func(string) (slotwise.WorkerInfo, error){
			"ready": e.Ready, "unready": e.Unready, "cordon": e.Cordon, "uncordon": e.Uncordon, "drain": e.Drain,
			"ready generation": func(id string) (slotwise.WorkerInfo, error) {
				return e.ReadyGeneration(id, uint64(in.number(t, "generation")))
			},
		}[op](in["id"])
		status(err)
		describe(got, info)
	case "selector":
		constraints := slotwise.Constraints{
			Pools: in.list("pools"), GPUTypes: in.list("types"), Machine: in["machine"], Tenant: in["tenant"],
			AcceptPreemptable: slices.Contains(in.list("flags"), "accept_preemptable"),
		}
		for _, label := range in.list("labels") {
			key, values, _ := strings.Cut(label, ":")
			if constraints.Labels == nil {
				constraints.Labels = map[string][]string{}
			}
			constraints.Labels[key] = strings.Split(values, "|")
		}
		selector, err := e.Selector(constraints)
		status(err)
		r.selectors[in["name"]] = selector
	case "reserve":
		placed, err := e.Reserve(r.request(t, in))
		r.placed(got, in["id"], placed, err)
	case "reserve_on":
		worker, err := e.FindWorker(in["worker"])
		if err != nil {
			t.Fatal(err)
		}
		var placed slotwise.Reservation
		if _, ok := in["expected"]; ok {
			placed, err = e.ReserveAt(worker, uint64(in.number(t, "expected")), r.request(t, in))
		} else {
			placed, err = e.ReserveOn(worker, r.request(t, in))
		}
		r.placed(got, in["id"], placed, err)
	case "release":
		released, err := e.ReleaseID(in["id"])
		status(err)
		got["credited"] = flag(released.Credited())
	case "release_ticket":
		released, err := e.Release(r.tickets[in["of"]])
		status(err)
		got["credited"] = flag(released.Credited())
	case "resize":
		_, err := e.ResizeID(in["id"], in.need(t))
		status(err)
		var failed *slotwise.Error
		if errors.As(err, &failed) {
			amounts(got, "missing", failed.Missing)
		}
	case "batch", "dry_run":
		batch, results := r.batch(t, in)
		var done slotwise.Done
		var err error
		if line.op == "batch" {
			batch.ID = in["batch_id"]
			done, err = e.ReserveBatch(batch, results)
		} else {
			var credited []slotwise.Ticket
			for _, id := range in.list("credit") {
				credited = append(credited, r.tickets[id])
			}
			done, err = e.DryRun(batch, credited, results)
		}
		status(err)
		var statuses, workers []string
		ids := in.list("ids")
		for k := range results {
			statuses = append(statuses, results[k].Status.String())
			workers = append(workers, orNone(r.ids[results[k].Worker]))
			if line.op == "batch" && results[k].Status == slotwise.OK {
				r.tickets[ids[k]] = results[k].Ticket
			}
		}
		got["statuses"], got["workers"] = strings.Join(statuses, ","), strings.Join(workers, ",")
		got["replayed"] = flag(done.Replayed)
	case "group":
		group := slotwise.Group{Worker: in["worker"]}
		group.Steps = parseSteps(t, in["steps"])
		group.Done = make([]slotwise.StepDone, len(group.Steps))
		status(e.ApplyGroups([]slotwise.Group{group}))
		var statuses []string
		for k := range group.Done {
			statuses = append(statuses, group.Done[k].Status.String())
		}
		got["statuses"] = strings.Join(statuses, ",")
	case "race":
		ids := in.list("ids")
		for k := range in.number(t, "count") {
			ids = append(ids, in["prefix"]+strconv.FormatInt(k, 10))
		}
		answers := make([]error, len(ids))
		request := r.request(t, in)
		var start, end sync.WaitGroup
		start.Add(1)
		for k, id := range ids {
			end.Add(1)
			go func() {
				defer end.Done()
				start.Wait()
				request := request
				request.ID = id
				_, answers[k] = e.Reserve(request)
			}()
		}
		start.Done()
		end.Wait()
		counts := map[slotwise.Status]int{}
		for _, err := range answers {
			counts[statusOf(err)]++
		}
		got["ok"], got["busy"] = strconv.Itoa(counts[slotwise.OK]), strconv.Itoa(counts[slotwise.ErrBusy])
		got["quota_exceeded"] = strconv.Itoa(counts[slotwise.ErrQuotaExceeded])
	case "info":
		info, err := e.WorkerByID(in["id"])
		status(err)
		describe(got, info)
	case "list":
		var infos []slotwise.WorkerInfo
		var err error
		switch in["by"] {
		case "all":
			infos, err = e.ListWorkers()
		case "pool":
			infos, err = e.ListPool(in["name"])
		case "machine":
			infos, err = e.ListMachine(in["name"])
		default:
			t.Fatalf("line %d: by=%s", line.number, in["by"])
		}
		status(err)
		got["count"] = strconv.Itoa(len(infos))
	case "counts":
		workers, reservations, err := e.Counts()
		status(err)
		got["workers"], got["reservations"] = strconv.Itoa(workers), strconv.Itoa(reservations)
	default:
		if foreseen, is := r.doForeseen(t, line); is {
			got = foreseen
		} else {
			got = r.doOnTerms(t, line)
		}
	}
	if want, ok := line.want["status"]; !ok && got["status"] != "" && got["status"] != "ok" && len(line.want) == 0 {
		t.Errorf("line %d: %s: %s, not %s", line.number, line.op, got["status"], orNone(want))
	}
	return got
}

func workerSpec(t *testing.T, in fields) (spec slotwise.WorkerSpec, set slotwise.Fields) {
	for key, value := range in {
		switch key {
		case "cpu", "memory", "gpus":
			set |= slotwise.SetTotal
		case "set_aside_cpu", "set_aside_memory", "set_aside_gpus":
			set |= slotwise.SetSetAside
		case "type":
			spec.GPUType = value
			set |= slotwise.SetGPUType
		case "pool":
			spec.Pool = value
			set |= slotwise.SetPool
		case "priority":
			spec.Priority = int32(in.number(t, key))
			set |= slotwise.SetPriority
		case "tier":
			spec.Tier = uint8(in.number(t, key))
			set |= slotwise.SetTier
		case "tenant":
			spec.Tenant = value
			set |= slotwise.SetTenant
		case "machine":
			spec.Machine = value
			set |= slotwise.SetMachine
		case "generation":
			spec.Generation = uint64(in.number(t, key))
			set |= slotwise.SetGeneration
		case "devices":
			for _, device := range in.list(key) {
				parts := strings.Split(device, ":")
				memory, err := strconv.ParseUint(parts[1], 10, 64)
				must(t, err)
				island, err := strconv.ParseUint(parts[2], 10, 8)
				must(t, err)
				spec.Devices = append(spec.Devices, slotwise.Device{ID: parts[0], Memory: memory, Island: uint8(island)})
			}
		case "lease":
			spec.Lease = uint64(in.number(t, key))
		case "labels":
			spec.Labels = map[string]string{}
			for _, label := range in.list(key) {
				name, value, _ := strings.Cut(label, ":")
				spec.Labels[name] = value
			}
			set |= slotwise.SetLabels
		case "flags":
			for _, flag := range in.list(key) {
				switch flag {
				case "requires_selector":
					spec.RequiresSelector = true
				case "preemptable":
					spec.Preemptable = true
				case "pending":
					spec.Pending = true
				default:
					t.Fatalf("flag %q", flag)
				}
			}
			set |= slotwise.SetRequiresSelector | slotwise.SetPreemptable
		case "id", "prefix", "count":
		default:
			t.Fatalf("unknown %s=%s of a worker", key, value)
		}
	}
	spec.Total = in.need(t)
	spec.SetAside = slotwise.Resources{
		CPU: in.number(t, "set_aside_cpu"), Memory: in.number(t, "set_aside_memory"), GPUs: in.number(t, "set_aside_gpus"),
	}
	return spec, set
}

func (r *tableRun) request(t *testing.T, in fields) slotwise.Request {
	policy, ok := policies[in["policy"]]
	if !ok {
		t.Fatalf("policy %q", in["policy"])
	}
	selector, ok := r.selectors[in["selector"]]
	if !ok && in["selector"] != "" {
		t.Fatalf("selector %q", in["selector"])
	}
	return slotwise.Request{
		ID: in["id"], Need: in.need(t), Selector: selector, Policy: policy, Key: in["key"], Ahead: in["ahead"] == "1",
		Terms: r.terms(t, in),
	}
}

func (r *tableRun) placed(got fields, id string, placed slotwise.Reservation, err error) {
	got["status"] = statusOf(err).String()
	got["worker"] = orNone(r.ids[placed.Worker])
	got["existing"], got["provisional"] = flag(placed.Existing), flag(placed.Provisional)
	got["version"] = strconv.FormatUint(placed.Version, 10)
	if err == nil {
		r.tickets[id] = placed.Ticket
	}
	var failed *slotwise.Error
	if errors.As(err, &failed) {
		got["dimension"] = failed.Dimension.String()
		got["now_version"] = strconv.FormatUint(failed.Version, 10)
	}
	told(got, err)
}

func (r *tableRun) batch(t *testing.T, in fields) (*slotwise.Batch, []slotwise.Result) {
	ids := in.list("ids")
	batch := slotwise.NewBatch(1)
	switch in["mode"] {
	case "":
	case "all_or_nothing":
		batch.Mode = slotwise.AllOrNothing
	default:
		t.Fatalf("mode %q", in["mode"])
	}
	for k, id := range ids {
		one := maps.Clone(in)
		one["id"] = id
		for _, amount := range []string{"cpu", "memory", "gpus"} {
			if values := in.list(amount); len(values) == 1 {
				one[amount] = values[0]
			} else if len(values) > 1 {
				one[amount] = values[k]
			}
		}
		if err := batch.Add(r.request(t, one)); err != nil {
			t.Fatal(err)
		}
	}
	return batch, make([]slotwise.Result, len(ids))
}

func parseSteps(t *testing.T, text string) (steps []slotwise.Step) {
	for _, step := range strings.Split(text, ",") {
		parts := strings.Split(step, ":")
		number := func(k int) int64 {
			n, err := strconv.ParseInt(parts[k], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		switch parts[0] {
		case "reserve":
			steps = append(steps, slotwise.ReserveStep(parts[1],
				slotwise.Resources{CPU: number(2), Memory: number(3), GPUs: number(4)}))
		case "release":
			steps = append(steps, slotwise.ReleaseIDStep(parts[1]))
		default:
			t.Fatalf("step %q", step)
		}
	}
	return steps
}

func describe(got fields, info slotwise.WorkerInfo) {
	got["state"] = info.State.String()
	got["version"] = strconv.FormatUint(info.Version, 10)
	amounts(got, "free", info.Free)
	amounts(got, "held", info.Held)
	got["generation"], got["lease"] = strconv.FormatUint(info.Generation, 10), strconv.FormatUint(info.Lease, 10)
}

func amounts(got fields, prefix string, r slotwise.Resources) {
	got[prefix+"_cpu"] = strconv.FormatInt(r.CPU, 10)
	got[prefix+"_memory"] = strconv.FormatInt(r.Memory, 10)
	got[prefix+"_gpus"] = strconv.FormatInt(r.GPUs, 10)
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
