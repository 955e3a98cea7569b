"""Many threads on one engine; waiting, with and without an event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Tuple

import pytest

import slotwise as s
from slotwise import Engine

TURNS = int(os.environ.get("SLOTWISE_TEST_TURNS", "300"))


def together(count: int, work: Callable[[int], Any]) -> None:
    failures: List[BaseException] = []
    barrier = threading.Barrier(count)

    def run(k: int) -> None:
        try:
            barrier.wait()
            work(k)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_eight_threads_do_everything(engine: Engine) -> None:
    for k in range(4):
        engine.add_worker(f"w{k}", 1000, 1000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(k: int) -> None:
        rng = random.Random(k)
        prepared = engine.prepare(f"p{k}", 10, 10)
        batch = engine.batch([f"b{k}-{j}" for j in range(10)], cpu=30, memory=1)
        for turn in range(TURNS):
            choice = rng.randrange(6)
            try:
                if choice == 0:
                    with engine.reserve(f"s{k}", 5, 5) as held:
                        held.resize(rng.randrange(1, 9), 1)
                elif choice == 1:
                    prepared.reserve()
                    prepared.release()
                elif choice == 2:
                    batch.run()
                    batch.release()
                elif choice == 3:
                    id = f"own-{k}-{turn}"
                    engine.add_worker(id, 10, 10)
                    engine.remove_worker(id)
                elif choice == 4:
                    engine.cordon("w0")
                    engine.uncordon("w0")
                else:
                    assert len([*engine]) >= 4 and engine.audit().ok
            except (s.Refused, s.NotHeld, s.WorkerLost, s.Short, s.WorkerState, s.TryAgain):
                pass  # its worker was one of another thread's, or is full or cordoned just now
        batch.release()
        if engine.prepare(f"p{k}", 1).existing:
            raise AssertionError

    try:
        together(8, work)
    finally:
        sys.setswitchinterval(interval)
    for k in range(8):
        for id in (f"s{k}", f"p{k}", *(f"b{k}-{j}" for j in range(10))):
            try:
                engine.release(id)
            except s.NotHeld:
                pass
    assert engine.counts().reservations == 0 and engine.audit().ok
    assert all(info.held == s.Resources() for info in engine)


def test_confirming_against_ticking_against_releasing(engine: Engine) -> None:
    """Each provisional reservation ends in one way, whoever comes first, and all of them are told."""
    for k in range(4):
        engine.add_worker(f"w{k}", 1000, 1000)
    account = engine.account("all")
    group = engine.spread_group("all")
    turns = TURNS * 4
    # Of each id: what became of it, by those who know that they did it.
    ends: List[Tuple[str, str]] = []
    made: List[str] = []
    latest: List[Any] = []

    def work(k: int) -> None:
        rng = random.Random(k)
        if k < 2:
            for turn in range(turns):
                now = engine.now
                until = now + rng.randrange(1, 30)
                terms = s.Terms(hold_until=until, account=account, limits=s.Limit(group, 1000))
                try:
                    held = engine.reserve(f"{k}-{turn}", 1, 1, terms=terms)
                except (s.DeadlinePassed, s.Refused):
                    continue
                made.append(str(held.id))
                latest.append(held)
        elif k < 4:
            for turn in range(turns):
                try:
                    ticked = engine.tick(turn)
                except s.ClockWentBack:
                    continue
                ends.extend((one.id, "expired") for one in ticked.expired)
                assert not ticked.workers
                time.sleep(0)
        else:
            for _ in range(turns):
                if not latest:
                    time.sleep(0)
                    continue
                held = latest[rng.randrange(max(len(latest) - 100, 0), len(latest))]
                try:
                    if k < 6:
                        if not held.confirm().existing:
                            ends.append((held.id, "confirmed"))
                    else:
                        held.release()
                        ends.append((held.id, "released"))
                except (s.NotHeld, s.InFlight):
                    pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        together(8, work)
    finally:
        sys.setswitchinterval(interval)
    ends.extend((one.id, "expired") for one in engine.tick(engine.now + 30).expired)
    by: Dict[str, List[str]] = {id: [] for id in made}
    for id, end in ends:
        by[id].append(end)
    kept = 0
    for id, how in by.items():
        # Confirmed once or never; then ended once, or, where it was confirmed, perhaps not at all.
        assert how.count("confirmed") <= 1 and len(how) - how.count("confirmed") <= 1, (id, how)
        assert how and not ("confirmed" in how and "expired" in how), (id, how)
        kept += how == ["confirmed"]
    stats = engine.stats()
    assert stats.placed == len(made)
    assert stats.expired == sum("expired" in how for how in by.values())
    assert stats.confirmed == sum("confirmed" in how for how in by.values())
    assert engine.counts().reservations == kept == engine.usage(account).used.cpu
    assert sum(engine.spread_count(group, f"w{k}") for k in range(4)) == kept


def test_ticks_take_turns_and_lose_nothing(engine: Engine) -> None:
    engine.add_worker("w", 100_000, 100_000)
    many = engine.reserve_many(count=3000, cpu=1, terms=s.Terms(hold_until=1))
    tickets: List[int] = []

    def work(k: int) -> None:
        for now in range(20):
            try:
                tickets.extend(one.ticket for one in engine.tick(now).expired)
            except s.ClockWentBack:
                pass

    together(4, work)
    assert sorted(tickets) == sorted(many.tickets)


def test_a_thread_sees_its_own_failures(one: Engine) -> None:
    def work(k: int) -> None:
        for _ in range(TURNS):
            with pytest.raises(s.TooLarge) as error:
                one.reserve("x", 9_000_000 + k)
            assert error.value.given == 9_000_000 + k

    together(4, work)


def test_an_engine_is_closed_under_its_threads() -> None:
    for _ in range(20):
        engine = Engine(max_workers=16, max_reservations=1024)
        engine.add_worker("w", 1000, 1000)

        def work(k: int, engine: Engine = engine) -> None:
            if k == 0:
                time.sleep(0.001)
                engine.close()
                return
            batch = engine.batch(count=50, cpu=1)
            with pytest.raises(s.Closed):
                while True:
                    batch.run()
                    batch.release()
                    with engine.reserve(None, 1):
                        pass

        together(4, work)
        del engine, work
        gc.collect()


def test_a_batch_is_for_one_thread_at_a_time(one: Engine) -> None:
    batch = one.batch(count=1000, cpu=1)
    refused = []

    def work(_: int) -> None:
        for _turn in range(TURNS):
            try:
                batch.run()
                batch.release()
            except s.SlotwiseError as error:
                refused.append(str(error))

    together(4, work)
    batch.release()
    assert all("one for each" in text for text in refused)


def test_what_a_dead_thread_held_is_seen(one: Engine) -> None:
    class Died(Exception):
        pass

    def work() -> None:
        one.reserve("orphan", 400, 300)
        raise Died

    def hook(args: Any) -> None:
        assert args.exc_type is Died

    before, threading.excepthook = threading.excepthook, hook
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    assert one.drain("w").held == s.Resources(400, 300)
    assert [info.held for info in one] == [s.Resources(400, 300)]
    assert one.reservation("orphan").worker_id == "w"
    (lost,) = one.remove_worker("w")
    assert lost.id == "orphan" and lost.amount == s.Resources(400, 300)


def test_waiting_until_there_is_room(one: Engine) -> None:
    first = one.reserve("first", 900)
    threading.Timer(0.05, first.release).start()
    assert one.reserve_wait("second", 900, timeout=20).worker_id == "w"
    started = time.monotonic()
    with pytest.raises(s.TimedOut) as late:
        one.reserve_wait("third", 900, timeout=0.05)
    assert 0.05 <= time.monotonic() - started < 10
    assert late.value.reasons == s.Reasons(cpu=1) and isinstance(late.value, (s.Busy, TimeoutError))
    with pytest.raises(s.Never):
        one.reserve_wait("fourth", 5000)
    with pytest.raises(s.TimedOut):
        one.reserve_wait("fifth", 900, timeout=0)
    with pytest.raises(TypeError):
        one.reserve_wait("sixth", 1, colour="red")


def test_waiting_does_not_block_the_loop(one: Engine) -> None:
    async def main() -> None:
        held = one.reserve("first", 900)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.ensure_future(tick())
        waiting = asyncio.ensure_future(one.reserve_async("second", 900, timeout=20))
        await asyncio.sleep(0.05)
        assert not waiting.done() and ticks > 10
        held.release()
        second = await waiting
        assert second.worker_id == "w"
        with pytest.raises(s.TimedOut):
            await one.reserve_async("third", 900, timeout=0.02)
        with pytest.raises(s.Never):
            await one.reserve_async("fourth", 5000)
        cancelled = asyncio.ensure_future(one.reserve_async("fifth", 900))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        ticking.cancel()
        await asyncio.gather(cancelled, ticking, return_exceptions=True)
        with pytest.raises(s.NotHeld):
            one.reservation("fifth")

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_has_a_copy(one: Engine) -> None:
    child = os.fork()
    if child == 0:
        try:
            one.reserve("child", 1)
            one.reserve_many(count=3, cpu=1)
            os._exit(0 if one.counts().reservations == 4 and one.audit() else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert one.counts().reservations == 0
