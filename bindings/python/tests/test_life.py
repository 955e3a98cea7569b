"""Everything that an engine does, once."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import sys

import pytest
from conftest import PACKAGE

import slotwise as s
from slotwise import Constraints, Engine, Request, Resources, State, Status, Step, WorkerSpec


def test_engines_are_made_from_a_configuration() -> None:
    with Engine() as engine:
        config = engine.config
        assert config.max_workers == 1 << 20 and config.policy == s.Policy.AFFINITY
        assert config.gpu_separation and config.count_reasons
        assert config.max_planners == 4 and config.seed == 1
    with Engine(
        max_workers=1,
        max_reservations=2000,
        max_selectors=2,
        max_batches=5,
        max_accounts=3,
        max_groups=4,
        max_unmet=16,
        max_planners=2,
        seed=7,
        policy=s.Policy.SPREAD,
        gpu_separation=False,
        count_reasons=False,
    ) as engine:
        assert engine.config == s.Config(1, 2000, 2, 5, s.Policy.SPREAD, False, False, 3, 4, 16, 2, 7)
        engine.add_worker("a", 1, 1)
        with pytest.raises(s.LimitReached) as full:
            engine.add_worker("b", 1, 1)
        assert full.value.status == Status.TABLE_FULL
        engine.selector(pools="p")
        with pytest.raises(s.LimitReached):
            for k in range(3):
                engine.selector(pools=f"p{k}")


def test_what_the_readme_shows_works(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = (PACKAGE / "README.md").read_text(encoding="utf-8").split("```python\n")[1:]
    for block in blocks:
        exec(compile(block.split("```")[0], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "job-1 runs on node-a" in printed and "job-2 was not confirmed in time\ntoo late" in printed
    assert "half of ['GPU-5e1a']\nGPU-5e1a has 500 thousandths and 40960 MiB free" in printed
    assert "training has (0, 1)" in printed
    assert "1200 of 1200 free thousandths are useless\nmoved, which frees 1000\n" in printed
    assert "200 of 1200 are now\n" in printed


def test_close_is_idempotent_and_ends_all_use(one: Engine) -> None:
    held = one.reserve("r", 1, 1)
    prepared, batch = one.prepare("p", 1, 1), one.batch(count=2, cpu=1)
    one.close()
    one.close()
    assert one.closed
    calls = [
        lambda: one.reserve("x", 1),
        lambda: held.release(),
        lambda: held.resize(2),
        lambda: held.worker_id,
        lambda: prepared.reserve(),
        lambda: prepared.try_reserve(),
        lambda: prepared.release(),
        lambda: batch.run(),
        lambda: batch.release(),
        lambda: one.reserve_many(count=1, cpu=1),
        lambda: one.release_many([1]),
        lambda: one.reserve_batch([Request("x", 1)]),
        lambda: one.dry_run([Request("x", 1)]),
        lambda: one.apply([]),
        lambda: one.add_worker("x", 1, 1),
        lambda: one.add_workers([WorkerSpec("x", 1, 1)]),
        lambda: one.update_worker("w", priority=1),
        lambda: one.remove_worker("w"),
        lambda: one.take_lost(),
        lambda: one.cordon("w"),
        lambda: one.find("w"),
        lambda: "w" in one,
        lambda: one.worker(1),
        lambda: one.snapshot(1),
        lambda: [*one],
        lambda: one.selector(pools="p"),
        lambda: one.selector(),
        lambda: one.reservation("r"),
        lambda: one.tick(1),
        lambda: one.take_ended(),
        lambda: one.now,
        lambda: one.confirm("r"),
        lambda: one.confirm(held),
        lambda: held.deadline,
        lambda: one.deadline("r"),
        lambda: one.heartbeat("w", 1),
        lambda: one.ready_generation("w", 1),
        lambda: one.hand_off("w", "x"),
        lambda: one.account("a"),
        lambda: one.set_quota(0),
        lambda: one.usage(0),
        lambda: one.spread_group("g"),
        lambda: one.spread_count(0, 1),
        lambda: one.plan_preemption(Request("x", 1)),
        lambda: one.preempt(Request("x", 1), s.Preemption(1, 1)),
        lambda: one.explain(Request("x", 1)),
        lambda: one.explain(Request("x", 1), each_worker=True),
        lambda: one.replicas(Request("x", 1), 1),
        lambda: one.unmet_demand(WorkerSpec("", 1, 1)),
        lambda: one.forget_unmet("x"),
        lambda: one.counts(),
        lambda: one.stats(),
        lambda: one.audit(),
        lambda: one.config,
    ]
    for call in calls:
        with pytest.raises(s.Closed):
            call()
    assert "closed" in repr(one)


def test_memory_is_given_back_when_nothing_refers_to_it() -> None:
    for _ in range(5000):  # more than a process may keep
        Engine(max_workers=1, max_reservations=1, max_batches=1, max_selectors=1)
    engine = Engine(max_workers=4)
    engine.add_worker("w", 10, 10)
    reserve, run = engine.prepare(None, 1).reserve, engine.batch(count=1, cpu=1).run
    held = engine.reserve("r", 1)
    del engine
    gc.collect()
    # Each of these keeps it.
    assert reserve() and run() == 1
    assert held.engine.counts().reservations == 3


def test_an_engine_cannot_be_copied(engine: Engine) -> None:
    for do in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied"):
            do(engine)


def test_too_many_engines() -> None:
    kept = []
    with pytest.raises(s.LimitReached):
        while True:
            kept.append(Engine(max_workers=1, max_reservations=1, max_batches=1, max_selectors=1))
    assert len(kept) <= 4096


def test_a_request_is_placed_and_given_back_once(one: Engine) -> None:
    held = one.reserve("job", 400, 500)
    assert held.version == 1 and held.ticket and not held.existing and held.worker_id == "w"
    again = one.reserve("job", 7, 7)
    assert again.existing and again == held and hash(again) == hash(held)
    assert one.reservation("job") == held
    assert one.snapshot("w") == s.Snapshot(1, Resources(600, 500, 0), State.READY)
    assert one.snapshot(held.worker).version == 1
    released = held.release()
    assert released == s.Released(held.worker, 2, Resources(400, 500, 0), True)
    for what in (held, held.ticket, "job", b"job"):
        with pytest.raises(s.NotHeld):
            one.release(what)
    with one.reserve("job", 1):
        assert one.counts() == s.Counts(1, 1)
    assert one.counts().reservations == 0
    with one.reserve("job", 1) as held:
        held.release()  # the end of the block finds nothing, which is no error
    one.reserve("job", 1)
    one.release("job")
    first, second = one.reserve(cpu=1), one.reserve(cpu=1)
    assert first != second and first.id is None and first != 1
    assert first.resize(5, 6).before == Resources(1, 0, 0)
    assert one.resize(second, 9).ticket == second.ticket
    assert one.worker("w").held == Resources(14, 6, 0)
    with pytest.raises(s.Short) as short:
        first.resize(cpu=1001)
    assert short.value.missing == Resources(10, 0, 0) and short.value.status == Status.SHORT
    one.cordon("w")
    with pytest.raises(s.WorkerState) as state:
        first.resize(cpu=6)
    assert state.value.state == State.CORDONED


def test_a_refusal_says_why(engine: Engine) -> None:
    engine.add_worker("a", 1000, 1000)
    engine.add_worker("b", 1000, 2000)
    engine.reserve("large", 900, 1500)
    with pytest.raises(s.Busy) as busy:
        engine.reserve("job", 500, 1200)
    assert busy.value.reasons == s.Reasons(0, 0, 1, 1, 0)
    with pytest.raises(s.Never) as never:
        engine.reserve("job", 500, 5000)
    assert never.value.dimension == s.Dimension.MEMORY and "memory" in str(never.value)
    assert isinstance(never.value, s.Refused) and never.value.status == Status.NEVER
    with pytest.raises(s.TooLarge) as large:
        engine.reserve("job", 1 << 40)
    assert large.value.given == 1 << 40 and large.value.limit == 8388607
    assert large.value.dimension == s.Dimension.CPU and isinstance(large.value, ValueError)
    with pytest.raises(s.UnknownSelector):
        engine.reserve("job", 1, selector=99)
    with pytest.raises(s.InvalidArgument):
        engine.reserve("job")
    assert engine.prepare("job", 500, 1200).try_reserve() is None


def test_selectors_are_interned(engine: Engine) -> None:
    engine.add_worker(
        WorkerSpec(
            "gpu",
            1000,
            1000,
            2,
            set_aside=Resources(100),
            priority=-3,
            tier=2,
            pool="train",
            gpu_type="A10G",
            tenant="acme",
            machine="host-7",
            labels={"zone": "north", "disk": "ssd"},
            requires_selector=True,
            preemptable=True,
        )
    )
    wanted = Constraints(
        pools=["train"],
        gpu_types=("T4", "A10G"),
        labels={"zone": ["south", "north"], "disk": "ssd"},
        tenant="acme",
        accept_preemptable=True,
    )
    selector = engine.selector(wanted)
    assert selector == engine.selector(wanted) == engine.selector(dataclasses.replace(wanted)) != 0
    with pytest.raises(s.Never):
        engine.reserve("job", 100, 100)
    held = engine.reserve("job", 100, 100, selector=wanted)
    info = engine.worker(held.worker)
    assert info == s.WorkerInfo(
        id="gpu",
        worker=held.worker,
        state=State.READY,
        version=1,
        total=Resources(1000, 1000, 2),
        set_aside=Resources(100),
        held=Resources(100, 100, 1),
        free=Resources(800, 900, 1),
        priority=-3,
        tier=2,
        requires_selector=True,
        preemptable=True,
        pool="train",
        gpu_type="A10G",
        tenant="acme",
        machine="host-7",
        labels={"zone": "north", "disk": "ssd"},
        generation=0,
        lease=None,
    )
    on_machine = engine.selector(machine="host-7", tenant="acme", accept_preemptable=True)
    assert engine.reserve("other", 1, gpus=1, selector=on_machine).worker_id == "gpu"


def test_workers_live(engine: Engine) -> None:
    ref = engine.add_worker("w", 1000, 1000, pool="a", machine="m", pending=True)
    assert engine.find("w") == ref and "w" in engine and "v" not in engine
    assert engine.worker("w").state == State.PENDING
    with pytest.raises(s.Busy):
        engine.reserve("r", 1)
    ahead = engine.reserve("r", 1, ahead=True)
    assert engine.ready("w").state == State.READY
    assert engine.unready("w").state == State.PENDING
    engine.ready("w")
    assert engine.cordon("w").state == State.CORDONED
    assert engine.drain("w").held == Resources(1)
    assert engine.uncordon("w").state == State.READY
    info = engine.update_worker(
        "w", total=Resources(2000, 500), set_aside=Resources(5), priority=3, tier=1, pool=None,
        labels={"k": "v"}, tenant="t", machine="n", preemptable=True, requires_selector=True,
    )  # fmt: skip
    assert info.total == Resources(2000, 500) and info.free == Resources(1994, 500)
    assert (info.priority, info.tier, info.pool, info.tenant, info.machine) == (3, 1, "", "t", "n")
    assert info.labels == {"k": "v"} and info.preemptable and info.requires_selector
    info = engine.update_worker("w", labels={}, tenant=None, machine=None, preemptable=False)
    assert not info.labels and not info.tenant and not info.machine and info.requires_selector
    assert not info.preemptable
    assert (
        engine.update_worker("w", total=Resources(1, 1, 2), gpu_type="T4", set_aside=Resources()).gpu_type
        == "T4"
    )
    assert engine.worker("w").free == Resources(0, 1, 2)
    (lost,) = engine.remove_worker("w")
    assert lost == s.Lost("r", ahead.ticket, ref, Resources(1))
    for call in (lambda: engine.worker(ref), lambda: engine.find("w"), lambda: engine.snapshot(ref)):
        with pytest.raises(s.UnknownWorker):
            call()
    with pytest.raises(LookupError):
        engine.worker_id(ref)
    assert engine.take_lost() == []


def test_less_than_nothing_is_free(one: Engine) -> None:
    one.reserve("r", 900, 900)
    version = one.update_worker("w", total=Resources(100, 100)).version
    assert one.worker("w").free == Resources(-800, -800)
    with pytest.raises(s.VersionConflict) as conflict:
        one.reserve_on("w", "x", 1, expected=version - 1)
    assert conflict.value.version == version and conflict.value.state == State.READY
    assert conflict.value.free == Resources(0, 0)
    assert one.audit().over_committed == 1


def test_many_workers_are_added_and_listed(engine: Engine) -> None:
    specs = [WorkerSpec(f"w{k}", 10, 10, pool=f"p{k % 2}", machine=f"m{k % 3}") for k in range(30)]
    added = engine.add_workers([*specs, specs[0]])
    assert [a.ok for a in added] == [True] * 30 + [False]
    assert added[-1].status == Status.DUPLICATE_WORKER and added[-1].worker == 0
    assert [info.id for info in engine] == [spec.id for spec in specs]
    assert len([*engine.workers(pool="p1")]) == 15 and len([*engine.workers(machine="m0")]) == 10
    assert [*engine.workers(pool="none")] == [] and [*engine.workers(pool="")] == []
    assert engine.add_workers([]) == []
    with pytest.raises(s.DuplicateWorker):
        engine.add_worker(specs[0])
    with pytest.raises(s.InvalidArgument, match="machine"):
        engine.workers(pool="a", machine="b")
    listing = engine.workers()
    engine.remove_worker("w3")
    assert "w3" not in [info.id for info in listing]  # read as it goes; those gone are left out


def test_removal_tells_of_every_reservation(engine: Engine) -> None:
    engine.add_worker("w", 100_000, 100_000)
    ids = {f"job-{k}" for k in range(300)}
    engine.reserve_many(sorted(ids), cpu=1)
    engine.reserve_many(count=100, cpu=1)
    lost = engine.remove_worker("w")
    assert len(lost) == 400 and {entry.id for entry in lost} == ids | {""}
    assert len({entry.ticket for entry in lost}) == 400


def test_ids_are_any_bytes(one: Engine) -> None:
    for id in ("é\u4e2d", b"\xff\x00\xfe", b"\x00", "a\0b"):
        held = one.reserve(id, 1)
        assert one.reservation(id) == held
        one.release(id)
    engine = one
    engine.add_worker(b"\xff\xfe", 10, 10)
    assert engine.worker(b"\xff\xfe").id.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    engine.reserve_on(b"\xff\xfe", b"a\0b\0", 1)
    assert engine.remove_worker(b"\xff\xfe")[0].id == "a\0b\0"


def test_on_a_named_worker(one: Engine) -> None:
    held = one.reserve_on("w", "a", 1, expected=0)
    assert one.reserve_on(held.worker, "b", 1, expected=1).version == 2
    with pytest.raises(s.VersionConflict) as conflict:
        one.reserve_on("w", "c", 1, expected=1)
    assert conflict.value.version == 2 and conflict.value.free == Resources(998, 1000, 0)
    for worker in ("v", 12345):
        with pytest.raises(s.UnknownWorker):
            one.reserve_on(worker, "c", 1)


def test_policies_keys_and_hashes(engine: Engine) -> None:
    for k in range(8):
        engine.add_worker(f"w{k}", 1000, 1000)
    assert len({engine.reserve(f"k{k}", 1, key="model").worker for k in range(20)}) == 1
    assert len({engine.reserve(f"h{k}", 1, hash=12345).worker for k in range(20)}) == 1
    assert len({engine.reserve(f"i{k}", 1).worker for k in range(40)}) > 1
    assert engine.reserve("f", 1, policy=s.Policy.FIRST_FIT).worker_id == "w0"
    for policy in s.Policy:
        engine.reserve(None, 1, policy=policy)


def test_batches_of_requests(one: Engine) -> None:
    done = one.reserve_batch([Request("a", 500), Request("b", 600), Request("c", 1), Request(None, 1 << 40)])
    assert [type(entry) for entry in done] == [s.Reservation, s.Busy, s.Reservation, s.TooLarge]
    busy, large = done[1], done[3]
    assert isinstance(busy, s.Busy) and busy.reasons == s.Reasons(cpu=1) and busy.index == 1
    assert busy.dimension == s.Dimension.NONE or busy.dimension == s.Dimension.CPU
    assert isinstance(large, s.TooLarge) and large.dimension == s.Dimension.CPU
    assert len(done.reservations) == 2 and not done.replayed
    with pytest.raises(s.Busy):
        done.raise_for_status()
    one.release_many(done.reservations)
    done = one.reserve_batch([Request("x", 1), Request("y", 1)], batch_id="n")
    again = one.reserve_batch([Request("x", 1), Request("y", 1)], batch_id="n")
    assert again == done and again.replayed
    with pytest.raises(s.OtherBatch):
        one.reserve_batch([Request("x", 1)], batch_id="n")
    assert one.reserve_batch([]) == [] and one.reserve_batch(iter([])) == []


def test_a_gang_is_all_or_none(one: Engine) -> None:
    before = one.snapshot("w").version
    with pytest.raises(s.Busy) as busy:
        one.gang([Request("a", 400), Request("b", 400), Request("c", 400)])
    assert busy.value.index == 2 and busy.value.reasons == s.Reasons(cpu=1)
    assert one.snapshot("w").version == before
    held = one.gang([Request("a", 400), Request("b", 400)], batch_id="gang")
    assert [h.id for h in held] == ["a", "b"]
    many = one.reserve_many(["c", "d"], cpu=[100, 200], all_or_nothing=True)
    assert [*many.statuses] == [Status.PEER, Status.BUSY]
    with pytest.raises(s.Busy):
        many.raise_for_status()


def test_a_dry_run_changes_nothing(one: Engine) -> None:
    old = one.reserve("old", 800)
    version = one.snapshot("w").version
    requests = [Request("a", 500), Request("b", 500)]
    (first, second) = one.dry_run(requests)
    assert isinstance(first, s.Busy) and isinstance(second, s.Busy)
    planned = one.dry_run(requests, credited=[old], all_or_nothing=True)
    ref = one.find("w")
    assert planned == [s.Planned("a", ref, version, False), s.Planned("b", ref, version, False)]
    assert one.dry_run(requests, credited=[old.ticket]) == planned
    assert one.dry_run([]) == [] and one.snapshot("w").version == version


def test_groups(one: Engine) -> None:
    old = one.reserve("old", 600)
    one.reserve("id", 200)
    groups = [s.Group("w", [Step.reserve("new", 900), Step.release(old.ticket), Step.release("id")])]
    ((new, by_ticket, by_id),) = one.apply(groups)
    assert new.ok and new.ticket and not new.existing
    assert by_ticket.amount == Resources(600) and by_id.amount == Resources(200) and by_id.ok
    assert one.worker("w").held == Resources(900)
    ((busy,), (unknown,)) = one.apply(
        [s.Group("w", [Step.reserve(None, 200)]), s.Group("v", [Step.reserve("v", 1)])]
    )
    assert busy.status == Status.BUSY and unknown.status == Status.UNKNOWN_WORKER
    assert one.apply([]) == [] and one.apply([s.Group("w", [])]) == [[]]


def test_prepared_requests(one: Engine) -> None:
    job = one.prepare("job", 100, 100, key="k")
    ticket = job.reserve()
    assert job.ticket == ticket and job.worker == one.find("w") and job.version == 1
    assert job.reserve() == ticket and job.existing
    job.release()
    with pytest.raises(s.NotHeld):
        job.release()
    assert job.reserve_as("other") != ticket and not job.existing
    assert one.reservation("other").ticket == job.ticket
    job.release()
    anonymous = one.prepare(None, 500, 500)
    tickets = [anonymous.reserve(), anonymous.reserve()]
    assert anonymous.try_reserve() is None
    with pytest.raises(s.Busy) as busy:
        anonymous.reserve()
    assert busy.value.reasons == s.Reasons(cpu=1)
    anonymous.release_ticket(tickets[0])
    for wrong in (tickets[0], 0, 1 << 63):
        with pytest.raises(s.NotHeld):
            anonymous.release_ticket(wrong)
    assert one.release_many(tickets).released == 1
    assert anonymous.copy().reserve() and "500" in repr(anonymous) and job.request.id == "job"


def test_reports(one: Engine) -> None:
    one.reserve("a", 1)
    one.reserve("a", 1)
    one.resize("a", 2)
    for cpu in (1000, 1001):
        with pytest.raises(s.Refused):
            one.reserve("b", cpu)
    one.release("a")
    stats = one.stats()
    assert (stats.placed, stats.existing, stats.busy, stats.never) == (1, 1, 1, 1) or stats.never == 1
    assert (stats.released, stats.resized) == (1, 1) and sum(stats.probes) >= 2
    audit = one.audit()
    assert audit and audit.ok and audit.workers == 1 and audit.imbalances == ()
    assert "1 workers" in repr(one)


def test_values_have_no_dict_where_the_version_allows() -> None:
    if sys.version_info >= (3, 10):
        for kind in (s.WorkerSpec, s.Constraints, s.WorkerInfo, s.Reservation, s.Released, s.Stats, s.Audit):
            assert hasattr(kind, "__slots__") and "__dict__" not in dir(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Resources().cpu = 1  # type: ignore[misc]


def test_errors_cross_to_other_processes(one: Engine) -> None:
    one.reserve("r", 900)
    calls = (
        lambda: one.reserve("x", 500),
        lambda: one.reserve("x", -1),
        lambda: one.reserve(5, 1),  # type: ignore[arg-type]
        lambda: one.reserve("x", 1 << 40),
        lambda: one.reserve_on("w", "x", 1, expected=7),
        lambda: one.reserve_wait("x", 500, timeout=0),
        lambda: one.resize("r", 1100),
        lambda: one.find("v"),
    )
    for call in calls:
        with pytest.raises(s.SlotwiseError) as error:
            call()  # type: ignore[no-untyped-call]
        again = pickle.loads(pickle.dumps(error.value))
        assert type(again) is type(error.value) and str(again) == str(error.value)
        assert again.__dict__ == error.value.__dict__ and again.args == error.value.args
