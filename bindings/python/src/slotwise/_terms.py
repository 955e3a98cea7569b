"""Terms as the library reads them."""

from __future__ import annotations

from ctypes import pointer, sizeof
from typing import Any, Optional

from . import _abi
from ._arguments import MAX_U32, flag, integer
from ._devices import DeviceNeed, Island
from ._errors import InvalidArgument, InvalidType
from ._types import Limit, Terms

_SIZE = sizeof(_abi.terms_t)


def pointer_to(name: str, terms: Terms) -> Any:
    """
    A pointer to a structure that says what ``terms`` do; it keeps the structure and its limits, as
    does whatever it is assigned to. ``name`` is what the argument is called.
    """
    if not isinstance(terms, Terms):
        raise InvalidType(name, f"Terms, not {type(terms).__name__}")
    c = _abi.terms_t(size=_SIZE)
    flags = flag(f"{name}.preemptable", terms.preemptable, _abi.PREEMPTABLE)
    if terms.hold_until is not None:
        flags |= _abi.HOLD
        c.hold_until = integer(f"{name}.hold_until", terms.hold_until)
    if terms.account is not None:
        flags |= _abi.ACCOUNT
        c.account = integer(f"{name}.account", terms.account, 0, MAX_U32)
    c.priority = integer(f"{name}.priority", terms.priority, -(1 << 31), (1 << 31) - 1)
    c.flags = flags
    given: Any = terms.limits
    if given:
        if len(given) > _abi.MAX_LIMITS:
            raise InvalidArgument(
                f"{name}.limits", f"{len(given)} limits, and at most {_abi.MAX_LIMITS} are possible"
            )
        limits = (_abi.limit_t * len(given))()
        for k, (into, limit) in enumerate(zip(limits, given)):
            at = f"{name}.limits[{k}]"
            if not isinstance(limit, Limit):
                raise InvalidType(at, f"a Limit, not {type(limit).__name__}")
            into.group = integer(f"{at}.group", limit.group, 0, MAX_U32)
            into.at_most = integer(f"{at}.at_most", limit.at_most, 1, MAX_U32)
        c.limits, c.limit_count = limits, len(limits)
    if terms.devices is not None:
        _ask(f"{name}.devices", terms.devices, c)
    return pointer(c)


def _ask(name: str, need: DeviceNeed, c: _abi.terms_t) -> None:
    if not isinstance(need, DeviceNeed):
        raise InvalidType(name, f"a DeviceNeed, not {type(need).__name__}")
    # None at all would be no request for devices.
    c.device_count = integer(f"{name}.count", need.count, 1, MAX_U32)
    c.device_milli = integer(f"{name}.milli", need.milli, 0, MAX_U32)
    c.device_memory = integer(f"{name}.memory", need.memory)
    try:
        c.island = Island(need.island)
    except ValueError:
        raise InvalidArgument(f"{name}.island", f"{need.island!r} is none; see Island") from None


def held_until(request: _abi.request_t) -> Optional[int]:
    """Until when what is made of a request is provisional; None: it is lasting."""
    if not request.terms:
        return None
    terms = request.terms.contents
    return terms.hold_until if terms.flags & _abi.HOLD else None


def hold(request: _abi.request_t, until: Optional[int]) -> None:
    """Changes that. The request must have its terms to itself, or none."""
    time = 0 if until is None else integer("hold_until", until)
    if not request.terms:
        request.terms = pointer(_abi.terms_t(size=_SIZE))
    terms = request.terms.contents
    terms.flags = terms.flags & ~_abi.HOLD | (0 if until is None else _abi.HOLD)
    terms.hold_until = time
