"""Retention: the beginning of a chain goes after its time, and the rest still proves itself.

What is removed is always a whole beginning, in one transaction that leaves a checkpoint (the last
removed record's place and hash) and a record of it in the chain.
"""

from tause_mcp import times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Invalid
from tause_mcp.migrations.audit_sql import FLOOR_SECONDS
from tause_mcp.services.audit import tables
from tause_mcp.services.audit.chain import PRUNE, Checkpoint
from tause_mcp.services.audit.trail import append_in_steps
from tause_mcp.tenancy import TenantId

PORTION = 1000
"""Records removed in one transaction: it holds up the tenant's own writers."""


async def prune(database: TenantDatabase, dialect: str, before: int) -> int:
    """Remove the records of one tenant from before a moment (epoch microseconds); how many.

    Raises:
        Invalid: a moment within the last day.
    """
    if before > times.now() - FLOOR_SECONDS * times.SECOND:
        raise Invalid("audit records of the last day are kept")
    work = _steps if dialect == "sqlite" else _at_once
    removed = 0
    while count := await database.write(lambda tx: work(tx, database.tenant, before)):
        removed += count
    return removed


async def _at_once(tx: Transaction, tenant: TenantId, before: int) -> int:
    row = await tx.first(tables.PRUNE_AT_ONCE, before=before, count=PORTION)
    return 0 if row is None else int(row[0])


async def _steps(tx: Transaction, tenant: TenantId, before: int) -> int:
    """The same on SQLite, where the transaction holds the one write lock."""
    head, oldest = await tx.first(tables.HEAD), await tx.first(tables.OLDEST)
    if head is None or oldest is None:
        return 0
    young = await tx.first(tables.FIRST_SINCE, since=before) or head
    cut = min(young[0] - 1, head[0] - 1, oldest[0] - 1 + PORTION)
    row = await tx.first(tables.ONE, at_seq=cut)
    if row is None:
        return 0
    checkpoint = Checkpoint(tenant, cut, row[-1], times.now())
    await tx.run(tables.PUT_CHECKPOINT, seq=cut, hash=checkpoint.hash, at=checkpoint.at)
    await tx.run(tables.CUT, cut=cut)
    await append_in_steps(tx, tenant, _told(checkpoint))
    return int(cut - oldest[0] + 1)


def _told(checkpoint: Checkpoint) -> dict[str, str]:
    return {
        "actor": "house",
        "home": "",
        "issuer": "local",
        "credential": "",
        "action": PRUNE,
        "digest": checkpoint.digest,
        "outcome": "done",
        "door": "background",
    }
