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
    """Remove every row of a tenant that is deleted or absent; a living one is left alone."""

    async def work(tx: Transaction) -> None:
        row = await tx.first(tables.IS_LEAVING)
        if row is not None and row[0] != tables.DELETED:
            return
        for table in held():
            await tx.run(_emptying(table))
        await tx.run(tables.FORGET)

    await TenantDatabase(database, tenant).write(work)
