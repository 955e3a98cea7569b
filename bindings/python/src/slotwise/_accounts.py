"""What reservations are charged to, and what counts them."""

from __future__ import annotations

from ctypes import byref, c_uint32, c_uint64, sizeof
from typing import Optional, Union

from . import _abi
from ._arguments import MAX_U32, integer, resources, text
from ._errors import InvalidArgument, InvalidType, check
from ._library import free as _free
from ._library import held as _held
from ._types import Quota, Scope, Text, Usage
from ._workers import Workers


class Accounts(Workers):
    """Accounts with quotas, and spread groups."""

    __slots__ = ()

    def account(self, name: Text) -> int:
        """
        The account of this name, for :class:`Terms`: a number that is valid for the engine's life,
        the same one for the same name. A new one is unlimited, and nothing is charged to it.

        Raises :class:`LimitReached` where there are ``max_accounts`` of them.
        """
        data = _name("name", name)
        account = c_uint32()
        check(_free.slotwise_account(self.handle, data, len(data), byref(account)))
        return account.value

    def set_quota(
        self,
        account: int,
        cpu: Optional[int] = None,
        memory: Optional[int] = None,
        gpus: Optional[int] = None,
    ) -> None:
        """
        Limits what an account may be charged with in all: CPU in millicores, memory in MiB, whole
        GPUs; None: as much as there is. What it is charged with already stays, also if that is more.

        Raises :class:`UnknownAccount`. Takes no lock.
        """
        number = integer("account", account, 0, MAX_U32)
        amounts = (
            _abi.UNLIMITED if value is None else integer(name, value)
            for name, value in (("cpu", cpu), ("memory", memory), ("gpus", gpus))
        )
        check(_held.slotwise_quota_set(self.handle, number, byref(_abi.quota_t(*amounts))))

    def usage(self, account: int) -> Usage:
        """
        What an account is charged with, what is being tried this moment included, and its quota.

        Raises :class:`UnknownAccount`. Takes no lock.
        """
        number = integer("account", account, 0, MAX_U32)
        usage = _abi.usage_t(size=sizeof(_abi.usage_t))
        check(_held.slotwise_usage(self.handle, number, byref(usage)))
        q = usage.quota
        limits = (None if limit == _abi.UNLIMITED else limit for limit in (q.cpu, q.memory, q.gpus))
        return Usage(resources(usage.used), Quota(*limits))

    def spread_group(self, name: Text, scope: Scope = Scope.WORKER) -> int:
        """
        The group of this name and scope, for :class:`Limit`: a number that is valid for the engine's
        life, the same one for the same name and scope.

        Raises :class:`LimitReached` where there are ``max_groups`` of them.
        """
        if not isinstance(scope, Scope):
            raise InvalidType("scope", f"a Scope, not {type(scope).__name__}")
        data = _name("name", name)
        label = b"" if scope.key is None else _name("scope.key", scope.key)
        kind = integer("scope.kind", scope.kind, 0, MAX_U32)
        group = c_uint32()
        check(
            _free.slotwise_spread_group(self.handle, data, len(data), kind, label, len(label), byref(group))
        )
        return group.value

    def spread_count(self, group: int, worker: Union[int, Text]) -> int:
        """
        How many of a group are in the place of this worker, given by its id or the engine's name.

        Raises :class:`UnknownGroup`, also where the worker lacks the label that the group goes by,
        and :class:`UnknownWorker`. Takes no lock.
        """
        number = integer("group", group, 0, MAX_U32)
        count = c_uint64()
        check(_held.slotwise_spread_count(self.handle, number, self._worker("worker", worker), byref(count)))
        return count.value


def _name(name: str, value: Text) -> bytes:
    data = text(name, value)
    if not data:
        raise InvalidArgument(name, "is empty")
    return data
