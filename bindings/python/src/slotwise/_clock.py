"""The host's clock, and what ends by it."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_uint64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

from . import _abi
from ._arguments import MAX_U64, identifier, integer, resources, shown
from ._core import Core
from ._errors import InvalidType, NotHeld, check, last
from ._library import free as _free
from ._library import held as _held
from ._reservation import Reservation
from ._types import _SLOTS, Confirmed, Lost, Resources, Status, Text

if TYPE_CHECKING:
    from typing import Iterable

#: How much a tick has ended is told of in pieces of this size.
_ROOM = 64


@dataclass(frozen=True, **_SLOTS)
class Expired:
    """A reservation that was not confirmed in time."""

    #: Empty for an anonymous one.
    id: str
    #: Not valid any more.
    ticket: int
    #: Where it was.
    worker: int
    #: What it held, and what has returned there.
    amount: Resources


@dataclass(frozen=True, **_SLOTS)
class ExpiredWorker:
    """A worker that was not heard of in time, and that was removed."""

    #: It may be registered again.
    id: str
    #: The registration that has ended.
    worker: int
    #: What was held there, each once.
    lost: Tuple[Lost, ...]


@dataclass(frozen=True, **_SLOTS)
class Ticked:
    """What a tick has ended. False where that is nothing."""

    #: Reservations that were not confirmed in time.
    expired: Tuple[Expired, ...] = ()
    #: Workers that were not heard of in time.
    workers: Tuple[ExpiredWorker, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.expired or self.workers)


class Clock(Core):
    """Time, and what waits for it."""

    __slots__ = ()

    def tick(self, now: int) -> Ticked:
        """
        Tells the engine the time and ends what is due: provisional reservations whose ``hold_until``
        is ``now`` or before, and workers whose lease is, with all that they hold. All of it is in the
        answer, however much that is, and each is told once.

        Times are whole numbers of the host's in whatever unit it counts, say milliseconds since it
        started. The engine reads no clock: nothing ends before a tick says that its time has come. A
        confirmation or a heartbeat that comes before the tick counts, however late it is; one that
        comes after is refused.

        Raises :class:`ClockWentBack` where ``now`` is before the last one. Ticks take turns;
        everything else goes on.
        """
        time = integer("now", now)
        room = (_abi.expired_t * _ROOM)()
        count = c_size_t()
        # So that those for whom there was no room go to nobody else who ticks.
        with self._ticking:
            check(_free.slotwise_tick(self.handle, time, room, _ROOM, byref(count)))
            ended = list(room[: min(count.value, _ROOM)])
            if count.value > _ROOM:
                ended += self._rest()
        return self._told(ended)

    def take_ended(self) -> Ticked:
        """
        What has ended and nobody was told of, as after a tick that was interrupted, or one of another
        language that had no room for it all. Each is told once.
        """
        with self._ticking:
            return self._told(self._rest())

    def _rest(self) -> List[Any]:
        ended: List[Any] = []
        count = c_size_t()
        while True:
            room = (_abi.expired_t * _ROOM)()
            check(_free.slotwise_ended_take(self.handle, room, _ROOM, byref(count)))
            ended += room[: count.value]
            if count.value < _ROOM:
                return ended

    def _told(self, ended: Iterable[Any]) -> Ticked:
        expired: List[Expired] = []
        workers: Dict[int, str] = {}
        lost: Dict[int, List[Lost]] = {}
        start = _abi.expired_t.id.offset
        for c in ended:
            id = shown(bytes(c)[start : start + c.id_length])
            if c.kind == _abi.WORKER_EXPIRED:
                workers[c.worker] = id
                lost.setdefault(c.worker, [])
                self._names.pop(c.worker, None)
            elif c.kind == _abi.LOST_WITH_WORKER:
                lost.setdefault(c.worker, []).append(Lost(id, c.ticket, c.worker, resources(c.amount)))
            else:
                expired.append(Expired(id, c.ticket, c.worker, resources(c.amount)))
        return Ticked(
            tuple(expired),
            tuple(ExpiredWorker(workers.get(worker, ""), worker, tuple(lost[worker])) for worker in lost),
        )

    @property
    def now(self) -> int:
        """The time that the last tick told; 0 before the first."""
        now = c_uint64()
        check(_held.slotwise_now(self.handle, byref(now)))
        return now.value

    def confirm(self, what: Union[Reservation, int, Text]) -> Confirmed:
        """
        Makes a provisional reservation a lasting one: a reservation, a ticket (a number) or what an
        id (a text) holds. One that is lasting already stays so.

        Raises :class:`NotHeld`, also where it has expired; :class:`Waiting` for a claim of
        :meth:`preempt` while what it displaces has not been released; :class:`InFlight`. Nothing has
        changed then. Takes no lock, but for claims.
        """
        p = _abi.placement_t()
        if isinstance(what, (str, bytes)):
            data = identifier("what", what)
            status = _held.slotwise_confirm_id(self.handle, data, len(data), byref(p))
        else:
            # The lock that a claim takes is held for a moment, by calls that need nothing of the
            # interpreter.
            status = _held.slotwise_confirm(self.handle, ticket_of("what", what), byref(p))
        if status:
            raise last(status)
        return Confirmed(p.ticket, p.worker, p.version, p.existing != 0)

    def deadline(self, what: Union[Reservation, int, Text]) -> Optional[int]:
        """
        When a provisional reservation ends unless it is confirmed. None where it does not end by
        itself, or nothing is held under this name any more. Takes no lock.
        """
        if isinstance(what, (str, bytes)):
            data = identifier("what", what)
            p = _abi.placement_t()
            status = _held.slotwise_reservation(self.handle, data, len(data), byref(p))
            ticket = p.ticket
        else:
            ticket, status = ticket_of("what", what), Status.OK
        deadline = c_uint64()
        try:
            check(status or _held.slotwise_deadline(self.handle, ticket, byref(deadline)))
        except NotHeld:
            return None
        return deadline.value


def ticket_of(name: str, value: Any) -> int:
    """The ticket of a reservation, or one by its number."""
    if isinstance(value, Reservation):
        return value.ticket
    if type(value) is int and 0 <= value <= MAX_U64:
        return value
    try:
        return integer(name, value)
    except InvalidType:
        raise InvalidType(name, f"a Reservation, a ticket or an id, not {type(value).__name__}") from None
