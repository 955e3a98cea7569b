"""Arguments as the library takes them. Whatever cannot be right is named."""

from __future__ import annotations

from operator import index
from typing import Any, List, Optional

from . import _abi
from ._errors import InvalidArgument, InvalidType
from ._types import Resources

MAX_U64 = (1 << 64) - 1
MAX_U32 = (1 << 32) - 1


def integer(name: str, value: Any, low: int = 0, high: int = MAX_U64) -> int:
    """A whole number within its field."""
    try:
        value = index(value)
    except TypeError:
        raise InvalidType(name, f"an integer, not {type(value).__name__}") from None
    if not low <= value <= high:
        raise InvalidArgument(name, f"{value} is not from {low} to {high}")
    return int(value)


def flag(name: str, value: Any, bit: int = 1) -> int:
    """The bit where it is true, 0 where it is not."""
    if value is False:
        return 0
    if value is True:
        return bit
    try:
        return bit if value else 0
    except (TypeError, ValueError):
        raise InvalidType(name, f"True or False, not {type(value).__name__}") from None


def text(name: str, value: Any, most: int = _abi.MAX_NAME_LENGTH) -> bytes:
    """A text as bytes: UTF-8, or as it is."""
    if isinstance(value, str):
        try:
            data = value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(
                name, f"{value!r} has a lone surrogate at {error.start}; give such names as bytes"
            ) from None
    elif isinstance(value, bytes):
        data = value
    else:
        raise InvalidType(name, f"str or bytes, not {type(value).__name__}")
    if len(data) > most:
        raise InvalidArgument(name, f"{len(data)} bytes, and at most {most} are possible")
    return data


def identifier(name: str, value: Any) -> bytes:
    """An id, which is not empty."""
    data = text(name, value, _abi.MAX_ID_LENGTH)
    if not data:
        raise InvalidArgument(name, "is empty")
    return data


def optional_identifier(name: str, value: Any) -> Optional[bytes]:
    """An id, or none."""
    return None if value is None else identifier(name, value)


def shown(data: bytes) -> str:
    """A text of the library as a string; bytes that are not UTF-8 as surrogate escapes."""
    return data.decode("utf-8", "surrogateescape")


def as_list(name: str, values: Any) -> List[Any]:
    """What a sequence has, or an iterator gives."""
    if isinstance(values, (str, bytes)):
        raise InvalidType(name, f"a sequence, not {type(values).__name__}")
    try:
        return list(values)
    except (TypeError, NotImplementedError):
        raise InvalidType(name, f"a sequence, not {type(values).__name__}") from None


def amount(cpu: Any, memory: Any, gpus: Any, name: str = "") -> _abi.resources_t:
    """Amounts of every dimension; ``name`` is put before their names."""
    return _abi.resources_t(
        integer(f"{name}cpu", cpu), integer(f"{name}memory", memory), integer(f"{name}gpus", gpus)
    )


def amounts(name: str, value: Any) -> _abi.resources_t:
    """Amounts that are given as one value."""
    if not isinstance(value, Resources):
        raise InvalidType(name, f"Resources, not {type(value).__name__}")
    return amount(value.cpu, value.memory, value.gpus, f"{name}.")


def put(into: Any, name: str, value: Any) -> None:
    """A name that may be missing."""
    if value is not None:
        data = text(name, value)
        into.data, into.length = data, len(data)


def resources(c: Any) -> Resources:
    """Amounts of the library as a value."""
    return Resources(c.cpu, c.memory, c.gpus)
