"""`python -m benchmarks.walls`: what row-level security costs an indexed query of one tenant.

The same rows stand in two tables of a PostgreSQL of its own, one behind the walls and one without;
the application's role asks both in turn, inside a transaction that is bound to its tenant. Then the
forms of a point read: one round trip, a transaction around it, and no binding at all.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import sqlalchemy as sa
from tests.support import postgres

from tause_mcp.database import TENANT, Options, Statement
from tause_mcp.database.postgres import PostgresDatabase, beginning, dsn_of, open_postgres
from tause_mcp.tenancy import TenantId

TENANT_ID = TenantId("t3")
ROWS, TENANTS = 100_000, 5
SLICES, CALLS = 15, 300
MOST = 1.25
"""What the walls may cost."""

_FILL = """
CREATE TABLE {0} (tenant_id text, key text COLLATE "C", size bigint, PRIMARY KEY (tenant_id, key));
CREATE INDEX ON {0} (tenant_id, size, key);
INSERT INTO {0} SELECT 't' || t, 'k' || lpad(i::text, 6, '0'), i % 1000
FROM generate_series(1, {1}) AS t, generate_series(1, {2}) AS i;
ANALYZE {0}
"""
QUERIES = {
    "point read": ("SELECT size FROM {} WHERE tenant_id = $1 AND key = $2", ("k054321",)),
    "keyset page of 50": (
        "SELECT key, size FROM {} WHERE tenant_id = $1 AND key > $2 ORDER BY key LIMIT 50",
        ("k054321",),
    ),
    "range of an index, 100 rows": (
        "SELECT key FROM {} WHERE tenant_id = $1 AND size = $2 ORDER BY key LIMIT 100",
        (123,),
    ),
    "count of 100 rows": (
        "SELECT count(*) FROM {} WHERE tenant_id = $1 AND size = $2",
        (123,),
    ),
}


async def main() -> int:
    server = postgres.server()
    server.create("walls")
    fill = [_FILL.format(name, TENANTS, ROWS) for name in ("walled", "open_rows")]
    server.sql("SET ROLE owner", *";".join(fill).split(";"), database="walls")
    await asyncio.to_thread(server.protect, "walls")
    server.sql("ALTER TABLE open_rows DISABLE ROW LEVEL SECURITY", database="walls")
    url = server.url("walls")
    worst = max([await _compared(url, name) for name in QUERIES])
    await _forms(url)
    print(f"\nthe most that the walls cost: {worst:.2f} (at most {MOST})")
    return int(worst > MOST)


async def _compared(url: str, name: str) -> float:
    """The median ratio of neighbouring slices."""
    sql, given = QUERIES[name]
    connection = await asyncpg.connect(dsn_of(url))
    await connection.execute(beginning("BEGIN", TENANT_ID, False))
    taken: dict[str, list[float]] = {"walled": [], "open_rows": []}
    for _ in range(SLICES):
        for table, slices in taken.items():
            asked = sql.format(table)
            slices.append(await _slice(lambda q=asked: connection.fetch(q, TENANT_ID, *given)))  # type: ignore[misc]
    await connection.close()
    pairs = list(zip(*taken.values(), strict=True))[2:]
    ratio = statistics.median(walled / bare for walled, bare in pairs)
    walled, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name:30} {walled:7.1f} us walled {bare:7.1f} us bare  ratio {ratio:.2f}")
    return ratio


async def _slice(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter() - began) / CALLS * 1e6


def _statement(name: str) -> Statement:
    names = {"tenant_id": sa.Text, "key": sa.Text, "size": sa.BigInteger}
    table = sa.table(name, *(sa.column(n, kind) for n, kind in names.items()))
    return Statement(
        sa.select(table.c.size).where(
            table.c.tenant_id == TENANT, table.c.key == sa.bindparam("of", type_=sa.Text)
        )
    )


async def _forms(url: str) -> None:
    """CPU of this process and time per point read, 16 in flight."""
    async with open_postgres(url, Options()) as database:
        walled, bare = _statement("walled"), _statement("open_rows")
        forms: dict[str, Callable[[], Awaitable[Any]]] = {
            "one round trip, bound": lambda: database.first(
                TENANT_ID, walled, tenant=TENANT_ID, of="k054321"
            ),
            "in a transaction, bound": lambda: database.read(
                TENANT_ID, lambda tx: tx.first(walled, tenant=TENANT_ID, of="k054321")
            ),
            "not bound, no walls": lambda: _unbound(database, bare),
        }
        for name, form in forms.items():
            cpu, wall = [], []
            for _ in range(SLICES):
                before, began = time.process_time(), time.perf_counter()
                for _ in range(CALLS // 16):
                    await asyncio.gather(*(form() for _ in range(16)))
                calls = CALLS // 16 * 16
                cpu.append((time.process_time() - before) / calls * 1e6)
                wall.append((time.perf_counter() - began) / calls * 1e6)
            told = f"{statistics.median(cpu):6.1f} us CPU {statistics.median(wall):6.1f} us wall"
            print(f"{name:30} {told}")


async def _unbound(database: PostgresDatabase, statement: Statement) -> Any:
    connection = await database._pool.take()
    try:
        sql = statement.on("postgresql").sql
        return await connection.fetchrow(sql, TENANT_ID, "k054321")
    finally:
        database._pool.give(connection)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
