"""What cannot be right is refused by the name of the argument, and nothing has changed."""

from __future__ import annotations

import re
from array import array
from typing import Any, Callable, Iterator, Tuple

import pytest

import slotwise as s
from slotwise import Engine, Group, PackedIds, Request, Resources, Step, WorkerSpec

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]


@pytest.fixture
def world(one: Engine) -> Iterator[Engine]:
    """A worker that holds one reservation; both are looked at again at the end."""
    held = one.reserve("held", 10, 10)
    yield one
    info = one.worker("w")
    assert info.version == 1 and info.held == Resources(10, 10) and info.state == s.State.READY
    assert one.counts() == s.Counts(1, 1) and one.reservation("held") == held


Call = Callable[[Engine], Any]
LONE = "a\ud800b"

TYPES = [None, 1.5, "1", b"1", [1], object(), 1j]
NUMBERS = [-1, 1 << 64, -(1 << 200), 1 << 200]
NO_IDS = [1, 1.5, ["a"], object(), bytearray(b"a")]
WRONG_IDS = ["", b"", LONE, "x" * 65, b"x" * 65, "\u00e9" * 33]


def refused(world: Engine, call: Call, argument: str, kind: type = s.InvalidArgument) -> None:
    with pytest.raises(kind) as error:
        call(world)
    assert isinstance(error.value, ValueError)
    assert error.value.argument == argument, error.value  # type: ignore[attr-defined]
    assert str(error.value).startswith(f"{argument}: ")


AMOUNTS: Tuple[Tuple[str, Callable[[Engine, Any], Any]], ...] = (
    ("cpu", lambda e, v: e.reserve("x", cpu=v)),
    ("memory", lambda e, v: e.reserve("x", 1, memory=v)),
    ("gpus", lambda e, v: e.reserve("x", 1, gpus=v)),
    ("selector", lambda e, v: e.reserve("x", 1, selector=v)),
    ("cpu", lambda e, v: e.reserve_on("w", "x", v)),
    ("cpu", lambda e, v: e.prepare("x", v)),
    ("cpu", lambda e, v: e.resize("held", v)),
    ("memory", lambda e, v: e.resize("held", 1, v)),
    ("cpu", lambda e, v: e.add_worker("x", v, 1)),
    ("memory", lambda e, v: e.add_worker("x", 1, v)),
    ("gpus", lambda e, v: e.add_worker("x", 1, 1, v)),
    ("tier", lambda e, v: e.add_worker("x", 1, 1, tier=v)),
    ("specs[1].cpu", lambda e, v: e.add_workers([WorkerSpec("x", 1, 1), WorkerSpec("y", v, 1)])),
    ("set_aside.cpu", lambda e, v: e.add_worker("x", 1, 1, set_aside=Resources(v))),
    ("total.memory", lambda e, v: e.update_worker("w", total=Resources(1, v))),
    ("requests[1].cpu", lambda e, v: e.reserve_batch([Request("x", 1), Request("y", v)])),
    ("requests[0].gpus", lambda e, v: e.dry_run([Request("x", 1, 1, v)])),
    ("credited[0]", lambda e, v: e.dry_run([], credited=[v])),
    ("groups[0].steps[0].need.cpu", lambda e, v: e.apply([Group("w", [Step.reserve("x", v)])])),
    ("cpu[1]", lambda e, v: e.reserve_many(["x", "y"], cpu=[1, v])),
    ("hashes[0]", lambda e, v: e.reserve_many(["x"], cpu=1, hashes=[v])),
    ("tickets[1]", lambda e, v: e.release_many([1, v])),
)


@pytest.mark.parametrize("place", range(len(AMOUNTS)), ids=[f"{k}-{a}" for k, (a, _) in enumerate(AMOUNTS)])
def test_amounts(world: Engine, place: int) -> None:
    argument, call = AMOUNTS[place]
    for value in TYPES:
        refused(world, lambda e: call(e, value), argument, s.InvalidType)
    for value in NUMBERS:
        refused(world, lambda e: call(e, value), argument)


@pytest.mark.parametrize("value", [None, 1.5, object(), -1, 1 << 64], ids=str)
def test_tickets(world: Engine, value: Any) -> None:
    refused(world, lambda e: e.release(value), "what")
    refused(world, lambda e: e.resize(value, 1), "what")
    for call in (lambda e: e.worker(value), lambda e: e.snapshot(value), lambda e: e.worker_id(value)):
        refused(world, call, "worker")
    refused(world, lambda e: e.reserve_on(value, "x", 1), "worker")
    refused(world, lambda e: e.prepare("x", 1).release_ticket(value), "ticket")


def test_numbers_that_were_never_given_out(world: Engine) -> None:
    for number in (0, 1, 12345, (1 << 64) - 1):
        with pytest.raises(s.NotHeld):
            world.release(number)
        with pytest.raises(s.NotHeld):
            world.resize(number, 1)
        for call in (world.worker, world.snapshot, world.worker_id):
            with pytest.raises(s.UnknownWorker):
                call(number)
        assert world.release_many([number]).released == 0
    for selector in (1, (1 << 32) - 1):
        with pytest.raises(s.UnknownSelector):
            world.reserve("x", 1, selector=selector)
    refused(world, lambda e: e.reserve("x", 1, selector=1 << 32), "selector")


IDS: Tuple[Tuple[str, Callable[[Engine, Any], Any]], ...] = (
    ("id", lambda e, v: e.reserve(v, 1)),
    ("id", lambda e, v: e.reserve_on("w", v, 1)),
    ("id", lambda e, v: e.prepare(v, 1)),
    ("id", lambda e, v: e.prepare("x", 1).reserve_as(v)),
    ("id", lambda e, v: e.add_worker(v, 1, 1)),
    ("specs[0].id", lambda e, v: e.add_workers([WorkerSpec(v, 1, 1)])),
    ("id", lambda e, v: e.update_worker(v, priority=1)),
    ("id", lambda e, v: e.remove_worker(v)),
    ("id", lambda e, v: e.ready(v)),
    ("id", lambda e, v: e.unready(v)),
    ("id", lambda e, v: e.cordon(v)),
    ("id", lambda e, v: e.uncordon(v)),
    ("id", lambda e, v: e.drain(v)),
    ("id", lambda e, v: e.find(v)),
    ("id", lambda e, v: v in e),
    ("id", lambda e, v: e.reservation(v)),
    ("requests[0].id", lambda e, v: e.reserve_batch([Request(v, 1)])),
    ("groups[0].worker", lambda e, v: e.apply([Group(v, [])])),
    ("groups[0].steps[0].id", lambda e, v: e.apply([Group("w", [Step(1, v)])])),
    ("batch_id", lambda e, v: e.reserve_batch([Request("x", 1)], batch_id=v)),
    ("batch_id", lambda e, v: e.reserve_many(["x"], 1, batch_id=v)),
)


@pytest.mark.parametrize("place", range(len(IDS)), ids=[f"{k}-{a}" for k, (a, _) in enumerate(IDS)])
def test_ids(world: Engine, place: int) -> None:
    argument, call = IDS[place]
    for value in NO_IDS:
        refused(world, lambda e: call(e, value), argument, s.InvalidType)
    for value in WRONG_IDS:
        refused(world, lambda e: call(e, value), argument)


@pytest.mark.parametrize("value", [LONE, "x" * 256, 1, ["x"]], ids=repr)
def test_names(world: Engine, value: Any) -> None:
    for name in ("pool", "gpu_type", "tenant", "machine"):
        refused(world, lambda e: e.add_worker("x", 1, 1, 1, **{name: value}), name)
        refused(world, lambda e: e.update_worker("w", **{name: value}), name)
    if not isinstance(value, list):
        refused(world, lambda e: e.add_worker("x", 1, 1, labels={value: "v"}), "labels")
        refused(world, lambda e: e.selector(labels={value: "v"}), "labels")
    refused(world, lambda e: e.add_worker("x", 1, 1, labels={"k": value}), "labels['k']")
    refused(world, lambda e: e.selector(pools=["p", value]), "pools[1]")
    refused(world, lambda e: e.selector(gpu_types=[value]), "gpu_types[0]")
    if not isinstance(value, list):
        refused(world, lambda e: e.selector(labels={"k": [value]}), "labels['k'][0]")
    refused(world, lambda e: e.selector(machine=value), "machine")
    refused(world, lambda e: e.selector(tenant=value), "tenant")
    if value != "x" * 256:  # keys may be of any length
        refused(world, lambda e: e.reserve("x", 1, key=value), "key")
    refused(world, lambda e: [*e.workers(pool=value)], "pool")
    refused(world, lambda e: [*e.workers(machine=value)], "machine")


def test_what_else_is_of_a_wrong_kind(world: Engine) -> None:
    anything: Any = object()
    for argument, call in (
        ("policy", lambda e: e.reserve("x", 1, policy=99)),
        ("policy", lambda e: e.reserve("x", 1, policy="spread")),
        ("policy", lambda e: Engine(policy=-1)),
        ("max_workers", lambda e: Engine(max_workers=-1)),
        ("max_batches", lambda e: Engine(max_batches="1")),
        ("hash", lambda e: e.reserve("x", 1, hash=1, key="k")),
        ("hash", lambda e: e.reserve("x", 1, hash=-1)),
        ("expected", lambda e: e.reserve_on("w", "x", 1, expected=-1)),
        ("constraints", lambda e: e.selector(anything)),
        ("pools", lambda e: e.selector(pools=1)),
        ("labels", lambda e: e.selector(labels=7)),
        ("labels", lambda e: e.add_worker("x", 1, 1, labels=[("a", "b")])),
        ("priority", lambda e: e.add_worker("x", 1, 1, priority=1 << 31)),
        ("tier", lambda e: e.add_worker("x", 1, 1, tier=256)),
        ("set_aside", lambda e: e.add_worker("x", 1, 1, set_aside=(1, 1, 0))),
        ("total", lambda e: e.update_worker("w", total=5)),
        ("specs", lambda e: e.add_workers(5)),
        ("specs[0]", lambda e: e.add_workers([{"id": "x"}])),
        ("requests", lambda e: e.reserve_batch(None)),
        ("requests", lambda e: e.reserve_batch("ab")),
        ("requests[0]", lambda e: e.reserve_batch(["ab"])),
        ("groups[0]", lambda e: e.apply([5])),
        ("groups[0].steps", lambda e: e.apply([Group("w", None)])),  # type: ignore[arg-type]
        ("groups[0].steps[0]", lambda e: e.apply([Group("w", ["x"])])),  # type: ignore[list-item]
        ("limit", lambda e: e.take_lost(-1)),
        ("timeout", lambda e: e.reserve_wait("x", 1, timeout=-1)),
        ("timeout", lambda e: e.reserve_wait("x", 1, timeout="soon")),
        ("timeout", lambda e: e.reserve_wait("x", 1, timeout=float("nan"))),
    ):
        refused(world, call, argument)  # type: ignore[arg-type]


def test_what_the_library_refuses(world: Engine) -> None:
    for status, call in (
        ("EMPTY", lambda: world.reserve("x")),
        ("TOO_LARGE", lambda: world.reserve("x", 8388608)),
        ("TOO_LARGE", lambda: world.add_worker("x", 1, 1 << 40)),
        ("SET_ASIDE", lambda: world.add_worker("x", 1, 1, set_aside=Resources(2))),
        ("GPU_TYPE", lambda: world.add_worker("x", 1, 1, gpu_type="T4")),
        ("NAME_LENGTH", lambda: world.add_worker("x", 1, 1, labels={"": "v"})),
        ("NAME_LENGTH", lambda: world.selector(pools=[""])),
        ("LIST_LENGTH", lambda: world.selector(pools=[f"p{k}" for k in range(65)])),
        ("LIST_LENGTH", lambda: world.selector(labels={"k": []})),
        ("CONFIG", lambda: Engine(max_workers=0)),
        ("CONFIG", lambda: Engine(max_reservations=1 << 60)),
    ):
        with pytest.raises(s.InvalidArgument) as error:
            call()  # type: ignore[no-untyped-call]
        assert error.value.status == s.Status[status] and str(error.value)
    ((step,),) = world.apply([Group("w", [Step(1, "x", need=Resources())])])
    assert step.status == s.Status.EMPTY
    with pytest.raises(s.InvalidArgument):
        world.apply([Group("w", [Step(99)])])


COLUMNS: Tuple[Tuple[str, Call], ...] = (
    ("count", lambda e: e.reserve_many(cpu=1)),
    ("count", lambda e: e.reserve_many(cpu=1, count=-1)),
    ("count", lambda e: e.reserve_many(cpu=1, count=1 << 30)),
    ("count", lambda e: e.reserve_many(cpu=1, count="3")),
    ("ids", lambda e: e.reserve_many(5, cpu=1)),
    ("ids", lambda e: e.reserve_many("abc", cpu=1)),
    ("ids", lambda e: e.reserve_many(b"abc", cpu=1)),
    ("ids", lambda e: e.reserve_many(bytearray(b"abc"), cpu=1)),
    ("ids", lambda e: e.reserve_many(array("Q", [1]), cpu=1)),
    ("ids[1]", lambda e: e.reserve_many(["a", 5], cpu=1)),
    ("ids[1]", lambda e: e.reserve_many(["a", ""], cpu=1)),
    ("ids[0]", lambda e: e.reserve_many([LONE], cpu=1)),
    ("ids[2]", lambda e: e.reserve_many(["\u00e9", "b", "x" * 65], cpu=1)),
    ("ids.data", lambda e: e.reserve_many(PackedIds("abc", [0, 1]), cpu=1)),
    ("ids.data", lambda e: e.reserve_many(PackedIds(array("Q", [1]), [0, 1]), cpu=1)),
    ("ids.offsets", lambda e: e.reserve_many(PackedIds(b"abc", None), cpu=1)),
    ("ids.offsets", lambda e: e.reserve_many(PackedIds(b"abc", []), cpu=1)),
    ("ids.offsets", lambda e: e.reserve_many(PackedIds(b"abc", [0, 4]), cpu=1)),
    ("ids.offsets", lambda e: e.reserve_many(PackedIds(b"abc", array("I", [0, 1])), cpu=1)),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=None)),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=1.5)),
    ("cpu", lambda e: e.reserve_many(["a"], cpu="1")),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=-1)),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=b"1")),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=[1, 2])),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=[])),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=array("d", [1.0]))),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=array("I", [1]))),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=memoryview(array("Q", [1, 2, 3]))[::2])),
    ("cpu", lambda e: e.reserve_many(["a"], cpu=memoryview(bytes(16)).cast("Q", (1, 2)))),
    ("cpu", lambda e: e.reserve_many(count=2, cpu=[1])),
    ("memory", lambda e: e.reserve_many(["a"], cpu=1, memory=[1, 2, 3])),
    ("selector", lambda e: e.reserve_many(["a"], cpu=1, selector=array("Q", [1]))),
    ("selector[0]", lambda e: e.reserve_many(["a"], cpu=1, selector=[1 << 32])),
    ("selector", lambda e: e.reserve_many(["a"], cpu=1, selector=-1)),
    ("hashes", lambda e: e.reserve_many(["a"], cpu=1, hashes=5)),
    ("policy", lambda e: e.reserve_many(["a"], cpu=1, policy=77)),  # type: ignore[arg-type]
    ("tickets", lambda e: e.release_many(None)),
    ("tickets", lambda e: e.release_many(5)),
    ("tickets", lambda e: e.release_many("12")),
    ("tickets", lambda e: e.release_many(array("d", [1.0]))),
    ("tickets[0]", lambda e: e.release_many(["a"])),
)


@pytest.mark.parametrize("place", range(len(COLUMNS)), ids=[f"{k}-{a}" for k, (a, _) in enumerate(COLUMNS)])
def test_columns(world: Engine, place: int) -> None:
    argument, call = COLUMNS[place]
    refused(world, call, argument)


def test_offsets_that_fall(world: Engine) -> None:
    for offsets in ([0, 2, 1, 3], [1 << 63, 0, 3]):
        with pytest.raises(s.InvalidArgument) as error:
            world.reserve_many(PackedIds(b"abc", offsets), cpu=1)
        assert error.value.status == s.Status.OFFSETS
    with pytest.raises(s.InvalidArgument):
        world.reserve_many(["a"], cpu=1, hashes=[1], key="k")


@pytest.mark.skipif(numpy is None, reason="numpy is not installed")
def test_numpy_columns(world: Engine) -> None:
    n = numpy
    for argument, call in (
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([1.0]))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([1], "u4"))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([1], ">u8"))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([True]))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([[1]], "u8"))),
        ("cpu", lambda e: e.reserve_many(["a", "b"], cpu=n.arange(4, dtype="u8")[::2])),
        ("cpu", lambda e: e.reserve_many(["a", "b"], cpu=n.arange(4, dtype="u8")[1::-1])),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([object()]))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array(["2020-01-01"], "M8[D]"))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.float64(1))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.int64(-1))),
        ("cpu", lambda e: e.reserve_many(["a"], cpu=n.array([1, 2], "u8"))),
        ("ids", lambda e: e.reserve_many(n.array([1, 2]), cpu=1)),
        ("ids", lambda e: e.reserve_many(n.array([[b"a"]]), cpu=1)),
        ("ids", lambda e: e.reserve_many(n.array([b"a" * 65]), cpu=1)),
        ("ids", lambda e: e.reserve_many(n.array([b"a", b"b", b"c"])[::2], cpu=1)),
        ("ids", lambda e: e.reserve_many(n.array([1.5]), cpu=1)),
        ("ids", lambda e: e.reserve_many(n.zeros(1, "u8,u8"), cpu=1)),
        ("ids[0]", lambda e: e.reserve_many(n.array([5], object), cpu=1)),
        ("tickets", lambda e: e.release_many(n.array([1], "u4"))),
    ):
        refused(world, call, argument)  # type: ignore[arg-type]


def test_every_text_of_a_status_names_something() -> None:
    for status in s.Status:
        assert re.match(r"[a-z]|GPUs ", status.text), status
