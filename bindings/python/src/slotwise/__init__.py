"""
slotwise: an embedded, lock-free, in-process scheduling engine.

    from slotwise import Engine

    with Engine() as engine:
        engine.add_worker("node-a", cpu=16_000, memory=65_536)
        with engine.reserve("job-1", cpu=500, memory=1_024) as held:
            print("job-1 runs on", held.worker_id)

Where it counts, take the fast ways: :meth:`Engine.prepare` for one request that is made again and
again, :meth:`Engine.batch` and :meth:`Engine.reserve_many` for many in one call. Every method may be
called from any thread at any time.

Units: CPU in millicores, memory in MiB, whole GPUs.
"""

from ._batch import BatchResult, ReleaseResult, ReserveBatch
from ._columns import Column, PackedIds
from ._engine import UNSET, Engine, Outcome, Outcomes, Reservation
from ._errors import (
    Busy,
    Closed,
    Contended,
    DuplicateId,
    DuplicateWorker,
    InFlight,
    InternalError,
    InvalidArgument,
    InvalidType,
    LimitReached,
    Never,
    NotHeld,
    OtherBatch,
    OtherWorker,
    PeerRefused,
    Refused,
    Short,
    SlotwiseError,
    TimedOut,
    TooLarge,
    TryAgain,
    UnknownSelector,
    UnknownWorker,
    Unsupported,
    VersionConflict,
    WorkerLost,
    WorkerState,
)
from ._library import version as library_version
from ._prepared import PreparedRequest
from ._types import (
    Added,
    Audit,
    Config,
    Constraints,
    Counts,
    Dimension,
    Group,
    Imbalance,
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
    WorkerInfo,
    WorkerSpec,
)

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "Added",
    "Audit",
    "BatchResult",
    "Busy",
    "Closed",
    "Column",
    "Config",
    "Constraints",
    "Contended",
    "Counts",
    "Dimension",
    "DuplicateId",
    "DuplicateWorker",
    "Engine",
    "Group",
    "Imbalance",
    "InFlight",
    "InternalError",
    "InvalidArgument",
    "InvalidType",
    "LimitReached",
    "Lost",
    "Never",
    "NotHeld",
    "OtherBatch",
    "OtherWorker",
    "Outcome",
    "Outcomes",
    "PackedIds",
    "PeerRefused",
    "Planned",
    "Policy",
    "PreparedRequest",
    "Reasons",
    "Refused",
    "ReleaseResult",
    "Released",
    "Request",
    "Reservation",
    "ReserveBatch",
    "Resized",
    "Resources",
    "Short",
    "SlotwiseError",
    "Snapshot",
    "State",
    "Stats",
    "Status",
    "Step",
    "StepDone",
    "TimedOut",
    "TooLarge",
    "TryAgain",
    "UnknownSelector",
    "UnknownWorker",
    "Unsupported",
    "VersionConflict",
    "WorkerInfo",
    "WorkerLost",
    "WorkerSpec",
    "WorkerState",
    "library_version",
]
