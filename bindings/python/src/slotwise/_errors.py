"""Why something was not done."""

from __future__ import annotations

from ctypes import byref, create_string_buffer, sizeof
from typing import Any, Dict, Optional, Tuple, Type

from . import _abi, _library
from ._types import Dimension, Outlook, Reasons, Resources, State, Status


class SlotwiseError(Exception):
    """Whatever slotwise refuses. Nothing has changed then."""

    #: How the call ended.
    status: Optional[Status] = None
    #: What was given, where it is out of a range.
    given: Optional[int] = None
    #: The limit that was passed or reached.
    limit: Optional[int] = None
    #: Of calls that take several: the place of the entry that is to blame.
    index: Optional[int] = None

    def _details(self, error: _abi.error_t) -> None:
        self.given = error.given
        self.limit = error.limit

    def __reduce__(self) -> Any:
        # So that it can cross to another process.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: Type[SlotwiseError], args: Tuple[Any, ...], details: Dict[str, Any]) -> SlotwiseError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(details)
    return error


class Refused(SlotwiseError):
    """It was not placed, and nothing is wrong with it: no worker took it, or its account's quota did not."""

    #: What it is short of.
    dimension: Dimension = Dimension.NONE
    #: Why workers were out of the question; None where that is not known.
    reasons: Optional[Reasons] = None
    #: Whether something is on its way that will take it.
    outlook: Outlook = Outlook.UNKNOWN

    def _details(self, error: _abi.error_t) -> None:
        self.dimension = Dimension(error.dimension)
        self.reasons = reasons(error.reasons)
        self.outlook = Outlook(error.outlook)


def reasons(c: Any) -> Reasons:
    """Reasons of the library as a value."""
    return Reasons(c.not_matching, c.not_ready, c.cpu, c.memory, c.gpus, c.spread)


class Busy(Refused):
    """It would fit if others left or a state changed: wait, or make room."""


class TimedOut(Busy, TimeoutError):
    """It was busy until the time was up."""


class Never(Refused):
    """No registered worker that it may use could ever hold it: add one."""


class PeerRefused(Refused):
    """Another entry of the same all-or-nothing batch could not be served."""


class QuotaExceeded(Refused):
    """
    The account is charged with as much as its quota allows, or nearly: wait until it has released
    something, or raise the quota.
    """

    #: With how much the account is charged in that dimension; None in the outcomes of a batch, as is
    #: ``limit``, its quota.
    used: Optional[int] = None

    def _details(self, error: _abi.error_t) -> None:
        self.dimension = Dimension(error.dimension)
        self.used = error.given
        self.limit = error.limit


class InvalidArgument(SlotwiseError, ValueError):
    """An argument cannot be right."""

    #: Which one, where that is known.
    argument: Optional[str] = None
    #: What it is too large in.
    dimension: Dimension = Dimension.NONE

    def __init__(self, argument: Optional[str], text: str) -> None:
        super().__init__(f"{argument}: {text}" if argument else text)
        self.argument = argument

    def _details(self, error: _abi.error_t) -> None:
        super()._details(error)
        self.dimension = Dimension(error.dimension)


class InvalidType(InvalidArgument, TypeError):
    """An argument is of a type that cannot be right."""

    def __init__(self, argument: Optional[str], expected: str) -> None:
        super().__init__(argument, f"expected {expected}")


class TooLarge(InvalidArgument):
    """More than any worker can have."""


class UnknownSelector(InvalidArgument):
    """The selector is not one of this engine's."""


class UnknownAccount(InvalidArgument):
    """The account is not one of this engine's."""


class UnknownGroup(InvalidArgument):
    """The spread group is not one of this engine's, or the worker lacks the label that it goes by."""


class InvalidDevices(InvalidArgument):
    """
    What is said of a worker's devices, or asked of them, cannot be right: ``status`` says what. Of a
    device whose id stands twice in its worker, ``index`` is the second place.
    """

    def _details(self, error: _abi.error_t) -> None:
        super()._details(error)
        if error.status == Status.DUPLICATE_DEVICE:
            self.index = error.index


class DevicesStay(SlotwiseError):
    """The worker's GPUs are devices, and what a reservation holds of them stays as it is."""


class NothingLearned(SlotwiseError):
    """
    No request has come yet to a policy that learns, or other threads have its planners in hand this very
    moment: ask again.
    """


class DuplicateId(SlotwiseError):
    """The id stands twice in one batch; the first stands."""


class Closed(SlotwiseError):
    """The engine is closed."""


class NotHeld(SlotwiseError):
    """Nothing is held under this name: released already, lost with its worker, or never reserved."""


class _Time(SlotwiseError):
    #: The time that the last tick told; None in the outcomes of a batch.
    now: Optional[int] = None

    def _details(self, error: _abi.error_t) -> None:
        super()._details(error)
        self.now = error.limit


class DeadlinePassed(_Time):
    """It would end before it begins: the clock has come to its deadline, or the end of its lease."""


class ClockWentBack(_Time):
    """The time is before that of the last tick."""


class Waiting(SlotwiseError):
    """It is promised what others hold who have not left yet: release them once they have stopped."""

    #: How many have not left.
    victims: int = 0

    def _details(self, error: _abi.error_t) -> None:
        self.victims = error.given


class OtherWorker(SlotwiseError):
    """It is held on another worker than the one named."""


class TryAgain(SlotwiseError):
    """Other threads came first. Ask again."""


class InFlight(TryAgain):
    """Another thread is at work on this very id, batch id or reservation."""


class Contended(TryAgain):
    """Other changes came first too many times."""


class VersionConflict(SlotwiseError):
    """The worker is not at the version that the caller expected."""

    #: The worker's version now.
    version: int = 0
    #: What is free there now; 0 also where that is less than nothing.
    free: Resources = Resources()
    state: Optional[State] = None

    def _details(self, error: _abi.error_t) -> None:
        self.version = error.version
        self.free = Resources(error.cpu, error.memory, error.gpus)
        self.state = State(error.state) if error.state else None


class Short(SlotwiseError):
    """What a reservation should grow by is not free there."""

    #: What is missing.
    missing: Resources = Resources()

    def _details(self, error: _abi.error_t) -> None:
        self.missing = Resources(error.cpu, error.memory, error.gpus)


class WorkerState(SlotwiseError):
    """The worker's state does not allow it: it takes nothing more."""

    state: Optional[State] = None

    def _details(self, error: _abi.error_t) -> None:
        self.state = State(error.state) if error.state else None


class NotPending(WorkerState):
    """Only a pending worker can be handed off."""


class OldGeneration(SlotwiseError):
    """The signal or update is of a generation of the rollout that is over."""

    #: The worker's generation.
    generation: int = 0

    def _details(self, error: _abi.error_t) -> None:
        super()._details(error)
        self.generation = error.limit


class WorkerLost(SlotwiseError):
    """The worker was removed during the call, and the reservation went with it."""


class OtherBatch(SlotwiseError):
    """The batch id is that of a batch with another number of requests."""


class UnknownWorker(SlotwiseError, LookupError):
    """No such worker is registered, or not any more."""


class DuplicateWorker(SlotwiseError):
    """A worker of this id is registered."""


class LimitReached(SlotwiseError):
    """As many as the engine, or the process, keeps."""


class Unsupported(SlotwiseError):
    """The processor lacks an instruction that the engine needs."""


class InternalError(SlotwiseError):
    """A fault in slotwise itself; please report it."""


_BY_STATUS: Dict[int, Type[SlotwiseError]] = {
    Status.BUSY: Busy,
    Status.NEVER: Never,
    Status.STALE_HANDLE: Closed,
    Status.CLOSED: Closed,
    Status.TOO_MANY_ENGINES: LimitReached,
    Status.TOO_LARGE: TooLarge,
    Status.DUPLICATE_ID: DuplicateId,
    Status.IN_FLIGHT: InFlight,
    Status.UNKNOWN_SELECTOR: UnknownSelector,
    Status.UNKNOWN_WORKER: UnknownWorker,
    Status.VERSION_CONFLICT: VersionConflict,
    Status.LEDGER_FULL: LimitReached,
    Status.CONTENDED: Contended,
    Status.PEER: PeerRefused,
    Status.NOT_HELD: NotHeld,
    Status.OTHER_WORKER: OtherWorker,
    Status.SHORT: Short,
    Status.STATE: WorkerState,
    Status.LOST: WorkerLost,
    Status.OTHER_BATCH: OtherBatch,
    Status.QUOTA_EXCEEDED: QuotaExceeded,
    Status.UNKNOWN_ACCOUNT: UnknownAccount,
    Status.UNKNOWN_GROUP: UnknownGroup,
    Status.DEADLINE_PASSED: DeadlinePassed,
    Status.WAITING: Waiting,
    Status.CLOCK_WENT_BACK: ClockWentBack,
    Status.DUPLICATE_WORKER: DuplicateWorker,
    Status.TABLE_FULL: LimitReached,
    Status.TOO_MANY_SELECTORS: LimitReached,
    Status.PROCESSOR: Unsupported,
    Status.OLD_GENERATION: OldGeneration,
    Status.NOT_PENDING: NotPending,
    Status.TOO_MANY_NAMES: LimitReached,
    Status.DEVICE_OVER_WHOLE: InvalidDevices,
    Status.DEVICE_EMPTY: InvalidDevices,
    Status.DEVICE_PARTS: InvalidDevices,
    Status.TOO_MANY_DEVICES: InvalidDevices,
    Status.GPUS_BESIDE_DEVICES: InvalidDevices,
    Status.DUPLICATE_DEVICE: InvalidDevices,
    Status.ISLAND_TOO_HIGH: InvalidDevices,
    Status.DEVICES_STAY: DevicesStay,
    Status.NOTHING_LEARNED: NothingLearned,
    Status.PANIC: InternalError,
}


def new(status: int, text: Optional[str] = None) -> SlotwiseError:
    """The exception for a status, without what only the thread's last failure knows."""
    kind = _BY_STATUS.get(status, InvalidArgument)
    if text is None:
        text = _library.held.slotwise_status_text(status).decode()
    error = kind(None, text) if issubclass(kind, InvalidArgument) else kind(text)
    error.status = Status(status) if status in Status._value2member_map_ else None
    return error


def last(status: int) -> SlotwiseError:
    """The exception for what just failed on this thread."""
    details = _abi.error_t(size=sizeof(_abi.error_t))
    _library.held.slotwise_last_error(byref(details))
    if details.status != status:
        # A signal's handler has called and failed in between.
        return new(status)
    buffer = create_string_buffer(1024)
    _library.held.slotwise_last_error_text(buffer, len(buffer), None)
    error = new(status, buffer.value.decode("utf-8", "replace"))
    error._details(details)
    return error


def check(status: int) -> None:
    """Raises what a status says, where it says something."""
    if status:
        raise last(status)
