"""Capacity that is held."""

from __future__ import annotations

from ctypes import c_uint64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Iterable, List, Optional, Union

from ._devices import Granted
from ._errors import SlotwiseError, last
from ._library import fast, held
from ._types import _SLOTS, Confirmed, Released, Resized, Status, Text

if TYPE_CHECKING:
    from ._engine import Engine

_release = fast(held, "slotwise_release")


@dataclass(eq=False, **_SLOTS)
class Reservation:
    """
    Capacity that is held for somebody until it is given back.

    With ``with``, that is at the end of the block; one that has ended by itself is no error there.
    """

    #: None for an anonymous one.
    id: Optional[Text]
    #: Names the reservation from now on, and never another.
    ticket: int
    #: The worker that it is on; :attr:`worker_id` is the host's name of it.
    worker: int
    #: The worker's version that it made.
    version: int
    #: The id was held already; this is that reservation, and nothing was changed.
    existing: bool
    #: It is yet to be confirmed, as of when this was made; :meth:`confirm` takes that away.
    provisional: bool
    engine: Engine = field(repr=False)

    @property
    def worker_id(self) -> str:
        """The host's name of its worker."""
        return self.engine.worker_id(self.worker)

    def release(self) -> Released:
        """Gives it back."""
        return self.engine.release(self.ticket)

    def resize(self, cpu: int = 0, memory: int = 0, gpus: int = 0) -> Resized:
        """Makes it hold this much instead."""
        return self.engine.resize(self.ticket, cpu, memory, gpus)

    def confirm(self) -> Confirmed:
        """Makes it a lasting one; see :meth:`Engine.confirm`."""
        confirmed = self.engine.confirm(self.ticket)
        self.provisional = False
        return confirmed

    @property
    def deadline(self) -> Optional[int]:
        """When it ends unless it is confirmed; None where it does not, or not any more."""
        return self.engine.deadline(self.ticket)

    @property
    def granted(self) -> Optional[Granted]:
        """Which devices it holds; None where it asked for none. See :meth:`Engine.granted`."""
        return self.engine.granted(self.ticket)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        status = _release(self.engine._handle, c_uint64(self.ticket), None)
        if status and status != Status.NOT_HELD:
            raise last(status)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reservation):
            return NotImplemented
        return self.ticket == other.ticket and self.engine is other.engine

    def __hash__(self) -> int:
        return hash(self.ticket)


Outcome = Union[Reservation, SlotwiseError]


class Outcomes(List[Outcome]):
    """What became of each request of a batch: a reservation, or the error that says why there is none."""

    #: Whether the batch id was known: this is the answer of then.
    replayed: bool = False

    @property
    def reservations(self) -> List[Reservation]:
        """Those that there are."""
        return [outcome for outcome in self if isinstance(outcome, Reservation)]

    def raise_for_status(self) -> None:
        """Raises why the first request that is to blame was refused, if one was."""
        _raise_first(self)


def _raise_first(outcomes: Iterable[object]) -> None:
    errors = [outcome for outcome in outcomes if isinstance(outcome, SlotwiseError)]
    for error in errors:
        if error.status != Status.PEER:
            raise error
    if errors:
        raise errors[0]
