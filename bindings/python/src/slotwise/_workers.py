"""The workers of an engine."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_uint64, create_string_buffer, sizeof
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from . import _abi
from ._arguments import (
    MAX_U32,
    amount,
    amounts,
    as_list,
    flag,
    identifier,
    integer,
    put,
    resources,
    shown,
    text,
)
from ._core import Core
from ._devices import Device, DeviceState
from ._errors import InvalidArgument, InvalidDevices, InvalidType, UnknownWorker, check
from ._library import free as _free
from ._library import held as _held
from ._types import Added, HandedOff, Lost, Resources, Snapshot, State, Status, Text, WorkerInfo, WorkerSpec


class _Unset:
    """What :meth:`Engine.update_worker` leaves as it is."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
_NOTHING = Resources()
_NO_LABELS: Mapping[Text, Text] = {}


class Workers(Core):
    """What is done with workers."""

    __slots__ = ()

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
        generation: int = 0,
        lease: Optional[int] = None,
        devices: Sequence[Device] = (),
    ) -> int:
        """
        Registers a worker, given as a :class:`WorkerSpec` alone or by its fields, the id first.
        Returns the engine's name for it.
        """
        if not isinstance(spec, WorkerSpec):
            spec = WorkerSpec(
                spec, cpu, memory, gpus, set_aside, priority, tier, pool, gpu_type, tenant, machine,
                labels, requires_selector, preemptable, pending, generation, lease, devices,
            )  # fmt: skip
        c = spec_of("", spec)
        worker = c_uint64()
        check(_free.slotwise_worker_add(self.handle, byref(c), byref(worker)))
        return worker.value

    def add_workers(self, specs: Iterable[WorkerSpec]) -> List[Added]:
        """Registers many, each for itself; what became of each, in order."""
        listed = as_list("specs", specs)
        c = (_abi.worker_spec_t * len(listed))()
        for k, spec in enumerate(listed):
            spec_of(f"specs[{k}].", spec, c[k])
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
        generation: int = UNSET,
    ) -> WorkerInfo:
        """
        Changes what is named of a worker, as one step; None takes a name away.

        A total may be lowered under what is held: nothing is taken from anybody, and nothing new is
        placed until enough has been released. Where its GPUs are devices, a total names as many.

        With a later ``generation`` of the rollout the worker is pending until
        :meth:`ready_generation` of that one; an earlier one is :class:`OldGeneration`.
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
            ("generation", generation, _abi.SET_GENERATION),
        )
        for name, value, bit in changes:
            if value is UNSET:
                continue
            fields |= bit
            if name == "total":
                amounts("total", value)
                spec.cpu, spec.memory, spec.gpus = value.cpu, value.memory, value.gpus
            else:
                setattr(spec, name, value)
        c = spec_of("", spec)
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
        return self._ended(_free.slotwise_worker_remove, data, len(data))

    def _ended(self, function: Any, *arguments: Any) -> List[Lost]:
        room = (_abi.lost_t * 64)()
        count = c_size_t()
        # So that those for whom there was no room go to nobody else who removes.
        with self._removing:
            check(function(self.handle, *arguments, room, len(room), byref(count)))
            lost = [lost_entry(entry) for entry in room[: min(count.value, len(room))]]
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
        return [lost_entry(entry) for entry in room[: count.value]]

    def ready(self, id: Text) -> WorkerInfo:
        """The host's readiness signal: a pending worker becomes ready. Does not lift a cordon."""
        return self._change(_free.slotwise_worker_ready, id)

    def ready_generation(self, id: Text, generation: int) -> WorkerInfo:
        """
        The readiness signal of an agent of this generation of the rollout: :class:`OldGeneration`
        where the worker is of a later one by now. One of a later generation counts, and is the
        worker's from then on.
        """
        data = identifier("id", id)
        number = integer("generation", generation)
        info = _abi.worker_info_t(size=sizeof(_abi.worker_info_t))
        check(_free.slotwise_worker_ready_generation(self.handle, data, len(data), number, byref(info)))
        return self._info(info)

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

    def heartbeat(self, id: Text, until: int) -> None:
        """
        A sign of life: the worker's lease runs until then, in the unit of :meth:`tick`. From its
        first one, or the ``lease`` that it was registered with, a worker that is not heard of in time
        ends with the tick that says so. A lease may be cut short. Takes no lock.

        Raises :class:`UnknownWorker`, also once it has expired: it may register anew; and
        :class:`DeadlinePassed` where the lease would be over already.
        """
        data = identifier("id", id)
        check(_held.slotwise_heartbeat(self.handle, data, len(data), integer("until", until)))

    def hand_off(self, expected: Text, real: Text) -> HandedOff:
        """
        A pending worker that was registered as ``expected`` while it was on its way is here, and its
        id is ``real``. What is held on it is held on that one from now on, under the same ids and
        tickets.

        Where no worker is registered under the real id, the expected one gets it, and is pending
        until :meth:`ready`. Where one is, as when an agent was faster, it takes over what it has room
        for, unless it is cordoned or draining; the expected one is removed, and what is left there is
        ``lost``.

        Raises :class:`UnknownWorker`, and :class:`NotPending` where the expected worker is past that.
        """
        old, new = identifier("expected", expected), identifier("real", real)
        handed = _abi.handed_t()
        lost = self._ended(_free.slotwise_hand_off, old, len(old), new, len(new), byref(handed))
        # In place of clearing it: who has read an old name puts it where nobody looks any more.
        self._names = {}
        return HandedOff(handed.worker, handed.moved, tuple(lost))

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
        """
        The host's name of a worker. It is remembered, as names change by :meth:`hand_off` alone; one
        that another language makes on this engine is not noticed here, but by :meth:`worker`.
        """
        if type(worker) is not int:
            worker = integer("worker", worker)
        name = self._names.get(worker)
        return self._name(integer("worker", worker)) if name is None else name

    def _name(self, worker: int) -> str:
        # Where there is a hand-off meanwhile, this goes into the names of before it.
        names = self._names
        name = self._text(worker, _abi.TEXT_ID)
        names[worker] = name
        return name

    def snapshot(self, worker: Union[int, Text]) -> Snapshot:
        """A worker's slot as it is this instant; takes no lock."""
        s = _abi.snapshot_t()
        check(_held.slotwise_worker_snapshot(self.handle, self._worker("worker", worker), byref(s)))
        return Snapshot(s.version, resources(s.free), State(s.state))

    def worker_devices(self, worker: Union[int, Text]) -> List[DeviceState]:
        """
        What each device of a worker has free, all of one instant, in the order in which they were
        registered; none where it was registered without. Takes the registry's lock, under which
        placements go on.
        """
        states = (_abi.device_state_t * _abi.MAX_DEVICES)()
        count = c_size_t()
        ref = self._worker("worker", worker)
        check(_free.slotwise_worker_devices(self.handle, ref, states, len(states), byref(count)))
        return [DeviceState(d.free_milli, d.free_memory, d.memory, d.island) for d in states[: count.value]]

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
            self._name(w),
            w,
            State(c.state),
            c.version,
            resources(c.total),
            resources(c.set_aside),
            resources(c.held),
            resources(c.free),
            c.priority,
            c.tier,
            bool(c.flags & _abi.REQUIRES_SELECTOR),
            bool(c.flags & _abi.PREEMPTABLE),
            self._text(w, _abi.TEXT_POOL),
            self._text(w, _abi.TEXT_GPU_TYPE),
            self._text(w, _abi.TEXT_TENANT),
            self._text(w, _abi.TEXT_MACHINE),
            labels,
            c.generation,
            c.lease or None,
        )


def spec_of(name: str, spec: WorkerSpec, into: Any = None, anonymous: bool = False) -> _abi.worker_spec_t:
    """A worker as the library reads it; ``name`` is put before the names of its fields."""
    if not isinstance(spec, WorkerSpec):
        raise InvalidType(name.rstrip(".") or "spec", f"a WorkerSpec, not {type(spec).__name__}")
    c: _abi.worker_spec_t = _abi.worker_spec_t() if into is None else into
    c.size = sizeof(_abi.worker_spec_t)
    c.flags = (
        flag(f"{name}requires_selector", spec.requires_selector, _abi.REQUIRES_SELECTOR)
        | flag(f"{name}preemptable", spec.preemptable, _abi.PREEMPTABLE)
        | flag(f"{name}pending", spec.pending, _abi.PENDING)
    )
    data = text(f"{name}id", spec.id) if anonymous else identifier(f"{name}id", spec.id)
    c.id.data, c.id.length = data, len(data)
    c.total = amount(spec.cpu, spec.memory, spec.gpus, name)
    c.set_aside = amounts(f"{name}set_aside", spec.set_aside)
    c.priority = integer(f"{name}priority", spec.priority, -(1 << 31), (1 << 31) - 1)
    c.tier = integer(f"{name}tier", spec.tier, 0, 255)
    c.generation = integer(f"{name}generation", spec.generation)
    if spec.lease is not None:
        c.lease = integer(f"{name}lease", spec.lease, 1)
    put(c.pool, f"{name}pool", spec.pool)
    put(c.gpu_type, f"{name}gpu_type", spec.gpu_type)
    put(c.tenant, f"{name}tenant", spec.tenant)
    put(c.machine, f"{name}machine", spec.machine)
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
    devices = as_list(f"{name}devices", spec.devices)
    if devices:
        _enter(f"{name}devices", devices, c)
    return c


def _enter(name: str, listed: List[Any], c: _abi.worker_spec_t) -> None:
    devices = (_abi.device_t * len(listed))()
    for k, (into, device) in enumerate(zip(devices, listed)):
        at = f"{name}[{k}]"
        if not isinstance(device, Device):
            raise InvalidType(at, f"a Device, not {type(device).__name__}")
        data = text(f"{at}.id", device.id)
        into.id.data, into.id.length = data, len(data)
        into.memory = integer(f"{at}.memory", device.memory)
        into.island = integer(f"{at}.island", device.island, 0, MAX_U32)
        # Told here, where it is known of which worker.
        if into.island > _abi.MAX_ISLAND:
            error = InvalidDevices(f"{at}.island", f"{into.island} is not from 0 to {_abi.MAX_ISLAND}")
            error.status, error.given, error.limit = Status.ISLAND_TOO_HIGH, into.island, _abi.MAX_ISLAND
            raise error
    c.devices, c.device_count = devices, len(devices)


def lost_entry(c: Any) -> Lost:
    """What has ended with its worker."""
    start = _abi.lost_t.id.offset
    data = bytes(c)[start : start + c.id_length]
    return Lost(shown(data), c.ticket, c.worker, resources(c.amount))
