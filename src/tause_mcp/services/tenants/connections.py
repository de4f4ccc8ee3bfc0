"""Open streams of each tenant, counted across processes, and never more than the limit.

A stream is a row with a lease: the process that serves it renews the lease while the stream is
open, so that a killed process's streams are forgotten within `LEASE`. Only tenants with a limit
have rows.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import sqlalchemy as sa

from tause_mcp import log, times
from tause_mcp.database import TENANT, Statement, TenantDatabase, Transaction, metadata, upsert
from tause_mcp.errors import QuotaExceeded, TauseError
from tause_mcp.services.tenants.directory import TenantDirectory
from tause_mcp.services.tenants.tables import number
from tause_mcp.tenancy import TenantId

LIMIT = "connections"
LEASE = 30.0
"""Seconds that a stream counts without a sign of its process."""
RENEW = 10.0
_CLOSE_SECONDS = 5.0
_log = log.get("connections")

tenant_connections = sa.Table(
    "tenant_connections",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
)

_c = tenant_connections.c


def _lock(dialect: str) -> sa.sql.expression.ClauseElement:
    """One opening of a tenant at a time; SQLite's writer is alone anyway."""
    if dialect == "sqlite":
        return sa.select(sa.literal(1))
    name = sa.func.hashtextextended(sa.literal("connections/") + TENANT, 0)
    return sa.select(sa.func.pg_advisory_xact_lock(name))


LOCK = Statement(_lock)
EXPIRE = Statement(
    sa.delete(tenant_connections).where(_c.tenant_id == TENANT, _c.until <= number("now"))
)
COUNT = Statement(
    sa.select(sa.func.count()).where(_c.tenant_id == TENANT, _c.until > number("now"))
)
HOLD = upsert(tenant_connections, ("tenant_id", "id"), ("until",))
END = Statement(
    sa.delete(tenant_connections).where(
        _c.tenant_id == TENANT, _c.id == sa.bindparam("ended", type_=sa.Text)
    )
)


async def count(database: TenantDatabase) -> int:
    """The open streams of a tenant in all processes."""
    row = await database.first(COUNT, now=times.now())
    return int(row[0]) if row else 0


class Connections:
    """The streams that this process serves."""

    def __init__(self, directory: TenantDirectory) -> None:
        self._directory = directory
        self._open: dict[TenantId, set[str]] = defaultdict(set)

    @asynccontextmanager
    async def open(self, tenant: TenantId) -> AsyncIterator[None]:
        """Count a stream while the block runs.

        Raises:
            QuotaExceeded: the tenant has as many as it may.
        """
        stream = uuid4().hex
        limit = await self._directory.limit(tenant, LIMIT)
        if limit is not None:
            await self._take(tenant, stream, limit)
        self._open[tenant].add(stream)
        try:
            yield
        finally:
            self._open[tenant].discard(stream)
            if not self._open[tenant]:
                del self._open[tenant]
            await self._end(tenant, stream)

    async def _take(self, tenant: TenantId, stream: str, limit: int) -> None:
        now = times.now()

        async def work(tx: Transaction) -> None:
            await tx.first(LOCK)
            await tx.run(EXPIRE, now=now)
            row = await tx.first(COUNT, now=now)
            if row is not None and row[0] >= limit:
                raise QuotaExceeded(
                    f"the tenant's limit of {limit} open streams is reached: close one",
                    retry_after=RENEW,
                )
            await tx.run(HOLD, id=stream, until=_until())

        await self._database(tenant).write(work)

    async def _end(self, tenant: TenantId, stream: str) -> None:
        """Forget it, though its caller is gone; what cannot be told now runs out by itself."""
        if await self._limit(tenant) is None:
            return
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            try:
                await self._database(tenant).write(lambda tx: tx.run(END, ended=stream))
            except TauseError as error:
                _log.warning("stream_ends_untold", error=type(error).__name__)

    async def _limit(self, tenant: TenantId) -> int | None:
        try:
            return self._directory.cached_limit(tenant, LIMIT)
        except TauseError:
            return None

    def _database(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self._directory.database, tenant)

    async def renew(self) -> None:
        """Say that the streams of limited tenants are still open, one tenant after another."""
        for tenant, streams in list(self._open.items()):
            try:
                if await self._directory.limit(tenant, LIMIT) is not None:
                    await self._database(tenant).write(lambda tx, of=streams: _hold(tx, of))  # type: ignore[misc]  # bound early
            except TauseError as error:  # gone, or the database is down: the next round tells
                _log.debug("streams_not_renewed", error=type(error).__name__)

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(RENEW)
            await self.renew()


async def _hold(tx: Transaction, streams: set[str]) -> None:
    for stream in sorted(streams):
        await tx.run(HOLD, id=stream, until=_until())


def _until() -> int:
    return times.now() + int(LEASE * times.SECOND)
