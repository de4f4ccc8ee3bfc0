"""The self-check refuses each thing that would let the role past the walls, and nothing else."""

from collections.abc import Iterator

import pytest
from tests.support import postgres

from tause_mcp.database.safety import dangers, examined
from tause_mcp.errors import Misconfigured
from tause_mcp.migrations import migrated
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio
NAME = "safety"
URL = "TAUSE_DATABASE_URL"


@pytest.fixture(scope="module")
def safe() -> Iterator[Settings]:
    """A migrated database and the role `careful`, whom each test makes careless for a while."""
    server = postgres.server()
    server.create(NAME)
    url = server.url(NAME, "careful")
    backends = server.settings(NAME) | {URL: url}
    import asyncio

    asyncio.run(migrated(Settings.read(backends)))
    yield Settings.read({URL: url})
    server.sql("DROP OWNED BY careful", database=NAME)
    server.sql("DROP ROLE careful")


UNSAFE = {
    "ALTER ROLE careful SUPERUSER": ("ALTER ROLE careful NOSUPERUSER", "is a superuser"),
    "ALTER ROLE careful BYPASSRLS": ("ALTER ROLE careful NOBYPASSRLS", "may bypass"),
    "ALTER ROLE careful CREATEROLE": ("ALTER ROLE careful NOCREATEROLE", "may create roles"),
    "ALTER ROLE careful CREATEDB": ("ALTER ROLE careful NOCREATEDB", "may create databases"),
    "ALTER ROLE careful REPLICATION": ("ALTER ROLE careful NOREPLICATION", "may replicate"),
    "ALTER TABLE roles OWNER TO careful": (
        "ALTER TABLE roles OWNER TO owner; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON roles TO careful",
        r"owns tables of tenants \(roles\)",
    ),
    "GRANT owner TO careful": ("REVOKE owner FROM careful", "its role owns tables of tenants"),
    "GRANT pg_read_server_files TO careful": (
        "REVOKE pg_read_server_files FROM careful",
        "member of 'pg_read_server_files'",
    ),
    "GRANT TRUNCATE ON objects TO careful": (
        "REVOKE TRUNCATE ON objects FROM careful",
        r"may TRUNCATE tables of tenants \(objects\)",
    ),
    "GRANT TRUNCATE ON objects TO PUBLIC": ("REVOKE TRUNCATE ON objects FROM PUBLIC", "TRUNCATE"),
    "GRANT TRIGGER ON objects TO careful": ("REVOKE TRIGGER ON objects FROM careful", "TRIGGER"),
    "GRANT REFERENCES ON objects TO careful": (
        "REVOKE REFERENCES ON objects FROM careful",
        "REFERENCES",
    ),
    "GRANT CREATE ON SCHEMA public TO PUBLIC": (
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "may create objects in the schema public",
    ),
    "ALTER TABLE objects DISABLE ROW LEVEL SECURITY": (
        "ALTER TABLE objects ENABLE ROW LEVEL SECURITY",
        "the table objects has no forced row-level security",
    ),
    "ALTER TABLE objects NO FORCE ROW LEVEL SECURITY": (
        "ALTER TABLE objects FORCE ROW LEVEL SECURITY",
        "the table objects has no forced row-level security",
    ),
    "CREATE TABLE later (tenant_id text)": ("DROP TABLE later", "the table later has no forced"),
    "CREATE SCHEMA other; CREATE TABLE other.later (tenant_id text)": (
        "DROP SCHEMA other CASCADE",
        "the table other.later has no forced",
    ),
    "ALTER POLICY tenant_only ON objects USING (true)": (
        "ALTER POLICY tenant_only ON objects USING "
        "(tenant_id = NULLIF(current_setting('app.tenant_id', true), ''))",
        "the policy tenant_only on objects is missing or altered",
    ),
    "ALTER POLICY tenant_only ON objects WITH CHECK (true)": (
        "ALTER POLICY tenant_only ON objects WITH CHECK "
        "(tenant_id = NULLIF(current_setting('app.tenant_id', true), ''))",
        "the policy tenant_only on objects is missing or altered",
    ),
    "ALTER POLICY house_select ON uploads USING (true)": (
        "ALTER POLICY house_select ON uploads USING (current_setting('app.house', true) = 'on' "
        "AND expires_at <= (EXTRACT(epoch FROM now()) * 1000000)::bigint)",
        "the policy house_select on uploads is missing or altered",
    ),
    "CREATE POLICY more ON objects USING (true)": (
        "DROP POLICY more ON objects",
        "the policy more on objects widens",
    ),
    "CREATE POLICY house_select ON objects USING (current_setting('app.house', true) = 'on')": (
        "DROP POLICY house_select ON objects",
        "the policy house_select on objects widens",
    ),
    "CREATE VIEW v AS SELECT * FROM objects; GRANT SELECT ON v TO careful": (
        "DROP VIEW v",
        "the view v reads tables of tenants with its owner's rights",
    ),
    "CREATE VIEW v AS SELECT * FROM objects; CREATE VIEW w AS SELECT * FROM v; "
    "GRANT SELECT ON w TO careful": ("DROP VIEW w; DROP VIEW v", "the view w reads"),
    "CREATE MATERIALIZED VIEW m AS SELECT * FROM objects; GRANT SELECT ON m TO PUBLIC": (
        "DROP MATERIALIZED VIEW m",
        "the materialized view m keeps rows of all tenants",
    ),
    "CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'; "
    "GRANT EXECUTE ON FUNCTION f() TO careful": (
        "DROP FUNCTION f()",
        r"the function f\(\) runs with its owner's rights and no fixed search_path",
    ),
}


@pytest.mark.parametrize("careless", UNSAFE)
async def test_what_opens_the_walls_refuses_to_start(safe: Settings, careless: str) -> None:
    mended, told = UNSAFE[careless]
    try:
        postgres.server().sql(careless, database=NAME)
        with pytest.raises(Misconfigured, match=f"unsafe: .*{told}") as refused:
            await migrated(safe)
        assert "\n" not in str(refused.value)
        async with examined(safe.database_url) as connection:
            assert all(danger.advice for danger in await dangers(connection))
    finally:
        postgres.server().sql(mended, database=NAME)
    await migrated(safe)


@pytest.mark.parametrize(
    ("harmless", "undone"),
    [
        (
            "CREATE POLICY less ON objects AS RESTRICTIVE USING (size < 10)",
            "DROP POLICY less ON objects",
        ),
        ("CREATE POLICY theirs ON objects TO owner USING (true)", "DROP POLICY theirs ON objects"),
        (
            "CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM objects; "
            "GRANT SELECT ON v TO careful",
            "DROP VIEW v",
        ),
        ("CREATE VIEW v AS SELECT * FROM objects", "DROP VIEW v"),
        (
            "CREATE FUNCTION f() RETURNS int SECURITY DEFINER SET search_path = pg_catalog "
            "LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f() TO careful",
            "DROP FUNCTION f()",
        ),
        ("CREATE TABLE of_nobody (id int)", "DROP TABLE of_nobody"),
    ],
    ids=["narrowing policy", "owner's policy", "invoker", "unread view", "fixed path", "no tenant"],
)
async def test_what_opens_nothing_is_let_be(safe: Settings, harmless: str, undone: str) -> None:
    postgres.server().sql(harmless, database=NAME)
    try:
        await migrated(safe)
    finally:
        postgres.server().sql(undone, database=NAME)


async def test_several_findings_are_counted_and_all_are_told(safe: Settings) -> None:
    postgres.server().sql(
        "ALTER ROLE careful BYPASSRLS CREATEDB",
        "GRANT TRUNCATE ON objects TO PUBLIC",
        database=NAME,
    )
    try:
        with pytest.raises(Misconfigured, match=r"\(2 more: run `tause-mcp doctor`\)"):
            await migrated(safe)
        async with examined(safe.database_url) as connection:
            assert len(await dangers(connection)) == 3
    finally:
        postgres.server().sql(
            "ALTER ROLE careful NOBYPASSRLS NOCREATEDB",
            "REVOKE TRUNCATE ON objects FROM PUBLIC",
            database=NAME,
        )
    await migrated(safe)
