"""Finds the shared library, loads it, and refuses one of another interface."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from . import _abi

#: Names that the library goes by, beside this file or where the system looks.
_NAMES = {"darwin": ("libslotwise.dylib",), "win32": ("slotwise.dll",)}.get(
    sys.platform, ("libslotwise.so", "libslotwise.so.0.1")
)


def _where() -> str:
    named = os.environ.get("SLOTWISE_LIBRARY")
    if named:
        return named
    for name in _NAMES:
        beside = Path(__file__).with_name(name)
        if beside.exists():
            return str(beside)
    return _NAMES[-1]


def _checked(library: Any, path: str) -> Any:
    try:
        function = library.slotwise_abi_version
        function.restype = ctypes.c_uint32
        found = function()
    except AttributeError:
        raise ImportError(f"{path} is no slotwise library") from None
    if found != _abi.ABI_VERSION:
        raise ImportError(
            f"{path} has version {found} of the interface, and this package is for {_abi.ABI_VERSION}: "
            "install the package and the library from one release"
        )
    _abi.bind(library)
    return library


def _load() -> tuple[Any, Any]:
    path = _where()
    try:
        return _checked(ctypes.CDLL(path), path), _checked(ctypes.PyDLL(path), path)
    except OSError as error:
        raise ImportError(
            f"no slotwise library: {error}. Install the wheel, or name the library in SLOTWISE_LIBRARY"
        ) from None


#: Every function, for calls that may take long or wait for a lock: others run meanwhile.
free: Any
#: Every function, for calls that never wait. They take less time than handing the interpreter's lock
#: over and getting it back, so they keep it.
held: Any
free, held = _load()


def fast(library: Any, name: str) -> Any:
    """
    A function that is given arguments as ``from_param`` and ``byref`` made them, and looks at none.

    Converting arguments takes longer than reserving; who calls this has converted them once. Only
    for arguments that this package has made itself.
    """
    function = library[name]
    function.restype = ctypes.c_int32
    return function


def version() -> str:
    """The version of the library that runs."""
    text: bytes = held.slotwise_version()
    return text.decode()
