"""What has to be looked at again at an outside company, and when: one row per thing.

A row outlives whoever made it. A sweeper takes the rows that are due, fairly among the tenants, and
runs a tool for each of them through the pipeline. Taking a row moves it on first: whatever happens
to the sweeper, the row comes back later and later, and holds up nobody else's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from tause_mcp import log, times
from tause_mcp.database import (
    TENANT,
    Database,
    Statement,
    TenantDatabase,
    Transaction,
    metadata,
    upsert,
)
from tause_mcp.errors import TauseError
from tause_mcp.pipeline import Crash, Invocation
from tause_mcp.tenancy import Caller, Scopes, TenantId

EVERY = 1.0
"""Seconds between two looks at the table."""
SHARE, COUNT, AT_ONCE = 8, 200, 8
"""Rows of one tenant in a round; rows in a round; tenants that are worked for at the same time."""
_FIRST, _LONGEST = 2, 600
_EVER = 2**63 - 1
_HOUR, _DAY, _PATIENT, _TIRED = 3600, 86_400, 48 * 3600, 7 * 86_400
_log = log.get("due")

provider_due = sa.Table(
    "provider_due",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.BigInteger, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Index("provider_due_at", "kind", "due_at"),
)
"""The house reads it of all tenants: it holds nothing of them but ids. `since`: when it was put
there; `tries`: how often it was taken since then."""

_d = provider_due.c
_one = (
    _d.tenant_id == TENANT,
    _d.kind == sa.bindparam("of_kind", type_=sa.Text),
    _d.id == sa.bindparam("of", type_=sa.Text),
)
_PUT = upsert(provider_due, ("tenant_id", "kind", "id"), ("due_at", "tries", "since"))
_HASTEN = Statement(
    sa.update(provider_due)
    .where(*_one, _d.due_at > sa.bindparam("at", type_=sa.BigInteger))
    .values(due_at=sa.bindparam("at", type_=sa.BigInteger))
)
_AWAITED = Statement(sa.select(_d.id).where(*_one))
_END = Statement(
    sa.delete(provider_due).where(*_one, _d.since <= sa.bindparam("until", type_=sa.BigInteger))
)
_TAKE = Statement(
    sa.update(provider_due)
    .where(*_one, _d.due_at == sa.bindparam("seen", type_=sa.BigInteger))
    .values(due_at=sa.bindparam("until", type_=sa.BigInteger), tries=_d.tries + 1)
)


def _due(kinds: Iterable[str]) -> Statement:
    """The oldest few of each tenant: one with many cannot keep the others waiting."""
    columns = (_d.tenant_id, _d.kind, _d.id, _d.due_at, _d.tries, _d.since)
    place = sa.func.row_number().over(partition_by=_d.tenant_id, order_by=(_d.due_at, _d.id))
    ranked = (
        sa.select(*columns, place.label("place"))
        .where(_d.kind.in_(sorted(kinds)), _d.due_at <= sa.bindparam("now", type_=sa.BigInteger))
        .subquery()
    )
    r = ranked.c
    return Statement(
        sa.select(r.tenant_id, r.kind, r.id, r.due_at, r.tries, r.since)
        .where(r.place <= SHARE)
        .order_by(r.place, r.due_at, r.tenant_id, r.id)
        .limit(COUNT)
    )


class Due(NamedTuple):
    """One thing that is due. Times are epoch microseconds."""

    tenant: TenantId
    kind: str
    id: str
    due_at: int
    tries: int
    since: int


async def put(tx: Transaction, kind: str, id_: str, at: int) -> None:
    """Look at it at a moment, whatever was planned before."""
    await tx.run(_PUT, kind=kind, id=id_, due_at=at, tries=0, since=at)


async def hasten(tx: Transaction, kind: str, id_: str, at: int) -> None:
    """Look at it at a moment at the latest, if it is to be looked at at all."""
    await tx.run(_HASTEN, of_kind=kind, of=id_, at=at)


async def end(tx: Transaction, kind: str, id_: str, since: int = _EVER) -> None:
    """It need not be looked at any more; what was put there after `since` stays."""
    await tx.run(_END, of_kind=kind, of=id_, until=since)


async def awaited(database: TenantDatabase, kind: str, id_: str) -> bool:
    """Whether it is to be looked at."""
    return await database.first(_AWAITED, of_kind=kind, of=id_) is not None


def pause(tries: int, age: int) -> int:
    """Microseconds until the next look: 2 s doubling to 10 min, after 48 h hourly, after 7 d daily.

    `age`: microseconds since it was due for the first time.
    """
    if age > _TIRED * times.SECOND:
        return _DAY * times.SECOND
    if age > _PATIENT * times.SECOND:
        return _HOUR * times.SECOND
    return min(_FIRST << min(tries, 16), _LONGEST) * times.SECOND


Run = Callable[[Due], Awaitable[None]]


class Sweep:
    """Runs what is due of some kinds, each through `run`."""

    def __init__(self, database: Database, kinds: Iterable[str], run: Run) -> None:
        self._database = database
        self._statement = _due(kinds)
        self._run = run

    async def forever(self) -> None:
        """Until cancelled; while there is work it rests for a moment only. A database that is down
        is asked again later."""
        looked = 0
        while True:
            await asyncio.sleep(0.05 if looked else EVERY)
            try:
                looked = await self.once()
            except TauseError as failed:
                looked = 0
                _log.warning("sweep_put_off", error=failed.code)

    async def once(self, now: int | None = None) -> int:
        """Look at what is due (at `now`, epoch microseconds); how many were looked at.

        Raises:
            Unavailable: the database is down.
        """
        now = times.now() if now is None else now
        rows = await self._database.read(
            None, lambda tx: tx.all(self._statement, now=now), house=True
        )
        found = sorted((Due(*row) for row in rows), key=lambda due: due.tenant)
        groups = [list(of) for _, of in groupby(found, key=lambda due: due.tenant)]
        places = asyncio.Semaphore(AT_ONCE)

        async def of_one(rows: list[Due]) -> int:
            async with places:
                return sum([await self._take(due, now) for due in rows])

        async with asyncio.TaskGroup() as tasks:
            ran = [tasks.create_task(of_one(group)) for group in groups]
        return sum(task.result() for task in ran)

    async def _take(self, due: Due, now: int) -> bool:
        """Move it on, then look: whoever loses the race for it does nothing."""
        until = now + pause(due.tries, now - due.since)
        database = TenantDatabase(self._database, due.tenant)
        try:
            taken = await database.write(
                lambda tx: tx.run(_TAKE, of_kind=due.kind, of=due.id, seen=due.due_at, until=until)
            )
            if taken:
                await self._run(due)
        except Exception as error:  # it comes back by itself, and the others go on
            _log.warning("put_off", kind=due.kind, tenant=due.tenant, error=_named(error))
            return False
        return bool(taken)


def _named(error: Exception) -> str:
    return error.code if isinstance(error, TauseError) else type(error).__name__


def by_tool(platform: Any, tools: Mapping[str, str], scope: str) -> Run:
    """Each kind by a tool of one argument `id`, through the whole pipeline, as the house: without the
    tenant's rate, and recorded where it changed a row (`Invocation.house`)."""

    async def run(due: Due) -> None:
        caller = Caller("reconciler", due.tenant, Scopes(frozenset({scope})), issuer="house")
        call = Invocation(caller, {"id": due.id}, door="background", house=True)
        operation = platform.catalog.tools[tools[due.kind]]
        try:
            await platform.pipeline.run(operation, call)
        except Crash:  # its traceback is in the log already
            _log.error("crashed", kind=due.kind, tenant=due.tenant)

    return run
