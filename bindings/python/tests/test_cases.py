"""The table of cases that every language passes."""

from __future__ import annotations

import threading
from typing import Any, Dict, List, Optional, Tuple, Union

import pytest
from conftest import repository

from slotwise import (
    ClockWentBack,
    Constraints,
    Device,
    DeviceNeed,
    Engine,
    Group,
    Island,
    Limit,
    NotHeld,
    Planned,
    Policy,
    Preemption,
    QuotaExceeded,
    Request,
    Reservation,
    Resources,
    Scope,
    Short,
    SlotwiseError,
    Status,
    Step,
    Terms,
    VersionConflict,
    Waiting,
    WorkerSpec,
)

Case = Tuple[str, List[Tuple[int, str]]]


def table() -> List[Case]:
    cases: List[Case] = []
    for number, line in enumerate(repository("tests/cases.txt").read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if line.startswith("case "):
            cases.append((f"{number}: {line[5:]}", []))
        elif line:
            cases[-1][1].append((number, line))
    return cases


def name(status: Optional[Status]) -> str:
    return "none" if status is None else status.name.lower()


class Runner:
    def __init__(self) -> None:
        self.engine = Engine(max_workers=1024, max_reservations=4096)
        self.selectors: Dict[str, int] = {}
        self.tickets: Dict[str, int] = {}
        self.accounts: Dict[str, int] = {}
        self.groups: Dict[str, int] = {}
        self.plans: Dict[str, Preemption] = {}

    def line(self, text: str) -> None:
        call, _, expected = text.partition("->")
        op, *pairs = call.split()
        args = dict(pair.split("=", 1) for pair in pairs)
        try:
            got = getattr(self, op)(**args)
        except SlotwiseError as error:
            got = {"status": name(error.status)}
            dimension = getattr(error, "dimension", None)
            if dimension is not None:
                got["dimension"] = dimension.name.lower()
            if isinstance(error, QuotaExceeded):
                got.update(used=error.used, limit=error.limit)
            if isinstance(error, Waiting):
                got["left"] = error.victims
            if isinstance(error, VersionConflict):
                got["now_version"] = error.version
            if isinstance(error, Short):
                for field in ("cpu", "memory", "gpus"):
                    got[f"missing_{field}"] = getattr(error.missing, field)
        for pair in expected.split():
            key, value = pair.split("=", 1)
            assert str(got.get(key)) in value.split("|"), f"{key} is {got.get(key)}: {got}"

    # Operations, by their names in the table.

    def engine_(self, policy: str = "default", flags: str = "") -> None:
        self.engine = Engine(
            policy=Policy[policy.upper()],
            gpu_separation="no_gpu_separation" not in flags,
            count_reasons="no_reasons" not in flags,
        )

    @staticmethod
    def spec(args: Dict[str, str]) -> WorkerSpec:
        flags = args.pop("flags", "").split(",")
        numbers = {
            k: int(args.pop(k, 0)) for k in ("cpu", "memory", "gpus", "priority", "tier", "generation")
        }
        labels: Any = dict(pair.split(":") for pair in args.pop("labels", "").split(",") if pair)
        aside = Resources(*(int(args.pop(f"set_aside_{k}", 0)) for k in ("cpu", "memory", "gpus")))
        return WorkerSpec(
            args.pop("id"),
            set_aside=aside,
            labels=labels,
            gpu_type=args.pop("type", None),
            requires_selector="requires_selector" in flags,
            preemptable="preemptable" in flags,
            pending="pending" in flags,
            lease=int(args.pop("lease")) if "lease" in args else None,
            devices=[device(told) for told in args.pop("devices", "").split(",") if told],
            **{k: args.pop(k, None) for k in ("pool", "tenant", "machine")},
            **numbers,
        )

    def worker(self, **args: str) -> Dict[str, Any]:
        self.engine.add_worker(self.spec(args))
        assert not args
        return {"status": "ok"}

    def workers(self, prefix: str, count: str, **args: str) -> Dict[str, Any]:
        specs = [self.spec(dict(args, id=f"{prefix}{k}")) for k in range(int(count))]
        return {"registered": sum(added.ok for added in self.engine.add_workers(specs))}

    def update(self, id: str, **args: str) -> Dict[str, Any]:
        changes: Dict[str, Any] = {}
        if "cpu" in args:
            changes["total"] = Resources(*(int(args.pop(k, 0)) for k in ("cpu", "memory", "gpus")))
        for key in ("pool", "tenant", "machine"):
            if key in args:
                changes[key] = args.pop(key)
        for key in ("priority", "generation"):
            if key in args:
                changes[key] = int(args.pop(key))
        aside = [int(args.pop(f"set_aside_{k}", -1)) for k in ("cpu", "memory", "gpus")]
        if max(aside) >= 0:
            changes["set_aside"] = Resources(*(max(amount, 0) for amount in aside))
        assert not args
        self.engine.update_worker(id, **changes)
        return {"status": "ok"}

    def remove(self, id: str) -> Dict[str, Any]:
        return {"status": "ok", "lost": ids(self.engine.remove_worker(id))}

    def selector(self, name: str, **args: str) -> None:
        labels = (pair.split(":") for pair in args.get("labels", "").split(",") if pair)
        self.selectors[name] = self.engine.selector(
            Constraints(
                pools=[p for p in args.get("pools", "").split(",") if p],
                gpu_types=[t for t in args.get("types", "").split(",") if t],
                labels={key: values.split("|") for key, values in labels},
                machine=args.get("machine"),
                tenant=args.get("tenant"),
                accept_preemptable="accept_preemptable" in args.get("flags", ""),
            )
        )

    def request(self, args: Dict[str, str]) -> Dict[str, Any]:
        return {
            "cpu": int(args["cpu"]),
            "memory": int(args["memory"]),
            "gpus": int(args.get("gpus", 0)),
            "selector": self.selectors[args["selector"]] if "selector" in args else 0,
            "policy": Policy[args.get("policy", "default").upper()],
            "ahead": args.get("ahead") == "1",
            "terms": self.terms(args),
        }

    def terms(self, args: Dict[str, str]) -> Optional[Terms]:
        limits = (limit.split(":") for limit in args.get("limits", "").split(",") if limit)
        terms = Terms(
            hold_until=int(args["hold"]) if "hold" in args else None,
            priority=int(args.get("priority", 0)),
            preemptable=args.get("preemptable") == "1",
            account=self.accounts[args["account"]] if "account" in args else None,
            limits=[Limit(self.groups[group], int(most)) for group, most in limits],
            devices=devices(args),
        )
        return None if terms == Terms() else terms

    def placed(self, id: str, held: Reservation) -> Dict[str, Any]:
        self.tickets[id] = held.ticket
        return {
            "status": "ok",
            "worker": held.worker_id,
            "existing": int(held.existing),
            "provisional": int(held.provisional),
            "version": held.version,
        }

    def reserve(self, id: str, key: Optional[str] = None, **args: str) -> Dict[str, Any]:
        return self.placed(id, self.engine.reserve(id, key=key, **self.request(args)))

    def reserve_on(self, worker: str, id: str, expected: str = "", **args: str) -> Dict[str, Any]:
        version = int(expected) if expected else None
        return self.placed(id, self.engine.reserve_on(worker, id, expected=version, **self.request(args)))

    def release(self, id: str) -> Dict[str, Any]:
        return {"status": "ok", "credited": int(self.engine.release(id).credited)}

    def release_ticket(self, of: str) -> Dict[str, Any]:
        return {"status": "ok", "credited": int(self.engine.release(self.tickets[of]).credited)}

    def resize(self, id: str, cpu: str, memory: str, gpus: str = "0") -> Dict[str, Any]:
        self.engine.resize(id, int(cpu), int(memory), int(gpus))
        return {"status": "ok"}

    def listed(self, ids: str, args: Dict[str, str]) -> List[Request]:
        names = ids.split(",")
        columns = {
            k: (args[k].split(",") * len(names))[: len(names)] if k in args else ["0"] * len(names)
            for k in ("cpu", "memory", "gpus")
        }
        return [
            Request(id, **self.request(dict(args, **{key: columns[key][k] for key in columns})))
            for k, id in enumerate(names)
        ]

    def batch(self, ids: str, mode: str = "", batch_id: Optional[str] = None, **args: str) -> Dict[str, Any]:
        listed = self.listed(ids, args)
        done = self.engine.reserve_batch(listed, all_or_nothing=mode == "all_or_nothing", batch_id=batch_id)
        for outcome in done:
            if isinstance(outcome, Reservation):
                self.tickets[str(outcome.id)] = outcome.ticket
        return {**self.outcomes(done), "replayed": int(done.replayed)}

    def dry_run(self, ids: str, mode: str = "", credit: str = "", **args: str) -> Dict[str, Any]:
        planned = self.engine.dry_run(
            self.listed(ids, args),
            credited=[self.tickets[id] for id in credit.split(",") if id],
            all_or_nothing=mode == "all_or_nothing",
        )
        return self.outcomes(planned)

    def outcomes(self, entries: Any) -> Dict[str, Any]:
        statuses, workers = [], []
        for entry in entries:
            held = isinstance(entry, (Reservation, Planned))
            statuses.append("ok" if held else name(entry.status))
            workers.append(self.engine.worker_id(entry.worker) if held else "-")
        return {"status": "ok", "statuses": ",".join(statuses), "workers": ",".join(workers)}

    def group(self, worker: str, steps: str) -> Dict[str, Any]:
        made: List[Step] = []
        for step in steps.split(","):
            kind, id, *amounts = step.split(":")
            made.append(Step.reserve(id, *map(int, amounts)) if kind == "reserve" else Step.release(id))
        (done,) = self.engine.apply([Group(worker, made)])
        return {"status": "ok", "statuses": ",".join(name(step.status) for step in done)}

    def race(self, ids: str = "", prefix: str = "", count: str = "0", **args: str) -> Dict[str, Any]:
        request, got = self.request(args), []
        names = [id for id in ids.split(",") if id] + [f"{prefix}{k}" for k in range(int(count))]
        barrier = threading.Barrier(len(names))

        def ask(id: str) -> None:
            barrier.wait()
            try:
                self.engine.reserve(id, **request)
                got.append("ok")
            except SlotwiseError as error:
                got.append(name(error.status))

        threads = [threading.Thread(target=ask, args=(id,)) for id in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {status: got.count(status) for status in ("ok", "busy", "quota_exceeded")}

    def info(self, id: str) -> Dict[str, Any]:
        info = self.engine.worker(id)
        got: Dict[str, Any] = {"status": "ok", "state": info.state.name.lower(), "version": info.version}
        for kind in ("free", "held"):
            amount: Resources = getattr(info, kind)
            got.update({f"{kind}_{k}": getattr(amount, k) for k in ("cpu", "memory", "gpus")})
        got.update(generation=info.generation, lease=info.lease or 0)
        return got

    def list(self, by: str, name: str = "") -> Dict[str, Any]:
        found = self.engine.workers() if by == "all" else self.engine.workers(**{by: name})
        return {"count": len([*found])}

    def counts(self) -> Dict[str, Any]:
        counts = self.engine.counts()
        return {"workers": counts.workers, "reservations": counts.reservations}

    def granted(self, of: str) -> Dict[str, Any]:
        # One that was never placed had no ticket, and 0 is none.
        granted = self.engine.granted(self.tickets.get(of, 0))
        if granted is None:
            return {"status": "ok", "devices": "-", "milli": 0, "memory": 0}
        places = ",".join(map(str, granted.devices))
        return {"status": "ok", "devices": places, "milli": granted.milli, "memory": granted.memory}

    def devices(self, id: str) -> Dict[str, Any]:
        free = (f"{d.free_milli}:{d.free_memory}" for d in self.engine.worker_devices(id))
        return {"status": "ok", "free": ",".join(free) or "-"}

    # What would be, and why.

    def explain(self, id: str, key: Optional[str] = None, **args: str) -> Dict[str, Any]:
        explained = self.engine.explain(Request(id, key=key, **self.request(args)))
        nearest = explained.nearest
        missing = nearest.missing if nearest else Resources()
        return {
            "status": name(explained.status),
            "worker": self.engine.worker_id(explained.worker) if explained.worker else "-",
            "outlook": explained.outlook.name.lower(),
            "fitting": explained.fitting,
            "not_matching": explained.reasons.not_matching,
            "nearest": self.engine.worker_id(nearest.worker) if nearest else "-",
            **{f"missing_{k}": getattr(missing, k) for k in ("cpu", "memory", "gpus")},
        }

    def replicas(self, n: str, credit: str = "", without: str = "", **args: str) -> Dict[str, Any]:
        size = int(args.pop("added_cpu", 0)), int(args.pop("added_memory", 0))
        fit = self.engine.replicas(
            Request(**self.request(args)),
            int(n),
            credited=[self.tickets[id] for id in credit.split(",") if id],
            without=[id for id in without.split(",") if id],
            with_=[WorkerSpec(f"added-{k}", *size) for k in range(int(args.get("added", 0)))],
        )
        return {"fit": fit}

    def demand(self, cpu: str, memory: str, since: str = "0") -> Dict[str, Any]:
        demand = self.engine.unmet_demand(WorkerSpec("", int(cpu), int(memory)), int(since))
        summed = ("requests", "joining", "packed", "workers", "unservable")
        return {field: sum(getattr(of, field) for of in demand) for field in summed}

    def forget(self, id: str) -> Dict[str, Any]:
        return {"forgotten": int(self.engine.forget_unmet(id))}

    # What comes under terms, the clock, preemption and hand-offs.

    def tick(self, now: str) -> Dict[str, Any]:
        try:
            ticked = self.engine.tick(int(now))
        except ClockWentBack as error:
            assert error.given == int(now) and error.now == self.engine.now
            return {"status": name(error.status), "now": error.now}
        return {
            "status": "ok",
            "now": self.engine.now,
            "expired": ids(ticked.expired),
            "workers": ids(ticked.workers),
            "lost": ids([one for worker in ticked.workers for one in worker.lost]),
        }

    def confirm(self, id: str, what: Union[int, str, None] = None) -> Dict[str, Any]:
        confirmed = self.engine.confirm(id if what is None else what)
        held = self.engine.reservation(id)
        assert (held.ticket, held.worker) == (confirmed.ticket, confirmed.worker)
        return {
            **self.placed(id, held),
            "existing": int(confirmed.existing),
            "version": confirmed.version,
        }

    def confirm_ticket(self, of: str) -> Dict[str, Any]:
        return self.confirm(of, self.tickets[of])

    def deadline(self, of: str) -> Dict[str, Any]:
        deadline = self.engine.deadline(self.tickets[of])
        return {"status": "not_held" if deadline is None else "ok", "deadline": deadline}

    def heartbeat(self, id: str, until: str) -> Dict[str, Any]:
        self.engine.heartbeat(id, int(until))
        return {"status": "ok"}

    def hand_off(self, expected: str, real: str) -> Dict[str, Any]:
        done = self.engine.hand_off(expected, real)
        worker = self.engine.worker_id(done.worker)
        return {"status": "ok", "worker": worker, "moved": done.moved, "lost": ids(done.lost)}

    def account(self, name: str, **quota: str) -> Dict[str, Any]:
        account = self.accounts[name] = self.engine.account(name)
        self.engine.set_quota(account, **{key: int(value) for key, value in quota.items()})
        return {"status": "ok"}

    def usage(self, name: str) -> Dict[str, Any]:
        used = self.engine.usage(self.accounts[name]).used
        return {"status": "ok", "cpu": used.cpu, "memory": used.memory, "gpus": used.gpus}

    def spread(self, name: str, scope: str, label: str = "") -> Dict[str, Any]:
        place = Scope.label(label) if scope == "label" else getattr(Scope, scope.upper())
        self.groups[name] = self.engine.spread_group(name, place)
        return {"status": "ok"}

    def spread_count(self, name: str, worker: str) -> Dict[str, Any]:
        return {"status": "ok", "count": self.engine.spread_count(self.groups[name], worker)}

    def plan(self, name: str, id: str, **args: str) -> Dict[str, Any]:
        plan = self.plans[name] = self.engine.plan_preemption(Request(id, **self.request(args)))
        return {
            "status": "ok",
            "worker": self.engine.worker_id(plan.worker),
            "version": plan.version,
            "victims": ids(plan.victims),
            "leaving": len(plan.leaving),
        }

    def preempt(self, plan: str, id: str, **args: str) -> Dict[str, Any]:
        held = self.engine.preempt(Request(id, **self.request(args)), self.plans[plan])
        return self.placed(id, held)


def device(told: str) -> Device:
    id, memory, island = told.split(":")
    return Device(id, int(memory), int(island))


def devices(args: Dict[str, str]) -> Optional[DeviceNeed]:
    if "device_count" not in args:
        return None
    milli, memory = int(args.get("device_milli", 1000)), int(args.get("device_memory", 0))
    return DeviceNeed(int(args["device_count"]), milli, memory, Island[args.get("island", "any").upper()])


def ids(entries: Any) -> str:
    return ",".join(sorted(one.id for one in entries)) or "-"


def change(op: str) -> Any:
    def run(self: Runner, id: str, generation: str = "") -> Dict[str, Any]:
        if generation:
            info = getattr(self.engine, f"{op}_generation")(id, int(generation))
        else:
            info = getattr(self.engine, op)(id)
        assert info == self.engine.worker(id)
        return {"status": "ok", "state": info.state.name.lower()}

    return run


for op in ("ready", "unready", "cordon", "uncordon", "drain"):
    setattr(Runner, op, change(op))


CASES = table()


@pytest.mark.parametrize("case", CASES, ids=[title for title, _ in CASES])
def test_case(case: Case) -> None:
    runner: Union[Runner, Any] = Runner()
    for number, text in case[1]:
        try:
            runner.line(text.replace("engine ", "engine_ ", 1) if text.startswith("engine ") else text)
        except Exception as error:
            raise AssertionError(f"cases.txt:{number}: {text}: {error}") from error
    assert runner.engine.audit().ok


def test_the_table_is_there() -> None:
    assert len(CASES) >= 20
    assert {int(title.split()[1]) for title, _ in CASES} >= set(range(1, 21))


def test_a_late_release_is_told(one: Engine) -> None:
    held = one.reserve("r", 1, 1)
    one.remove_worker("w")
    with pytest.raises(NotHeld):
        held.release()
