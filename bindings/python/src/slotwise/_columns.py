"""Columns: numbers and ids side by side, from what has them already, without copying where that can be."""

from __future__ import annotations

import ctypes
import sys
from array import array
from itertools import accumulate
from typing import Any, Iterator, List, Optional, Protocol, Sequence, Tuple

from . import _abi
from ._arguments import MAX_U32, MAX_U64, identifier, integer
from ._errors import InvalidArgument, InvalidType


class Column(Protocol):
    """Numbers: a numpy array where one was given, a memoryview otherwise."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...

    def __iter__(self) -> Iterator[int]: ...

    def tolist(self) -> List[int]: ...


class PackedIds:
    """
    Ids as their bytes one after the other: id k lies from ``offsets[k]`` up to ``offsets[k + 1]``.

    ``data`` is anything with the buffer protocol and is not copied; ``offsets`` are 64-bit integers,
    one more than there are ids.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: Any, offsets: Any) -> None:
        self.data = data
        self.offsets = offsets

    def __repr__(self) -> str:
        try:
            return f"<PackedIds of {len(self.offsets) - 1} in {len(self.data)} bytes>"
        except TypeError:
            return f"<PackedIds of {self.offsets!r} in {self.data!r}>"


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyBuffer_Release", ctypes.pythonapi))


def address(view: memoryview) -> int:
    """Where a contiguous view's bytes lie; they stay there while the view is held."""
    if not view.nbytes:
        return 0
    buffer = _PyBuffer()
    at = ctypes.addressof(buffer)
    _get_buffer(view, at, 0)
    found: int = buffer.buf
    _release_buffer(at)
    return found


def _viewed(name: str, value: Any) -> Optional[memoryview]:
    """A one-dimensional contiguous view; None where the value has no buffer."""
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):
        if hasattr(value, "__array_interface__"):
            raise InvalidType(name, f"integers, not {getattr(value, 'dtype', value)}") from None
        return None
    if view.ndim != 1:
        raise InvalidArgument(name, f"has {view.ndim} dimensions, and one is expected")
    if not view.c_contiguous:
        raise InvalidArgument(name, "is not contiguous; make a copy of it first")
    return view


class Input:
    """One column of numbers that is read: where it lies, how long it is, and what keeps it there."""

    __slots__ = ("address", "count", "keep", "native")

    def __init__(self, name: str, value: Any, size: int) -> None:
        if isinstance(value, (list, tuple)):
            made = _numbers(name, value, size)
            self.address, self.count, self.keep = made.buffer_info()[0], len(made), memoryview(made)
            self.native = False
            return
        view = _viewed(name, value)
        self.native = view is not None and hasattr(type(value), "__array_interface__")
        if view is None:
            view = memoryview(_numbers(name, value, size))
        elif not _integers(view.format, view.itemsize, size):
            dtype = getattr(value, "dtype", f"format {view.format!r}")
            raise InvalidType(name, f"integers of {8 * size} bits, not {dtype}")
        self.address = address(view)
        self.count = len(view)
        self.keep = view


def _integers(form: str, itemsize: int, size: int) -> bool:
    order, code = (form[0], form[1:]) if form[:1] in ("<", ">", "=", "@", "!") else ("=", form)
    native = order in ("=", "@") or (order == "<") == (sys.byteorder == "little")
    return native and itemsize == size and code in ("Q", "q", "L", "l", "I", "i", "N", "n")


def _numbers(name: str, values: Any, size: int) -> array[int]:
    code = "Q" if size == 8 else "I"
    if isinstance(values, (str, bytes)) or values is None:
        raise InvalidType(name, f"an integer or a sequence of them, not {type(values).__name__}")
    try:
        return array(code, values)
    except (TypeError, OverflowError, ValueError):
        pass
    try:
        entries = list(values)
    except TypeError:
        raise InvalidType(name, f"an integer or a sequence of them, not {type(values).__name__}") from None
    high = MAX_U64 if size == 8 else MAX_U32
    return array(code, [integer(f"{name}[{k}]", entry, 0, high) for k, entry in enumerate(entries)])


class Ids:
    """A column of ids: bytes with offsets, or of one width."""

    __slots__ = ("address", "count", "keep", "native", "offsets", "width")

    def __init__(self, name: str, value: Any) -> None:
        self.offsets: Optional[array[int]] = None
        self.width = 0
        self.native = hasattr(type(value), "__array_interface__")
        if isinstance(value, PackedIds):
            self._packed(name, value)
            return
        if isinstance(value, (str, bytes, bytearray)) or value is None:
            raise InvalidType(name, f"a sequence of ids, not {type(value).__name__}")
        view = _viewed(name, value) if not isinstance(value, (list, tuple)) else None
        if view is not None and view.format.lstrip("<=@|").rstrip("s").isdigit() and view.format[-1] == "s":
            if view.itemsize > _abi.MAX_ID_LENGTH:
                raise InvalidArgument(name, f"ids of {view.itemsize} bytes, and at most 64 are possible")
            self.width = view.itemsize
            self.address, self.count, self.keep = address(view), len(view), view
            return
        if view is not None and getattr(getattr(value, "dtype", None), "kind", "") not in ("U", "O"):
            dtype = getattr(value, "dtype", f"format {view.format!r}")
            raise InvalidType(name, f"ids (dtype S, U or object), not {dtype}")
        try:
            entries = value.tolist() if view is not None else value
            self._listed(name, entries if isinstance(entries, (list, tuple)) else list(entries))
        except TypeError as error:
            if isinstance(error, InvalidType):
                raise
            raise InvalidType(name, f"a sequence of ids, not {type(value).__name__}") from None

    def _listed(self, name: str, entries: Sequence[Any]) -> None:
        self.count = len(entries)
        try:
            # The usual: texts in ASCII, of one length. With a NUL after each, they have a fixed width if
            # there is a NUL in every such place and nowhere else.
            joined = "\0".join(entries) + "\0"
            step = len(entries[0]) + 1
            if (
                1 < step <= _abi.MAX_ID_LENGTH
                and joined.isascii()
                and len(joined) == step * self.count
                and joined[step - 1 :: step].count("\0") == joined.count("\0") == self.count
            ):
                self.width = step
                self._keep(memoryview(joined.encode("ascii")))
                return
        except (TypeError, IndexError):
            pass
        try:
            plain = "".join(entries)
            lengths = bytes(map(len, entries))
        except (TypeError, ValueError):
            plain, lengths = "\x80", b""
        if plain.isascii() and 0 not in lengths:
            self.offsets = array("Q", accumulate(lengths, initial=0))
            self._keep(memoryview(plain.encode("ascii")))
            return
        each = [b"" if e is None else identifier(f"{name}[{k}]", e) for k, e in enumerate(entries)]
        self.offsets = array("Q", accumulate(map(len, each), initial=0))
        self._keep(memoryview(b"".join(each)))

    def _packed(self, name: str, value: PackedIds) -> None:
        data = _viewed(f"{name}.data", value.data)
        if data is None or data.itemsize != 1:
            raise InvalidType(f"{name}.data", f"bytes, not {type(value.data).__name__}")
        offsets = Input(f"{name}.offsets", value.offsets, 8)
        if offsets.count < 1:
            raise InvalidArgument(f"{name}.offsets", "is empty; it has one entry more than there are ids")
        # Copied: what was checked must be what is used, also if the caller writes to it meanwhile.
        self.offsets = array("Q", offsets.keep.cast("B").tobytes())
        if self.offsets[-1] > len(data):
            raise InvalidArgument(
                f"{name}.offsets", f"ends at {self.offsets[-1]}, and data has {len(data)} bytes"
            )
        self.native = offsets.native
        self._keep(data)
        self.count = len(self.offsets) - 1

    def _keep(self, data: memoryview) -> None:
        # An address also where there are no bytes: none would mean that all are anonymous.
        held = data if data.nbytes else memoryview(b"\0")
        self.address, self.keep = address(held), held


def outputs(count: int, native: bool) -> Tuple[Tuple[Any, Any, Any, Any], int, Any]:
    """
    Three columns of 64 bits and one of 32, one after the other, to be written: of numpy where the
    caller's are. With them, where they lie, and what keeps them there.
    """
    size = 3 * count + count // 2 + 1
    if native:
        import numpy

        block: Any = numpy.zeros(size, "u8")
        statuses = block[3 * count :].view("i4")[:count]
        owner: Any = ctypes.c_char.from_buffer(block)
        at = ctypes.addressof(owner)
    else:
        memory = array("Q", bytes(8 * size))
        # A view of its own, so that it cannot grow and move whatever is done with the others.
        block = owner = memoryview(memory)
        statuses = block[3 * count :].cast("B").cast("i")[:count]
        at = memory.buffer_info()[0]
    return (block[:count], block[count : 2 * count], block[2 * count : 3 * count], statuses), at, owner
