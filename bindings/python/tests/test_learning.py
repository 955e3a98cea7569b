"""Policies that learn: what they know, what is useless to it, and the moves that would change that."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import slotwise as s
from slotwise import Device, DeviceNeed, Engine, Kind, Policy, Terms

LEARN = [Policy.FGD, Policy.ADAPTIVE]


def learning(policy: Policy, **more: Any) -> Engine:
    """An engine with three workers of two devices each."""
    engine = Engine(max_workers=64, max_reservations=4096, policy=policy, seed=42, **more)
    for name in "abc":
        engine.add_worker(name, 64_000, 262_144, devices=[Device("0"), Device("1")])
    return engine


def part(milli: int) -> Dict[str, Any]:
    return {"cpu": 1000, "memory": 1024, "terms": Terms(devices=DeviceNeed.part(milli))}


def come(engine: Engine, *parts: int) -> None:
    """Requests that come and go."""
    for milli in parts:
        engine.reserve(**part(milli)).release()


@pytest.fixture
def adaptive() -> Iterator[Engine]:
    with learning(Policy.ADAPTIVE) as engine:
        yield engine
        assert engine.audit(), engine.audit()


@pytest.mark.parametrize("policy", LEARN)
def test_a_plan_of_moves_is_carried_out(policy: Policy) -> None:
    engine = learning(policy)
    calls: Tuple[Callable[[], Any], ...] = (
        engine.learned,
        engine.fragmentation,
        lambda: engine.repack(1),
        lambda: engine.repack(0),
    )
    for call in calls:
        with pytest.raises(s.NothingLearned) as error:
            call()
        assert error.value.status == s.Status.NOTHING_LEARNED and str(error.value)

    # A device is left with 700 on each of two workers; what comes wants a whole one.
    come(engine, 600, *[1000] * 10)
    first, second = engine.reserve_on("a", "first", **part(300)), engine.reserve_on("b", **part(300))
    assert engine.learned() == s.Learned(11, (Kind(1000, 1, 1000, 0, 10), Kind(1000, 1, 600, 0, 1)))
    now = engine.fragmentation()
    assert now.free_milli == 6000 - 600 and 0 < now.unusable_milli < now.free_milli and now.arrived == 11
    plan = engine.repack(5)
    assert plan and plan.before == now
    (move,) = plan.moves
    if move.from_ == second.worker:  # either frees as much as the other
        first, second = second, first
    assert move == s.Move(
        first.ticket,
        first.worker,
        second.worker,
        first.version,
        second.version,
        (0,),
        now.unusable_milli - plan.after.unusable_milli,
    )
    # As many as there are, as few as none, and as one likes.
    for most, count in ((0, 0), (1, 1), ((1 << 64) - 1, 1)):
        again = engine.repack(most)
        assert len(again.moves) == count == bool(again) and again.before == now

    # Somebody else was there: nothing is done, and the plan is another one.
    left = engine.reserve_on(second.worker, **part(1)).release()
    with pytest.raises(s.VersionConflict) as conflict:
        engine.reserve_on(move.to, "moved", **part(300), expected=move.to_version)
    assert conflict.value.version == left.version
    (move,) = engine.repack(1).moves
    assert move.to_version == left.version

    moved = engine.reserve_on(move.to, "moved", **part(300), expected=move.to_version)
    assert moved.granted is not None and moved.granted.devices == move.devices
    assert engine.release(move.ticket).version == move.from_version + 1
    assert engine.fragmentation() == plan.after and not engine.repack(5) and engine.audit()
    engine.close()
    for call in calls:
        with pytest.raises(s.Closed):
            call()


def test_moves_of_one_plan_follow_one_another(adaptive: Engine) -> None:
    come(adaptive, *[1000] * 20)
    held = {adaptive.reserve_on(name, **part(300)).ticket: part(300) for name in "abc"}
    plan = adaptive.repack(10)
    assert len(plan.moves) == 2
    for move in plan.moves:
        adaptive.reserve_on(move.to, **held[move.ticket], expected=move.to_version)
        adaptive.release(move.ticket)
    assert adaptive.fragmentation() == plan.after
    assert plan.after.unusable_milli < plan.before.unusable_milli


def test_two_policies_learn_and_each_places() -> None:
    for policy in Policy:
        with learning(Policy.DEFAULT) as engine:
            engine.reserve(**part(500), policy=policy)
            if policy in LEARN:
                assert engine.learned().arrived == 1
            else:
                with pytest.raises(s.NothingLearned):
                    engine.learned()


def test_kinds_are_told_apart(adaptive: Engine) -> None:
    adaptive.add_worker("typed", 1000, 1000, gpu_type="H100", devices=[Device("0")])
    typed = adaptive.selector(gpu_types="H100")
    adaptive.reserve(cpu=7, terms=Terms(devices=DeviceNeed.part(500)), selector=typed)
    adaptive.reserve(cpu=7, terms=Terms(devices=DeviceNeed.whole(2)))
    adaptive.add_worker("plain", 1000, 1000)
    adaptive.reserve(cpu=9)
    assert set(adaptive.learned().kinds) == {
        Kind(7, 1, 500, 1, 1),
        Kind(7, 2, 1000, 0, 1),
        Kind(9, 0, 0, 0, 1),
    }


def test_numbers_that_cannot_be_right(adaptive: Engine) -> None:
    come(adaptive, 500)
    cases: List[Tuple[str, Any, Any]] = [
        *(("most", lambda v: adaptive.repack(v), value) for value in (-1, 1 << 64, -(1 << 70))),
        *(
            ("max_planners", lambda v: Engine(max_planners=v), value)
            for value in (-1, 1 << 32, (1 << 32) + 4)
        ),
        *(("seed", lambda v: Engine(seed=v), value) for value in (-1, 1 << 64)),
        *(("policy", lambda v: Engine(policy=v), value) for value in (9, -1, "adaptive", None)),
        *(("policy", lambda v: adaptive.reserve(cpu=1, policy=v), value) for value in (9, "fgd")),
    ]
    for argument, call, value in cases:
        with pytest.raises(s.InvalidArgument) as error:
            call(value)
        assert error.value.argument == argument
    for call in (
        lambda v: adaptive.repack(v),
        lambda v: Engine(max_planners=v),
        lambda v: Engine(seed=v),
    ):
        for value in ("1", 1.5, [1], object()):
            with pytest.raises(s.InvalidType):
                call(value)
    with pytest.raises(s.InvalidType):
        adaptive.repack(None)  # type: ignore[arg-type]
    for planners in (0, 65, (1 << 32) - 1):
        with pytest.raises(s.InvalidArgument) as error:
            Engine(max_planners=planners)
        assert error.value.status == s.Status.CONFIG
        assert error.value.given == planners and error.value.limit == 64
    with Engine(max_planners=64, seed=(1 << 64) - 1) as made, Engine(seed=0) as zero:
        assert made.config.max_planners == 64 and made.config.seed == (1 << 64) - 1
        assert zero.config.max_planners == 4 and zero.config.seed == 0


def test_values(adaptive: Engine) -> None:
    come(adaptive, 1000)
    adaptive.reserve_on("a", **part(300))
    adaptive.reserve_on("b", **part(300))
    plan = adaptive.repack(1)
    for value in (adaptive.learned(), plan, plan.moves[0], plan.before):
        assert pickle.loads(pickle.dumps(value)) == copy.copy(value) == value and len({value, value}) == 1
    assert repr(plan.moves[0]).startswith(f"Move(ticket={plan.moves[0].ticket}, from_=")
    assert pickle.loads(pickle.dumps(s.NothingLearned("no"))).args == ("no",)


def test_threads_place_while_others_ask(adaptive: Engine) -> None:
    stop, failures = threading.Event(), []
    answered = {"learned": 0, "fragmentation": 0, "repack": 0}

    def place(k: int) -> None:
        policy = (Policy.DEFAULT, Policy.FGD, Policy.DOT_PRODUCT)[k]
        for turn in range(300):
            try:
                adaptive.reserve(**part(100 * (1 + turn % 10)), policy=policy).release()
            except s.Busy:
                pass

    def ask(name: str) -> None:
        arguments = (3,) if name == "repack" else ()
        while not (stop.is_set() and answered[name]):
            try:
                answer = getattr(adaptive, name)(*arguments)
            except s.NothingLearned:
                continue
            answered[name] += 1
            if isinstance(answer, s.Repack):
                assert answer.after.unusable_milli <= answer.before.unusable_milli

    def guarded(work: Callable[[Any], None], argument: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(argument)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    asking = [guarded(ask, name) for name in answered]
    for thread in [guarded(place, k) for k in range(3)]:
        thread.join()
    stop.set()
    for thread in asking:
        thread.join()
    assert not failures, failures[0]
