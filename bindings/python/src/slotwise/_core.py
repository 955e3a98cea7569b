"""What every part of an engine stands on: its handle, its life, its reports."""

from __future__ import annotations

import threading
import weakref
from ctypes import byref, c_uint64, sizeof
from typing import Any, Dict, Optional, TypeVar

from . import _abi
from ._arguments import MAX_U32, flag, integer, resources
from ._errors import SlotwiseError, check
from ._library import free as _free
from ._library import held as _held
from ._request import policy_number
from ._types import Audit, Config, Constraints, Counts, Imbalance, Policy, Resources, Stats

_Self = TypeVar("_Self", bound="Core")


class Core:
    """An engine without what can be done with it."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_finalizer",
        "_handle",
        "_names",
        "_removing",
        "_selectors",
        "_ticking",
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
        max_accounts: Optional[int] = None,
        max_groups: Optional[int] = None,
        max_unmet: Optional[int] = None,
        max_planners: Optional[int] = None,
        seed: Optional[int] = None,
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
            ("max_accounts", max_accounts),
            ("max_groups", max_groups),
            ("max_unmet", max_unmet),
            ("seed", seed),
        ):
            if value is not None:
                setattr(config, name, integer(name, value))
        if max_planners is not None:
            config.max_planners = integer("max_planners", max_planners, 0, MAX_U32)
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
        self._ticking = threading.Lock()
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

    def __enter__(self: _Self) -> _Self:
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
            c.max_accounts,
            c.max_groups,
            c.max_unmet,
            c.max_planners,
            c.seed,
        )

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
            s.confirmed,
            s.expired,
            s.preempted,
        )

    def audit(self) -> Audit:
        """Proves for every worker that free + set aside + live reservations = total."""
        a = _abi.audit_t(size=sizeof(_abi.audit_t))
        room = (_abi.imbalance_t * 64)()
        check(_free.slotwise_audit(self.handle, byref(a), room, len(room)))
        found = tuple(
            Imbalance(i.worker, resources(i.held), Resources(*i.missing))
            for i in room[: min(a.imbalances, len(room))]
        )
        return Audit(a.ok != 0, a.workers, a.reservations, a.over_committed, a.unsettled, found)
