"""A request as the library reads it."""

from __future__ import annotations

from ctypes import sizeof
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from . import _abi
from ._arguments import MAX_U32, MAX_U64, flag, identifier, integer, optional_identifier, text
from ._errors import InvalidArgument, InvalidType, Refused, SlotwiseError, new
from ._errors import reasons as reasons_of
from ._terms import pointer_to
from ._types import Constraints, Dimension, Policy, Request, Status, Text

if TYPE_CHECKING:
    from ._constraints import Selectors

# Under names of this module, since what every request needs is looked up each time.
_request_t = _abi.request_t
_SIZE = sizeof(_request_t)
_DEFAULT = Policy.DEFAULT
_MAX_ID_LENGTH = _abi.MAX_ID_LENGTH


def policy_number(value: Any) -> int:
    """A policy that there is."""
    try:
        return int(Policy(value))
    except ValueError:
        raise InvalidArgument("policy", f"{value!r} is none; see Policy") from None


def quick(
    engine: Selectors,
    id: Any,
    cpu: Any,
    memory: Any,
    gpus: Any,
    selector: Any,
    policy: Any,
    key: Any,
    hash: Any,
    ahead: Any,
    terms: Any,
) -> _abi.request_t:
    """A structure filled in: the short way for what is most often asked, the long one for the rest."""
    if (
        type(id) is str
        and type(cpu) is int
        and type(memory) is int
        and type(gpus) is int
        and type(selector) is int
        and policy is _DEFAULT
        and key is None
        and hash is None
        and ahead is False
        and terms is None
        and id.isascii()
        and 0 < len(id) <= _MAX_ID_LENGTH
        # Below zero if one is, and over the highest if one is.
        and 0 <= cpu | memory | gpus <= MAX_U64
        and 0 <= selector <= MAX_U32
    ):
        return _request_t(_SIZE, 0, id.encode(), len(id), cpu, memory, gpus, selector)
    return fill(engine, Request(id, cpu, memory, gpus, selector, policy, key, hash, ahead, terms))


def fill(
    engine: Selectors,
    request: Request,
    into: Any = None,
    name: str = "",
    shared: Optional[Dict[int, Any]] = None,
) -> _abi.request_t:
    """
    Fills a structure in; ``name`` is put before the names of arguments. With ``shared``, requests of
    one call that come under the same terms point to one structure.
    """
    if not isinstance(request, Request):
        raise InvalidType(name.rstrip(".") or "request", f"a Request, not {type(request).__name__}")
    r: _abi.request_t = _abi.request_t() if into is None else into
    r.size = _SIZE
    if request.id is not None:
        data = identifier(f"{name}id", request.id)
        r.id, r.id_length = data, len(data)
    r.cpu = integer(f"{name}cpu", request.cpu)
    r.memory = integer(f"{name}memory", request.memory)
    r.gpus = integer(f"{name}gpus", request.gpus)
    selector = request.selector
    if isinstance(selector, Constraints):
        r.selector = engine.selector(selector)
    else:
        r.selector = integer(f"{name}selector", selector, 0, MAX_U32)
    if request.policy is not _DEFAULT:
        r.policy = policy_number(request.policy)
    flags = flag(f"{name}ahead", request.ahead, _abi.AHEAD)
    if request.hash is not None:
        if request.key is not None:
            raise InvalidArgument(f"{name}hash", "excludes a key")
        r.hash = integer(f"{name}hash", request.hash)
        flags |= _abi.HASH
    elif request.key is not None:
        data = text(f"{name}key", request.key, 1 << 32)
        r.key, r.key_length = data, len(data)
    if flags:
        r.flags = flags
    terms = request.terms
    if terms is not None:
        pointed = None if shared is None else shared.get(id(terms))
        if pointed is None:
            pointed = pointer_to(f"{name}terms", terms)
            if shared is not None:
                shared[id(terms)] = pointed
        r.terms = pointed
    return r


def batch_of(
    engine: Selectors, requests: List[Request], all_or_nothing: bool, batch_id: Optional[Text]
) -> Tuple[_abi.batch_t, Any, Any, Any]:
    """
    Requests that differ in any of their fields as the library reads them, room for placements and for
    reasons, and what must be kept until it has been called.
    """
    count = len(requests)
    filled = (_abi.request_t * max(count, 1))()
    terms: Dict[int, Any] = {}
    for k, request in enumerate(requests):
        fill(engine, request, filled[k], f"requests[{k}].", terms)
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


def refusal(index: int, p: Any, reasons: Any) -> Optional[SlotwiseError]:
    """Why one entry of a batch was refused; None if it was not."""
    if p.status == Status.OK:
        return None
    error = new(p.status)
    error.index = index
    if isinstance(error, (Refused, InvalidArgument)):
        error.dimension = Dimension(p.dimension)
    if p.status in (Status.BUSY, Status.NEVER) and isinstance(error, Refused):
        error.reasons = reasons_of(reasons[index])
    return error
