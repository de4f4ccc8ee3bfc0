"""Under row-level security the hot statements still find their rows through an index.

An operator that is not leakproof could not: it would stand in a filter, after every row of the
tenant was read.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from tests.support import postgres

from tause_mcp import idempotency
from tause_mcp.database import Statement, metadata
from tause_mcp.database.postgres import alone, beginning, dsn_of
from tause_mcp.migrations import migrated
from tause_mcp.services.access import tables as access
from tause_mcp.services.audit import tables as audit
from tause_mcp.services.storage import tables as storage
from tause_mcp.services.tenants import tables as tenants
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio


_FEW = ";SET LOCAL enable_seqscan=off;SET LOCAL enable_bitmapscan=off"
"""Some tables of this test are empty: there any other plan would look as good."""
_MANY = "SELECT t, i FROM unnest(ARRAY['ta', 'tab']) AS t, generate_series(1, 2000) AS i"
_ROWS = (
    "INSERT INTO objects (tenant_id, key, size, sha256, etag, content_type, updated_at, blob) "
    f"SELECT t, 'k' || i, 1, '', '', '', 1, 'b' || i FROM ({_MANY}) AS m",
    "INSERT INTO api_keys (tenant_id, id, digest, hint, name, created_by, created_at) "
    f"SELECT t, 'k' || i, '', '', '', '', i FROM ({_MANY}) AS m",
    "INSERT INTO usage (tenant_id, hour, capability, bucket, calls, errors, bytes) "
    f"SELECT t, i, 'storage', 1, 1, 0, 0 FROM ({_MANY}) AS m",
    "INSERT INTO assignments (tenant_id, home, issuer, subject, role, created_by, created_at) "
    f"SELECT t, t, 'i', 's' || i, 'r', '', 1 FROM ({_MANY}) AS m",
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    import asyncio

    postgres.server().create("plans")
    asyncio.run(migrated(Settings.read(postgres.server().settings("plans"))))
    postgres.server().sql(*_ROWS, "ANALYZE", database="plans")
    yield postgres.server().url("plans")


@pytest.fixture
async def bound(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn_of(url))
    await connection.execute(beginning("BEGIN", TenantId("ta"), False) + _FEW)
    yield connection
    await connection.close()


def given(statement: Statement) -> list[Any]:
    """Values of the right types: `tenant` is the bound one."""
    compiled = statement.on("postgresql")
    names = {"tenant": "ta", "child": "ta", **compiled.constants}
    whole = {"now", "before", "after_seq", "since", "until", "count", "most", "first", "last"}
    return [names.get(n, 7 if n in whole else "x") for n in compiled.order]


async def plan(connection: asyncpg.Connection, sql: str, values: list[Any]) -> str:
    return "\n".join(r[0] for r in await connection.fetch(f"EXPLAIN (COSTS OFF) {sql}", *values))


POINTS = {
    "an object": (storage.STAT, "objects_pkey", ["tenant_id", "key"]),
    "a page of objects": (storage.LIST, "objects_pkey", ["tenant_id", "key >", "key <"]),
    "a blob's object": (storage.HOLDS, "objects_blob", ["tenant_id", "blob"]),
    "a key": (access.PROVE_KEY, "api_keys_pkey", ["tenant_id", "id"]),
    "a page of keys": (access.LIST_KEYS, "api_keys_by_time", ["tenant_id"]),
    "an idempotency key": (idempotency.READ, "idempotency_pkey", ["tenant_id", "key"]),
    "usage by hour": (tenants.READ_USAGE, "usage_pkey", ["tenant_id", "hour >", "hour <"]),
    "the end of a chain": (audit.END, "audit_heads_pkey", ["tenant_id"]),
}


@pytest.mark.parametrize("what", POINTS)
async def test_the_index_finds_the_rows_behind_the_wall(
    bound: asyncpg.Connection, what: str
) -> None:
    statement, index, columns = POINTS[what]
    compiled = statement.on("postgresql")
    found = await plan(bound, compiled.sql, given(statement))
    assert "current_setting" in found, "the wall is part of the plan"
    uses = [line for line in found.split("\n") if "Index Cond" in line]
    assert f"using {index} on" in found, found
    assert any(all(column in line for column in columns) for line in uses), found
    assert "Sort" not in found


@pytest.mark.parametrize("what", ["an object", "a key", "an idempotency key"])
async def test_the_one_round_trip_form_uses_it_too(bound: asyncpg.Connection, what: str) -> None:
    statement, index, _ = POINTS[what]
    compiled = statement.on("postgresql")
    found = await plan(bound, alone(compiled), [*given(statement), "ta"])
    assert f"using {index} on" in found and "set_config" in found


async def test_a_principals_grants_are_found_without_reading_every_tenants(url: str) -> None:
    connection = await asyncpg.connect(dsn_of(url))
    await connection.execute(beginning("BEGIN", None, True) + _FEW)
    found = await plan(connection, access.GRANTS.on("postgresql").sql, given(access.GRANTS))
    await connection.close()
    assert "using assignments_by_principal on" in found
    assert "Index Cond: ((home = " in found


def test_every_unique_index_of_a_tenants_table_begins_with_the_tenant() -> None:
    """What a database sharded by tenant asks for, and no key tells of another tenant's."""
    import tause_mcp.platform  # noqa: F401  # imports every table of the house

    for table in metadata.tables.values():
        if "tenant_id" not in table.columns:
            continue
        assert not table.foreign_keys, table.name
        unique = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
        unique += [i for i in table.indexes if i.unique]  # type: ignore[misc]
        for index in (table.primary_key, *unique):
            assert next(iter(index.columns)).name == "tenant_id", (table.name, index.name)
