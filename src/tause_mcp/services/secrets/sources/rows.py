"""`database://`: secrets in the house's own database, sealed by the tenant's data key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, QuotaExceeded
from tause_mcp.services.secrets import tables
from tause_mcp.services.secrets.sources import Ground
from tause_mcp.services.secrets.values import MOST, Change, Held, Secret, absent
from tause_mcp.tenancy import TenantId
from tause_mcp.times import SECOND, now


def place_of(name: str, version: int) -> str:
    """Where a value is kept: it opens only under its name, as its version."""
    return f"secrets/{version}/{name}"


class Rows:
    """The secrets of the tenant of `ground`."""

    def __init__(self, ground: Ground) -> None:
        self._database = ground.database
        self._cipher = ground.cipher

    async def put(self, name: str, change: Change) -> Secret:
        cipher = await self._cipher()

        async def work(tx: Transaction) -> Secret:
            old = await _locked(tx, name)
            if old is None:
                return await _inserted(tx, name, change, cipher)
            return await _updated(tx, old, change, cipher, until=0)

        return await self._database.write(work)

    async def rotate(self, name: str, change: Change, grace: int) -> Secret:
        cipher = await self._cipher()

        async def work(tx: Transaction) -> Secret:
            old = await _locked(tx, name)
            if old is None:
                raise absent()
            until = now() + grace * SECOND if grace else 0
            return await _updated(tx, old, change, cipher, until=until)

        return await self._database.write(work)

    async def remove(self, name: str) -> bool:
        async def work(tx: Transaction) -> None:
            if not await tx.run(tables.DELETE, named=name):
                raise absent()  # nothing is committed: no record says that anything was done

        await self._database.write(work)
        return True

    async def list(self, after: str, count: int) -> list[Secret]:
        rows = await self._database.read(
            lambda tx: tx.all(tables.LIST, after=after, count=count, now=now())
        )
        return [_secret(row) for row in rows]

    async def read(self, name: str) -> Held | None:
        row = await self._database.first(tables.READ, named=name)
        if row is None:
            return None
        version, value, previous, until, expires_at = row
        cipher = await self._cipher()
        before = None
        if previous is not None and until > now():
            before = cipher.open(place_of(name, version - 1), bytes(previous)).decode()
        current = cipher.open(place_of(name, version), bytes(value)).decode()
        return Held(current, before, expires_at)


async def _locked(tx: Transaction, name: str) -> Secret | None:
    row = await tx.first(tables.LOCK, named=name, now=now())
    return None if row is None else _secret(row)


async def _inserted(tx: Transaction, name: str, change: Change, cipher: Cipher) -> Secret:
    count = await tx.first(tables.COUNT)
    if count is not None and count[0] >= MOST:
        raise QuotaExceeded(f"there are {count[0]} secrets, and a tenant may have {MOST}")
    moment, about = now(), change.description or ""
    taken = await tx.run(
        tables.INSERT,
        name=name,
        version=1,
        value=cipher.seal(place_of(name, 1), change.value.encode()),
        previous=None,
        previous_until=None,
        created_at=moment,
        updated_at=moment,
        description=about,
        expires_at=change.expires_at,
    )
    if not taken:
        raise _raced()
    return Secret(name, "1", about, moment, moment, change.expires_at)


async def _updated(
    tx: Transaction, old: Secret, change: Change, cipher: Cipher, *, until: int
) -> Secret:
    version, moment = int(old.version) + 1, now()
    about = old.description if change.description is None else change.description
    moved = await tx.run(
        tables.UPDATE,
        named=old.name,
        before=int(old.version),
        fresh=cipher.seal(place_of(old.name, version), change.value.encode()),
        until=until,
        about=about,
        ends=change.expires_at,
        now=moment,
    )
    if not moved:
        raise _raced()
    return Secret(
        old.name, str(version), about, old.created_at, moment, change.expires_at, until or None
    )


def _raced() -> Conflict:
    return Conflict("another call changed this secret just now: call again", field="name")


def _secret(row: tuple[Any, ...]) -> Secret:
    name, version, about, expires_at, created_at, updated_at, until = row
    return Secret(name, str(version), about, created_at, updated_at, expires_at, until)


class RowSource:
    """`Source` over the rows of each call's own tenant."""

    def of(self, ground: Ground) -> Rows:
        return Rows(ground)

    async def end(self, tenant: TenantId) -> None:
        """The rows go with all others of the tenant."""


@asynccontextmanager
async def open_rows(url: str) -> AsyncIterator[RowSource]:
    """`database://`; there is nothing to open."""
    yield RowSource()
