"""Everything that a tenant has, as one digest per place: rows, objects, and what it is told."""

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, TenantDatabase, Transaction, metadata
from tause_mcp.platform import Platform
from tause_mcp.services.storage.blobs import folder_of
from tause_mcp.tenancy import TenantId

PASSING = frozenset({"blob_trash"})
"""Tables that the house itself empties while nobody calls."""

Snapshot = Mapping[str, str]


async def snapshot(platform: Platform, tenant: TenantId) -> Snapshot:
    """A digest of each table's rows of the tenant, and of its blobs."""
    await platform.usage.flush()
    database = platform.database_of(tenant)
    taken = {
        table.name: await _rows(database, table)
        for table in metadata.sorted_tables
        if "tenant_id" in table.c and table.name not in PASSING
    }
    store = platform.backends.get("storage")
    if store is not None:
        names = sorted([blob.name async for blob in store.names(f"{folder_of(tenant)}/")])
        taken["blobs"] = _digest(names)
    return taken


async def _rows(database: TenantDatabase, table: sa.Table) -> str:
    statement = Statement(sa.select(table).where(table.c.tenant_id == TENANT))

    async def work(tx: Transaction) -> list[Any]:
        return await tx.all(statement)

    return _digest(sorted(map(repr, await database.read(work))))


def _digest(lines: list[str]) -> str:
    told = "\n".join(lines)
    return f"{len(lines)}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """The places that differ."""
    places = sorted({*before, *after})
    return [
        f"{p}: {before.get(p)} is now {after.get(p)}"
        for p in places
        if before.get(p) != after.get(p)
    ]
