"""Many in one call: from columns into columns."""

from __future__ import annotations

import threading
from ctypes import addressof, byref, c_size_t, c_uint64, c_void_p, pointer, sizeof
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Union

from . import _abi, _library
from ._arguments import flag, integer, optional_identifier
from ._columns import Column, Ids, Input, PackedIds, outputs
from ._errors import InvalidArgument, InvalidType, SlotwiseError, last, new
from ._request import fill
from ._terms import held_until, hold
from ._types import Constraints, Policy, Request, Status, Terms, Text

if TYPE_CHECKING:
    from ._engine import Engine

#: One number for all, a sequence, or anything with the buffer protocol.
Numbers = Union[int, Sequence[int], Any]
#: A sequence of ids, a numpy array of dtype S, or packed ids. None: all are anonymous.
IdColumn = Union[None, Sequence[Optional[Text]], PackedIds, Any]

_reserve_columns = _library.fast(_library.free, "slotwise_reserve_columns")
_release_batch = _library.fast(_library.free, "slotwise_release_batch")

_SHARED = "another thread is running this batch: make one for each"
_nothing = c_uint64()


class _Statuses:
    """A column of statuses, and what can be asked of it."""

    __slots__ = ("statuses",)
    #: Of each entry, in order: 0, or why not.
    statuses: Column

    def __len__(self) -> int:
        return len(self.statuses)

    def error(self, index: int) -> Optional[SlotwiseError]:
        """Why one entry was refused; None if it was not."""
        status = int(self.statuses[index])
        if status == Status.OK:
            return None
        error = new(status)
        error.index = index
        return error

    def errors(self) -> Iterator[Tuple[int, SlotwiseError]]:
        """Each entry that was refused: its place, and why."""
        for index, status in enumerate(self.statuses.tolist()):
            if status:
                error = new(status)
                error.index = index
                yield index, error

    def raise_for_status(self) -> None:
        """Raises why the first entry that is to blame was refused, if one was."""
        peer = None
        for _, error in self.errors():
            if error.status != Status.PEER:
                raise error
            peer = peer or error
        if peer:
            raise peer

    def _tally(self) -> str:
        tally: Dict[int, int] = {}
        for status in self.statuses.tolist():
            tally[status] = tally.get(status, 0) + 1
        return ", ".join(f"{n} {Status(s).name.lower()}" for s, n in sorted(tally.items()))


class BatchResult(_Statuses):
    """Where each of many requests was placed, in their order."""

    __slots__ = ("_done", "tickets", "versions", "workers")
    _done: _abi.batch_done_t
    #: 0 where it was not placed; so for workers.
    tickets: Column
    workers: Column
    #: The versions that the reservations made.
    versions: Column

    @property
    def placed(self) -> int:
        """How many hold something now, those that did before included."""
        return self._done.placed

    @property
    def failed(self) -> int:
        """How many hold nothing."""
        return self._done.failed

    @property
    def replayed(self) -> bool:
        """Whether the batch id was known: this is the answer of then, and nothing was changed."""
        return self._done.replayed != 0

    def __repr__(self) -> str:
        replayed = ", replayed" if self.replayed else ""
        return f"<{type(self).__name__} of {len(self)}: {self._tally() or 'empty'}{replayed}>"


class ReleaseResult(_Statuses):
    """What became of each of many tickets, in their order."""

    __slots__ = ("released",)
    #: How many were given back.
    released: int

    def __init__(self, statuses: Column, released: int) -> None:
        self.statuses = statuses
        self.released = released

    def __repr__(self) -> str:
        return f"<ReleaseResult of {len(self)}: {self._tally() or 'empty'}>"


class ReserveBatch(BatchResult):
    """
    Requests and room for their results, made once and run again and again.

    Columns that were given as arrays (numpy, ``array.array``, memoryviews) are used where they are:
    write new numbers into them between runs. What was given as a list has been copied. A run writes
    ``tickets``, ``workers``, ``versions`` and ``statuses`` anew; release what it holds before the
    next one, or keep a copy of its tickets.

    For one thread at a time.
    """

    __slots__ = (
        "__weakref__",
        "_common",
        "release",
        "run",
    )
    #: Reserves for all of them; returns how many hold something now.
    run: Callable[[], int]
    #: Gives back what the last run holds; returns how many did.
    release: Callable[[], int]

    def __init__(
        self,
        engine: Engine,
        ids: IdColumn = None,
        cpu: Numbers = 0,
        memory: Numbers = 0,
        gpus: Numbers = 0,
        *,
        selector: Union[Constraints, Numbers] = 0,
        hashes: Optional[Numbers] = None,
        policy: Policy = Policy.DEFAULT,
        key: Optional[Text] = None,
        ahead: bool = False,
        terms: Optional[Terms] = None,
        all_or_nothing: bool = False,
        batch_id: Optional[Text] = None,
        count: Optional[int] = None,
    ) -> None:
        columns = _abi.columns_t(
            size=sizeof(_abi.columns_t),
            mode=flag("all_or_nothing", all_or_nothing, _abi.ALL_OR_NOTHING),
        )
        request = Request(None, policy=policy, key=key, ahead=ahead, terms=terms)
        keep: Dict[str, Any] = {}
        if ids is not None:
            names = keep["ids"] = Ids("ids", ids)
            columns.ids = names.address
            columns.id_width = names.width
            if names.offsets is not None:
                columns.id_offsets = names.offsets.buffer_info()[0]
        for name, field, value, size in (
            ("cpu", "cpu", cpu, 8),
            ("memory", "memory", memory, 8),
            ("gpus", "gpus", gpus, 8),
            ("selector", "selectors", selector, 4),
            ("hashes", "hashes", hashes, 8),
        ):
            if _single(value) and name != "hashes":
                setattr(request, name, value)
            elif value is not None or name != "hashes":
                column = keep[name] = _input(name, value, size)
                setattr(columns, field, column.address)
        columns.count = _count(count, keep)
        keep["common"] = self._common = common = fill(engine, request)
        columns.common = pointer(common)
        native = any(column.native for column in keep.values() if column is not common)
        n = columns.count
        (self.tickets, self.workers, self.versions, self.statuses), at, owner = outputs(n, native)
        columns.tickets, columns.workers, columns.versions = at, at + 8 * n, at + 16 * n
        columns.statuses = at + 24 * n
        own_id = optional_identifier("batch_id", batch_id)
        if own_id is not None:
            columns.batch_id, columns.batch_id_length = own_id, len(own_id)
        self._done = _abi.batch_done_t(failed=columns.count)
        self.run, self.release = _calls(engine, columns, self._done, (keep, owner))

    @property
    def hold_until(self) -> Optional[int]:
        """
        Until when what the next run makes is provisional; None: it is lasting. Can be set between
        runs, since times go on while the batch stays.
        """
        return held_until(self._common)

    @hold_until.setter
    def hold_until(self, until: Optional[int]) -> None:
        hold(self._common, until)


def _calls(
    engine: Engine, columns: _abi.columns_t, done: _abi.batch_done_t, keep: Any
) -> Tuple[Callable[[], int], Callable[[], int]]:
    """Both calls of a batch, with all that they need converted once; they keep what they point to."""
    lock, released = threading.Lock(), c_size_t()
    handle, count = c_uint64.from_param(engine.handle), c_size_t.from_param(columns.count)
    columns_, done_, released_ = byref(columns), byref(done), byref(released)
    tickets = c_void_p.from_param(columns.tickets)

    def run(_keep: Any = (engine, keep)) -> int:
        if not lock.acquire(False):
            raise SlotwiseError(_SHARED)
        try:
            status = _reserve_columns(handle, columns_, done_)
            if status:
                raise last(status)
            return done.placed
        finally:
            lock.release()

    def release(_keep: Any = (engine, keep)) -> int:
        if not lock.acquire(False):
            raise SlotwiseError(_SHARED)
        try:
            status = _release_batch(handle, tickets, count, None, None, released_)
            if status:
                raise last(status)
            return released.value
        finally:
            lock.release()

    return run, release


def reserve_columns(engine: Engine, arguments: Dict[str, Any]) -> BatchResult:
    """One run of a batch."""
    batch = ReserveBatch(engine, **arguments)
    batch.run()
    result = BatchResult()
    for name in ("_done", "tickets", "workers", "versions", "statuses"):
        setattr(result, name, getattr(batch, name))
    return result


def release_columns(engine: Engine, tickets: Any) -> ReleaseResult:
    """Gives back many tickets in one call."""
    if isinstance(tickets, BatchResult):
        tickets = tickets.tickets
    if isinstance(tickets, (list, tuple)):
        tickets = [getattr(ticket, "ticket", ticket) for ticket in tickets]
    column = _input("tickets", tickets, 8)
    (_, _, _, statuses), at, _owner = outputs(column.count, column.native)
    released = c_size_t()
    status = _library.free.slotwise_release_batch(
        engine.handle,
        column.address or addressof(_nothing),
        column.count,
        at + 24 * column.count,
        None,
        byref(released),
    )
    if status:
        raise last(status)
    return ReleaseResult(statuses, released.value)


def _single(value: Any) -> bool:
    return isinstance(value, (int, Constraints)) or getattr(value, "ndim", None) == 0


def _input(name: str, value: Any, size: int) -> Input:
    if isinstance(value, int):
        raise InvalidType(name, "a sequence of integers, not int")
    return Input(name, value, size)


def _count(given: Optional[int], columns: Dict[str, Any]) -> int:
    count = None if given is None else integer("count", given, 0, _abi.MAX_COUNT)
    origin = "count"
    for name, column in columns.items():
        if count is None:
            count, origin = column.count, name
        elif column.count != count:
            said = f"count is {count}" if origin == "count" else f"{origin} has {count}"
            raise InvalidArgument(name, f"has {column.count} entries, and {said}")
    if count is None:
        raise InvalidArgument("count", "is needed where no column says how many there are")
    if count > _abi.MAX_COUNT:
        raise InvalidArgument(origin, f"{count} entries, and at most {_abi.MAX_COUNT} are possible")
    return count
