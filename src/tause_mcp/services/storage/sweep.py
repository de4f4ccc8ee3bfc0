"""What nobody needs any more: planned removals, expired uploads, blobs that nothing refers to.

One process sweeps at a time; two at once share the work, because a removal is claimed first.
"""

import time

import anyio

from tause_mcp import log
from tause_mcp.database import Database, Statement, TenantDatabase
from tause_mcp.errors import TauseError
from tause_mcp.services.storage import tables
from tause_mcp.services.storage.backends import ObjectStore
from tause_mcp.services.storage.reconcile import GRACE, HOLD, Reconciler
from tause_mcp.services.storage.uploads import give_up
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

EVERY = 15.0
"""Seconds between sweeps."""
BATCH = 100
CLAIM = 60_000_000
"""Microseconds after which another sweep may try a removal again."""
RECONCILE = 86_400.0
"""Seconds between comparisons of rows and store: each lists the whole store."""
FIRST = 300.0
"""Seconds until the first one: what lives shortly, a command say, compares nothing."""
_log = log.get("storage")


class Sweep:
    """Removes from `store` what `database` no longer refers to, for every tenant."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        due = time.monotonic() + FIRST
        while True:
            try:
                await self.expire()
                await self.empty()
                if time.monotonic() >= due:
                    due = time.monotonic() + FIRST  # should it fail
                    await self.reconcile(hold=HOLD)
                    due = time.monotonic() + RECONCILE
            except TauseError as failed:
                _log.warning("sweep put off", error=type(failed).__name__)
            await anyio.sleep(EVERY)

    async def empty(self, until: int | None = None) -> int:
        """Carry out the removals that are due (at `until`, epoch microseconds); how many."""
        until = now() if until is None else until
        removed = 0
        while due := await self._due(tables.DUE, until):
            for tenant, blob in due:
                removed += await self._remove(TenantId(tenant), blob, until)
        return removed

    async def expire(self, until: int | None = None) -> int:
        """Give up uploads whose time is over; how many."""
        until = now() if until is None else until
        ended = 0
        while due := await self._due(tables.EXPIRED, until):
            for tenant, upload in due:
                database = TenantDatabase(self._database, TenantId(tenant))
                await database.write(lambda tx, upload=upload: give_up(tx, upload))  # type: ignore[misc]  # bound early
            ended += len(due)
        return ended

    async def _due(self, statement: Statement, until: int) -> list[tuple[str, str]]:
        rows = await self._database.read(
            None, lambda tx: tx.all(statement, now=until, count=BATCH), house=True
        )
        return [(row[0], row[1]) for row in rows]

    async def _remove(self, tenant: TenantId, blob: str, until: int) -> bool:
        """Claim, remove, forget. Fails between: the claim runs out and another sweep goes on."""
        database = TenantDatabase(self._database, tenant)
        claimed = await database.write(
            lambda tx: tx.run(tables.CLAIM, named=blob, now=until, until=max(until, now()) + CLAIM)
        )
        if not claimed:
            return False
        await self._store.remove(blob)
        await database.write(lambda tx: tx.run(tables.SWEPT, blob=blob))
        return True

    async def reconcile(self, older: float = GRACE, hold: float = 0.0) -> int:
        """Put right where rows and store drifted apart; how many blobs nothing refers to."""
        reconciler = Reconciler(self._database, self._store)
        return (await reconciler.run(repair=True, grace=older, hold=hold)).strays
