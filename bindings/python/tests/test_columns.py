"""Many in one call, from whatever columns there are; with numpy where it is installed."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest

import slotwise as s
from slotwise import Engine, PackedIds, Request, Status

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

needs_numpy = pytest.mark.skipif(numpy is None, reason="numpy is not installed")


@pytest.fixture
def many(engine: Engine) -> Engine:
    for k in range(16):
        engine.add_worker(f"w{k}", 1000, 1000, 4 if k % 4 == 0 else 0)
    return engine


def held(engine: Engine, ids: Any) -> Any:
    return [engine.reservation(id).ticket for id in ids]


def test_sequences(many: Engine) -> None:
    ids = [f"job-{k}" for k in range(20)]
    result = many.reserve_many(ids, cpu=range(1, 21), memory=[1] * 20)
    assert result.placed == len(result) == 20 and result.failed == 0 and not result.replayed
    assert held(many, ids) == result.tickets.tolist()
    assert [*result.statuses] == [0] * 20 and isinstance(result.tickets, memoryview)
    assert sum(info.held.cpu for info in many) == 210
    assert all(many.snapshot(w).version >= v for w, v in zip(result.workers, result.versions))
    released = many.release_many(result)
    assert released.released == len(released) == 20 and not [*released.errors()]
    again = many.release_many(result.tickets)
    assert again.released == 0 and again.error(0).status == Status.NOT_HELD  # type: ignore[union-attr]
    with pytest.raises(s.NotHeld):
        again.raise_for_status()
    assert "20 not_held" in repr(again)


def test_ids_of_every_kind(many: Engine) -> None:
    for ids in (
        ("a", "b", "cc"),
        [b"a", b"\xff\xfe", b"c" * 64],
        ["a", b"b", "\u00e9"],
        iter(["x", "y"]),
        {"d": 1, "e": 2},
        PackedIds(b"abcc", [0, 1, 2, 4]),
        PackedIds(bytearray(b"abcc"), array("Q", [0, 1, 2, 4])),
        PackedIds(memoryview(b"abcc"), memoryview(array("q", [0, 1, 2, 4]))),
    ):
        result = many.reserve_many(ids, cpu=1)
        assert result.failed == 0 and many.release_many(result).released == len(result) >= 2
    # Of one length, of several, with NULs inside and at the end, as long as can be, not ASCII.
    for ids in (["ab", "cd"], ["a", "bcd"], ["a\0", "bc"], ["a\0b", "c\0\0"], ["a", "\0"], ["\0a", "b\0"],
                ["x" * 64, "y" * 64], ["x" * 63, "y" * 63], ["\u00e9a", "\u00e9b"]):  # fmt: skip
        result = many.reserve_many(ids, cpu=1)
        assert held(many, ids) == result.tickets.tolist(), ids
        many.release_many(result)
    result = many.reserve_many(["a", None, None], cpu=1)
    assert result.placed == 3 and many.reservation("a").ticket == result.tickets[0]
    for nothing in ([], PackedIds(b"", [0])):
        result = many.reserve_many(nothing, cpu=1)
        assert len(result) == result.placed == 0 and [*result.tickets] == []
        assert many.release_many(result).released == 0
    assert many.reserve_many(count=0).placed == 0


def test_anonymous_and_common(many: Engine) -> None:
    gpu = many.selector(gpu_types=[])
    result = many.reserve_many(count=3, cpu=1, gpus=1, selector=s.Constraints(), key="model")
    assert len(set(result.workers)) == 1 and result.placed == 3
    result = many.reserve_many(cpu=array("Q", [1, 2]), selector=[gpu, 99], policy=s.Policy.SPREAD)
    assert [*result.statuses] == [Status.OK, Status.UNKNOWN_SELECTOR]
    result = many.reserve_many(cpu=[1] * 4, hashes=[7, 7, 7 << 40, 7])
    assert result.workers[0] == result.workers[1] == result.workers[3]


def test_each_has_its_own_status(many: Engine) -> None:
    ids = ["a", "a", "b", "c" * 65, "d", "e"]
    result = many.reserve_many(ids, cpu=[1, 1, 0, 1, 1 << 60, 1001])
    assert [Status(x).name for x in result.statuses] == [
        "OK", "DUPLICATE_ID", "EMPTY", "ID_LENGTH", "TOO_LARGE", "NEVER",
    ]  # fmt: skip
    assert [index for index, _ in result.errors()] == [1, 2, 3, 4, 5]
    assert isinstance(result.error(1), s.DuplicateId) and result.error(0) is None
    with pytest.raises(s.DuplicateId) as raised:
        result.raise_for_status()
    assert raised.value.index == 1
    assert "1 ok" in repr(result) and "1 never" in repr(result)


def test_a_batch_id_has_one_effect(many: Engine) -> None:
    first = many.reserve_many(["a", "b"], cpu=1, batch_id="batch")
    again = many.reserve_many(["a", "b"], cpu=1, batch_id="batch")
    assert again.replayed and [*again.tickets] == [*first.tickets] and not first.replayed
    with pytest.raises(s.OtherBatch):
        many.reserve_many(["a"], cpu=1, batch_id="batch")
    assert many.counts().reservations == 2


def test_a_batch_runs_again_and_again(many: Engine) -> None:
    cpu = array("Q", [100] * 8)
    batch = many.batch([f"j{k}" for k in range(8)], cpu, memory=1)
    for amount in (100, 200):
        for k in range(8):
            cpu[k] = amount
        assert batch.run() == batch.placed == 8
        assert sum(info.held.cpu for info in many) == 8 * amount
        assert batch.release() == 8 and batch.release() == 0
    with pytest.raises(BufferError):  # it is used where it is, so it must stay there
        cpu.append(1)
    with pytest.raises(BufferError):
        batch.tickets.obj.append(1)  # type: ignore[attr-defined]
    assert "8 ok" in repr(batch)
    memory = batch.tickets.obj  # type: ignore[attr-defined]
    batch.tickets.release()  # type: ignore[attr-defined]
    with pytest.raises(BufferError):
        memory.append(1)
    del memory
    assert batch.run() == 8 and batch.release() == 8


def test_columns_and_requests_are_the_same(many: Engine) -> None:
    random.seed(7)
    other = Engine()
    for info in many:
        other.add_worker(info.id, info.total.cpu, info.total.memory, info.total.gpus)
    selectors = [many.selector(gpu_types=[]), many.selector(accept_preemptable=True)]
    assert selectors == [other.selector(gpu_types=[]), other.selector(accept_preemptable=True)]
    for turn in range(20):
        rows = [
            Request(f"{turn}-{k}", random.randrange(400), random.randrange(400), random.choice((0, 0, 1)),
                    random.choice(selectors))
            for k in range(random.randrange(1, 30))
        ]  # fmt: skip
        gang = turn % 3 == 0
        columns = many.reserve_many(
            [r.id for r in rows], [r.cpu for r in rows], [r.memory for r in rows], [r.gpus for r in rows],
            selector=[int(r.selector) for r in rows], all_or_nothing=gang,
        )  # fmt: skip
        rowwise = other.reserve_batch(rows, all_or_nothing=gang)
        statuses = [Status.OK if isinstance(o, s.Reservation) else o.status for o in rowwise]
        assert [*columns.statuses] == statuses
        assert [*columns.workers] == [o.worker if isinstance(o, s.Reservation) else 0 for o in rowwise]
        assert [*columns.versions] == [o.version if isinstance(o, s.Reservation) else 0 for o in rowwise]
        if turn % 4 == 3:
            many.release_many(columns)
            other.release_many(rowwise.reservations)
    assert [(i.id, i.held) for i in many] == [(i.id, i.held) for i in other]


@needs_numpy
def test_numpy_columns_are_read_where_they_lie(many: Engine) -> None:
    ids = numpy.array([b"job-%d" % k for k in range(20)])
    cpu = numpy.arange(1, 21)
    for dtype in ("u8", "i8"):
        result = many.reserve_many(
            ids, cpu=cpu.astype(dtype), memory=numpy.uint64(1), selector=numpy.zeros(20, "u4")
        )
        assert result.placed == 20
        assert isinstance(result.tickets, numpy.ndarray) and result.tickets.dtype == numpy.uint64
        assert (result.statuses == 0).all() and result.statuses.dtype == numpy.int32
        assert held(many, ["job-0", "job-19"]) == [result.tickets[0], result.tickets[19]]
        released = many.release_many(result.tickets)
        assert released.released == 20 and isinstance(released.statuses, numpy.ndarray)
    for same in (ids.astype("U"), ids.astype(object), ids.tolist()):
        result = many.reserve_many(same, cpu=1)
        assert held(many, ["job-3"]) == [result.tickets[3]]
        many.release_many(result)
    batch = many.batch(ids, cpu=(amounts := numpy.full(20, 5, "u8")))
    assert batch.run() == 20
    batch.release()
    amounts[:] = 7
    batch.run()
    assert sum(info.held.cpu for info in many) == 140
    batch.release()
    packed = PackedIds(numpy.frombuffer(b"abc", "u1"), numpy.array([0, 1, 3], "u8"))
    result = many.reserve_many(packed, cpu=1)
    assert held(many, ["a", "bc"]) == result.tickets.tolist()
    readonly = numpy.full(3, 4, "u8")
    readonly.flags.writeable = False
    assert many.reserve_many(cpu=readonly, hashes=readonly).placed == 3
    assert many.reserve_many(numpy.array([], "S4"), cpu=numpy.array([], "u8")).placed == 0
    assert many.reserve_many(cpu=numpy.array([-1, 1])).statuses.tolist() == [Status.TOO_LARGE, Status.OK]
