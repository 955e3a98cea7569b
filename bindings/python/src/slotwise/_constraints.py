"""Constraints as the library reads them."""

from __future__ import annotations

from ctypes import sizeof
from typing import Any

from . import _abi
from ._arguments import flag, put, text
from ._types import Constraints


def _texts(name: str, values: Any) -> Any:
    c = (_abi.text_t * max(len(values), 1))()
    for k, value in enumerate(values):
        data = text(f"{name}[{k}]", value)
        c[k].data, c[k].length = data, len(data)
    return c


def compiled(constraints: Constraints) -> _abi.constraints_t:
    """A structure filled in, which keeps all that it points to."""
    c = _abi.constraints_t(size=sizeof(_abi.constraints_t))
    c.flags = flag("accept_preemptable", constraints.accept_preemptable, _abi.ACCEPT_PREEMPTABLE)
    put(c.machine, "machine", constraints.machine)
    put(c.tenant, "tenant", constraints.tenant)
    c.pools, c.pool_count = _texts("pools", constraints.pools), len(constraints.pools)
    c.gpu_types = _texts("gpu_types", constraints.gpu_types)
    c.gpu_type_count = len(constraints.gpu_types)
    pairs: Any = constraints.labels
    labels = (_abi.label_in_t * max(len(pairs), 1))()
    for label, (key, values) in zip(labels, pairs):
        data = text("labels", key)
        label.key.data, label.key.length = data, len(data)
        label.values, label.value_count = _texts(f"labels[{key!r}]", values), len(values)
    c.labels, c.label_count = labels, len(pairs)
    return c
