"""An engine: workers, and what they hold."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import weakref
from ctypes import byref, c_size_t, c_uint32, c_uint64, create_string_buffer, sizeof
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from . import _abi
from ._arguments import MAX_U32, MAX_U64, flag, identifier, integer, optional_identifier, shown, text
from ._batch import (
    BatchResult,
    IdColumn,
    Numbers,
    ReleaseResult,
    ReserveBatch,
    release_columns,
    reserve_columns,
)
from ._errors import (
    Busy,
    InvalidArgument,
    InvalidType,
    Refused,
    SlotwiseError,
    TimedOut,
    TryAgain,
    UnknownWorker,
    check,
    last,
    new,
)
from ._library import fast
from ._library import free as _free
from ._library import held as _held
from ._prepared import PreparedRequest
from ._request import fill, policy_number, quick
from ._types import (
    _SLOTS,
    Added,
    Audit,
    Config,
    Constraints,
    Counts,
    Dimension,
    Group,
    Imbalance,
    Labels,
    Lost,
    Planned,
    Policy,
    Reasons,
    Released,
    Request,
    Resized,
    Resources,
    Snapshot,
    State,
    Stats,
    Status,
    Step,
    StepDone,
    Text,
    WorkerInfo,
    WorkerSpec,
)

_reserve = fast(_held, "slotwise_reserve")
_release = fast(_held, "slotwise_release")


class _Unset:
    """What :meth:`Engine.update_worker` leaves as it is."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
_NOTHING = Resources()
_NO_LABELS: Mapping[Text, Text] = {}


@dataclass(eq=False, **_SLOTS)
class Reservation:
    """
    Capacity that is held for somebody until it is given back.

    With ``with``, that is at the end of the block.
    """

    #: None for an anonymous one.
    id: Optional[Text]
    #: Names the reservation from now on, and never another.
    ticket: int
    #: The worker that it is on; :attr:`worker_id` is the host's name of it.
    worker: int
    #: The worker's version that it made.
    version: int
    #: The id was held already; this is that reservation, and nothing was changed.
    existing: bool
    engine: Engine = field(repr=False)

    @property
    def worker_id(self) -> str:
        """The host's name of its worker."""
        return self.engine.worker_id(self.worker)

    def release(self) -> Released:
        """Gives it back."""
        return self.engine.release(self.ticket)

    def resize(self, cpu: int = 0, memory: int = 0, gpus: int = 0) -> Resized:
        """Makes it hold this much instead."""
        return self.engine.resize(self.ticket, cpu, memory, gpus)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        status = _release(self.engine._handle, c_uint64(self.ticket), None)
        if status and status != Status.NOT_HELD:
            raise last(status)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reservation):
            return NotImplemented
        return self.ticket == other.ticket and self.engine is other.engine

    def __hash__(self) -> int:
        return hash(self.ticket)


Outcome = Union[Reservation, SlotwiseError]


class Outcomes(List[Outcome]):
    """What became of each request of a batch: a reservation, or the error that says why there is none."""

    #: Whether the batch id was known: this is the answer of then.
    replayed: bool = False

    @property
    def reservations(self) -> List[Reservation]:
        """Those that there are."""
        return [outcome for outcome in self if isinstance(outcome, Reservation)]

    def raise_for_status(self) -> None:
        """Raises why the first request that is to blame was refused, if one was."""
        _raise_first(self)


def _raise_first(outcomes: Iterable[object]) -> None:
    errors = [outcome for outcome in outcomes if isinstance(outcome, SlotwiseError)]
    for error in errors:
        if error.status != Status.PEER:
            raise error
    if errors:
        raise errors[0]


def _resources(c: Any) -> Resources:
    return Resources(c.cpu, c.memory, c.gpus)


def _status_of(error: Optional[SlotwiseError]) -> Status:
    return Status.OK if error is None or error.status is None else error.status


class Engine:
    """
    A scheduling engine of this process, shared by its threads.

    Limits that are not given are the library's. ``close`` ends its use at once, from any thread;
    its memory is given back when nothing refers to it any more.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_finalizer",
        "_handle",
        "_names",
        "_removing",
        "_selectors",
        "handle",
    )
    #: Its number in the C interface, for other languages in the same process.
    handle: int

    def __init__(
        self,
        *,
        max_workers: Optional[int] = None,
        max_reservations: Optional[int] = None,
        max_selectors: Optional[int] = None,
        max_batches: Optional[int] = None,
        policy: Policy = Policy.DEFAULT,
        gpu_separation: bool = True,
        count_reasons: bool = True,
    ) -> None:
        config = _abi.config_t()
        check(_held.slotwise_config_default(byref(config)))
        for name, value in (
            ("max_workers", max_workers),
            ("max_reservations", max_reservations),
            ("max_selectors", max_selectors),
            ("max_batches", max_batches),
        ):
            if value is not None:
                setattr(config, name, integer(name, value))
        config.policy = policy_number(policy)
        config.flags = (_abi.NO_GPU_SEPARATION | _abi.NO_REASONS) ^ (
            flag("gpu_separation", gpu_separation, _abi.NO_GPU_SEPARATION)
            | flag("count_reasons", count_reasons, _abi.NO_REASONS)
        )
        handle = c_uint64()
        check(_free.slotwise_engine_new(byref(config), byref(handle)))
        self.handle = handle.value
        self._handle = c_uint64.from_param(handle.value)
        self._closed = False
        self._names: Dict[int, str] = {}
        self._selectors: Dict[Constraints, int] = {}
        self._removing = threading.Lock()
        # Whoever calls refers to the engine, so the last reference goes when no call is under way.
        self._finalizer = weakref.finalize(self, _free.slotwise_engine_free, handle.value)
        # Not at exit: other threads may still be in calls then, and all ends anyway.
        self._finalizer.atexit = False  # type: ignore[misc]

    # ---- its life

    def close(self) -> None:
        """Ends its use: from now on every call raises :class:`Closed`. Again, does nothing."""
        check(_free.slotwise_engine_close(self.handle))
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            counts = self.counts()
        except SlotwiseError as error:
            return f"<Engine {self.handle:#x}: {error}>"
        return f"<Engine {self.handle:#x}: {counts.workers} workers, {counts.reservations} reservations>"

    def __reduce__(self) -> Any:
        raise TypeError("an Engine lives in its process and cannot be copied or pickled")

    @property
    def config(self) -> Config:
        """The limits and rules that it was made with."""
        c = _abi.config_t(size=sizeof(_abi.config_t))
        check(_held.slotwise_engine_config(self.handle, byref(c)))
        return Config(
            c.max_workers,
            c.max_reservations,
            c.max_selectors,
            c.max_batches,
            Policy(c.policy),
            not c.flags & _abi.NO_GPU_SEPARATION,
            not c.flags & _abi.NO_REASONS,
        )

    # ---- workers

    def add_worker(
        self,
        spec: Union[WorkerSpec, Text],
        cpu: int = 0,
        memory: int = 0,
        gpus: int = 0,
        *,
        set_aside: Resources = _NOTHING,
        priority: int = 0,
        tier: int = 0,
        pool: Optional[Text] = None,
        gpu_type: Optional[Text] = None,
        tenant: Optional[Text] = None,
        machine: Optional[Text] = None,
        labels: Mapping[Text, Text] = _NO_LABELS,
        requires_selector: bool = False,
        preemptable: bool = False,
        pending: bool = False,
    ) -> int:
        """
        Registers a worker, given as a :class:`WorkerSpec` alone or by its fields, the id first.
        Returns the engine's name for it.
        """
        if not isinstance(spec, WorkerSpec):
            spec = WorkerSpec(
                spec, cpu, memory, gpus, set_aside, priority, tier, pool, gpu_type, tenant, machine,
                labels, requires_selector, preemptable, pending,
            )  # fmt: skip
        c = _spec("", spec)
        worker = c_uint64()
        check(_free.slotwise_worker_add(self.handle, byref(c), byref(worker)))
        return worker.value

    def add_workers(self, specs: Iterable[WorkerSpec]) -> List[Added]:
        """Registers many, each for itself; what became of each, in order."""
        listed = _listed("specs", specs)
        c = (_abi.worker_spec_t * len(listed))()
        for k, spec in enumerate(listed):
            _spec(f"specs[{k}].", spec, c[k])
        added = (_abi.added_t * len(listed))()
        if listed:
            check(_free.slotwise_workers_add(self.handle, c, 0, len(listed), added, None))
        return [Added(a.worker, Status(a.status)) for a in added]

    def update_worker(
        self,
        id: Text,
        *,
        total: Resources = UNSET,
        set_aside: Resources = UNSET,
        gpu_type: Optional[Text] = UNSET,
        pool: Optional[Text] = UNSET,
        priority: int = UNSET,
        tier: int = UNSET,
        labels: Mapping[Text, Text] = UNSET,
        tenant: Optional[Text] = UNSET,
        machine: Optional[Text] = UNSET,
        requires_selector: bool = UNSET,
        preemptable: bool = UNSET,
    ) -> WorkerInfo:
        """
        Changes what is named of a worker, as one step; None takes a name away.

        A total may be lowered under what is held: nothing is taken from anybody, and nothing new is
        placed until enough has been released.
        """
        spec = WorkerSpec(id, 0, 0)
        fields = 0
        changes: Tuple[Tuple[str, Any, int], ...] = (
            ("total", total, _abi.SET_TOTAL),
            ("set_aside", set_aside, _abi.SET_SET_ASIDE),
            ("gpu_type", gpu_type, _abi.SET_GPU_TYPE),
            ("pool", pool, _abi.SET_POOL),
            ("priority", priority, _abi.SET_PRIORITY),
            ("tier", tier, _abi.SET_TIER),
            ("labels", labels, _abi.SET_LABELS),
            ("tenant", tenant, _abi.SET_TENANT),
            ("machine", machine, _abi.SET_MACHINE),
            ("requires_selector", requires_selector, _abi.SET_REQUIRES_SELECTOR),
            ("preemptable", preemptable, _abi.SET_PREEMPTABLE),
        )
        for name, value, bit in changes:
            if value is UNSET:
                continue
            fields |= bit
            if name == "total":
                _amounts("total", value)
                spec.cpu, spec.memory, spec.gpus = value.cpu, value.memory, value.gpus
            else:
                setattr(spec, name, value)
        c = _spec("", spec)
        data = identifier("id", id)
        info = _abi.worker_info_t(size=sizeof(_abi.worker_info_t))
        check(_free.slotwise_worker_update(self.handle, data, len(data), byref(c), fields, byref(info)))
        return self._info(info)

    def remove_worker(self, id: Text) -> List[Lost]:
        """Takes a worker out and ends what is held there, each reservation once."""
        data = identifier("id", id)
        worker = c_uint64()
        if _held.slotwise_worker_find(self.handle, data, len(data), byref(worker)) == Status.OK:
            self._names.pop(worker.value, None)
        room = (_abi.lost_t * 64)()
        count = c_size_t()
        # So that those for whom there was no room go to nobody else who removes.
        with self._removing:
            check(_free.slotwise_worker_remove(self.handle, data, len(data), room, len(room), byref(count)))
            lost = [_lost(entry) for entry in room[: min(count.value, len(room))]]
            while len(lost) < count.value:
                more = self.take_lost(count.value - len(lost))
                if not more:
                    break
                lost += more
        return lost

    def take_lost(self, limit: int = 1024) -> List[Lost]:
        """Reservations that ended with their worker and that nobody was told of, the oldest first."""
        limit = min(integer("limit", limit), 65536)
        room = (_abi.lost_t * max(limit, 1))()
        count = c_size_t()
        check(_free.slotwise_lost_take(self.handle, room, limit, byref(count)))
        return [_lost(entry) for entry in room[: count.value]]

    def ready(self, id: Text) -> WorkerInfo:
        """The host's readiness signal: a pending worker becomes ready. Does not lift a cordon."""
        return self._change(_free.slotwise_worker_ready, id)

    def unready(self, id: Text) -> WorkerInfo:
        """Takes the readiness back; what it holds stays."""
        return self._change(_free.slotwise_worker_unready, id)

    def cordon(self, id: Text) -> WorkerInfo:
        """Once this returns nothing new lands there; what is held stays."""
        return self._change(_free.slotwise_worker_cordon, id)

    def uncordon(self, id: Text) -> WorkerInfo:
        """Lifts cordon and drain."""
        return self._change(_free.slotwise_worker_uncordon, id)

    def drain(self, id: Text) -> WorkerInfo:
        """As :meth:`cordon`, to empty it: ``held`` says how much is still there."""
        return self._change(_free.slotwise_worker_drain, id)

    def find(self, id: Text) -> int:
        """The engine's name for the worker of this id."""
        data = identifier("id", id)
        worker = c_uint64()
        check(_held.slotwise_worker_find(self.handle, data, len(data), byref(worker)))
        return worker.value

    def worker(self, worker: Union[int, Text]) -> WorkerInfo:
        """A worker in full, by its id or the engine's name."""
        info = _abi.worker_info_t(size=sizeof(_abi.worker_info_t))
        check(_free.slotwise_worker_info(self.handle, self._worker("worker", worker), byref(info)))
        return self._info(info)

    def worker_id(self, worker: int) -> str:
        """The host's name of a worker."""
        if type(worker) is not int:
            worker = integer("worker", worker)
        name = self._names.get(worker)
        if name is None:
            worker = integer("worker", worker)
            name = self._names[worker] = self._text(worker, _abi.TEXT_ID)
        return name

    def snapshot(self, worker: Union[int, Text]) -> Snapshot:
        """A worker's slot as it is this instant; takes no lock."""
        s = _abi.snapshot_t()
        check(_held.slotwise_worker_snapshot(self.handle, self._worker("worker", worker), byref(s)))
        return Snapshot(s.version, _resources(s.free), State(s.state))

    def workers(self, *, pool: Optional[Text] = None, machine: Optional[Text] = None) -> Iterator[WorkerInfo]:
        """All workers, those of a pool (of none: ""), or those on a machine; as they are now."""
        if pool is not None and machine is not None:
            raise InvalidArgument("machine", "excludes a pool")
        by, name = _abi.LIST_ALL, b""
        if pool is not None:
            by, name = _abi.LIST_POOL, text("pool", pool)
        elif machine is not None:
            by, name = _abi.LIST_MACHINE, text("machine", machine)
        room = self.counts().workers + 16
        count = c_size_t()
        while True:
            infos = (_abi.worker_info_t * room)()
            check(_free.slotwise_workers_list(self.handle, by, name, len(name), infos, room, byref(count)))
            if count.value <= room:
                return self._infos(infos, count.value)
            room = count.value + 16

    def _infos(self, infos: Any, count: int) -> Iterator[WorkerInfo]:
        for k in range(count):
            try:
                yield self._info(infos[k])
            except UnknownWorker:
                continue  # removed since

    def __iter__(self) -> Iterator[WorkerInfo]:
        return self.workers()

    def __contains__(self, id: Text) -> bool:
        try:
            self.find(id)
        except UnknownWorker:
            return False
        return True

    def _change(self, function: Any, id: Text) -> WorkerInfo:
        data = identifier("id", id)
        info = _abi.worker_info_t(size=sizeof(_abi.worker_info_t))
        check(function(self.handle, data, len(data), byref(info)))
        return self._info(info)

    def _worker(self, name: str, worker: Union[int, Text]) -> int:
        if isinstance(worker, (str, bytes)):
            return self.find(worker)
        try:
            return integer(name, worker)
        except InvalidType:
            raise InvalidType(name, f"an id or a number, not {type(worker).__name__}") from None

    def _text(self, worker: int, which: int, index: int = 0) -> str:
        buffer = create_string_buffer(_abi.MAX_NAME_LENGTH + 1)
        length = c_size_t()
        check(
            _free.slotwise_worker_text(self.handle, worker, which, index, buffer, len(buffer), byref(length))
        )
        return shown(buffer.raw[: length.value])

    def _info(self, c: Any) -> WorkerInfo:
        w: int = c.worker
        labels: Dict[str, str] = {}
        for k in range(c.label_count):
            try:
                key = self._text(w, _abi.TEXT_LABEL_KEY, k)
                labels[key] = self._text(w, _abi.TEXT_LABEL_VALUE, k)
            except InvalidArgument:
                break  # fewer since
        return WorkerInfo(
            self.worker_id(w),
            w,
            State(c.state),
            c.version,
            _resources(c.total),
            _resources(c.set_aside),
            _resources(c.held),
            _resources(c.free),
            c.priority,
            c.tier,
            bool(c.flags & _abi.REQUIRES_SELECTOR),
            bool(c.flags & _abi.PREEMPTABLE),
            self._text(w, _abi.TEXT_POOL),
            self._text(w, _abi.TEXT_GPU_TYPE),
            self._text(w, _abi.TEXT_TENANT),
            self._text(w, _abi.TEXT_MACHINE),
            labels,
        )

    # ---- one request

    def selector(
        self,
        constraints: Optional[Constraints] = None,
        *,
        pools: Union[Text, Sequence[Text]] = (),
        gpu_types: Union[Text, Sequence[Text]] = (),
        labels: Labels = (),
        machine: Optional[Text] = None,
        tenant: Optional[Text] = None,
        accept_preemptable: bool = False,
    ) -> int:
        """
        Compiles constraints, given as such or by the same fields, into a number that is valid for
        the engine's life. The same constraints always give the same one.
        """
        if constraints is None:
            constraints = Constraints(pools, gpu_types, labels, machine, tenant, accept_preemptable)
        elif not isinstance(constraints, Constraints):
            raise InvalidType("constraints", f"Constraints, not {type(constraints).__name__}")
        try:
            known = self._selectors.get(constraints)
        except (TypeError, ValueError):
            known = None  # something in there is no text, which is told below
        if known is not None and not self._closed:
            return known
        c = _constraints(constraints)
        selector = c_uint32()
        check(_free.slotwise_selector(self.handle, byref(c), byref(selector)))
        self._selectors[constraints] = selector.value
        return selector.value

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
    ) -> Reservation:
        """
        Holds capacity on the worker that the policy gives it. An id that is held already is answered
        with that reservation.

        ``id``: the host's name of it; None: known by its ticket alone. ``cpu`` in millicores,
        ``memory`` in MiB. ``key``, or a ``hash`` of the host's own, decides where the search starts
        in place of the id. ``ahead``: may also be held on pending workers.

        Raises :class:`Busy` or :class:`Never` with the reasons where no worker took it.
        """
        r = quick(self, id, cpu, memory, gpus, selector, policy, key, hash, ahead)
        p = _abi.placement_t()
        status = _reserve(self._handle, byref(r), byref(p))
        if status:
            raise last(status)
        return Reservation(id, p.ticket, p.worker, p.version, p.existing != 0, self)

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
    ) -> Reservation:
        """
        Holds capacity on one named worker. With ``expected``, any change of the worker since that
        version is a :class:`VersionConflict`; without, a change that leaves room is none.
        """
        ref = self._worker("worker", worker)
        r = fill(self, Request(id, cpu, memory, gpus, selector, policy, ahead=ahead))
        version = None if expected is None else c_uint64(integer("expected", expected))
        p = _abi.placement_t()
        status = _held.slotwise_reserve_on(
            self.handle, ref, byref(r), None if version is None else byref(version), byref(p)
        )
        if status:
            raise last(status)
        return Reservation(id, p.ticket, p.worker, p.version, p.existing != 0, self)

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
    ) -> PreparedRequest:
        """A request that is made again and again, as fast as can be; as :meth:`reserve`."""
        return PreparedRequest(self, Request(id, cpu, memory, gpus, selector, policy, key, hash, ahead))

    def reservation(self, id: Text) -> Reservation:
        """What an id holds; raises :class:`NotHeld`."""
        data = identifier("id", id)
        p = _abi.placement_t()
        check(_held.slotwise_reservation(self.handle, data, len(data), byref(p)))
        return Reservation(id, p.ticket, p.worker, p.version, True, self)

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
            status = _release(self._handle, c_uint64(_ticket("what", what)), byref(r))
        if status:
            raise last(status)
        return Released(r.worker, r.version, _resources(r.amount), r.credited != 0)

    def resize(
        self, what: Union[Reservation, int, Text], cpu: int = 0, memory: int = 0, gpus: int = 0
    ) -> Resized:
        """
        Makes a live reservation hold this much instead of what it holds. Raises :class:`Short` where
        it would grow and there is no room; nothing has changed then.
        """
        need = _amount(cpu, memory, gpus)
        r = _abi.resized_t()
        if isinstance(what, (str, bytes)):
            data = identifier("what", what)
            status = _held.slotwise_resize_id(self.handle, data, len(data), byref(need), byref(r))
        else:
            status = _held.slotwise_resize(self.handle, _ticket("what", what), byref(need), byref(r))
        if status:
            raise last(status)
        return Resized(r.ticket, r.worker, r.version, _resources(r.before))

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
        timeout: Optional[float] = None,
    ) -> Reservation:
        """
        As :meth:`reserve`; while it is busy, waits and asks again, at ever longer intervals up to
        50 ms. After ``timeout`` seconds raises :class:`TimedOut`, with the last reasons.
        """
        for pause in _pauses(timeout):
            try:
                return self.reserve(
                    id, cpu, memory, gpus,
                    selector=selector, policy=policy, key=key, hash=hash, ahead=ahead,
                )  # fmt: skip
            except (Busy, TryAgain) as error:
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
        timeout: Optional[float] = None,
    ) -> Reservation:
        """As :meth:`reserve_wait`, without blocking the event loop."""
        for pause in _pauses(timeout):
            try:
                return self.reserve(
                    id, cpu, memory, gpus,
                    selector=selector, policy=policy, key=key, hash=hash, ahead=ahead,
                )  # fmt: skip
            except (Busy, TryAgain) as error:
                delay = pause(error)
            await asyncio.sleep(delay)
        raise AssertionError

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

        Each request has its own status; the same batch with the same ``batch_id`` again has no
        effect and gets the same answer.
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
        listed = _listed("requests", requests)
        c, placements, reasons, _keep = self._batch(listed, all_or_nothing, batch_id)
        done = _abi.batch_done_t()
        check(_free.slotwise_reserve_batch(self.handle, byref(c), byref(done)))
        outcomes = Outcomes()
        for k, (request, p) in enumerate(zip(listed, placements)):
            error = _refusal(k, p, reasons)
            outcomes.append(
                error or Reservation(request.id, p.ticket, p.worker, p.version, p.existing != 0, self)
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

    def dry_run(
        self,
        requests: Iterable[Request],
        *,
        credited: Iterable[Union[Reservation, int]] = (),
        all_or_nothing: bool = False,
    ) -> List[Union[Planned, SlotwiseError]]:
        """
        What :meth:`reserve_batch` would do now, if the ``credited`` reservations were gone; changes
        nothing.
        """
        listed = _listed("requests", requests)
        tickets = [_ticket(f"credited[{k}]", t) for k, t in enumerate(_listed("credited", credited))]
        credits = (c_uint64 * max(len(tickets), 1))(*tickets)
        c, placements, reasons, _keep = self._batch(listed, all_or_nothing, None)
        check(_free.slotwise_dry_run(self.handle, byref(c), credits, len(tickets), None))
        planned: List[Union[Planned, SlotwiseError]] = []
        for k, (request, p) in enumerate(zip(listed, placements)):
            error = _refusal(k, p, reasons)
            planned.append(error or Planned(request.id, p.worker, p.version, p.existing != 0))
        return planned

    def _batch(
        self, requests: List[Request], all_or_nothing: bool, batch_id: Optional[Text]
    ) -> Tuple[_abi.batch_t, Any, Any, Any]:
        count = len(requests)
        filled = (_abi.request_t * max(count, 1))()
        for k, request in enumerate(requests):
            fill(self, request, filled[k], f"requests[{k}].")
        placements = (_abi.placement_t * max(count, 1))()
        reasons = (_abi.reasons_t * max(count, 1))()
        c = _abi.batch_t(
            size=sizeof(_abi.batch_t),
            mode=flag("all_or_nothing", all_or_nothing, _abi.ALL_OR_NOTHING),
            requests=filled,
            count=count,
            placements=placements,
            reasons=reasons,
        )
        own_id = optional_identifier("batch_id", batch_id)
        if own_id is not None:
            c.id, c.id_length = own_id, len(own_id)
        return c, placements, reasons, filled

    def apply(self, groups: Iterable[Group]) -> List[List[StepDone]]:
        """
        Does each group's steps as one change of its worker: all of them, or none. Releases count
        before reservations.
        """
        listed = _listed("groups", groups)
        c = (_abi.group_t * max(len(listed), 1))()
        rooms: List[Any] = []
        for k, group in enumerate(listed):
            if not isinstance(group, Group):
                raise InvalidType(f"groups[{k}]", f"a Group, not {type(group).__name__}")
            g = c[k]
            g.size = sizeof(_abi.group_t)
            data = identifier(f"groups[{k}].worker", group.worker)
            g.worker.data, g.worker.length = data, len(data)
            given = _listed(f"groups[{k}].steps", group.steps)
            steps = (_abi.step_t * max(len(given), 1))()
            for j, step in enumerate(given):
                _step(f"groups[{k}].steps[{j}]", step, steps[j])
            done = (_abi.step_done_t * max(len(given), 1))()
            g.steps, g.step_count, g.done = steps, len(given), done
            rooms.append((steps, done, len(given)))
        check(_free.slotwise_groups_apply(self.handle, c, 0, len(listed)))
        return [
            [
                StepDone(
                    Status(d.status), d.existing != 0, d.ticket, d.worker, d.version, _resources(d.amount)
                )
                for d in done[:count]
            ]
            for _, done, count in rooms
        ]

    # ---- reports

    def counts(self) -> Counts:
        """How many workers are registered, and how many reservations are alive."""
        workers, reservations = c_uint64(), c_uint64()
        check(_free.slotwise_counts(self.handle, byref(workers), byref(reservations)))
        return Counts(workers.value, reservations.value)

    def stats(self) -> Stats:
        """What has been done so far: "conflicts or capacity?" answered in numbers."""
        s = _abi.stats_t(size=sizeof(_abi.stats_t))
        check(_free.slotwise_stats(self.handle, byref(s)))
        return Stats(
            s.placed,
            s.existing,
            s.busy,
            s.never,
            s.released,
            s.resized,
            s.cas_retries,
            s.version_conflicts,
            s.gang_rollbacks,
            tuple(s.probes),
        )

    def audit(self) -> Audit:
        """Proves for every worker that free + set aside + live reservations = total."""
        a = _abi.audit_t(size=sizeof(_abi.audit_t))
        room = (_abi.imbalance_t * 64)()
        check(_free.slotwise_audit(self.handle, byref(a), room, len(room)))
        found = tuple(
            Imbalance(i.worker, _resources(i.held), Resources(*i.missing))
            for i in room[: min(a.imbalances, len(room))]
        )
        return Audit(a.ok != 0, a.workers, a.reservations, a.over_committed, a.unsettled, found)


# ---- arguments


def _listed(name: str, values: Any) -> List[Any]:
    if isinstance(values, (str, bytes)):
        raise InvalidType(name, f"a sequence, not {type(values).__name__}")
    try:
        return list(values)
    except (TypeError, NotImplementedError):
        raise InvalidType(name, f"a sequence, not {type(values).__name__}") from None


def _ticket(name: str, value: Any) -> int:
    if isinstance(value, Reservation):
        return value.ticket
    if type(value) is int and 0 <= value <= MAX_U64:
        return value
    try:
        return integer(name, value)
    except InvalidType:
        raise InvalidType(name, f"a Reservation, a ticket or an id, not {type(value).__name__}") from None


def _amount(cpu: Any, memory: Any, gpus: Any, name: str = "") -> _abi.resources_t:
    return _abi.resources_t(
        integer(f"{name}cpu", cpu), integer(f"{name}memory", memory), integer(f"{name}gpus", gpus)
    )


def _amounts(name: str, value: Any) -> _abi.resources_t:
    if not isinstance(value, Resources):
        raise InvalidType(name, f"Resources, not {type(value).__name__}")
    return _amount(value.cpu, value.memory, value.gpus, f"{name}.")


def _put(into: Any, name: str, value: Any) -> None:
    if value is not None:
        data = text(name, value)
        into.data, into.length = data, len(data)


def _spec(name: str, spec: WorkerSpec, into: Any = None) -> _abi.worker_spec_t:
    if not isinstance(spec, WorkerSpec):
        raise InvalidType(name.rstrip(".") or "spec", f"a WorkerSpec, not {type(spec).__name__}")
    c: _abi.worker_spec_t = _abi.worker_spec_t() if into is None else into
    c.size = sizeof(_abi.worker_spec_t)
    c.flags = (
        flag(f"{name}requires_selector", spec.requires_selector, _abi.REQUIRES_SELECTOR)
        | flag(f"{name}preemptable", spec.preemptable, _abi.PREEMPTABLE)
        | flag(f"{name}pending", spec.pending, _abi.PENDING)
    )
    data = identifier(f"{name}id", spec.id)
    c.id.data, c.id.length = data, len(data)
    c.total = _amount(spec.cpu, spec.memory, spec.gpus, name)
    c.set_aside = _amounts(f"{name}set_aside", spec.set_aside)
    c.priority = integer(f"{name}priority", spec.priority, -(1 << 31), (1 << 31) - 1)
    c.tier = integer(f"{name}tier", spec.tier, 0, 255)
    _put(c.pool, f"{name}pool", spec.pool)
    _put(c.gpu_type, f"{name}gpu_type", spec.gpu_type)
    _put(c.tenant, f"{name}tenant", spec.tenant)
    _put(c.machine, f"{name}machine", spec.machine)
    if not isinstance(spec.labels, Mapping):
        raise InvalidType(f"{name}labels", f"a mapping, not {type(spec.labels).__name__}")
    if spec.labels:
        labels = (_abi.label_t * len(spec.labels))()
        for label, (key, value) in zip(labels, spec.labels.items()):
            k = text(f"{name}labels", key)
            v = text(f"{name}labels[{key!r}]", value)
            label.key.data, label.key.length = k, len(k)
            label.value.data, label.value.length = v, len(v)
        c.labels, c.label_count = labels, len(labels)
    return c


def _texts(name: str, values: Any) -> Any:
    c = (_abi.text_t * max(len(values), 1))()
    for k, value in enumerate(values):
        data = text(f"{name}[{k}]", value)
        c[k].data, c[k].length = data, len(data)
    return c


def _constraints(constraints: Constraints) -> _abi.constraints_t:
    c = _abi.constraints_t(size=sizeof(_abi.constraints_t))
    c.flags = flag("accept_preemptable", constraints.accept_preemptable, _abi.ACCEPT_PREEMPTABLE)
    _put(c.machine, "machine", constraints.machine)
    _put(c.tenant, "tenant", constraints.tenant)
    c.pools, c.pool_count = _texts("pools", constraints.pools), len(constraints.pools)
    c.gpu_types = _texts("gpu_types", constraints.gpu_types)
    c.gpu_type_count = len(constraints.gpu_types)
    pairs: Any = constraints.labels
    labels = (_abi.label_in_t * max(len(pairs), 1))()
    for label, (key, values) in zip(labels, pairs):
        data = text("labels", key)
        label.key.data, label.key.length = data, len(data)
        label.values, label.value_count = _texts(f"labels[{key!r}]", values), len(values)
    c.labels, c.label_count = labels, len(pairs)
    return c


def _step(name: str, step: Any, into: Any) -> None:
    if not isinstance(step, Step):
        raise InvalidType(name, f"a Step, not {type(step).__name__}")
    into.kind = integer(f"{name}.kind", step.kind, 0, MAX_U32)
    if step.id is not None:
        data = identifier(f"{name}.id", step.id)
        into.id, into.id_length = data, len(data)
    into.ticket = integer(f"{name}.ticket", step.ticket)
    into.need = _amounts(f"{name}.need", step.need)


def _lost(c: Any) -> Lost:
    start = _abi.lost_t.id.offset
    data = bytes(c)[start : start + c.id_length]
    return Lost(shown(data), c.ticket, c.worker, _resources(c.amount))


def _refusal(index: int, p: Any, reasons: Any) -> Optional[SlotwiseError]:
    if p.status == Status.OK:
        return None
    error = new(p.status)
    error.index = index
    if isinstance(error, (Refused, InvalidArgument)):
        error.dimension = Dimension(p.dimension)
    if isinstance(error, Refused) and p.status != Status.PEER:
        r = reasons[index]
        error.reasons = Reasons(r.not_matching, r.not_ready, r.cpu, r.memory, r.gpus)
    return error


def _pauses(timeout: Optional[float]) -> Iterator[Any]:
    """Asks again without end; each time yields what says how long to wait, or that time is up."""
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise InvalidArgument("timeout", f"{timeout!r} is no number of seconds")
    until = None if timeout is None else time.monotonic() + timeout
    longest = 0.0002

    def pause(error: SlotwiseError) -> float:
        delay = random.uniform(longest / 2, longest)
        if until is None:
            return delay
        left = until - time.monotonic()
        if left <= 0:
            raise _timed_out(error) from None
        return min(delay, left)

    while True:
        yield pause
        longest = min(longest * 1.5, 0.05)


def _timed_out(error: SlotwiseError) -> TimedOut:
    late = TimedOut(f"not in time: {error}")
    late.status = error.status
    if isinstance(error, Busy):
        late.dimension, late.reasons = error.dimension, error.reasons
    return late
