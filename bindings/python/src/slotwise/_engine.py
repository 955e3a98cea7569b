"""An engine: workers, and what they hold."""

from __future__ import annotations

import asyncio
import time
from ctypes import byref, c_uint64
from typing import Any, Iterable, List, Optional, Sequence, Union

from . import _abi, _preemption, _reservation
from ._arguments import amount, as_list, identifier, integer, resources
from ._batch import (
    BatchResult,
    IdColumn,
    Numbers,
    ReleaseResult,
    ReserveBatch,
    release_columns,
    reserve_columns,
)
from ._clock import Clock, ticket_of
from ._devices import Granted
from ._errors import check, last
from ._foresight import Foresight
from ._groups import Groups
from ._learning import Learning
from ._library import fast
from ._library import free as _free
from ._library import held as _held
from ._preemption import Preemption
from ._prepared import PreparedRequest
from ._request import batch_of, fill, quick, refusal
from ._reservation import Outcomes, Reservation
from ._types import (
    Constraints,
    Policy,
    Released,
    Request,
    Resized,
    Terms,
    Text,
)
from ._waiting import AGAIN, pauses

_reserve = fast(_held, "slotwise_reserve")
_release = fast(_held, "slotwise_release")
_placement_t = _abi.placement_t


class Engine(Foresight, Clock, Groups, Learning):
    """
    A scheduling engine of this process, shared by its threads.

    Limits that are not given are the library's. ``close`` ends its use at once, from any thread;
    its memory is given back when nothing refers to it any more.
    """

    __slots__ = ()

    # ---- one request

    def reserve(
        self,
        id: Optional[Text] = None,
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        selector: Union[int, Constraints] = 0,
        policy: Policy = Policy.DEFAULT,
        key: Optional[Text] = None,
        hash: Optional[int] = None,
        ahead: bool = False,
        terms: Optional[Terms] = None,
    ) -> Reservation:
        """
        Holds capacity on the worker that the policy gives it. An id that is held already is answered
        with that reservation.

        ``id``: the host's name of it; None: known by its ticket alone. ``cpu`` in millicores,
        ``memory`` in MiB. ``key``, or a ``hash`` of the host's own, decides where the search starts
        in place of the id. ``ahead``: may also be held on pending workers. ``terms``: what it comes under
        beside.

        Raises :class:`Busy` or :class:`Never` with the reasons where no worker took it;
        :class:`QuotaExceeded` and :class:`DeadlinePassed` by its terms.
        """
        r = quick(self, id, cpu, memory, gpus, selector, policy, key, hash, ahead, terms)
        p = _placement_t()
        status = _reserve(self._handle, byref(r), byref(p))
        if status:
            raise last(status)
        return Reservation(id, p.ticket, p.worker, p.version, p.existing != 0, p.provisional != 0, self)

    def reserve_on(
        self,
        worker: Union[int, Text],
        id: Optional[Text] = None,
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        expected: Optional[int] = None,
        selector: Union[int, Constraints] = 0,
        policy: Policy = Policy.DEFAULT,
        ahead: bool = False,
        terms: Optional[Terms] = None,
    ) -> Reservation:
        """
        Holds capacity on one named worker. With ``expected``, any change of the worker since that
        version is a :class:`VersionConflict`; without, a change that leaves room is none.
        """
        ref = self._worker("worker", worker)
        r = fill(self, Request(id, cpu, memory, gpus, selector, policy, ahead=ahead, terms=terms))
        version = None if expected is None else c_uint64(integer("expected", expected))
        p = _abi.placement_t()
        status = _held.slotwise_reserve_on(
            self.handle, ref, byref(r), None if version is None else byref(version), byref(p)
        )
        if status:
            raise last(status)
        return Reservation(id, p.ticket, p.worker, p.version, p.existing != 0, p.provisional != 0, self)

    def prepare(
        self,
        id: Optional[Text] = None,
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        selector: Union[int, Constraints] = 0,
        policy: Policy = Policy.DEFAULT,
        key: Optional[Text] = None,
        hash: Optional[int] = None,
        ahead: bool = False,
        terms: Optional[Terms] = None,
    ) -> PreparedRequest:
        """A request that is made again and again, as fast as can be; as :meth:`reserve`."""
        return PreparedRequest(
            self, Request(id, cpu, memory, gpus, selector, policy, key, hash, ahead, terms)
        )

    def reservation(self, id: Text) -> Reservation:
        """What an id holds; raises :class:`NotHeld`."""
        data = identifier("id", id)
        p = _abi.placement_t()
        check(_held.slotwise_reservation(self.handle, data, len(data), byref(p)))
        return Reservation(id, p.ticket, p.worker, p.version, True, p.provisional != 0, self)

    def release(self, what: Union[Reservation, int, Text]) -> Released:
        """
        Gives back what a reservation, a ticket (a number) or an id (a text) holds, exactly once: a
        second release, or a late one, raises :class:`NotHeld` and changes nothing.
        """
        r = _abi.released_t()
        if isinstance(what, (str, bytes)):
            data = identifier("what", what)
            status = _held.slotwise_release_id(self.handle, data, len(data), byref(r))
        else:
            status = _release(self._handle, c_uint64(ticket_of("what", what)), byref(r))
        if status:
            raise last(status)
        return Released(r.worker, r.version, resources(r.amount), r.credited != 0)

    def resize(
        self, what: Union[Reservation, int, Text], cpu: int = 0, memory: int = 0, gpus: int = 0
    ) -> Resized:
        """
        Makes a live reservation hold this much instead of what it holds. Raises :class:`Short` where
        it would grow and there is no room; nothing has changed then.
        """
        need = amount(cpu, memory, gpus)
        r = _abi.resized_t()
        if isinstance(what, (str, bytes)):
            data = identifier("what", what)
            status = _held.slotwise_resize_id(self.handle, data, len(data), byref(need), byref(r))
        else:
            status = _held.slotwise_resize(self.handle, ticket_of("what", what), byref(need), byref(r))
        if status:
            raise last(status)
        return Resized(r.ticket, r.worker, r.version, resources(r.before))

    def granted(self, what: Union[Reservation, int, Text]) -> Optional[Granted]:
        """
        Which devices a reservation, a ticket (a number) or an id (a text) holds, and how much of each;
        None where it asked for none. Raises :class:`NotHeld`. Takes no lock.
        """
        ticket = self.reservation(what).ticket if isinstance(what, (str, bytes)) else ticket_of("what", what)
        g = _abi.granted_t()
        check(_held.slotwise_granted(self.handle, ticket, byref(g)))
        if not g.devices:
            return None
        places = tuple(k for k in range(_abi.MAX_DEVICES) if g.devices >> k & 1)
        return Granted(places, g.milli, g.memory)

    # ---- one request that may wait

    def reserve_wait(
        self,
        id: Optional[Text] = None,
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        selector: Union[int, Constraints] = 0,
        policy: Policy = Policy.DEFAULT,
        key: Optional[Text] = None,
        hash: Optional[int] = None,
        ahead: bool = False,
        terms: Optional[Terms] = None,
        timeout: Optional[float] = None,
    ) -> Reservation:
        """
        As :meth:`reserve`; while it is busy, or its account's quota is used up, waits and asks again,
        at ever longer intervals up to 50 ms. After ``timeout`` seconds raises :class:`TimedOut`, with
        the last reasons.
        """
        for pause in pauses(timeout, (cpu, memory, gpus), terms):
            try:
                return self.reserve(
                    id, cpu, memory, gpus,
                    selector=selector, policy=policy, key=key, hash=hash, ahead=ahead, terms=terms,
                )  # fmt: skip
            except AGAIN as error:
                delay = pause(error)
            time.sleep(delay)
        raise AssertionError

    async def reserve_async(
        self,
        id: Optional[Text] = None,
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        selector: Union[int, Constraints] = 0,
        policy: Policy = Policy.DEFAULT,
        key: Optional[Text] = None,
        hash: Optional[int] = None,
        ahead: bool = False,
        terms: Optional[Terms] = None,
        timeout: Optional[float] = None,
    ) -> Reservation:
        """As :meth:`reserve_wait`, without blocking the event loop."""
        for pause in pauses(timeout, (cpu, memory, gpus), terms):
            try:
                return self.reserve(
                    id, cpu, memory, gpus,
                    selector=selector, policy=policy, key=key, hash=hash, ahead=ahead, terms=terms,
                )  # fmt: skip
            except AGAIN as error:
                delay = pause(error)
            await asyncio.sleep(delay)
        raise AssertionError

    # ---- one request that others make room for

    def plan_preemption(self, request: Request) -> Preemption:
        """
        The best place for a request if others may be displaced for it: those that are ``preemptable``
        and whose ``priority`` is lower than that of its terms. It is where the fewest have to leave,
        then those with the lowest priorities, then those that hold the least. Changes nothing;
        :meth:`preempt` does what the plan says. Looks at every matching worker.

        Raises :class:`Busy` or :class:`Never` where no set of victims would make room. The account's
        quota is not asked for here. Takes no lock.
        """
        return _preemption.plan(self, request)

    def preempt(self, request: Request, plan: Preemption) -> Reservation:
        """
        Does what a plan for this request says, as one change of its worker from exactly the plan's
        version, or nothing. An id that is held already is answered with that reservation.

        As long as anybody has to leave, the reservation is a claim, and ``provisional``: stop the
        victims, release each once it really has stopped, and then :meth:`confirm`. Until then they
        hold what they hold, and nobody else gets what they give back. A claim that is released, or
        that expires, gives back what it claimed.

        Raises :class:`VersionConflict` where the worker or a victim has changed since: make another
        plan; otherwise as :meth:`reserve`. Takes a lock for a short time if anybody has to leave.
        """
        return _preemption.carry_out(self, request, plan)

    # ---- many

    def reserve_many(
        self,
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
    ) -> BatchResult:
        """
        Reserves for many requests in one call, from columns into columns.

        ``ids``: a sequence of ids, a numpy array of dtype S, :class:`PackedIds`, or None. ``cpu``,
        ``memory``, ``gpus``, ``selector`` and ``hashes``: one number for all, a sequence, or
        anything with the buffer protocol that has 64-bit (selectors: 32-bit) integers in a row,
        which is read where it lies. A negative number of a signed array is refused as too large.

        ``terms`` are one for all. Each request has its own status; the same batch with the same
        ``batch_id`` again has no effect and gets the same answer.
        """
        arguments = dict(locals())
        del arguments["self"]
        return reserve_columns(self, arguments)

    def batch(
        self,
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
    ) -> ReserveBatch:
        """Prebuilt columns that are reserved again and again; arguments as :meth:`reserve_many`."""
        arguments = dict(locals())
        del arguments["self"]
        return ReserveBatch(self, **arguments)

    def release_many(self, tickets: Union[BatchResult, Sequence[Any], Any]) -> ReleaseResult:
        """
        Gives back many in one call, each for itself: the result of a batch, an array of tickets, or
        a sequence of tickets or reservations.
        """
        return release_columns(self, tickets)

    def reserve_batch(
        self,
        requests: Iterable[Request],
        *,
        all_or_nothing: bool = False,
        batch_id: Optional[Text] = None,
    ) -> Outcomes:
        """Reserves for requests that differ in any of their fields; a refusal has its reasons."""
        listed = as_list("requests", requests)
        c, placements, reasons, _keep = batch_of(self, listed, all_or_nothing, batch_id)
        done = _abi.batch_done_t()
        check(_free.slotwise_reserve_batch(self.handle, byref(c), byref(done)))
        outcomes = Outcomes()
        for k, (request, p) in enumerate(zip(listed, placements)):
            error = refusal(k, p, reasons)
            outcomes.append(
                error
                or Reservation(
                    request.id, p.ticket, p.worker, p.version, p.existing != 0, p.provisional != 0, self
                )
            )
        outcomes.replayed = done.replayed != 0
        return outcomes

    def gang(self, requests: Iterable[Request], *, batch_id: Optional[Text] = None) -> List[Reservation]:
        """
        All of them or none. Raises why the request that is to blame was refused, with its place as
        ``index``; every worker is as it was then.
        """
        outcomes = self.reserve_batch(requests, all_or_nothing=True, batch_id=batch_id)
        outcomes.raise_for_status()
        return outcomes.reservations


# So that whoever resolves the type hints of a reservation finds what it belongs to.
vars(_reservation)["Engine"] = Engine
