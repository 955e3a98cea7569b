"""Devices: parts of a GPU, or several of which it is told which they are; beside what the table tries."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import threading
import time
from typing import Any, Callable, Dict, List, Tuple, Type

import pytest

import slotwise as s
from slotwise import Device, DeviceNeed, DeviceState, Engine, Granted, Island, Request, Terms, WorkerSpec

UNTOUCHED = [DeviceState(1000, 100, 100, 0), DeviceState(1000, 0, 0, 254)]


@pytest.fixture
def two(engine: Engine) -> Engine:
    """An engine with one worker, n, that has two devices."""
    engine.add_worker("n", 1000, 1000, gpu_type="H100", devices=[Device("a", 100), Device(b"b", island=254)])
    return engine


def asking(count: Any = 1, milli: Any = 1000, memory: Any = 0, island: Any = Island.ANY) -> Terms:
    return Terms(devices=DeviceNeed(count, milli, memory, island))


def test_what_is_held_is_told(two: Engine) -> None:
    assert two.worker_devices("n") == two.worker_devices(two.find("n")) == UNTOUCHED
    with two.reserve("half", 1, terms=asking(1, 500, 40)) as half:
        wanted = Granted((0,), 500, 40)
        assert half.granted == two.granted("half") == two.granted(half.ticket) == two.granted(half) == wanted
        assert two.worker_devices("n")[0] == DeviceState(500, 60, 100, 0)
        assert two.worker("n").free.gpus == 1 and two.worker("n").total.gpus == 2
    assert two.worker_devices("n") == UNTOUCHED
    both = two.reserve(None, 1, terms=asking(2))
    assert both.granted == Granted((0, 1), 1000, 0)
    with pytest.raises(s.Busy) as busy:
        two.reserve("more", 1, terms=asking(1, 1))
    assert busy.value.dimension == s.Dimension.GPUS and busy.value.reasons == s.Reasons(gpus=1)
    two.add_worker("without", 1, 1)
    assert two.worker_devices("without") == [] and two.reserve("plain", 1).granted is None
    for gone in (half, half.ticket, "half", 0, (1 << 64) - 1):
        with pytest.raises(s.NotHeld):
            two.granted(gone)
    with pytest.raises(s.UnknownWorker):
        two.worker_devices("nobody")
    assert two.explain(Request("x", 1, gpus=1)).mismatches.devices == 1


def test_every_way_to_ask_for_one_takes_devices(two: Engine) -> None:
    need = Terms(hold_until=9, devices=DeviceNeed.part(10, 1))  # of which only the first has any
    prepared = two.prepare("p", 1, terms=need)
    batch = two.batch(["b0", "b1"], cpu=1, terms=need)
    gc.collect()
    prepared.hold_until = batch.hold_until = None
    assert two.granted(prepared.reserve()) == Granted((0,), 10, 1)
    assert batch.run() == 2 and two.reserve_many(["m"], 1, terms=need).placed == 1
    assert two.reserve_on("n", "o", 1, terms=need).granted == Granted((0,), 10, 1)
    assert two.reserve_wait("w", 1, terms=need).provisional
    two.reserve_batch([Request("r", 1, terms=need)]).raise_for_status()
    assert two.worker_devices("n")[0].free_milli == 930
    assert {e.id for e in two.tick(9).expired} == {"m", "o", "w", "r"}
    assert two.worker_devices("n")[0].free_milli == 970
    prepared.release()
    assert batch.release() == 2 and two.worker_devices("n") == UNTOUCHED


def test_a_gang(two: Engine) -> None:
    half = Terms(devices=DeviceNeed.part(500))
    gang = [Request(name, 1, terms=half) for name in "abcde"]
    with pytest.raises(s.Busy) as error:
        two.gang(gang)
    assert error.value.index == 4 and two.worker_devices("n") == UNTOUCHED
    held = two.gang(gang[:4])
    # Who asks for no memory gets the device that has none first.
    assert [one.granted for one in held] == [Granted((n,), 500, 0) for n in (1, 1, 0, 0)]
    why = two.explain(Request("f", 1, terms=asking(2)))
    assert why.nearest is not None and why.nearest.missing == s.Resources(0, 0, 2)
    whole = Request("f", 1, terms=asking())
    (refused,) = two.dry_run([whole])
    assert isinstance(refused, s.Busy) and refused.index == 0
    (foreseen,) = two.dry_run([whole], credited=held[2:])
    assert foreseen.worker == held[0].worker
    assert two.replicas(whole, 9, credited=held) == 2
    for one in held:
        one.release()
    assert two.worker_devices("n") == UNTOUCHED


def test_devices_are_made_room_for(two: Engine) -> None:
    low = two.reserve("low", 1, terms=Terms(preemptable=True, devices=DeviceNeed(2)))
    request = Request("high", 1, terms=Terms(priority=1, devices=DeviceNeed(1, 600)))
    plan = two.plan_preemption(request)
    assert [victim.id for victim in plan.victims] == ["low"]
    claim = two.preempt(request, plan)
    assert claim.provisional and claim.granted == Granted((1,), 600, 0)
    with pytest.raises(s.Waiting):
        two.confirm(claim)
    low.release()
    assert two.confirm(claim).worker == claim.worker
    assert two.worker_devices("n")[1] == DeviceState(400, 0, 0, 254)
    claim.release()
    assert two.worker_devices("n") == UNTOUCHED


def test_devices_stay(two: Engine) -> None:
    held = two.reserve("x", 1, terms=asking())
    with pytest.raises(s.DevicesStay) as error:
        held.resize(2, gpus=2)
    assert error.value.status == s.Status.DEVICES_STAY
    held.resize(5)
    assert held.granted == Granted((0,), 1000, 0) and two.worker("n").held.cpu == 5
    # None of them is left over, since it is their number that is named.
    assert two.update_worker("n", total=s.Resources(2000, 2000, 2)).total.gpus == 2


def test_a_quota_that_is_too_small_is_not_waited_for(two: Engine) -> None:
    acme = two.account("acme")
    two.set_quota(acme, gpus=1)
    started = time.monotonic()
    with pytest.raises(s.QuotaExceeded) as over:
        two.reserve_wait("x", 1, terms=Terms(account=acme, devices=DeviceNeed.whole(2)))
    assert over.value.dimension == s.Dimension.GPUS and time.monotonic() - started < 10
    part = Terms(account=acme, devices=DeviceNeed.part(1))
    with two.reserve("a", 1, terms=part), pytest.raises(s.TimedOut):
        two.reserve_wait("b", 1, terms=part, timeout=0.02)


def test_values() -> None:
    assert DeviceNeed.part(500, 40) == DeviceNeed(1, 500, 40) and DeviceNeed.whole() == DeviceNeed()
    assert DeviceNeed.whole(4, 7, Island.INSIST) == DeviceNeed(4, 1000, 7, Island.INSIST)
    terms = asking(1, 500)
    assert terms != Terms() and repr(terms).startswith("Terms(devices=DeviceNeed(count=1, milli=500, ")
    for value in (terms, Device("a", 1, 2), Granted((1,), 2, 3), DeviceState(1, 2, 3, 4)):
        assert pickle.loads(pickle.dumps(value)) == copy.copy(value) == value and len({value, value}) == 1
    error = s.InvalidDevices("devices[0]", "no")
    assert pickle.loads(pickle.dumps(error)).argument == "devices[0]" and isinstance(error, ValueError)


WRONG = [
    ("devices", Terms(devices=1), s.InvalidType),  # type: ignore[arg-type]
    ("devices", Terms(devices=Device("a")), s.InvalidType),  # type: ignore[arg-type]
    ("devices.count", asking(-1), s.InvalidArgument),
    ("devices.count", asking(0), s.InvalidArgument),
    ("devices.count", asking(1 << 40), s.InvalidArgument),
    ("devices.count", asking(None), s.InvalidType),
    ("devices.count", asking(1.5), s.InvalidType),
    ("devices.milli", asking(1, "500"), s.InvalidType),
    ("devices.milli", asking(1, 0.5), s.InvalidType),
    ("devices.milli", asking(1, -1), s.InvalidArgument),
    ("devices.milli", asking(1, 1 << 32), s.InvalidArgument),
    ("devices.memory", asking(1, 1, -1), s.InvalidArgument),
    ("devices.memory", asking(1, 1, 1 << 64), s.InvalidArgument),
    ("devices.memory", asking(1, 1, "1"), s.InvalidType),
    ("devices.island", asking(2, island=3), s.InvalidArgument),
    ("devices.island", asking(2, island=300), s.InvalidArgument),
    ("devices.island", asking(2, island="insist"), s.InvalidArgument),
    ("devices.island", asking(2, island=None), s.InvalidArgument),
]


@pytest.mark.parametrize("argument, terms, kind", WRONG, ids=[f"{k}-{w[0]}" for k, w in enumerate(WRONG)])
def test_needs_that_cannot_be_right(two: Engine, argument: str, terms: Terms, kind: Type[Any]) -> None:
    calls: Tuple[Tuple[str, Callable[[], Any]], ...] = (
        ("", lambda: two.reserve("x", 1, terms=terms)),
        ("", lambda: two.reserve_on("n", "x", 1, terms=terms)),
        ("", lambda: two.prepare("x", 1, terms=terms)),
        ("", lambda: two.reserve_many(["x"], 1, terms=terms)),
        ("", lambda: two.batch(["x"], 1, terms=terms)),
        ("requests[0].", lambda: two.reserve_batch([Request("x", 1, terms=terms)])),
    )
    for prefix, call in calls:
        with pytest.raises(kind) as error:
            call()
        assert error.value.argument == f"{prefix}terms.{argument}" and isinstance(error.value, ValueError)
    assert two.worker_devices("n") == UNTOUCHED and two.counts() == s.Counts(1, 0)


def test_needs_that_the_library_refuses(two: Engine) -> None:
    for status, gpus, terms in (
        ("DEVICE_OVER_WHOLE", 0, asking(1, 1001)),
        ("DEVICE_EMPTY", 0, asking(1, 0)),
        ("DEVICE_PARTS", 0, asking(2, 999)),
        ("TOO_MANY_DEVICES", 0, asking(17)),
        ("TOO_MANY_DEVICES", 0, asking((1 << 32) - 1)),
        ("GPUS_BESIDE_DEVICES", 1, asking()),
    ):
        with pytest.raises(s.InvalidDevices) as error:
            two.reserve("x", 1, gpus=gpus, terms=terms)
        assert error.value.status == s.Status[status] and str(error.value)
        (outcome,) = two.reserve_batch([Request("x", 1, gpus=gpus, terms=terms)])
        assert isinstance(outcome, s.InvalidDevices) and outcome.status == s.Status[status]
    with pytest.raises(s.TooLarge):
        two.reserve("x", 1, terms=asking(1, 1, 1 << 40))
    assert two.worker_devices("n") == UNTOUCHED and two.counts() == s.Counts(1, 0)


NO_DEVICES: List[Tuple[str, Any, Type[Any]]] = [
    ("devices", None, s.InvalidType),
    ("devices", 5, s.InvalidType),
    ("devices", "ab", s.InvalidType),
    ("devices[0]", ["a"], s.InvalidType),
    ("devices[1]", [Device("a"), DeviceNeed()], s.InvalidType),
    ("devices[0].id", [Device(5)], s.InvalidType),  # type: ignore[arg-type]
    ("devices[0].id", [Device("x" * 256)], s.InvalidArgument),
    ("devices[0].id", [Device("a\ud800")], s.InvalidArgument),
    ("devices[0].memory", [Device("a", -1)], s.InvalidArgument),
    ("devices[0].memory", [Device("a", "1")], s.InvalidType),  # type: ignore[arg-type]
    ("devices[0].island", [Device("a", 0, -1)], s.InvalidArgument),
    ("devices[0].island", [Device("a", 0, 1 << 40)], s.InvalidArgument),
    ("devices[0].island", [Device("a", 0, "0")], s.InvalidType),  # type: ignore[arg-type]
    ("devices[1].island", [Device("a"), Device("b", 0, 300)], s.InvalidDevices),
]


@pytest.mark.parametrize(
    "argument, devices, kind", NO_DEVICES, ids=[f"{k}-{w[0]}" for k, w in enumerate(NO_DEVICES)]
)
def test_devices_that_cannot_be_right(two: Engine, argument: str, devices: Any, kind: Type[Any]) -> None:
    spec = WorkerSpec("x", 1, 1, devices=devices)
    calls: Tuple[Tuple[str, Callable[[], Any]], ...] = (
        ("", lambda: two.add_worker("x", 1, 1, devices=devices)),
        ("", lambda: two.add_worker(spec)),
        ("specs[1].", lambda: two.add_workers([WorkerSpec("y", 1, 1), spec])),
        ("with_[0].", lambda: two.dry_run([], with_=[spec])),
        ("shape.", lambda: two.unmet_demand(spec)),
    )
    for prefix, call in calls:
        with pytest.raises(kind) as error:
            call()
        assert error.value.argument == f"{prefix}{argument}" and isinstance(error.value, ValueError)
    assert two.counts() == s.Counts(1, 0)


def test_devices_that_the_library_refuses(two: Engine) -> None:
    cases: Tuple[Tuple[str, int, List[Device]], ...] = (
        ("DUPLICATE_DEVICE", 0, [Device("a"), Device("b"), Device("a")]),
        ("TOO_MANY_DEVICES", 0, [Device(str(k)) for k in range(17)]),
        ("GPUS_BESIDE_DEVICES", 2, [Device("a")]),
        ("NAME_LENGTH", 0, [Device("")]),
        ("TOO_LARGE", 0, [Device("a", 1 << 40)]),
    )
    for status, gpus, devices in cases:
        spec = WorkerSpec("x", 1, 1, gpus, devices=devices)
        with pytest.raises(s.InvalidArgument) as error:
            two.add_worker(spec)
        assert error.value.status == s.Status[status]
        assert error.value.index == (2 if status == "DUPLICATE_DEVICE" else None)
        (added,) = two.add_workers([spec])
        assert added.status == s.Status[status]
        with pytest.raises(s.InvalidArgument) as supposed:
            two.dry_run([], with_=[WorkerSpec("y", 1, 1), spec])
        assert supposed.value.status == s.Status[status] and supposed.value.index == 1
    assert two.counts() == s.Counts(1, 0)
    with pytest.raises(s.InvalidDevices):
        two.update_worker("n", total=s.Resources(1, 1, 3))
    assert two.worker("n").version == 0


def test_threads_share_devices_and_none_is_given_twice(engine: Engine) -> None:
    for n in range(2):
        engine.add_worker(f"n{n}", 1000, 1000, devices=[Device(f"d{k}", 100, k // 2) for k in range(4)])
    # How much is held of each device, by who holds it: never more than there is.
    held: Dict[Tuple[int, int], int] = {}
    lock, failures = threading.Lock(), []

    def book(worker: int, granted: Granted, sign: int) -> None:
        with lock:
            for place in granted.devices:
                held[worker, place] = held.get((worker, place), 0) + sign * granted.milli
                assert 0 <= held[worker, place] <= 1000, held

    def work(k: int) -> None:
        rng = random.Random(k)
        for turn in range(150):
            need = DeviceNeed.part(rng.choice((100, 500)), 10)
            if rng.random() < 0.3:
                need = DeviceNeed.whole(2, island=rng.choice([*Island]))
            try:
                got = engine.reserve(f"{k}-{turn}", 1, terms=Terms(devices=need))
            except s.Busy:
                continue
            granted = got.granted
            assert granted is not None and len(granted.devices) == need.count and granted.milli == need.milli
            if need.island == Island.INSIST:
                assert len({place // 2 for place in granted.devices}) == 1
            book(got.worker, granted, 1)
            states = engine.worker_devices(got.worker)  # others run meanwhile
            assert all(states[place].free_milli <= 1000 - need.milli for place in granted.devices)
            assert got.granted == granted
            book(got.worker, granted, -1)  # before it is somebody else's
            got.release()

    def run(k: int) -> None:
        try:
            work(k)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    for n in range(2):
        assert all(d.free_milli == 1000 and d.free_memory == 100 for d in engine.worker_devices(f"n{n}"))
