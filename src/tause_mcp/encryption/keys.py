"""Each tenant's data key: made at its first use, kept wrapped, believed for four seconds."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from tause_mcp import times
from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.encryption import tables
from tause_mcp.encryption.masters import SIZE, Masters
from tause_mcp.tenancy import BELIEVED, TenantId, no_such_tenant

if TYPE_CHECKING:
    from tause_mcp.encryption.cipher import TenantCipher

_MOST = 10_000


@dataclass(slots=True)
class _Held:
    """An opened key, the rows that it came from, and the tenant's creation that they belong to."""

    cipher: "TenantCipher"
    rows: list[Any]
    since: int
    until: float


def about(tenant: TenantId, generation: int) -> str:
    """What a wrapped key is bound to."""
    return f"tenant|{tenant}|{generation}"


class TenantKeys:
    """The opened data keys of this process.

    `since(tenant)` is when the tenant was made, as far as the process knows: a key of a former
    tenant of the same id is not used for the new one.
    """

    def __init__(
        self, database: Database, masters: Masters, since: Callable[[TenantId], int]
    ) -> None:
        self._database = database
        self._since = since
        self._held: dict[TenantId, _Held] = {}
        self.masters = masters

    async def cipher(self, tenant: TenantId) -> "TenantCipher":
        """The tenant's cipher.

        Raises:
            NotFound: no such tenant. Unavailable: the database or the key service is down.
        """
        held = self._held.get(tenant)
        if held is None or held.until <= monotonic() or held.since != self._since(tenant):
            held = await self._renewed(tenant, held)
        return held.cipher

    async def _renewed(self, tenant: TenantId, before: _Held | None) -> _Held:
        asked = monotonic()
        rows = await self._rows(tenant) or await self._made(tenant)
        if before is not None and before.rows == rows:
            cipher = before.cipher
        else:
            cipher = await self._opened(tenant, rows)
        if len(self._held) >= _MOST:
            self._held.clear()
        held = _Held(cipher, rows, self._since(tenant), asked + BELIEVED)
        self._held[tenant] = held
        return held

    async def _rows(self, tenant: TenantId) -> list[Any]:
        return await TenantDatabase(self._database, tenant).read(lambda tx: tx.all(tables.KEYS))

    async def _made(self, tenant: TenantId) -> list[Any]:
        """The first generation, whoever of several processes makes it."""
        wrapped = await self.masters.wrap(os.urandom(SIZE), about(tenant, 1))

        async def work(tx: Transaction) -> list[Any]:
            fresh = {"generation": 1, "wrapped": wrapped, "created_at": times.now()}
            await tx.run(tables.ADD_KEY, **fresh)
            return await tx.all(tables.KEYS)

        rows = await TenantDatabase(self._database, tenant).write(work)
        if not rows:
            raise no_such_tenant()
        return rows

    async def _opened(self, tenant: TenantId, rows: list[Any]) -> "TenantCipher":
        from tause_mcp.encryption.cipher import TenantCipher

        opened = {
            generation: await self.masters.unwrap(wrapped, about(tenant, generation))
            for generation, wrapped in rows
        }
        return TenantCipher(opened)

    def forget(self, tenant: TenantId) -> None:
        """Open the tenant's keys anew, if there are any."""
        self._held.pop(tenant, None)

    async def destroy(self, tenant: TenantId) -> None:
        """End the keys of a tenant that is deleted or absent: what it kept cannot be opened again.

        A living tenant's keys are left alone.
        """
        self.forget(tenant)

        async def work(tx: Transaction) -> None:
            longest = max((len(row[1]) for row in await tx.all(tables.KEYS)), default=0)
            await tx.run(tables.BLANK_KEYS, nothing=bytes(longest))
            await tx.run(tables.END_KEYS)

        await TenantDatabase(self._database, tenant).write(work)
        self.forget(tenant)
