"""Everything that a tenant leaves behind, removed from every table there is."""

from functools import cache

import sqlalchemy as sa

from tause_mcp.database import TENANT, Database, Statement, TenantDatabase, Transaction, metadata
from tause_mcp.services.tenants import tables
from tause_mcp.tenancy import TenantId


@cache
def _emptying(table: sa.Table) -> Statement:
    return Statement(sa.delete(table).where(table.c.tenant_id == TENANT))


def held() -> list[sa.Table]:
    """The tables with rows of tenants, those that refer to others first."""
    return [
        table
        for table in reversed(metadata.sorted_tables)
        if "tenant_id" in table.columns and table is not tables.tenants
    ]


async def purge(database: Database, tenant: TenantId) -> None:
    """Remove every row of a tenant that is deleted or absent, but its mark; a living one is left alone.

    A table may say (`Table.info`) what to run before its rows go (`leaving`), that its rows
    `outlives` the tenant: the plan to remove its blobs does, or what else than a plain DELETE
    removes them (`emptying`): the audit chain does.
    """

    async def work(tx: Transaction) -> None:
        row = await tx.first(tables.IS_LEAVING)
        if row is not None and row[0] != tables.DELETED:
            return
        for table in held():
            if leaving := table.info.get("leaving"):
                await tx.run(leaving)
            if not table.info.get("outlives"):
                await tx.run(table.info.get("emptying") or _emptying(table))

    await TenantDatabase(database, tenant).write(work)
