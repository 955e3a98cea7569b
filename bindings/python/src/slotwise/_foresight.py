"""What would be, why, and what is wanted; nothing here changes anything but what is noted of refusals."""

from __future__ import annotations

import enum
from ctypes import addressof, byref, c_size_t, c_uint32, c_uint64, sizeof
from dataclasses import dataclass
from typing import Any, Iterable, List, Optional, Tuple, Union

from . import _abi
from ._accounts import Accounts
from ._arguments import MAX_U32, as_list, identifier, integer, resources
from ._clock import ticket_of
from ._constraints import Selectors
from ._errors import SlotwiseError, check, last
from ._errors import reasons as reasons_of
from ._library import free as _free
from ._library import held as _held
from ._request import batch_of, fill, refusal
from ._reservation import Reservation
from ._types import (
    _SLOTS,
    Dimension,
    Outlook,
    Planned,
    Reasons,
    Request,
    Resources,
    State,
    Status,
    Text,
    WorkerSpec,
)
from ._workers import spec_of


class Reason(enum.IntEnum):
    """What a worker is to a request: the first of these that is true of it."""

    #: It takes the request.
    FITS = _abi.REASON_FITS
    #: It does not match.
    MISMATCH = _abi.REASON_MISMATCH
    #: It takes nothing of the kind in its state.
    STATE = _abi.REASON_STATE
    #: Not enough is free.
    SHORT = _abi.REASON_SHORT
    #: It could not hold the request when empty.
    TOO_SMALL = _abi.REASON_TOO_SMALL
    #: As many of a group of the request's are in its place as may be, or it is in none.
    SPREAD = _abi.REASON_SPREAD


class Mismatch(enum.IntEnum):
    """The rule that keeps a worker from a request."""

    #: The request names another machine.
    MACHINE = _abi.MISMATCH_MACHINE
    #: The worker serves another tenant alone.
    TENANT = _abi.MISMATCH_TENANT
    #: It is in another pool, or serves only requests that name its own.
    POOL = _abi.MISMATCH_POOL
    #: A label is missing or has another value.
    LABELS = _abi.MISMATCH_LABELS
    #: GPUs on one side only.
    GPU_SEPARATION = _abi.MISMATCH_GPU_SEPARATION
    #: Its GPUs are of another type.
    GPU_TYPE = _abi.MISMATCH_GPU_TYPE
    #: It is preemptable and the request does not accept that.
    PREEMPTABLE = _abi.MISMATCH_PREEMPTABLE
    #: Its GPUs are devices, and the request asks for a number of them; or the other way round.
    DEVICES = _abi.MISMATCH_DEVICES


@dataclass(frozen=True, **_SLOTS)
class Mismatches:
    """How many workers do not match a request, by the first rule that keeps them from it."""

    machine: int = 0
    tenant: int = 0
    pool: int = 0
    labels: int = 0
    gpu_separation: int = 0
    gpu_type: int = 0
    preemptable: int = 0
    devices: int = 0


@dataclass(frozen=True, **_SLOTS)
class NearMiss:
    """Where least would have to be freed."""

    worker: int
    #: Its version when it was looked at.
    version: int
    #: What would have to be freed there for the request to fit.
    missing: Resources


@dataclass(frozen=True, **_SLOTS)
class Explained:
    """One worker, and what it is to a request."""

    worker: int
    #: Its version when it was looked at: while it stands there, what is said of it is true.
    version: int
    reason: Reason
    #: The rule, of one that does not match.
    mismatch: Optional[Mismatch]
    #: Of one whose state is the reason.
    state: Optional[State]
    #: How much more would have to be free, or by how much it is too small. Where devices are asked for,
    #: its GPUs are how many more of them would have to have room for what is asked of each.
    missing: Resources


@dataclass(frozen=True, **_SLOTS)
class Explanation:
    """What :meth:`Engine.reserve` would say of a request, and why. True where it would be placed."""

    #: OK: it would be placed, or its id is held; BUSY or NEVER.
    status: Status
    #: Where it fits, or is held; otherwise 0.
    worker: int
    #: The version at which that worker was looked at.
    version: int
    #: The reservation that its id holds; 0: none.
    ticket: int
    #: Of a refusal: what it is short of.
    dimension: Dimension
    #: Of a refusal: whether something is on its way that will take it.
    outlook: Outlook
    #: Registered workers that would take it.
    fitting: int
    #: The others, by reason; counted also where the engine does not count reasons.
    reasons: Reasons
    #: Those that do not match, by rule.
    mismatches: Mismatches
    #: Of the workers that are too full by now, the one where the smallest share is missing.
    nearest: Optional[NearMiss]
    #: Every registered worker, where that was wanted.
    workers: Tuple[Explained, ...] = ()

    def __bool__(self) -> bool:
        return self.status == Status.OK


@dataclass(frozen=True, **_SLOTS)
class Demand:
    """What was refused lately of the requests with one selector."""

    selector: int
    #: How many there are: joining, packed and unservable together.
    requests: int
    #: What they need in all. A device counts as a GPU, also where only a part of it is asked for.
    need: Resources
    #: How many of them fit on workers that are ready, or pending, as they are now.
    joining: int
    #: How many of the others are packed onto new workers of the shape.
    packed: int
    #: The new workers that these make necessary; the sum over all entries is the number to start.
    workers: int
    #: How many cannot be served by a worker of the shape.
    unservable: int


class Foresight(Accounts, Selectors):
    """What is told before anything is done."""

    __slots__ = ()

    def dry_run(
        self,
        requests: Iterable[Request],
        *,
        credited: Iterable[Union[Reservation, int]] = (),
        without: Iterable[Union[int, Text]] = (),
        with_: Iterable[WorkerSpec] = (),
        all_or_nothing: bool = False,
    ) -> List[Union[Planned, SlotwiseError]]:
        """
        What :meth:`reserve_batch` would do on another branch of the state: the ``credited``
        reservations are given back, the workers ``without`` are removed, and those ``with_`` are
        registered after all others. Changes nothing.

        A ticket that is not held credits nothing, and a number of a worker that is gone is passed by;
        an id of none is :class:`UnknownWorker`. A worker of ``with_`` that could not be registered is
        what :meth:`add_worker` would say of it, with its place as ``index``; it may have the id of one
        in ``without``. Where an affinity key or power of two choices would lead once they were there
        is not foreseen. Takes no lock.
        """
        listed = as_list("requests", requests)
        supposed, _kept, many = self._supposed(credited, without, with_)
        c, placements, reasons, _keep = batch_of(self, listed, all_or_nothing, None)
        status = _free.slotwise_dry_run_with(self.handle, byref(c), byref(supposed), None)
        if status:
            raise _placed(last(status), many)
        planned: List[Union[Planned, SlotwiseError]] = []
        for k, (request, p) in enumerate(zip(listed, placements)):
            error = refusal(k, p, reasons)
            if error is not None:
                planned.append(error)
                continue
            # One that is only supposed to be there has no registration, which the upper half counts.
            added = None if p.worker >> 32 else p.worker - 1
            worker = p.worker if added is None else 0
            planned.append(Planned(request.id, worker, p.version, p.existing != 0, added))
        return planned

    def replicas(
        self,
        request: Request,
        n: int,
        *,
        credited: Iterable[Union[Reservation, int]] = (),
        without: Iterable[Union[int, Text]] = (),
        with_: Iterable[WorkerSpec] = (),
    ) -> int:
        """
        How many of ``n`` copies of this request would be placed one after another, each anonymous;
        what is supposed besides, as for :meth:`dry_run`. Changes nothing. Takes no lock.
        """
        r = fill(self, request)
        copies = integer("n", n, 0, MAX_U32)
        supposed, _kept, many = self._supposed(credited, without, with_)
        fit = c_uint32()
        status = _free.slotwise_replicas(self.handle, byref(r), copies, byref(supposed), byref(fit))
        if status:
            # What is wrong with the request's own devices is said of no worker.
            raise _placed(last(status), 0 if r.terms and r.terms.contents.device_count else many)
        return fit.value

    def _supposed(self, credited: Any, without: Any, with_: Any) -> Tuple[Any, Any, int]:
        tickets = [ticket_of(f"credited[{k}]", t) for k, t in enumerate(as_list("credited", credited))]
        gone = [self._worker(f"without[{k}]", w) for k, w in enumerate(as_list("without", without))]
        specs = as_list("with_", with_)
        credits = (c_uint64 * max(len(tickets), 1))(*tickets)
        removed = (c_uint64 * max(len(gone), 1))(*gone)
        added = (_abi.worker_spec_t * max(len(specs), 1))()
        for k, spec in enumerate(specs):
            spec_of(f"with_[{k}].", spec, added[k])
        c = _abi.supposition_t(size=sizeof(_abi.supposition_t), added=added, added_count=len(specs))
        # By their addresses, so that who calls keeps them until it is done.
        c.credited, c.credited_count = addressof(credits), len(tickets)
        c.without, c.without_count = addressof(removed), len(gone)
        return c, (credits, removed, added), len(specs)

    def explain(self, request: Request, *, each_worker: bool = False) -> Explanation:
        """
        What :meth:`reserve` would say of this request right now, and why: counts by reason and by
        rule, the nearest miss and, with ``each_worker``, every registered worker's own reason.
        Changes nothing.

        A request that is said to fit fits as long as its worker is at the version that stands beside
        it. Raises what ``reserve`` raises, but for :class:`Busy` and :class:`Never`. Looks at every
        worker; takes the registry's lock, under which placements go on.
        """
        r = fill(self, request)
        e = _abi.explanation_t(size=sizeof(_abi.explanation_t))
        entries: Any = ()
        if each_worker:
            room = self.counts().workers + 16
            count = c_size_t()
            while True:
                entries = (_abi.explained_t * room)()
                check(_free.slotwise_explain(self.handle, byref(r), byref(e), entries, room, byref(count)))
                if count.value <= room:
                    break
                room = count.value + 16  # some more have come since
            entries = entries[: count.value]
        else:
            check(_free.slotwise_explain(self.handle, byref(r), byref(e), None, 0, None))
        n, m = e.nearest, e.mismatches
        return Explanation(
            Status(e.status),
            e.worker,
            e.version,
            e.ticket,
            Dimension(e.dimension),
            Outlook(e.outlook),
            e.fitting,
            reasons_of(e.reasons),
            Mismatches(
                m.machine, m.tenant, m.pool, m.labels, m.gpu_separation, m.gpu_type, m.preemptable, m.devices
            ),
            NearMiss(n.worker, n.version, resources(n.missing)) if n.worker else None,
            tuple(_explained(entry) for entry in entries),
        )

    def unmet_demand(self, shape: WorkerSpec, since: int = 0) -> List[Demand]:
        """
        What was refused at ``since`` or later, by the clock of :meth:`tick`, and is not held by now,
        by selector; and what it would take to serve it: how many of the requests fit on workers that
        are there or on their way, and how many workers of this ``shape``, whose id may be empty, would
        serve the others.

        Requests that were refused as busy or never are noted, the same id once, anonymous ones each
        time, at most ``max_unmet``; not those that name their worker, and no dry runs. Workers that
        are registered as pending count at once. Raises what :meth:`add_worker` would say of the
        shape. Takes no lock.
        """
        c = spec_of("shape.", shape, anonymous=True)
        time = integer("since", since)
        count = c_size_t()
        room = 64
        while True:
            demand = (_abi.demand_t * room)()
            check(_free.slotwise_unmet_demand(self.handle, byref(c), time, demand, room, byref(count)))
            if count.value <= room:
                break
            room = count.value + 16
        return [
            Demand(d.selector, d.requests, resources(d.need), d.joining, d.packed, d.workers, d.unservable)
            for d in demand[: count.value]
        ]

    def forget_unmet(self, id: Text) -> bool:
        """
        Forgets that this id was refused: its request was withdrawn, or met elsewhere. Whether
        anything was noted. Takes no lock.
        """
        data = identifier("id", id)
        forgotten = c_uint32()
        check(_held.slotwise_forget_unmet(self.handle, data, len(data), byref(forgotten)))
        return forgotten.value != 0


#: What is said of a worker that could not be registered.
_OF_WORKERS = (
    Status.ID_LENGTH,
    Status.NAME_LENGTH,
    Status.TOO_LARGE,
    Status.SET_ASIDE,
    Status.GPU_TYPE,
    Status.DUPLICATE_WORKER,
    Status.TOO_MANY_DEVICES,
    Status.DUPLICATE_DEVICE,
    Status.GPUS_BESIDE_DEVICES,
)


def _placed(error: SlotwiseError, added: int) -> SlotwiseError:
    """With the place of the supposed worker that is to blame."""
    if added and error.status in _OF_WORKERS:
        details = _abi.error_t(size=sizeof(_abi.error_t))
        _held.slotwise_last_error(byref(details))
        error.index = details.index
    return error


def _explained(c: Any) -> Explained:
    reason = Reason(c.reason)
    return Explained(
        c.worker,
        c.version,
        reason,
        Mismatch(c.detail) if reason is Reason.MISMATCH else None,
        State(c.detail) if reason is Reason.STATE else None,
        resources(c.missing),
    )
