"""What is told before anything is done: explanations, branches of the state, demand."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import Any, Callable, List, Tuple

import pytest

import slotwise as s
from slotwise import Engine, Limit, Request, Resources, Terms, WorkerSpec


def test_explanations(engine: Engine) -> None:
    engine.add_worker("full", 100, 100)
    engine.add_worker("small", 10, 10)
    engine.add_worker("other", 100, 100, tenant="acme")
    engine.add_worker("coming", 100, 100, pending=True)
    held = engine.reserve("held", 60, 10)
    told = engine.explain(Request("r", 50, 10), each_worker=True)
    assert not told and told.status == s.Status.BUSY and told.dimension == s.Dimension.CPU
    assert told.outlook == s.Outlook.WAIT and (told.worker, told.ticket, told.fitting) == (0, 0, 0)
    assert told.reasons == s.Reasons(not_matching=1, not_ready=1, cpu=2)
    assert told.mismatches == s.Mismatches(tenant=1)
    full, small, other, coming = (engine.find(id) for id in ("full", "small", "other", "coming"))
    assert told.nearest == s.NearMiss(full, 1, Resources(10))
    why = {one.worker: (one.reason, one.mismatch, one.state, one.missing) for one in told.workers}
    none = Resources()
    assert why == {
        full: (s.Reason.SHORT, None, None, Resources(10)),
        small: (s.Reason.TOO_SMALL, None, None, Resources(40)),
        other: (s.Reason.MISMATCH, s.Mismatch.TENANT, None, none),
        coming: (s.Reason.STATE, None, s.State.PENDING, none),
    }
    fits = engine.explain(Request("r", 40))
    assert fits and (fits.worker, fits.version, fits.workers) == (full, 1, ())
    engine.reserve_on(full, "r", 40, expected=fits.version)
    known = engine.explain(Request("held", 1))
    assert known.ticket == held.ticket and known.worker == full
    assert engine.explain(Request("x", 101)).status == s.Status.NEVER
    for request in (Request("x"), Request("x", 1, selector=99), Request("x", 1, terms=Terms(account=9))):
        with pytest.raises(s.InvalidArgument):
            engine.explain(request)
    group = engine.spread_group("g")
    spread = engine.explain(Request("x", 1, terms=Terms(limits=Limit(group))), each_worker=True)
    assert all(one.reason != s.Reason.SPREAD for one in spread.workers)


def test_a_refusal_says_what_is_coming(one: Engine) -> None:
    for pending, outlook in ((False, s.Outlook.START), (True, s.Outlook.WAIT)):
        if pending:
            one.add_worker("coming", 2000, 10, pending=True)
        with pytest.raises(s.Refused) as refused:
            one.reserve("r", 1001)
        assert refused.value.outlook == outlook
    one.reserve("all", 1000)
    with pytest.raises(s.TimedOut) as late:
        one.reserve_wait("r", 1, timeout=0)
    assert late.value.outlook == s.Outlook.WAIT
    with pytest.raises(s.Busy) as named:
        one.reserve_on("w", "r", 1)
    assert named.value.outlook == s.Outlook.UNKNOWN


def test_a_dry_run_on_another_branch(one: Engine) -> None:
    held = one.reserve("held", 800)
    jobs = [Request(f"j{k}", 700) for k in range(3)]
    shape = [WorkerSpec("new-a", 1000, 10, labels={"a": "b"}), WorkerSpec("w", 1000, 10)]
    gc.collect()

    def told(**branch: Any) -> List[Any]:
        return [
            type(one) if isinstance(one, s.SlotwiseError) else (one.worker, one.added)
            for one in one_engine.dry_run(jobs, **branch)
        ]

    one_engine, w = one, one.find("w")
    assert told() == [s.Busy] * 3
    assert told(credited=[held]) == [(w, None), s.Busy, s.Busy]
    assert told(without=["w"]) == told(without=[w]) == [s.Never] * 3
    assert told(credited=[held], with_=shape[:1]) == [(w, None), (0, 0), s.Busy]
    assert told(without=["w"], with_=iter(shape)) == [(0, 0), (0, 1), s.Busy]
    assert told(without=[12345 << 32]) == [s.Busy] * 3
    with pytest.raises(s.UnknownWorker):
        told(without=["nobody"])
    with pytest.raises(s.DuplicateWorker) as known:
        told(with_=shape)
    assert known.value.index == 1
    with pytest.raises(s.TooLarge) as large:
        told(with_=[*shape[:1], WorkerSpec("x", 1 << 40, 1)])
    assert large.value.index == 1
    request = Request("copy", 100)
    assert one.replicas(request, 100) == 2
    assert one.replicas(request, 1) == 1 and one.replicas(request, 0) == 0
    assert one.replicas(request, 100, credited=[held.ticket]) == 10
    assert one.replicas(request, 100, without=["w"], with_=shape) == 20
    group = one.spread_group("g")
    alone = Request("x", 1, terms=Terms(limits=Limit(group)))
    assert one.replicas(alone, 100, with_=shape[:1]) == 2
    with pytest.raises(s.DuplicateWorker) as known:
        one.replicas(request, 1, with_=shape)
    assert known.value.index == 1
    assert one.counts() == s.Counts(1, 1)


def test_unmet_demand(one: Engine) -> None:
    shape = WorkerSpec("", 1000, 1000)
    selector = one.selector(pools="p")
    one.tick(100)
    for k in range(10):
        with pytest.raises(s.Never):
            one.reserve(f"p{k}", 400, 10, selector=selector)
    with pytest.raises(s.Never):
        one.reserve("huge", 5000)
    pooled = WorkerSpec("", 1000, 1000, pool="p")
    plain, wanted = sorted(one.unmet_demand(pooled), key=lambda d: d.selector)
    assert wanted == s.Demand(selector, 10, Resources(4000, 100), 0, 10, 5, 0)
    assert (plain.requests, plain.unservable, plain.workers) == (1, 1, 0)
    assert {d.unservable for d in one.unmet_demand(shape)} == {10, 1}
    assert one.unmet_demand(pooled, since=101) == []
    assert one.forget_unmet("huge") and not one.forget_unmet("huge") and not one.forget_unmet("nobody")
    assert one.unmet_demand(pooled) == [wanted]
    one.add_worker("coming", 1000, 1000, pool="p", pending=True)
    (joined,) = one.unmet_demand(pooled)
    assert (joined.joining, joined.packed, joined.workers) == (2, 8, 4)
    for k in range(100):  # more selectors than there is room for at once
        with pytest.raises(s.Never):
            one.reserve(f"q{k}", 1, selector=one.selector(pools=f"q{k}"))
    assert len(one.unmet_demand(shape)) == 101
    with Engine(max_unmet=0) as forgetful:
        with pytest.raises(s.Never):
            forgetful.reserve("r", 1)
        assert forgetful.unmet_demand(shape) == []


CALLS: Tuple[Tuple[Any, Callable[[Engine], Any]], ...] = (
    ("request", lambda e: e.explain("x")),
    ("cpu", lambda e: e.explain(Request("x", -1))),
    ("terms", lambda e: e.explain(Request("x", 1, terms=5))),  # type: ignore[arg-type]
    ("request", lambda e: e.replicas(None, 1)),
    ("n", lambda e: e.replicas(Request("x", 1), -1)),
    ("n", lambda e: e.replicas(Request("x", 1), 1 << 32)),
    ("credited", lambda e: e.replicas(Request("x", 1), 1, credited=5)),
    ("credited[0]", lambda e: e.dry_run([], credited=["x"])),
    ("without", lambda e: e.dry_run([], without="w")),
    ("without[1]", lambda e: e.dry_run([], without=["w", 1.5])),
    ("with_", lambda e: e.dry_run([], with_=WorkerSpec("x", 1, 1))),
    ("with_[0]", lambda e: e.dry_run([], with_=["x"])),
    ("with_[1].cpu", lambda e: e.dry_run([], with_=[WorkerSpec("x", 1, 1), WorkerSpec("y", -1, 1)])),
    ("with_[0].id", lambda e: e.replicas(Request("x", 1), 1, with_=[WorkerSpec("", 1, 1)])),
    ("shape", lambda e: e.unmet_demand("x")),
    ("shape.cpu", lambda e: e.unmet_demand(WorkerSpec("", -1, 1))),
    (None, lambda e: e.unmet_demand(WorkerSpec("", 1 << 40, 1))),
    ("since", lambda e: e.unmet_demand(WorkerSpec("", 1, 1), -1)),
    ("id", lambda e: e.forget_unmet("")),
    ("max_unmet", lambda e: Engine(max_unmet=-1)),
)


@pytest.mark.parametrize("place", range(len(CALLS)), ids=[f"{k}-{a}" for k, (a, _) in enumerate(CALLS)])
def test_what_cannot_be_right(one: Engine, place: int) -> None:
    argument, call = CALLS[place]
    with pytest.raises(s.InvalidArgument) as error:
        call(one)
    assert error.value.argument == argument, error.value
    assert one.worker("w").version == 0 and one.counts() == s.Counts(1, 0)


def test_asking_while_everything_changes(engine: Engine) -> None:
    turns = int(os.environ.get("SLOTWISE_TEST_TURNS", "300"))
    failures: List[BaseException] = []
    interval = sys.getswitchinterval()

    def work(k: int) -> None:
        try:
            for turn in range(turns):
                if k == 0:
                    engine.add_worker(f"w{turn}", 10, 10)
                    if turn % 3:
                        engine.remove_worker(f"w{turn}")
                elif k == 1:
                    try:
                        engine.reserve(f"r{turn}", 7)
                    except s.Refused:
                        pass
                elif k == 2:
                    told = engine.explain(Request(None, 5), each_worker=True)
                    assert told.fitting == sum(one.reason == s.Reason.FITS for one in told.workers)
                    assert bool(told) == (told.fitting > 0)
                else:
                    wanted = engine.unmet_demand(WorkerSpec("", 100, 100))
                    for d in wanted:
                        assert d.requests == d.joining + d.packed + d.unservable
        except BaseException as error:
            failures.append(error)

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]
