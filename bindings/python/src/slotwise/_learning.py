"""What the policies that learn know of the requests, and what follows from it."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_uint64
from dataclasses import dataclass
from typing import Any, Tuple

from . import _abi
from ._arguments import integer
from ._common import _SLOTS
from ._core import Core
from ._errors import check
from ._library import free as _free


@dataclass(frozen=True, **_SLOTS)
class Kind:
    """A kind of requests that came, and how often."""

    #: In millicores.
    cpu: int
    #: How many; whole GPUs that were asked for by number count as such.
    devices: int
    #: Thousandths of each; 0 where none is asked for.
    milli: int
    #: How many of the types of GPUs that workers have would do; 0: any.
    gpu_types: int
    #: How often it came, counts of long ago halved: the mix is its share of the sum.
    count: int


@dataclass(frozen=True, **_SLOTS)
class Learned:
    """The mix of requests that a policy which learns has seen."""

    #: How many requests came.
    arrived: int
    #: Of which kinds, most frequent first: at most 512.
    kinds: Tuple[Kind, ...]


@dataclass(frozen=True, **_SLOTS)
class Fragmentation:
    """How much of what is free of GPUs is useless to the requests that come."""

    #: Thousandths of GPUs that workers which are ready have free.
    free_milli: int
    #: What a request drawn from the mix is expected to find useless of that: where it is too little of
    #: one GPU, or the worker has too little CPU left, or is of the wrong type; all, for a request that
    #: needs no GPU.
    unusable_milli: int
    #: How many requests the mix was learned from.
    arrived: int


@dataclass(frozen=True, **_SLOTS)
class Move:
    """A reservation that had better be elsewhere."""

    #: The reservation that is to move.
    ticket: int
    #: The worker that it is on.
    from_: int
    #: The worker to go to.
    to: int
    #: The version of ``from_`` when it is this move's turn.
    from_version: int
    #: The version of ``to`` when it is this move's turn: what :meth:`Engine.reserve_on` is to expect.
    to_version: int
    #: The devices that it will get there: places in the list that the worker was registered with.
    devices: Tuple[int, ...]
    #: Thousandths of GPUs that become useful by it.
    frees_milli: int


@dataclass(frozen=True, **_SLOTS)
class Repack:
    """A plan of moves, and what it is good for. False where there is nothing to move."""

    #: To be done in this order.
    moves: Tuple[Move, ...]
    #: As it is.
    before: Fragmentation
    #: As it will be.
    after: Fragmentation

    def __bool__(self) -> bool:
        return bool(self.moves)


class Learning(Core):
    """What is asked of the policies that learn."""

    __slots__ = ()

    def learned(self) -> Learned:
        """
        Which kinds of requests came to a policy that learns (``Policy.FGD``, ``Policy.ADAPTIVE``). Of
        several planners (``max_planners``), the one is asked that has seen the most.

        Raises :class:`NothingLearned` before the first such request, and where other threads place by
        all planners this very moment: ask again. Does not wait for them.
        """
        kinds = (_abi.kind_t * _abi.MAX_KINDS)()  # there are no more
        count, arrived = c_size_t(), c_uint64()
        check(_free.slotwise_learned(self.handle, kinds, len(kinds), byref(count), byref(arrived)))
        return Learned(
            arrived.value,
            tuple(Kind(k.cpu, k.devices, k.milli, k.gpu_types, k.count) for k in kinds[: count.value]),
        )

    def fragmentation(self) -> Fragmentation:
        """
        How much of what is free of GPUs is useless to the mix that :meth:`learned` tells of. Looks at
        every worker. Raises :class:`NothingLearned` as that does.
        """
        f = _abi.fragmentation_t()
        check(_free.slotwise_fragmentation(self.handle, byref(f)))
        return _fragmentation(f)

    def repack(self, most: int) -> Repack:
        """
        Proposes at most so many moves of reservations that hold devices, each to a worker that no
        selector tells apart from the one that it is on but by a label or a machine of its own, such
        that the least of what is free is useless to the mix that :meth:`learned` tells of. Each move is
        the one that frees the most after those before it; none moves a reservation twice, and none
        frees nothing.

        Changes nothing. For each move in turn, hold what the reservation asked for on the worker to go
        to, under another id or none, since the old one is held until the end, by a policy that fills
        devices up (any but ``SPREAD`` and ``POWER_OF_TWO``); move the work; and release the old
        reservation::

            moved = engine.reserve_on(move.to, cpu=cpu, terms=terms, expected=move.to_version)
            engine.release(move.ticket)

        :class:`VersionConflict` says that somebody else was there, and that it is time for another
        plan. Raises :class:`NothingLearned` as :meth:`learned` does. Looks at every worker and
        reservation.
        """
        wanted = integer("most", most)
        # No reservation moves twice, so this is room enough, also for who asks for as many as there are.
        room = min(wanted, self.counts().reservations, _abi.MAX_COUNT)
        moves = (_abi.move_t * room)()
        count, before, after = c_size_t(), _abi.fragmentation_t(), _abi.fragmentation_t()
        check(_free.slotwise_repack(self.handle, moves, room, byref(count), byref(before), byref(after)))
        return Repack(
            tuple(_move(m) for m in moves[: count.value]), _fragmentation(before), _fragmentation(after)
        )


def _fragmentation(c: Any) -> Fragmentation:
    return Fragmentation(c.free_milli, c.unusable_milli, c.arrived)


def _move(c: Any) -> Move:
    start = getattr(c, "from")  # a word of the language
    places = tuple(k for k in range(_abi.MAX_DEVICES) if c.devices >> k & 1)
    return Move(c.ticket, start, c.to, c.from_version, c.to_version, places, c.frees_milli)
