"""Anything at all, given to anything: an error of this package or an answer, and the books add up."""

from __future__ import annotations

import inspect
import os
import random
import re
from array import array
from typing import Any, List

import pytest

import slotwise as s
from slotwise import Engine, PackedIds, Request, Resources, Step, WorkerSpec

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

TURNS = int(os.environ.get("SLOTWISE_TEST_TURNS", "300")) * 20

METHODS = [
    "account", "add_worker", "add_workers", "apply", "batch", "confirm", "cordon", "counts", "deadline",
    "drain", "dry_run", "explain", "find", "forget_unmet", "fragmentation", "gang", "granted", "hand_off", "heartbeat", "learned", "plan_preemption", "preempt", "prepare",
    "ready", "ready_generation", "release", "release_many", "remove_worker", "repack", "replicas", "reservation", "reserve",
    "reserve_batch", "reserve_many", "reserve_on", "resize", "selector", "set_quota", "snapshot",
    "spread_count", "spread_group", "stats", "take_ended", "take_lost", "tick", "uncordon", "unmet_demand", "unready",
    "update_worker", "usage", "worker", "worker_devices", "worker_id", "workers",
]  # fmt: skip


def things(rng: random.Random, engine: Engine, tickets: List[int]) -> Any:
    """Something, now and then what would be right."""
    leaf: List[Any] = [
        None, True, 0, 1, 2, 255, 256, -1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 70),
        0.0, 1.5, float("nan"), float("inf"), 1j, "", "w", "w1", "a", "x" * 64, "x" * 65, "x" * 256, "\ud800", "a\0b",
        "\u00e9", b"", b"w", b"\xff", b"x" * 300, bytearray(b"ab"), object(), Engine, len, s.Policy.SPREAD, s.Status.OK,
        s.UNSET, range(3), array("Q", [1, 2]), array("q", [-1]), array("d", [1.0]), array("I", [1]), memoryview(b"abcdefgh"),
        memoryview(bytes(16)).cast("Q"), memoryview(bytes(16)).cast("Q", (1, 2)), memoryview(array("Q", [1, 2, 3]))[::2],
        PackedIds(b"abc", [0, 1, 3]), PackedIds(b"abc", [0, 9]), PackedIds(b"abc", [2, 1]), PackedIds(None, None),
        s.Constraints(), s.Constraints(pools=["p"]), s.Constraints(pools=[1]), Resources(1), Resources(-1, "a"),  # type: ignore[arg-type,list-item]
        Request("r", 1), Request(5, None), Request(None, 1, selector=7), WorkerSpec("w2", 10, 10), WorkerSpec(None, "a", -1),  # type: ignore[arg-type]
        s.Group("w", [Step.reserve("g", 1)]), s.Group("w", [Step(7)]), s.Group(3, 4), {"a": "b"}, {"a": ["b"]}, {1: 2},  # type: ignore[arg-type]
        s.Terms(), s.Terms(hold_until=3, priority=5), s.Terms(limits=s.Limit(0)), s.Terms("x", None, 2, -1, [3]),  # type: ignore[arg-type,list-item]
        s.Terms(account=0, preemptable=True), Request("p", 90_000, terms=s.Terms(priority=9)), s.Scope.MACHINE, s.Scope(9, 9),  # type: ignore[arg-type]
        s.Device("a"), s.Device(1, "b", 300), [s.Device("a", 10), s.Device("b", 10, 1)], s.DeviceNeed(0, "x", -1, 7),  # type: ignore[arg-type]
        s.Terms(devices=s.DeviceNeed.part(300, 1)), s.Terms(devices=s.DeviceNeed.whole(2)), s.Terms(devices=5),  # type: ignore[arg-type]
        WorkerSpec("w3", 10, 10, devices=[s.Device("a")]), WorkerSpec("w4", 10, 10, devices=[3]),  # type: ignore[list-item]
        s.Preemption(0, 0), s.Preemption(1, 1, [s.Victim("a", 1, 0, Resources())], [2]), s.Scope.label("zone"),
        rng.choice(tickets), rng.choice(tickets), engine,
    ]  # fmt: skip
    if numpy is not None:
        leaf += [
            numpy.arange(3), numpy.arange(6)[::2], numpy.zeros((2, 2), "u8"), numpy.array([b"a", b"b"]), numpy.float32(1),
            numpy.array(["a", "b"]), numpy.array([1, "a"], object), numpy.zeros(2, "u4"), numpy.zeros(0), numpy.int64(3),
            numpy.array(5), numpy.ma.masked_array([1, 2], [True, False]),
        ]  # fmt: skip
    thing = rng.choice(leaf)
    if rng.random() < 0.25:
        return [rng.choice(leaf) for _ in range(rng.randrange(4))]
    if rng.random() < 0.1:
        return iter([thing])
    return thing


@pytest.mark.filterwarnings("ignore")
def test_anything_given_to_anything() -> None:
    rng = random.Random(int(os.environ.get("SLOTWISE_TEST_SEED", "1")))
    engine = Engine(max_workers=64, max_reservations=4096)
    engine.add_worker("w", 100_000, 100_000, 8)
    engine.add_worker("w1", 1_000, 1_000)
    engine.add_worker("w5", 1_000, 1_000, devices=[s.Device("a", 10), s.Device("b", 10, 1)])
    tickets = [0]
    done = 0
    for turn in range(TURNS):
        name = rng.choice(METHODS)
        method = getattr(engine, name)
        args: List[Any] = []
        more = {}
        skipped = False
        for key, parameter in inspect.signature(method).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                if rng.random() < 0.2:
                    more[rng.choice(("gpus", "selector", "count", "pools", "labels", "what"))] = things(
                        rng, engine, tickets
                    )
            elif parameter.default is not parameter.empty and rng.random() < 0.7:
                skipped = True
            elif skipped or parameter.kind is parameter.KEYWORD_ONLY:
                more[key] = things(rng, engine, tickets)
            else:
                args.append(things(rng, engine, tickets))
        try:
            answer = method(*args, **more)
            done += 1
        except s.SlotwiseError:
            continue
        except Exception as error:
            # What Python itself says of names that are none.
            if isinstance(error, TypeError) and re.search("keyword|multiple values", str(error)):
                continue
            raise AssertionError(f"turn {turn}: {name}(*{args!r}, **{more!r}): {error!r}") from error
        if isinstance(answer, s.Reservation):
            tickets.append(answer.ticket)
        elif isinstance(answer, s.ReserveBatch):
            try:
                answer.run()
                answer.release()
            except s.SlotwiseError:
                pass
        if turn % 100 == 0:
            assert engine.audit().ok
            if "w" not in engine:
                engine.add_worker("w", 100_000, 100_000, 8)
            repr(answer)
    assert done > TURNS / 20
    assert engine.audit().ok
