"""What requests come under, and what ends, leaves and is handed over: what the table does not try."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import time
import typing
from typing import Any, Callable, List, Type

import pytest

import slotwise as s
from slotwise import Engine, Limit, Request, Resources, Scope, Terms


def test_a_reservation_in_two_phases(one: Engine) -> None:
    assert one.now == 0 and not one.tick(1_000) and one.now == 1_000
    terms = Terms(hold_until=31_000)
    held = one.reserve("job", 400, 400, terms=terms)
    assert held.provisional and held.deadline == one.deadline("job") == one.deadline(held.ticket) == 31_000
    assert one.reservation("job").provisional
    confirmed = held.confirm()
    assert confirmed == s.Confirmed(held.ticket, held.worker, held.version, False)
    assert not held.provisional and held.deadline is None and one.deadline("job") is None
    assert one.confirm("job").existing and one.confirm(held).existing and held.confirm().existing
    assert one.deadline("nobody") is None
    with one.reserve("short", 100, terms=terms) as short:
        ticked = one.tick(31_000)
        assert ticked.expired == (s.Expired("short", short.ticket, short.worker, Resources(100)),)
        assert not ticked.workers and ticked
        with pytest.raises(s.NotHeld):
            short.confirm()
        # The end of the block finds nothing, which is no error.
    with pytest.raises(s.ClockWentBack) as back:
        one.tick(30_999)
    assert (back.value.given, back.value.now) == (30_999, 31_000)
    with pytest.raises(s.DeadlinePassed) as late:
        one.reserve("late", 1, terms=terms)
    assert late.value.now == 31_000
    stats = one.stats()
    assert (stats.confirmed, stats.expired) == (1, 1)


def test_every_way_to_ask_takes_terms(one: Engine) -> None:
    acme = one.account("acme")
    terms = Terms(hold_until=10, account=acme)
    made: List[Callable[[], Any]] = [
        lambda: one.reserve("a", 1, terms=terms),
        lambda: one.reserve("\u00e9", 1, policy=s.Policy.SPREAD, terms=terms),
        lambda: one.reserve_on("w", "b", 1, terms=terms),
        lambda: one.reserve_wait("c", 1, terms=terms),
        lambda: one.prepare("d", 1, terms=terms).reserve(),
        lambda: one.reserve_many(["e", "f"], 1, terms=terms),
        lambda: one.batch(count=2, cpu=1, terms=terms).run(),
        lambda: one.reserve_batch([Request("g", 1, terms=terms), Request("h", 1, terms=terms)]),
        lambda: one.gang([Request(None, 1, terms=terms)]),
    ]
    for make in made:
        make()
        gc.collect()
    assert one.usage(acme) == s.Usage(Resources(12), s.Quota())
    planned: Any = one.dry_run([Request("x", 1, terms=Terms(account=acme + 1))])
    assert isinstance(planned[0], s.UnknownAccount) and planned[0].index == 0
    ticked = one.tick(10)
    assert len(ticked.expired) == 12 and {e.id for e in ticked.expired} == {*"abcdefgh", "\u00e9", ""}
    assert one.usage(acme).used == Resources()


def test_a_prepared_request_and_a_batch_go_on_with_the_time(one: Engine) -> None:
    groups = [one.spread_group(f"g{k}") for k in range(4)]
    terms = Terms(priority=3, preemptable=True, limits=[Limit(group, 2) for group in groups])
    prepared = one.prepare("p", 1, terms=terms)
    batch = one.batch(["b"], cpu=1)
    del groups, terms
    gc.collect()
    for now in range(1, 4):
        for each in (prepared, batch):
            assert each.hold_until in (None, now)  # type: ignore[attr-defined]
            each.hold_until = now + 1  # type: ignore[attr-defined]
        prepared.reserve()
        assert prepared.provisional and prepared.hold_until == one.deadline("p") == now + 1
        assert batch.run() == 1 and one.deadline("b") == now + 1
        assert sorted(e.id for e in one.tick(now + 1).expired) == ["b", "p"]
    assert prepared.copy().hold_until == 4 and ", until 4;" in repr(prepared)
    prepared.hold_until = batch.hold_until = None
    prepared.reserve()
    assert not prepared.provisional and prepared.hold_until is None and prepared.copy().hold_until is None
    assert one.spread_count(one.spread_group("g3"), "w") == 1
    prepared.release()
    for wrong in (-1, 1 << 64, "soon"):
        with pytest.raises(s.InvalidArgument) as error:
            prepared.hold_until = wrong  # type: ignore[assignment]
        assert error.value.argument == "hold_until" and prepared.hold_until is None


@pytest.mark.parametrize("many", [0, 1, 63, 64, 65, 200])
def test_a_tick_tells_all_of_it(engine: Engine, many: int) -> None:
    engine.add_worker("w", 1000, 1000, lease=5)
    engine.add_worker("x", 1000, 1000)
    lost = [engine.reserve_on("w", f"l{k}", 1) for k in range(many)]
    kept = [engine.reserve_on("x", f"e{k}", 1, terms=Terms(hold_until=5)) for k in range(many)]
    ref = engine.find("w")
    assert engine.worker_id(ref) == "w"
    ticked = engine.tick(5)
    assert sorted(ticked.expired, key=lambda e: e.ticket) == sorted(
        (s.Expired(str(h.id), h.ticket, h.worker, Resources(1)) for h in kept), key=lambda e: e.ticket
    )
    (worker,) = ticked.workers
    assert (worker.id, worker.worker) == ("w", ref)
    assert {entry.id for entry in worker.lost} == {h.id for h in lost} and len(worker.lost) == many
    with pytest.raises(s.UnknownWorker):
        engine.worker_id(ref)
    assert not engine.tick(6) and not engine.take_ended()
    with pytest.raises(s.UnknownWorker):
        engine.heartbeat("w", 100)


def test_what_nobody_was_told_of_is_kept(one: Engine) -> None:
    from ctypes import byref, c_size_t

    from slotwise import _library

    for k in range(100):
        one.reserve(f"r{k}", 1, terms=Terms(hold_until=1))
    one.add_worker("gone", 10, 10, lease=1)
    one.reserve_on("gone", "there", 1)
    count = c_size_t()
    # As a host in another language that has no room for it.
    assert _library.free.slotwise_tick(one.handle, 1, None, 0, byref(count)) == 0
    assert count.value == 102
    ended = one.take_ended()
    assert {e.id for e in ended.expired} == {f"r{k}" for k in range(100)}
    assert [(w.id, [lost.id for lost in w.lost]) for w in ended.workers] == [("gone", ["there"])]
    assert not one.take_ended()


def test_quotas(one: Engine) -> None:
    acme = one.account("acme")
    assert one.account(b"acme") == acme != one.account("other")
    one.set_quota(acme, cpu=100, gpus=0)
    assert one.usage(acme) == s.Usage(Resources(), s.Quota(100, None, 0))
    terms = Terms(account=acme)
    held = one.reserve("a", 90, 900, terms=terms)
    with pytest.raises(s.QuotaExceeded) as over:
        one.reserve("b", 11, terms=terms)
    error = over.value
    assert (error.dimension, error.used, error.limit) == (s.Dimension.CPU, 90, 100)
    assert isinstance(error, s.Refused) and error.status == s.Status.QUOTA_EXCEEDED and "100" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.used, again.limit) == (s.QuotaExceeded, 90, 100)
    with pytest.raises(s.QuotaExceeded):
        held.resize(101)
    outcome: Any = one.reserve_batch([Request("b", 11, terms=terms)])[0]
    assert isinstance(outcome, s.QuotaExceeded) and outcome.dimension == s.Dimension.CPU
    assert outcome.used is None
    many = one.reserve_many(["b", "c"], cpu=[11, 10], terms=terms)
    assert many.statuses.tolist() == [s.Status.QUOTA_EXCEEDED, 0]
    started = time.monotonic()
    with pytest.raises(s.TimedOut) as late:
        one.reserve_wait("b", 11, terms=terms, timeout=0.02)
    assert late.value.status == s.Status.QUOTA_EXCEEDED and late.value.dimension == s.Dimension.CPU
    with pytest.raises(s.QuotaExceeded):
        one.reserve_wait("b", 101, terms=terms)  # never, however long
    assert time.monotonic() - started < 10
    one.set_quota(acme)
    assert one.usage(acme).quota == s.Quota()
    one.reserve("b", 101, terms=terms)


def test_spread_groups(one: Engine) -> None:
    one.add_worker("v", 1000, 1000, labels={"zone": "north"})
    group = one.spread_group("web", Scope.label("zone"))
    assert one.spread_group(b"web", Scope.label(b"zone")) == group
    assert len({group, one.spread_group("web"), one.spread_group("web", Scope.MACHINE)}) == 3
    assert one.spread_group("web", Scope.WORKER) == one.spread_group("web")
    terms = Terms(limits=Limit(group))
    assert terms.limits == (Limit(group, 1),)
    assert one.reserve("a", 1, terms=terms).worker_id == "v"
    assert one.spread_count(group, "v") == one.spread_count(group, one.find("v")) == 1
    with pytest.raises(s.UnknownGroup):
        one.spread_count(group, "w")
    with pytest.raises(s.Busy) as full:
        one.reserve("b", 1, terms=terms)
    assert full.value.reasons == s.Reasons(spread=2)


def test_only_so_many_names(engine: Engine) -> None:
    with Engine(max_accounts=2, max_groups=1) as small:
        small.account("a"), small.account("b"), small.spread_group("g")
        for call in (lambda: small.account("c"), lambda: small.spread_group("h")):
            with pytest.raises(s.LimitReached) as full:
                call()
            assert full.value.status == s.Status.TOO_MANY_NAMES


def test_preemption(one: Engine) -> None:
    low = Terms(priority=-5, preemptable=True)
    names = [f"low-{k}" for k in range(100)]
    one.reserve_many(names, cpu=10, memory=1, terms=low)
    urgent = Request("urgent", 1000, 10, terms=Terms(priority=10, hold_until=50))
    plan = one.plan_preemption(urgent)
    assert len(plan.victims) == 100 and plan.leaving == () and plan.version == 100
    assert plan.victims[0].amount == Resources(10, 1) and plan.victims[0].priority == -5
    assert {victim.id for victim in plan.victims} == set(names)
    claim = one.preempt(urgent, plan)
    assert claim.provisional and claim.deadline == 50
    assert one.preempt(urgent, plan).existing
    with pytest.raises(s.VersionConflict):
        one.preempt(dataclasses.replace(urgent, id="other"), plan)
    second = one.plan_preemption(Request("second", 0, 50, terms=Terms(priority=10)))
    assert not second.victims and second.leaving == ()
    for victim in plan.victims[1:]:
        one.release(victim.ticket)
    with pytest.raises(s.Waiting) as waiting:
        claim.confirm()
    assert waiting.value.victims == 1 and claim.provisional
    one.release(plan.victims[0].ticket)
    assert not claim.confirm().existing and not claim.provisional
    assert one.stats().preempted == 100
    with pytest.raises(s.Never):
        one.plan_preemption(Request("huge", 1001, terms=Terms(priority=99)))
    with pytest.raises(s.Busy):
        one.plan_preemption(Request("equal", 1000, terms=Terms(priority=99)))


def test_leases_and_generations(engine: Engine) -> None:
    engine.add_workers([s.WorkerSpec("w", 10, 10, generation=3, lease=20, pending=True)])
    info = engine.worker("w")
    assert (info.generation, info.lease, info.state) == (3, 20, s.State.PENDING)
    with pytest.raises(s.OldGeneration) as old:
        engine.ready_generation("w", 2)
    assert (old.value.given, old.value.generation) == (2, 3)
    assert engine.ready_generation("w", 3).state == s.State.READY
    assert engine.update_worker("w", generation=4).state == s.State.PENDING
    with pytest.raises(s.OldGeneration):
        engine.update_worker("w", generation=1)
    engine.tick(10)
    engine.heartbeat("w", 11)
    assert engine.worker("w").lease == 11
    with pytest.raises(s.DeadlinePassed) as late:
        engine.heartbeat("w", 10)
    assert late.value.now == 10
    late_one = engine.add_worker("late", 1, 1, lease=10)  # ends with the next tick
    w = engine.find("w")
    ended = engine.tick(11).workers
    assert sorted(ended, key=lambda one: one.id) == [
        s.ExpiredWorker("late", late_one, ()),
        s.ExpiredWorker("w", w, ()),
    ]


def test_a_hand_off_changes_the_name(engine: Engine) -> None:
    ref = engine.add_worker("expected", 500, 500, pending=True)
    held = engine.reserve("r", 1, 1, ahead=True)
    assert held.worker_id == "expected"
    assert engine.hand_off("expected", "real") == s.HandedOff(ref, 0, ())
    assert held.worker_id == engine.worker_id(ref) == engine.worker(ref).id == "real"
    engine.ready("real")
    with pytest.raises(s.NotPending) as error:
        engine.hand_off("real", "other")
    assert error.value.state == s.State.READY and isinstance(error.value, s.WorkerState)
    engine.add_worker("second", 1000, 1000, pending=True)
    for k in range(500):
        engine.reserve_on("second", f"r{k}", 1, 1, ahead=True)
    done = engine.hand_off("second", "real")
    assert done.worker == ref and done.moved == 499 and len(done.lost) == 1
    assert done.lost[0].amount == Resources(1, 1)
    engine.add_worker("third", 1000, 1000, pending=True)
    for k in range(100):
        engine.reserve_on("third", f"t{k}", 1, 1, ahead=True)
    assert len(engine.hand_off("third", "real").lost) == 100  # more than there is room for at once
    assert not engine.take_lost()


def test_type_hints_can_be_resolved() -> None:
    for name in s.__all__:
        value = getattr(s, name)
        if dataclasses.is_dataclass(value):
            assert typing.get_type_hints(value).keys() >= {f.name for f in dataclasses.fields(value)}


def test_values_are_told_apart_and_shown() -> None:
    terms = Terms(hold_until=31_000, limits=[Limit(3)])
    assert repr(terms) == "Terms(hold_until=31000, limits=(Limit(group=3, at_most=1),))"
    assert repr(Terms()) == "Terms()"
    assert [repr(x) for x in (Scope.WORKER, Scope.MACHINE, Scope.label("zone"))] == [
        "Scope.WORKER",
        "Scope.MACHINE",
        "Scope.label('zone')",
    ]
    assert terms == Terms(31_000, limits=(Limit(3, 1),)) and len({terms, copy.copy(terms)}) == 1
    for value in (terms, Scope.label("zone"), s.Ticked(), s.Preemption(1, 2)):
        assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(dataclasses.FrozenInstanceError):
        terms.priority = 3  # type: ignore[misc]
    assert "terms=Terms(priority=3)" in repr(Request("x", 1, terms=Terms(priority=3)))


WRONG = [
    ("terms", 5, s.InvalidType),
    ("terms", {"priority": 1}, s.InvalidType),
    ("terms.hold_until", Terms(hold_until=-1), s.InvalidArgument),
    ("terms.hold_until", Terms(hold_until=1 << 64), s.InvalidArgument),
    ("terms.hold_until", Terms(hold_until=1.5), s.InvalidType),  # type: ignore[arg-type]
    ("terms.priority", Terms(priority=1 << 31), s.InvalidArgument),
    ("terms.priority", Terms(priority=-(1 << 31) - 1), s.InvalidArgument),
    ("terms.priority", Terms(priority=None), s.InvalidType),  # type: ignore[arg-type]
    ("terms.account", Terms(account=1 << 32), s.InvalidArgument),
    ("terms.account", Terms(account="acme"), s.InvalidType),  # type: ignore[arg-type]
    ("terms.limits", Terms(limits=[Limit(1)] * 5), s.InvalidArgument),
    ("terms.limits[1]", Terms(limits=[Limit(1), 7]), s.InvalidType),  # type: ignore[list-item]
    ("terms.limits[0].group", Terms(limits=Limit(-1)), s.InvalidArgument),
    ("terms.limits[0].at_most", Terms(limits=Limit(1, 0)), s.InvalidArgument),
    ("terms.limits[0].at_most", Terms(limits=Limit(1, 1 << 32)), s.InvalidArgument),
]


@pytest.mark.parametrize("argument, terms, kind", WRONG, ids=[a for a, _, _ in WRONG])
def test_terms_that_cannot_be_right(one: Engine, argument: str, terms: Any, kind: Type[Any]) -> None:
    plan = s.Preemption(1, 0)
    for prefix, call in (
        ("", lambda: one.reserve("x", 1, terms=terms)),
        ("", lambda: one.reserve_on("w", "x", 1, terms=terms)),
        ("", lambda: one.prepare("x", 1, terms=terms)),
        ("", lambda: one.reserve_many(["x"], 1, terms=terms)),
        ("", lambda: one.batch(["x"], 1, terms=terms)),
        ("", lambda: one.plan_preemption(Request("x", 1, terms=terms))),
        ("", lambda: one.preempt(Request("x", 1, terms=terms), plan)),
        ("requests[1].", lambda: one.reserve_batch([Request("y", 1), Request("x", 1, terms=terms)])),
        ("requests[0].", lambda: one.dry_run([Request("x", 1, terms=terms)])),
    ):
        with pytest.raises(kind) as error:
            call()
        assert error.value.argument == prefix + argument
    assert one.counts().reservations == 0
    with pytest.raises(s.InvalidType):
        Terms(limits=5)  # type: ignore[arg-type]


def test_numbers_of_nothing(one: Engine) -> None:
    for account in (0, 7, (1 << 32) - 1):
        for call in (
            lambda: one.usage(account),
            lambda: one.set_quota(account),
            lambda: one.reserve("x", 1, terms=Terms(account=account)),
        ):
            with pytest.raises(s.UnknownAccount):
                call()
    for group in (0, 7, (1 << 32) - 1):
        for call in (
            lambda: one.spread_count(group, "w"),
            lambda: one.reserve("x", 1, terms=Terms(limits=Limit(group))),
        ):
            with pytest.raises(s.UnknownGroup):
                call()
    for ticket in (0, 1, (1 << 64) - 1):
        with pytest.raises(s.NotHeld):
            one.confirm(ticket)
        assert one.deadline(ticket) is None
    with pytest.raises(s.UnknownWorker):
        one.spread_count(one.spread_group("g"), "nobody")
    request = Request("x", 1)
    plan = one.plan_preemption(request)
    for wrong in (dataclasses.replace(plan, version=9), dataclasses.replace(plan, leaving=(5,))):
        with pytest.raises((s.VersionConflict, s.NotHeld)):
            one.preempt(request, wrong)
    with pytest.raises(s.UnknownWorker):
        one.preempt(request, dataclasses.replace(plan, worker=1 << 40))
    assert one.worker("w").version == 0


@pytest.mark.parametrize(
    "argument, call",
    [
        ("now", lambda e: e.tick(-1)),
        ("now", lambda e: e.tick(1.5)),
        ("now", lambda e: e.tick(1 << 64)),
        ("id", lambda e: e.heartbeat("", 1)),
        ("until", lambda e: e.heartbeat("w", "soon")),
        ("what", lambda e: e.confirm(None)),
        ("what", lambda e: e.confirm("")),
        ("what", lambda e: e.deadline(-1)),
        ("what", lambda e: e.deadline(b"")),
        ("name", lambda e: e.account("")),
        ("name", lambda e: e.account(5)),
        ("name", lambda e: e.account("x" * 256)),
        ("account", lambda e: e.set_quota("acme", 1)),
        ("memory", lambda e: e.set_quota(e.account("acme"), memory=-1)),
        ("account", lambda e: e.usage(-1)),
        ("scope", lambda e: e.spread_group("g", "zone")),
        ("scope.key", lambda e: e.spread_group("g", Scope.label(""))),
        ("scope.kind", lambda e: e.spread_group("g", Scope("zone"))),
        (None, lambda e: e.spread_group("g", Scope(77))),
        (None, lambda e: e.spread_group("g", Scope(0, "zone"))),
        ("group", lambda e: e.spread_count(None, "w")),
        ("worker", lambda e: e.spread_count(0, 1.5)),
        ("id", lambda e: e.ready_generation("", 1)),
        ("generation", lambda e: e.ready_generation("w", -1)),
        ("generation", lambda e: e.update_worker("w", generation=-1)),
        ("generation", lambda e: e.add_worker("x", 1, 1, generation="new")),
        ("lease", lambda e: e.add_worker("x", 1, 1, lease=0)),
        ("specs[0].lease", lambda e: e.add_workers([s.WorkerSpec("x", 1, 1, lease="soon")])),  # type: ignore[arg-type]
        ("expected", lambda e: e.hand_off("", "x")),
        ("real", lambda e: e.hand_off("w", 5)),
        (None, lambda e: e.hand_off("w", "w")),
        ("request", lambda e: e.plan_preemption("x")),
        ("plan", lambda e: e.preempt(Request("x", 1), "plan")),
        ("plan.victims[0]", lambda e: e.preempt(Request("x", 1), s.Preemption(1, 1, [5]))),  # type: ignore[list-item]
        ("plan.leaving", lambda e: e.preempt(Request("x", 1), s.Preemption(1, 1, [], 5))),  # type: ignore[arg-type]
        ("max_accounts", lambda e: Engine(max_accounts=-1)),
        ("max_groups", lambda e: Engine(max_groups="many")),
    ],
)
def test_arguments_that_cannot_be_right(one: Engine, argument: Any, call: Callable[[Engine], Any]) -> None:
    with pytest.raises(s.InvalidArgument) as error:
        call(one)
    assert error.value.argument == argument, error.value
    assert one.worker("w").version == 0 and one.counts() == s.Counts(1, 0) and one.now == 0
