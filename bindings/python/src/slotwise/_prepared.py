"""The fast way for single requests: everything converted once, one pointer a call."""

from __future__ import annotations

from ctypes import byref, c_uint64
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import _abi, _library
from ._arguments import MAX_U64, identifier, integer
from ._errors import last
from ._request import fill
from ._terms import held_until, hold
from ._types import Request, Text

if TYPE_CHECKING:
    from ._engine import Engine

_reserve = _library.fast(_library.held, "slotwise_reserve")
_release = _library.fast(_library.held, "slotwise_release")


class PreparedRequest:
    """
    A request whose structure is filled in once, and the place where its answer goes.

    ``reserve()`` returns a ticket, ``release()`` gives back what the last ``reserve()`` took. Both
    are functions that need nothing but themselves: keep them in local variables where it counts. An
    anonymous request can be reserved any number of times; keep the tickets then, and give them to
    ``release_ticket()`` or :meth:`Engine.release_many`.

    For one thread at a time: :meth:`copy` makes one for another.
    """

    __slots__ = (
        "__weakref__",
        "_engine",
        "_filled",
        "_placement",
        "_request",
        "release",
        "release_ticket",
        "reserve",
        "reserve_as",
        "try_reserve",
    )
    #: Reserves; returns the ticket, or raises why not.
    reserve: Callable[[], int]
    #: Reserves; returns the ticket, or None where it was refused as busy or never.
    try_reserve: Callable[[], Optional[int]]
    #: Reserves under another id, which stays; returns the ticket, or raises why not.
    reserve_as: Callable[[Text], int]
    #: Gives back what the last successful reserve took, or raises why not.
    release: Callable[[], None]
    #: Gives back what a ticket holds, or raises why not; as :meth:`Engine.release`, and says no more.
    release_ticket: Callable[[int], None]

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine, self._request = engine, request
        self._filled = filled = fill(engine, request)
        self._placement = placement = _abi.placement_t()
        handle = c_uint64.from_param(engine.handle)
        request_, placement_ = byref(filled), byref(placement)
        # The ticket where the library writes it, so that a release reads it there.
        ticket = c_uint64.from_buffer(placement, _abi.placement_t.ticket.offset)  # type: ignore[attr-defined]
        call, back = _reserve, _release

        def reserve(_keep: Any = engine) -> int:
            status = call(handle, request_, placement_)
            if status:
                raise last(status)
            return ticket.value

        def try_reserve(_keep: Any = engine) -> Optional[int]:
            status = call(handle, request_, placement_)
            if status:
                if status <= _abi.NEVER:
                    return None
                raise last(status)
            return ticket.value

        def reserve_as(id: Text, _keep: Any = engine) -> int:
            data = identifier("id", id)
            filled.id = data
            filled.id_length = len(data)
            status = call(handle, request_, placement_)
            if status:
                raise last(status)
            return ticket.value

        def release(_keep: Any = engine) -> None:
            status = back(handle, ticket, None)
            if status:
                raise last(status)

        def release_ticket(ticket: int, _keep: Any = engine) -> None:
            if type(ticket) is not int or not 0 <= ticket <= MAX_U64:
                ticket = integer("ticket", ticket)
            status = back(handle, c_uint64(ticket), None)
            if status:
                raise last(status)

        self.release_ticket = release_ticket
        self.reserve, self.try_reserve = reserve, try_reserve
        self.reserve_as, self.release = reserve_as, release

    @property
    def ticket(self) -> int:
        """The ticket of the last successful reserve; 0 before the first."""
        return self._placement.ticket

    @property
    def worker(self) -> int:
        """Where that is; see :meth:`Engine.worker_id`."""
        return self._placement.worker

    @property
    def version(self) -> int:
        """The worker's version that it made."""
        return self._placement.version

    @property
    def existing(self) -> bool:
        """Whether the id was held already."""
        return self._placement.existing != 0

    @property
    def provisional(self) -> bool:
        """Whether it is yet to be confirmed, as of the last successful reserve."""
        return self._placement.provisional != 0

    @property
    def hold_until(self) -> Optional[int]:
        """
        Until when what the next reserve makes is provisional; None: it is lasting. Can be set between
        calls, since times go on while the request stays.
        """
        return held_until(self._filled)

    @hold_until.setter
    def hold_until(self, until: Optional[int]) -> None:
        hold(self._filled, until)

    @property
    def request(self) -> Request:
        """What it was made from."""
        return self._request

    def copy(self) -> PreparedRequest:
        """The same request for another thread."""
        copied = PreparedRequest(self._engine, self._request)
        if copied.hold_until != self.hold_until:
            copied.hold_until = self.hold_until
        return copied

    def __repr__(self) -> str:
        r = self._request
        amount = f"cpu={r.cpu}, memory={r.memory}" + (f", gpus={r.gpus}" if r.gpus else "")
        until = self.hold_until
        held = "" if until is None else f", until {until}"
        return f"<PreparedRequest {r.id!r}: {amount}{held}; last ticket {self.ticket}>"
