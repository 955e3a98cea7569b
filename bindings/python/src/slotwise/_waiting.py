"""Asking again until it is served or the time is up."""

from __future__ import annotations

import random
import time
from typing import Any, Iterator, Optional, Tuple

from ._errors import Busy, InvalidArgument, QuotaExceeded, SlotwiseError, TimedOut, TryAgain
from ._types import Dimension, Terms

#: What may be otherwise a little later.
AGAIN = (Busy, QuotaExceeded, TryAgain)


def pauses(
    timeout: Optional[float], need: Tuple[Any, Any, Any], terms: Optional[Terms] = None
) -> Iterator[Any]:
    """
    Asks again without end; each time yields what says how long to wait, or raises that time is up or
    that there is no use in waiting: ``need`` (CPU, memory, GPUs), or the devices of ``terms``, is more
    than the whole quota.
    """
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise InvalidArgument("timeout", f"{timeout!r} is no number of seconds")
    until = None if timeout is None else time.monotonic() + timeout
    longest = 0.0002

    def pause(error: SlotwiseError) -> float:
        if isinstance(error, QuotaExceeded) and _over(error, need, terms):
            raise error
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


def _over(error: QuotaExceeded, need: Tuple[Any, Any, Any], terms: Optional[Terms]) -> bool:
    if error.limit is None or error.dimension is Dimension.NONE:
        return False
    if error.dimension is Dimension.GPUS and terms is not None and terms.devices is not None:
        return terms.devices.count > error.limit  # one is charged for each, also for a part
    return bool(need[error.dimension - 1] > error.limit)


def _timed_out(error: SlotwiseError) -> TimedOut:
    late = TimedOut(f"not in time: {error}")
    late.status = error.status
    if isinstance(error, (Busy, QuotaExceeded)):
        late.dimension, late.reasons, late.outlook = error.dimension, error.reasons, error.outlook
    return late
