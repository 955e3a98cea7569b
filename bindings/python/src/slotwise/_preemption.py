"""Room by preemption: who would have to leave, and the claim of who comes."""

from __future__ import annotations

from ctypes import byref, c_size_t, sizeof
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Sequence, Tuple

from . import _abi
from ._arguments import MAX_U64, as_list, integer, resources, shown
from ._errors import InvalidType, check, last
from ._library import free as _free
from ._request import fill
from ._reservation import Reservation
from ._types import _SLOTS, Request, Resources, Status

if TYPE_CHECKING:
    from ._engine import Engine


@dataclass(frozen=True, **_SLOTS)
class Victim:
    """A reservation that would have to leave."""

    #: Empty for an anonymous one.
    id: str
    ticket: int
    #: Its rank, which is lower than that of who comes.
    priority: int
    #: What it holds, devices apart; of those, see :meth:`Engine.granted`.
    amount: Resources


@dataclass(frozen=True, **_SLOTS)
class Preemption:
    """Where a request would fit, and who would have to leave for it. Good for one use at one version."""

    #: The engine's name of the worker.
    worker: int
    #: The version at which this is true.
    version: int
    #: Who would have to leave; nobody if it fits without.
    victims: Sequence[Victim] = ()
    #: Tickets of victims of other claims that the request has to wait for, too.
    leaving: Sequence[int] = ()


def plan(engine: Engine, request: Request) -> Preemption:
    """Asks for a plan, with ever more room until it fits."""
    r = fill(engine, request)
    room = 64
    while True:
        p = _abi.preemption_t(size=sizeof(_abi.preemption_t))
        victims = (_abi.victim_t * room)()
        count = c_size_t()
        status = _free.slotwise_preemption_plan(
            engine.handle, byref(r), byref(p), victims, room, byref(count)
        )
        if status != Status.ARRAY_TOO_SMALL:
            break
        room = count.value + 16  # some more may have come since
    check(status)
    entries = victims[: count.value]
    return Preemption(
        p.worker,
        p.version,
        tuple(_victim(v) for v in entries if not v.flags & _abi.LEAVING),
        tuple(v.ticket for v in entries if v.flags & _abi.LEAVING),
    )


def _victim(c: Any) -> Victim:
    start = _abi.victim_t.id.offset
    data = bytes(c)[start : start + c.id_length]
    return Victim(shown(data), c.ticket, c.priority, resources(c.amount))


def carry_out(engine: Engine, request: Request, plan: Preemption) -> Reservation:
    """Does what a plan says."""
    if not isinstance(plan, Preemption):
        raise InvalidType("plan", f"a Preemption, not {type(plan).__name__}")
    r = fill(engine, request)
    marked = _marked(plan)
    victims = (_abi.victim_t * max(len(marked), 1))()
    for into, (ticket, flags) in zip(victims, marked):
        into.ticket, into.flags = ticket, flags
    leaving = sum(flags == _abi.LEAVING for _, flags in marked)
    p = _abi.preemption_t(
        size=sizeof(_abi.preemption_t),
        worker=integer("plan.worker", plan.worker),
        version=integer("plan.version", plan.version),
        victim_count=len(marked) - leaving,
        leaving_count=leaving,
    )
    placed = _abi.placement_t()
    status = _free.slotwise_preempt(engine.handle, byref(r), byref(p), victims, len(marked), byref(placed))
    if status:
        raise last(status)
    return Reservation(
        request.id,
        placed.ticket,
        placed.worker,
        placed.version,
        placed.existing != 0,
        placed.provisional != 0,
        engine,
    )


def _marked(plan: Preemption) -> Tuple[Tuple[int, int], ...]:
    """Of each the ticket and what it is, in the library's order: victims, then who is leaving."""
    marked = []
    for k, victim in enumerate(as_list("plan.victims", plan.victims)):
        if not isinstance(victim, Victim):
            raise InvalidType(f"plan.victims[{k}]", f"a Victim, not {type(victim).__name__}")
        marked.append((integer(f"plan.victims[{k}].ticket", victim.ticket, 0, MAX_U64), 0))
    for k, ticket in enumerate(as_list("plan.leaving", plan.leaving)):
        marked.append((integer(f"plan.leaving[{k}]", ticket, 0, MAX_U64), _abi.LEAVING))
    return tuple(marked)
