"""Devices: GPUs that are told apart, of which requests ask for a part, or for several."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Tuple

from . import _abi
from ._common import _SLOTS, Text


class Island(enum.IntEnum):
    """Whether several devices are to be near to one another."""

    #: They may be anywhere on their worker.
    ANY = _abi.ISLAND_ANY
    #: On as few islands as the worker allows.
    PREFER = _abi.ISLAND_PREFER
    #: On one island, or not on this worker.
    INSIST = _abi.ISLAND_INSIST


@dataclass(frozen=True, **_SLOTS)
class Device:
    """A GPU that can be shared, as the host registers it with its worker."""

    #: The host's name of it, one of a kind among the worker's: 1 to 255 bytes.
    id: Text
    #: In MiB. 0 where the host does not count it: then nothing but 0 can be asked for.
    memory: int = 0
    #: Devices with the same number are near to one another: on one NUMA node, or joined by NVLink.
    #: 0 to 254.
    island: int = 0


@dataclass(frozen=True, **_SLOTS)
class DeviceNeed:
    """
    What a request asks of a worker's devices; made by :meth:`part` or :meth:`whole`.

    The ``gpus`` of the request are 0 then. Its account is charged with a GPU for each device, also for
    a part.
    """

    #: How many, all of them different and on one worker: 1 to 16.
    count: int = 1
    #: Thousandths of each: 1 to 1,000; of several, 1,000.
    milli: int = 1000
    #: Memory of each, in MiB; 0 where that does not count.
    memory: int = 0
    #: Of several: how near to one another.
    island: Island = Island.ANY

    @classmethod
    def part(cls, milli: int, memory: int = 0) -> DeviceNeed:
        """So many thousandths of one device, and so much of its memory."""
        return cls(1, milli, memory)

    @classmethod
    def whole(cls, count: int = 1, memory: int = 0, island: Island = Island.ANY) -> DeviceNeed:
        """So many devices that are nobody else's."""
        return cls(count, 1000, memory, island)


@dataclass(frozen=True, **_SLOTS)
class Granted:
    """What a reservation holds of its worker's devices."""

    #: Which they are: places in the list that the worker was registered with, in order.
    devices: Tuple[int, ...]
    #: Thousandths of each.
    milli: int
    #: Memory of each, in MiB.
    memory: int


@dataclass(frozen=True, **_SLOTS)
class DeviceState:
    """What a device has free."""

    #: Thousandths; 1,000: it is free as a whole.
    free_milli: int
    #: In MiB.
    free_memory: int
    #: Its memory in all.
    memory: int
    island: int
