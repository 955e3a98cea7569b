"""Groups of steps, each for one worker."""

from __future__ import annotations

from ctypes import sizeof
from typing import Any, Iterable, List

from . import _abi
from ._arguments import MAX_U32, amounts, as_list, identifier, integer, resources
from ._core import Core
from ._errors import InvalidType, check
from ._library import free as _free
from ._types import Group, Status, Step, StepDone


class Groups(Core):
    """What is done with groups."""

    __slots__ = ()

    def apply(self, groups: Iterable[Group]) -> List[List[StepDone]]:
        """
        Does each group's steps as one change of its worker: all of them, or none. Releases count
        before reservations.
        """
        listed = as_list("groups", groups)
        c = (_abi.group_t * max(len(listed), 1))()
        rooms: List[Any] = []
        for k, group in enumerate(listed):
            if not isinstance(group, Group):
                raise InvalidType(f"groups[{k}]", f"a Group, not {type(group).__name__}")
            g = c[k]
            g.size = sizeof(_abi.group_t)
            data = identifier(f"groups[{k}].worker", group.worker)
            g.worker.data, g.worker.length = data, len(data)
            given = as_list(f"groups[{k}].steps", group.steps)
            steps = (_abi.step_t * max(len(given), 1))()
            for j, step in enumerate(given):
                _step(f"groups[{k}].steps[{j}]", step, steps[j])
            done = (_abi.step_done_t * max(len(given), 1))()
            g.steps, g.step_count, g.done = steps, len(given), done
            rooms.append((steps, done, len(given)))
        check(_free.slotwise_groups_apply(self.handle, c, 0, len(listed)))
        return [
            [
                StepDone(
                    Status(d.status),
                    d.existing != 0,
                    d.provisional != 0,
                    d.ticket,
                    d.worker,
                    d.version,
                    resources(d.amount),
                )
                for d in done[:count]
            ]
            for _, done, count in rooms
        ]


def _step(name: str, step: Any, into: Any) -> None:
    if not isinstance(step, Step):
        raise InvalidType(name, f"a Step, not {type(step).__name__}")
    into.kind = integer(f"{name}.kind", step.kind, 0, MAX_U32)
    if step.id is not None:
        data = identifier(f"{name}.id", step.id)
        into.id, into.id_length = data, len(data)
    into.ticket = integer(f"{name}.ticket", step.ticket)
    into.need = amounts(f"{name}.need", step.need)
