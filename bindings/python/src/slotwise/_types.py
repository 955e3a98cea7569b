"""What goes into an engine and what comes out of it, as plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Iterator, Mapping, Optional, Sequence, Tuple, Union

from . import _abi
from ._common import _SLOTS as _SLOTS
from ._common import Text as Text
from ._devices import Device, DeviceNeed


class Status(enum.IntEnum):
    """How a call, or one entry of a batch, ended. Numbers once given stay."""

    OK = _abi.OK
    BUSY = _abi.BUSY
    NEVER = _abi.NEVER
    NULL_POINTER = _abi.NULL_POINTER
    MISALIGNED = _abi.MISALIGNED
    STRUCT_SIZE = _abi.STRUCT_SIZE
    RESERVED = _abi.RESERVED
    UNKNOWN_VALUE = _abi.UNKNOWN_VALUE
    STRIDE = _abi.STRIDE
    OVERLAP = _abi.OVERLAP
    COUNT = _abi.COUNT
    OFFSETS = _abi.OFFSETS
    ARRAY_TOO_SMALL = _abi.ARRAY_TOO_SMALL
    STALE_HANDLE = _abi.STALE_HANDLE
    CLOSED = _abi.CLOSED
    TOO_MANY_ENGINES = _abi.TOO_MANY_ENGINES
    ID_LENGTH = _abi.ID_LENGTH
    EMPTY = _abi.EMPTY
    TOO_LARGE = _abi.TOO_LARGE
    DUPLICATE_ID = _abi.DUPLICATE_ID
    IN_FLIGHT = _abi.IN_FLIGHT
    UNKNOWN_SELECTOR = _abi.UNKNOWN_SELECTOR
    UNKNOWN_WORKER = _abi.UNKNOWN_WORKER
    VERSION_CONFLICT = _abi.VERSION_CONFLICT
    LEDGER_FULL = _abi.LEDGER_FULL
    CONTENDED = _abi.CONTENDED
    PEER = _abi.PEER
    NOT_HELD = _abi.NOT_HELD
    OTHER_WORKER = _abi.OTHER_WORKER
    SHORT = _abi.SHORT
    STATE = _abi.STATE
    LOST = _abi.LOST
    OTHER_BATCH = _abi.OTHER_BATCH
    QUOTA_EXCEEDED = _abi.QUOTA_EXCEEDED
    UNKNOWN_ACCOUNT = _abi.UNKNOWN_ACCOUNT
    UNKNOWN_GROUP = _abi.UNKNOWN_GROUP
    TOO_MANY_LIMITS = _abi.TOO_MANY_LIMITS
    DEADLINE_PASSED = _abi.DEADLINE_PASSED
    WAITING = _abi.WAITING
    CLOCK_WENT_BACK = _abi.CLOCK_WENT_BACK
    NAME_LENGTH = _abi.NAME_LENGTH
    SET_ASIDE = _abi.SET_ASIDE
    GPU_TYPE = _abi.GPU_TYPE
    DUPLICATE_WORKER = _abi.DUPLICATE_WORKER
    TABLE_FULL = _abi.TABLE_FULL
    LIST_LENGTH = _abi.LIST_LENGTH
    TOO_MANY_SELECTORS = _abi.TOO_MANY_SELECTORS
    CONFIG = _abi.CONFIG
    PROCESSOR = _abi.PROCESSOR
    OLD_GENERATION = _abi.OLD_GENERATION
    NOT_PENDING = _abi.NOT_PENDING
    HAND_OFF_TO_ITSELF = _abi.HAND_OFF_TO_ITSELF
    TOO_MANY_NAMES = _abi.TOO_MANY_NAMES
    DEVICE_OVER_WHOLE = _abi.DEVICE_OVER_WHOLE
    DEVICE_EMPTY = _abi.DEVICE_EMPTY
    DEVICE_PARTS = _abi.DEVICE_PARTS
    TOO_MANY_DEVICES = _abi.TOO_MANY_DEVICES
    GPUS_BESIDE_DEVICES = _abi.GPUS_BESIDE_DEVICES
    DUPLICATE_DEVICE = _abi.DUPLICATE_DEVICE
    ISLAND_TOO_HIGH = _abi.ISLAND_TOO_HIGH
    DEVICES_STAY = _abi.DEVICES_STAY
    NOTHING_LEARNED = _abi.NOTHING_LEARNED
    PANIC = _abi.PANIC

    @property
    def text(self) -> str:
        """What it means, in a few words."""
        from . import _library

        text: bytes = _library.held.slotwise_status_text(int(self))
        return text.decode()


class Policy(enum.IntEnum):
    """How a worker is chosen among those that fit."""

    #: The engine's own.
    DEFAULT = _abi.POLICY_DEFAULT
    #: Start where the affinity key hashes to and go round until one fits.
    AFFINITY = _abi.POLICY_AFFINITY
    #: The one with the lowest index.
    FIRST_FIT = _abi.POLICY_FIRST_FIT
    #: The one that is left with the least free share.
    TIGHTEST_FIT = _abi.POLICY_TIGHTEST_FIT
    #: The one that is left with the largest free share.
    SPREAD = _abi.POLICY_SPREAD
    #: Two workers by two hashes; the emptier one.
    POWER_OF_TWO = _abi.POLICY_POWER_OF_TWO
    #: The one whose free amounts, weighed with what the request asks of each, are least.
    DOT_PRODUCT = _abi.POLICY_DOT_PRODUCT
    #: The one where the least free GPU becomes useless to the requests that are typical so far
    #: (fragmentation gradient descent). It learns which they are.
    FGD = _abi.POLICY_FGD
    #: The one where the least is destroyed of what the mix of requests so far would still place. It
    #: learns the mix, which :meth:`Engine.learned` tells of.
    ADAPTIVE = _abi.POLICY_ADAPTIVE


class State(enum.IntEnum):
    """What a worker takes."""

    #: On its way: only reservations made ahead.
    PENDING = _abi.STATE_PENDING
    #: Requests.
    READY = _abi.STATE_READY
    #: Nothing new, by the operator's intent.
    CORDONED = _abi.STATE_CORDONED
    #: Nothing new; it is being emptied.
    DRAINING = _abi.STATE_DRAINING


class Dimension(enum.IntEnum):
    """What a refusal is about."""

    NONE = _abi.NO_DIMENSION
    CPU = _abi.CPU
    MEMORY = _abi.MEMORY
    GPUS = _abi.GPUS


class Outlook(enum.IntEnum):
    """Whether capacity that a refused request could use is on its way."""

    #: Nobody has looked: the engine does not count reasons, the request names its worker, or it was
    #: one of a batch.
    UNKNOWN = _abi.OUTLOOK_UNKNOWN
    #: A pending worker has room for it now: wait until it is ready, or hold the capacity there at
    #: once with ``ahead``.
    WAIT = _abi.OUTLOOK_WAIT
    #: No worker that is on its way will take it: to start one, make room or change the request is all
    #: that helps.
    START = _abi.OUTLOOK_START


@dataclass(frozen=True, **_SLOTS)
class Resources:
    """Amounts: CPU in millicores, memory in MiB, whole GPUs. What is free may be less than nothing."""

    cpu: int = 0
    memory: int = 0
    gpus: int = 0


@dataclass(frozen=True, **_SLOTS)
class Reasons:
    """How many workers were out of the question for which reason; each counts once, under the first."""

    #: The selector does not match them.
    not_matching: int = 0
    #: Matching, but in a state that does not take the request.
    not_ready: int = 0
    #: Ready, but short of CPU.
    cpu: int = 0
    #: Short of memory.
    memory: int = 0
    #: Short of GPUs, or of devices.
    gpus: int = 0
    #: In a place where as many of the request's group are as may be, or that is none for the group.
    spread: int = 0


@dataclass(frozen=True, **_SLOTS)
class Config:
    """Limits and rules of an engine, fixed when it is made."""

    max_workers: int
    max_reservations: int
    max_selectors: int
    max_batches: int
    policy: Policy
    gpu_separation: bool
    count_reasons: bool
    max_accounts: int
    max_groups: int
    #: How many refused requests are kept for :meth:`Engine.unmet_demand`.
    max_unmet: int
    #: How many threads may place at once by a policy that learns (``FGD``, ``ADAPTIVE``): 1 to 64. Each
    #: such planner knows the requests that came to it, and has up to 20 bytes for each worker and each
    #: of up to 512 kinds of requests; none costs anything before it is used. A thread that finds all of
    #: them in others' hands places by tightest fit.
    max_planners: int
    #: Where the random numbers of the ``ADAPTIVE`` policy start: the same requests, releases and seed
    #: give the same placements, as long as one thread places.
    seed: int


@dataclass(**_SLOTS)
class WorkerSpec:
    """A worker as the host registers it."""

    #: The host's name of it, 1 to 64 bytes, unique among registered workers.
    id: Text
    #: CPU in millicores; 1,000 is one core.
    cpu: int
    #: Memory in MiB.
    memory: int
    #: Whole GPUs.
    gpus: int = 0
    #: Part of that which the host keeps for itself.
    set_aside: Resources = Resources()
    #: Higher is tried first within a tier.
    priority: int = 0
    #: The host's own order, before priority: 0 to 255.
    tier: int = 0
    pool: Optional[Text] = None
    #: The model of its GPUs.
    gpu_type: Optional[Text] = None
    #: Serves only this tenant. None: all.
    tenant: Optional[Text] = None
    #: The machine that it runs on, where one carries several workers.
    machine: Optional[Text] = None
    labels: Mapping[Text, Text] = field(default_factory=dict)
    #: Serves only requests that name its pool.
    requires_selector: bool = False
    #: Serves only requests that accept that it may be taken away.
    preemptable: bool = False
    #: Registered while still being started.
    pending: bool = False
    #: The generation of the rollout that it belongs to; see :meth:`Engine.ready_generation`.
    generation: int = 0
    #: Ends with the first :meth:`Engine.tick` at or after this time of the host's clock, unless
    #: :meth:`Engine.heartbeat` puts that off; for a worker on its way, until when it is waited for.
    #: None: it stays until it is removed.
    lease: Optional[int] = None
    #: Its GPUs one by one, at most 16, so that requests can ask for parts of one and are told which they
    #: got; ``gpus`` is 0 or as many, and none is set aside. Requests for a number of GPUs are not placed
    #: on such a worker, and those for devices (:class:`DeviceNeed`) on no other. They stay as they are.
    devices: Sequence[Device] = ()


_Values = Union[Text, Sequence[Text]]
Labels = Union[Mapping[Text, _Values], Sequence[Tuple[Text, Sequence[Text]]]]


@dataclass(frozen=True, **_SLOTS)
class Constraints:
    """
    Which workers a request may use, and in what order.

    Lists may be given as any sequence, a label's values also as one text; they are kept as tuples,
    so that constraints can be keys.
    """

    #: Only workers of these pools, those of an earlier one first.
    pools: Union[Text, Sequence[Text]] = ()
    #: GPUs of these types, the preferred ones first.
    gpu_types: Union[Text, Sequence[Text]] = ()
    #: Only workers with all of these labels, each with one of its values.
    labels: Labels = ()
    #: Only workers on this machine; the pool rule does not apply.
    machine: Optional[Text] = None
    #: Workers of this tenant beside the shared ones.
    tenant: Optional[Text] = None
    #: Preemptable workers too.
    accept_preemptable: bool = False

    def __post_init__(self) -> None:
        from ._arguments import flag

        set_ = object.__setattr__
        set_(self, "accept_preemptable", flag("accept_preemptable", self.accept_preemptable) != 0)
        set_(self, "pools", _texts("pools", self.pools))
        set_(self, "gpu_types", _texts("gpu_types", self.gpu_types))
        pairs: Any = self.labels.items() if isinstance(self.labels, Mapping) else self.labels
        try:
            labels = tuple((key, _texts("labels", values)) for key, values in pairs)
        except (TypeError, ValueError, NotImplementedError):
            from ._errors import InvalidType

            raise InvalidType("labels", f"a mapping of texts to texts, not {self.labels!r}") from None
        set_(self, "labels", labels)


def _texts(name: str, values: Any) -> Tuple[Text, ...]:
    if isinstance(values, (str, bytes)):
        return (values,)
    try:
        return tuple(values)
    except (TypeError, NotImplementedError):
        from ._errors import InvalidType

        raise InvalidType(name, f"texts, not {type(values).__name__}") from None


@dataclass(frozen=True, **_SLOTS)
class Scope:
    """What one place of a spread group is; made by :meth:`label`, or one of the two that there are."""

    kind: int
    key: Optional[Text] = None

    #: A worker.
    WORKER: ClassVar[Scope]
    #: A machine; a worker that names none is one of its own.
    MACHINE: ClassVar[Scope]

    @classmethod
    def label(cls, key: Text) -> Scope:
        """All workers with the same value of a label, as a zone. Those without it are none."""
        return cls(_abi.SCOPE_LABEL, key)

    def __repr__(self) -> str:
        if self.kind == _abi.SCOPE_LABEL:
            return f"Scope.label({self.key!r})"
        return {_abi.SCOPE_WORKER: "Scope.WORKER", _abi.SCOPE_MACHINE: "Scope.MACHINE"}.get(
            self.kind, f"Scope({self.kind!r}, {self.key!r})"
        )


Scope.WORKER = Scope(_abi.SCOPE_WORKER)
Scope.MACHINE = Scope(_abi.SCOPE_MACHINE)


@dataclass(frozen=True, **_SLOTS)
class Limit:
    """How many of a group may be in one place."""

    #: The group that the request is a member of, from :meth:`Engine.spread_group`.
    group: int
    #: So many, this one included; 1 is anti-affinity.
    at_most: int = 1


@dataclass(frozen=True, repr=False, **_SLOTS)
class Terms:
    """
    What a request comes under beside what it needs and where it may be.

    One value serves any number of requests, from any thread.
    """

    #: The reservation is provisional: unless :meth:`Engine.confirm` comes before, the first
    #: :meth:`Engine.tick` at or after this time of the host's clock ends it. None: it is lasting.
    hold_until: Optional[int] = None
    #: Its rank in a preemption: higher may displace lower. From -2**31 to 2**31 - 1.
    priority: int = 0
    #: A request of higher priority may displace it.
    preemptable: bool = False
    #: Whose quota it is charged to, from :meth:`Engine.account`.
    account: Optional[int] = None
    #: Groups that it is a member of, at most four: a sequence, which is kept as a tuple, or a single
    #: one. Where it cannot be counted without going over a limit, it is not placed.
    limits: Union[Limit, Sequence[Limit]] = ()
    #: A part of a device, or several as a whole; :meth:`Engine.granted` says which they are. None: none.
    devices: Optional[DeviceNeed] = None

    def __post_init__(self) -> None:
        given: Any = self.limits
        try:
            limits = (given,) if isinstance(given, Limit) else tuple(given)
        except (TypeError, NotImplementedError):
            from ._errors import InvalidType

            raise InvalidType("limits", f"Limits, not {type(given).__name__}") from None
        object.__setattr__(self, "limits", limits)

    def __repr__(self) -> str:
        # What it says, without what it does not.
        named = ((f.name, getattr(self, f.name), f.default) for f in fields(self))
        return (
            f"Terms({', '.join(f'{name}={value!r}' for name, value, default in named if value != default)})"
        )


@dataclass(frozen=True, **_SLOTS)
class Quota:
    """How much an account may be charged with in all; None: as much as there is."""

    cpu: Optional[int] = None
    memory: Optional[int] = None
    gpus: Optional[int] = None


@dataclass(frozen=True, **_SLOTS)
class Usage:
    """What an account is charged with, and what it may be."""

    #: What its reservations hold in all, and what is being tried this moment.
    used: Resources
    quota: Quota


@dataclass(**_SLOTS)
class Request:
    """What one container, job or call needs, for calls that take several."""

    #: The host's name of it, unique among live reservations. None: known by its ticket alone.
    id: Optional[Text] = None
    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    #: From :meth:`Engine.selector`, or constraints to be compiled. 0: any open worker.
    selector: Union[int, Constraints] = 0
    policy: Policy = Policy.DEFAULT
    #: What decides where the search starts, in place of the id: a model, a function, a tenant.
    key: Optional[Text] = None
    #: A hash of the host's own, in place of the key.
    hash: Optional[int] = None
    #: May also be held on pending workers.
    ahead: bool = False
    #: A time limit, a rank, a quota, limits on its group, devices. None: nothing of it.
    terms: Optional[Terms] = None


@dataclass(frozen=True, **_SLOTS)
class Released:
    """What a release did."""

    worker: int
    #: The worker's version that the release made; 0 where nothing was credited.
    version: int
    #: What was held.
    amount: Resources
    #: False: the worker was removed meanwhile, and there was nothing left to credit.
    credited: bool


@dataclass(frozen=True, **_SLOTS)
class Resized:
    """What a resize did."""

    ticket: int
    worker: int
    version: int
    #: What was held before.
    before: Resources


@dataclass(frozen=True, **_SLOTS)
class Confirmed:
    """What a confirmation did."""

    ticket: int
    worker: int
    #: The worker's version that the reservation made.
    version: int
    #: It was lasting already, and nothing was changed.
    existing: bool


@dataclass(frozen=True, **_SLOTS)
class Lost:
    """A reservation that ended because its worker was removed."""

    #: Empty for an anonymous one.
    id: str
    ticket: int
    worker: int
    amount: Resources


@dataclass(frozen=True, **_SLOTS)
class HandedOff:
    """What a hand-off did."""

    #: The engine's name of the worker that holds it all now.
    worker: int
    #: How many reservations it took over from another registration; 0 where that has only got
    #: another id.
    moved: int
    #: Reservations that there was no room for, and that have ended.
    lost: Tuple[Lost, ...]


@dataclass(frozen=True, **_SLOTS)
class Added:
    """What became of one worker of :meth:`Engine.add_workers`."""

    #: The engine's name of it; 0 where it was not registered.
    worker: int
    status: Status

    @property
    def ok(self) -> bool:
        return self.status == Status.OK


@dataclass(frozen=True, **_SLOTS)
class Snapshot:
    """A worker's slot at one instant."""

    version: int
    free: Resources
    state: State


@dataclass(frozen=True, **_SLOTS)
class WorkerInfo:
    """A worker as it is at one version."""

    id: str
    #: The engine's name for this registration of it.
    worker: int
    state: State
    version: int
    total: Resources
    #: What the host keeps for itself.
    set_aside: Resources
    #: What reservations hold.
    held: Resources
    #: total - set_aside - held. Where its GPUs are devices, those that are free as a whole.
    free: Resources
    priority: int
    tier: int
    requires_selector: bool
    preemptable: bool
    pool: str
    gpu_type: str
    tenant: str
    machine: str
    labels: Mapping[str, str]
    #: The generation of the rollout that it belongs to.
    generation: int
    #: When it ends unless it is heard of before; None: it stays until it is removed.
    lease: Optional[int]


@dataclass(frozen=True, **_SLOTS)
class Counts:
    """How much there is."""

    workers: int
    reservations: int


@dataclass(frozen=True, **_SLOTS)
class Stats:
    """Counters since the engine was made, summed over threads."""

    placed: int
    existing: int
    #: Refused for want of capacity.
    busy: int
    never: int
    released: int
    resized: int
    #: Contention that no caller saw.
    cas_retries: int
    version_conflicts: int
    gang_rollbacks: int
    #: Entry k: requests that looked at fewer than 2**k candidates and at least 2**(k-1).
    probes: Tuple[int, ...]
    #: Provisional reservations that were confirmed.
    confirmed: int
    #: Those that were not, and have ended.
    expired: int
    #: Reservations that were told to leave by preemptions.
    preempted: int


@dataclass(frozen=True, **_SLOTS)
class Imbalance:
    """A worker whose books do not add up."""

    worker: int
    held: Resources
    missing: Resources


@dataclass(frozen=True, **_SLOTS)
class Audit:
    """Whether free + set aside + live reservations = total, for every worker."""

    ok: bool
    workers: int
    reservations: int
    #: Workers with less free than nothing, because their totals were lowered.
    over_committed: int
    #: Workers that kept changing all the while.
    unsettled: int
    imbalances: Tuple[Imbalance, ...]

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True, **_SLOTS)
class Planned:
    """Where a dry run would place a request."""

    id: Optional[Text]
    worker: int
    #: At which version the worker was looked at; 0 where it is only supposed to be there.
    version: int
    existing: bool
    #: The place of the supposed worker that it would go to; None where that is a registered one.
    #: ``worker`` is 0 then.
    added: Optional[int] = None


@dataclass(**_SLOTS)
class Step:
    """One step of a :class:`Group`; made by :meth:`reserve` and :meth:`release`."""

    kind: int
    id: Optional[Text] = None
    ticket: int = 0
    need: Resources = Resources()

    @classmethod
    def reserve(cls, id: Optional[Text], cpu: int = 0, memory: int = 0, gpus: int = 0) -> Step:
        """Hold this much under ``id``."""
        return cls(_abi.STEP_RESERVE, id, 0, Resources(cpu, memory, gpus))

    @classmethod
    def release(cls, what: Union[int, Text]) -> Step:
        """Give back what this ticket, or this id, holds there."""
        if isinstance(what, (str, bytes)):
            return cls(_abi.STEP_RELEASE_ID, what)
        return cls(_abi.STEP_RELEASE, None, what)


@dataclass(**_SLOTS)
class Group:
    """Steps for one worker, done as one change of it or not at all."""

    #: The worker's id.
    worker: Text
    steps: Sequence[Step]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)


@dataclass(frozen=True, **_SLOTS)
class StepDone:
    """What became of one step."""

    status: Status
    existing: bool
    #: The reservation is yet to be confirmed.
    provisional: bool
    ticket: int
    worker: int
    version: int
    #: Of a release: what was held.
    amount: Resources

    @property
    def ok(self) -> bool:
        return self.status == Status.OK
