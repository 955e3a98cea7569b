"""Constraints as the library reads them."""

from __future__ import annotations

from ctypes import byref, c_uint32, sizeof
from typing import Any, Optional, Sequence, Union

from . import _abi
from ._arguments import flag, put, text
from ._core import Core
from ._errors import InvalidType, check
from ._library import free as _free
from ._types import Constraints, Labels, Text


class Selectors(Core):
    """What compiles constraints."""

    __slots__ = ()

    def selector(
        self,
        constraints: Optional[Constraints] = None,
        *,
        pools: Union[Text, Sequence[Text]] = (),
        gpu_types: Union[Text, Sequence[Text]] = (),
        labels: Labels = (),
        machine: Optional[Text] = None,
        tenant: Optional[Text] = None,
        accept_preemptable: bool = False,
    ) -> int:
        """
        Compiles constraints, given as such or by the same fields, into a number that is valid for
        the engine's life. The same constraints always give the same one.
        """
        if constraints is None:
            constraints = Constraints(pools, gpu_types, labels, machine, tenant, accept_preemptable)
        elif not isinstance(constraints, Constraints):
            raise InvalidType("constraints", f"Constraints, not {type(constraints).__name__}")
        try:
            known = self._selectors.get(constraints)
        except (TypeError, ValueError):
            known = None  # something in there is no text, which is told below
        if known is not None and not self._closed:
            return known
        c = compiled(constraints)
        selector = c_uint32()
        check(_free.slotwise_selector(self.handle, byref(c), byref(selector)))
        self._selectors[constraints] = selector.value
        return selector.value


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
