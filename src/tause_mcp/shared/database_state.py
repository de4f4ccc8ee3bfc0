"""Shared state in the database: for several processes without Redis.

Each question is one statement; what it answers is as exact as the database's own row locks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from secrets import token_hex
from time import monotonic

from tause_mcp import log, times
from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.errors import TauseError
from tause_mcp.shared import tables
from tause_mcp.shared.gcra import Rate, Taken
from tause_mcp.shared.renewal import renewed
from tause_mcp.shared.signals import Signals
from tause_mcp.shared.state import SharedState
from tause_mcp.tenancy import TenantId

POLL = 0.5
"""Seconds between looks for signals."""
_LATE = 3.0
"""Seconds for which a lower id may still appear: it was taken before, and committed after."""
_KEPT = 60.0
"""Seconds for which a signal is kept."""
_MOST = 1000
_log = log.get("signals")


class DatabaseRates:
    """`Rates` by one upsert."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, tenant: TenantId, rate: Rate, cost: int) -> Taken:
        if rate.amount <= 0:
            return rate.nothing()
        charge = rate.charge(cost)
        told = {"of_name": rate.name, "burst": rate.burst}

        async def owed(tx: Transaction, now: int) -> int:
            row = await tx.first(tables.OWED, **told, now=now)
            return row[0] if row else 0

        async def work(tx: Transaction) -> Taken:
            now = (
                times.now()
            )  # in its turn: who waited to write must not be judged by an older time
            taken = await tx.first(tables.TAKE, charge=charge, **told, now=now)
            if taken is not None:
                return Taken(0, rate.left(taken[0]))
            before = await owed(tx, now)
            return Taken(max(before + charge - rate.burst, 1), rate.left(before))

        database = TenantDatabase(self._database, tenant)
        if cost:
            return await database.write(work)
        return Taken(0, rate.left(await database.read(lambda tx: owed(tx, times.now()))))

    async def forget(self, tenant: TenantId, *names: str) -> None:
        async def work(tx: Transaction) -> None:
            for name in names:
                await tx.run(tables.FORGET_RATE, of_name=name)

        await TenantDatabase(self._database, tenant).write(work)


class DatabaseOnce:
    """`Once` in rows: it forgets nothing, so it asks for no date of issue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, name: str, *, issued: float, until: float) -> bool:
        named = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

        async def work(tx: Transaction) -> bool:
            await tx.run(tables.FORGET_SPENT, now=times.now())
            spent = await tx.run(
                tables.SPEND, assertion=named, until=int(until * times.SECOND) + times.SECOND
            )
            return spent == 1

        return await self._database.write(None, work)


class DatabaseLeases:
    """`Leases` in rows, by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def lease(self, name: str, ttl: float) -> AsyncIterator[bool]:
        token = token_hex(16)

        async def hold() -> bool:
            told = {"of_name": name, "of_token": token, "now": times.now()}
            micros = int(ttl * times.SECOND)
            held = await self._database.write(
                None, lambda tx: tx.run(tables.HOLD, ttl=micros, **told)
            )
            return held == 1

        async def release() -> None:
            await self._database.write(
                None, lambda tx: tx.run(tables.RELEASE, of_name=name, of_token=token)
            )

        async with renewed(hold, release, ttl) as held:
            yield held


class DatabaseWire:
    """`signals.Wire` by a table that every process looks at twice a second: a message is a durable
    change, and may wait for company."""

    gather = 0.1

    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(self, message: bytes) -> None:
        now = times.now()
        await self._database.write(None, lambda tx: tx.run(tables.SEND, told=message, now=now))

    async def run(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        reading = _Reading(self._database)
        swept = monotonic()
        while True:
            try:
                if await reading.begun():
                    lost()
                for message in await reading.fresh():
                    heard(message)
                if monotonic() - swept > _KEPT / 2:
                    swept = monotonic()
                    await self._sweep()
            except TauseError as error:
                _log.warning("signals_unread", code=error.code)
            await asyncio.sleep(POLL)

    async def _sweep(self) -> None:
        now, age = times.now(), int(_KEPT * times.SECOND)
        await self._database.write(None, lambda tx: tx.run(tables.FORGET_SIGNALS, now=now, age=age))


class _Reading:
    """What one process has read of the table. Ids do not commit in order: recent ones are read
    again for a while, and known by their id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._floor = -1
        self._seen: dict[int, float] = {}
        self._looked = 0.0

    async def begun(self) -> bool:
        """Whether it begins here, or so long after the last look that signals may be gone."""
        behind = monotonic() - self._looked > _KEPT / 2
        if self._floor < 0 or behind:
            row = await self._database.first(None, tables.NEWEST)
            self._floor, self._seen = (row[0] if row else 0), {}
        return behind

    async def fresh(self) -> list[bytes]:
        rows = await self._database.read(
            None, lambda tx: tx.all(tables.AFTER, floor=self._floor, most=_MOST)
        )
        self._looked = now = monotonic()
        found = [bytes(message) for number, message in rows if number not in self._seen]
        for number, _ in rows:
            self._seen.setdefault(number, now)
        settled = [n for n, at in self._seen.items() if now - at > _LATE or len(rows) == _MOST]
        if settled:
            self._floor = max(settled)
            self._seen = {n: at for n, at in self._seen.items() if n > self._floor}
        return found


async def _named_already() -> None:
    """The database answers for itself."""


@asynccontextmanager
async def open_database_state(database: Database) -> AsyncIterator[SharedState]:
    """Shared state in the rows' own database."""
    signals = Signals(DatabaseWire(database))
    async with signals.running():
        yield SharedState(
            kind="database",
            rates=DatabaseRates(database),
            once=DatabaseOnce(database),
            leases=DatabaseLeases(database),
            signals=signals,
            check=_named_already,
            source=database,
        )
