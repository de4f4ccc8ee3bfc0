"""Changing the master key: every wrapped key is wrapped anew, one by one.

Safe to interrupt and to repeat: until all are done, both master keys open.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tause_mcp.database import Database, TenantDatabase
from tause_mcp.encryption import house, tables
from tause_mcp.encryption.keys import about
from tause_mcp.encryption.masters import SIZE, Masters, keys_in
from tause_mcp.errors import Unavailable
from tause_mcp.tenancy import TenantId


@dataclass(frozen=True, slots=True)
class Standing:
    """How many keys each master key wraps, by its id in hexadecimal."""

    first: str
    wrapped: dict[str, int]

    @property
    def waiting(self) -> int:
        """Keys that the first master key does not wrap."""
        return sum(n for name, n in self.wrapped.items() if name != self.first)


async def standing(database: Database, masters: Masters) -> Standing:
    """What wraps what now."""
    masters.reread()
    counted = Counter([_by(wrapped) async for _, _, wrapped in _tenant_keys(database)])
    rows = await database.read(None, lambda tx: tx.all(tables.HOUSE_SECRETS))
    counted.update(_by(value) for _, value in rows)
    return Standing(masters.first.id.hex(), dict(counted))


def _by(wrapped: bytes) -> str:
    return bytes(wrapped[1:9]).hex()


async def _tenant_keys(database: Database) -> AsyncIterator[tuple[TenantId, int, bytes]]:
    holders = await database.read(None, lambda tx: tx.all(tables.HOLDERS), house=True)
    for (name,) in holders:
        tenant = TenantId(name)
        bound = TenantDatabase(database, tenant)
        for generation, wrapped in await bound.read(lambda tx: tx.all(tables.KEYS)):
            yield tenant, generation, bytes(wrapped)


def renew_file(file: Path) -> None:
    """A new master key at the head of the file; the newest of the others stays, to open still."""
    kept = keys_in(file)[:1]
    draft = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(b"".join([os.urandom(SIZE), *kept]))
        out.flush()
        os.fsync(handle)
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def rewrap(database: Database, masters: Masters) -> int:
    """Wrap every key under the first master key; how many were not yet.

    Raises:
        Unavailable: a key service is down, or a master key is missing. What was done stays.
    """
    done = 0
    async for tenant, generation, wrapped in _tenant_keys(database):
        if masters.knows(wrapped) is not masters.first:
            fresh = await _again(masters, wrapped, about(tenant, generation))
            told = {"of_generation": generation, "before": wrapped, "after": fresh}
            bound = TenantDatabase(database, tenant)
            done += await bound.write(lambda tx, told=told: tx.run(tables.REWRAP_KEY, **told))  # type: ignore[misc]  # bound early
    return done + await _rewrap_house(database, masters)


async def _rewrap_house(database: Database, masters: Masters) -> int:
    rows = await database.read(None, lambda tx: tx.all(tables.HOUSE_SECRETS))
    rows.sort(key=lambda row: row[0] == house.CHECK)  # the check last: it says what is in force
    done = 0
    for name, value in rows:
        wrapped = bytes(value)
        if masters.knows(wrapped) is not masters.first:
            told = {
                "named": name,
                "before": wrapped,
                "after": await _again(masters, wrapped, house.about(name)),
            }
            done += await database.write(
                None,
                lambda tx, told=told: tx.run(tables.REWRAP_HOUSE_SECRET, **told),  # type: ignore[misc]  # bound early
            )
    return done


async def _again(masters: Masters, wrapped: bytes, what: str) -> bytes:
    plain = await masters.unwrap(wrapped, what)
    fresh = await masters.wrap(plain, what)
    if await masters.unwrap(fresh, what) != plain:
        raise Unavailable("the new master key does not open what it wrapped: nothing was changed")
    return fresh
