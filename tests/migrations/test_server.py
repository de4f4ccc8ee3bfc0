"""What migrating makes of a PostgreSQL server: role, privileges, walls; and what it says when it cannot."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support import postgres
from tests.support.serving import free_port

from tause_mcp.database.postgres import dsn_of
from tause_mcp.errors import Misconfigured
from tause_mcp.migrations import HEAD, migrated, server
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio
ADMIN = "TAUSE_DATABASE_ADMIN_URL"
URL = "TAUSE_DATABASE_URL"


def fresh(name: str, **changed: str) -> Settings:
    """The settings of an empty database."""
    postgres.server().create(name)
    return Settings.read({**postgres.server().settings(name), **changed})


def query(database: str, sql: str) -> list[str]:
    return postgres.server().sql(sql, database=database).split()


def tables(database: str) -> list[str]:
    return query(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


async def refused(settings: Settings, *, again: bool = False) -> str:
    with pytest.raises(Misconfigured) as caught:
        await migrated(settings, again=again)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def role() -> Iterator[str]:
    """A role that nobody has made yet; it is gone afterwards, with all it was given."""
    yield "fresh"
    server = postgres.server()
    for database in query("postgres", "SELECT datname FROM pg_database WHERE datallowconn"):
        server.sql(
            "DO $$ BEGIN IF to_regrole('fresh') IS NOT NULL THEN DROP OWNED BY fresh; END IF; END $$",
            database=database,
        )
    server.sql("DROP ROLE IF EXISTS fresh")


def as_role(name: str, role: str, password: str = "") -> str:
    at = f"{role}:{password}" if password else role
    return f"postgresql://{at}@127.0.0.1:{postgres.server().port}/{name}"


# --- the role -----------------------------------------------------------------------------------


async def test_an_absent_role_is_made_with_the_least_that_will_do(role: str) -> None:
    settings = fresh("roles", **{URL: as_role("roles", role, "p%20w")})
    await migrated(settings)
    told = query(
        "roles",
        "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit, "
        "rolreplication, left(rolpassword, 14) FROM pg_authid WHERE rolname = 'fresh'",
    )
    assert told == ["t|f|f|f|f|f|f|SCRAM-SHA-256$"]
    del_admin = Settings.read({URL: settings.database_url})
    await migrated(del_admin)


async def test_its_password_is_the_one_in_the_url_and_travels_hashed(role: str) -> None:
    postgres.server().sql("ALTER ROLE owner SET log_statement = 'all'")
    try:
        settings = fresh("scram", **{URL: as_role("scram", role, "canary'pass-w0rd")})
        await migrated(settings)  # this database asks `fresh` for a password
    finally:
        postgres.server().sql("ALTER ROLE owner RESET log_statement")
    assert "CREATE ROLE" in postgres.server().log() and "canary" not in postgres.server().log()
    wrong = Settings.read({URL: as_role("scram", role, "another")})
    assert "password" in (said := await refused(wrong)) and "another" not in said


async def test_a_role_that_is_there_keeps_its_password(role: str) -> None:
    postgres.server().sql("CREATE ROLE fresh LOGIN PASSWORD 'its own'")
    before = query("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'fresh'")
    await migrated(fresh("roles", **{URL: as_role("roles", role, "other")}))
    after = query("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'fresh'")
    assert after == before


async def test_an_admin_who_may_not_make_roles_says_what_to_run(role: str) -> None:
    postgres.server().sql("ALTER ROLE owner NOCREATEROLE")
    try:
        settings = fresh("roles", **{URL: as_role("roles", role, "canary")})
        said = await refused(settings)
        assert 'CREATE ROLE "fresh" LOGIN NOSUPERUSER' in said and "canary" not in said
        assert tables("roles") == []
        postgres.server().sql("CREATE ROLE fresh LOGIN NOINHERIT")
        await migrated(settings)
        assert "tenants" in tables("roles")
    finally:
        postgres.server().sql("ALTER ROLE owner CREATEROLE")


async def test_one_role_for_both_is_refused_before_anything_is_made() -> None:
    both = postgres.server().url("roles", "owner")
    said = await refused(fresh("roles", **{URL: both}))
    assert "role of its own" in said
    assert tables("roles") == []


async def test_a_role_that_owns_the_tables_is_refused_with_advice() -> None:
    await migrated(fresh("roles"))
    said = await refused(Settings.read({URL: postgres.server().url("roles", "owner")}))
    assert "owns tables of tenants" in said or "may create roles" in said
    assert ADMIN in said


async def test_a_database_that_is_not_there_is_one_clear_line() -> None:
    settings = Settings.read(postgres.server().settings("absent"))
    assert "CREATE DATABASE" in await refused(settings)
    assert "CREATE DATABASE" in await refused(Settings.read({URL: settings.database_url}))


# --- privileges and walls -----------------------------------------------------------------------


async def test_the_role_may_use_the_tables_and_owns_none() -> None:
    """Whatever was granted before."""
    settings = fresh("grants")
    await migrated(settings)
    postgres.server().sql("GRANT ALL ON tenants, objects TO app, PUBLIC", database="grants")
    await migrated(settings, again=True)
    asked = "has_table_privilege('app', 'tenants', '{}')"
    for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        assert query("grants", f"SELECT {asked.format(privilege)}") == ["t"]
    for privilege in ("TRUNCATE", "TRIGGER", "REFERENCES"):
        assert query("grants", f"SELECT {asked.format(privilege)}") == ["f"]
    for privilege in ("INSERT", "UPDATE", "DELETE"):
        asked = f"SELECT has_table_privilege('app', 'alembic_version', '{privilege}')"
        assert query("grants", asked) == ["f"], "it reads the revision and cannot say another"
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert query("grants", owners) == ["owner"]
    assert query("grants", "SELECT has_schema_privilege('app', 'public', 'CREATE')") == ["f"]


WALLS = (
    "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, count(p.oid), min(p.oid) "
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
    "LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant_only' "
    "WHERE c.relkind = 'r' GROUP BY 1, 2 ORDER BY 1"
)


async def test_every_table_of_tenants_is_walled_and_so_is_one_that_comes_later() -> None:
    settings = fresh("walls")
    await migrated(settings)
    first = query("walls", WALLS)
    assert len(first) > 15
    assert all("|t|1|" in row for row in first), first
    postgres.server().sql(
        "SET ROLE owner",
        'CREATE TABLE "Plugin\'s" (tenant_id varchar(63), "x" int)',
        "INSERT INTO \"Plugin's\" VALUES ('ta', 1), ('tab', 2)",
        database="walls",
    )
    assert "has no forced row-level security" in await refused(settings)
    await migrated(settings, again=True)
    again = query("walls", WALLS)
    assert set(first) < set(again), "what was right is not made anew"
    assert len(again) == len(first) + 1
    connection = await asyncpg.connect(dsn_of(settings.database_url))
    try:
        await connection.execute("BEGIN; SET LOCAL app.tenant_id = 'ta'")
        assert await connection.fetch('SELECT x FROM "Plugin\'s"') == [(1,)]
    finally:
        await connection.close()


async def test_a_migration_that_moves_data_sees_every_tenants_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = fresh("moving")
    await migrated(settings)
    row = "INSERT INTO roles VALUES ('{}', 'r', '[]', 1)"
    postgres.server().sql(
        row.format("ta"), row.format("tab"), "UPDATE alembic_version SET version_num = '0000'",
        database="moving",
    )  # fmt: skip
    moved = []

    def moving(connection: Any) -> None:
        moved.append(connection.exec_driver_sql("UPDATE roles SET updated_at = 2").rowcount)
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{HEAD}'")

    monkeypatch.setattr(server, "upgrade", moving)
    await migrated(settings)
    assert moved == [2], "the admin is no superuser, and yet sees both"
    assert all("|t|1|" in line for line in query("moving", WALLS))


async def test_a_migration_that_fails_leaves_the_walls_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = fresh("failing")
    await migrated(settings)
    postgres.server().sql("UPDATE alembic_version SET version_num = '0000'", database="failing")

    def failing(connection: Any) -> None:
        connection.exec_driver_sql("DROP TABLE objects")
        connection.exec_driver_sql("SELECT 1 / 0")

    monkeypatch.setattr(server, "upgrade", failing)
    assert "division by zero" in await refused(settings)
    assert "objects" in tables("failing")
    assert all("|t|1|" in line for line in query("failing", WALLS))


async def test_a_table_in_use_is_waited_for_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = fresh("locked")
    await migrated(settings)
    postgres.server().sql("UPDATE alembic_version SET version_num = '0000'", database="locked")
    monkeypatch.setattr(server, "_LOCK_SECONDS", 1)
    connection = await asyncpg.connect(dsn_of(settings.database_url))
    try:
        await connection.execute("BEGIN; SELECT count(*) FROM objects")
        assert "lock timeout" in await asyncio.wait_for(refused(settings), 20)
    finally:
        await connection.close()


# --- URLs ---------------------------------------------------------------------------------------


async def test_a_pending_migration_without_an_admin_refuses_to_start() -> None:
    settings = fresh("pending")
    alone = Settings.read({URL: settings.database_url})
    assert ADMIN in await refused(alone)
    assert tables("pending") == []
    await migrated(settings)
    postgres.server().sql("UPDATE alembic_version SET version_num = '0000'", database="pending")
    assert "a migration is pending" in await refused(alone)


async def test_urls_without_the_driver_are_as_good_and_later_starts_need_no_admin() -> None:
    settings = fresh("nodriver")
    plain = {
        URL: settings.database_url.replace("+asyncpg", ""),
        ADMIN: settings.database_admin_url.replace("+asyncpg", ""),
    }
    await migrated(Settings.read(plain))
    assert query("nodriver", "SELECT version_num FROM alembic_version") == [HEAD]
    del plain[ADMIN]
    await migrated(Settings.read(plain))
    postgres.server().sql("REVOKE ALL ON alembic_version FROM app", database="nodriver")
    assert "run `tause-mcp migrate`" in await refused(Settings.read(plain))


@pytest.mark.parametrize("url", ["postgresql://canary:canarypass@127.0.0.1:{}/x", "postgresql://["])
async def test_a_server_that_does_not_answer_is_one_clear_line(url: str) -> None:
    said = await refused(Settings.read({URL: url.format(free_port())}))
    assert URL in said and "canary" not in said


@pytest.mark.parametrize("admin", ["postgresql://nobody@127.0.0.1:{}/admin", "nonsense", "owner@x"])
async def test_an_admin_that_cannot_connect_is_one_clear_line(admin: str) -> None:
    settings = fresh("pending", **{ADMIN: admin.format(postgres.server().port)})
    assert ADMIN in await refused(settings)
    assert tables("pending") == []


async def test_migrate_and_doctor_say_it_on_the_command_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from tause_mcp.cli import app

    settings = fresh("shell")
    environ = {"TAUSE_HOME": str(tmp_path), "TAUSE_STORAGE_URL": "memory://"}
    environ |= postgres.server().settings("shell")
    assert settings.database_admin_url == environ[ADMIN]

    def run(command: str) -> str:
        return CliRunner().invoke(app, [command], env=environ).output

    done = await asyncio.to_thread(run, "migrate")
    assert f"the schema is at {HEAD}" in done
    assert "row-level security holds" in await asyncio.to_thread(run, "doctor")
    postgres.server().sql(
        "ALTER TABLE objects NO FORCE ROW LEVEL SECURITY",
        "GRANT TRUNCATE ON roles TO PUBLIC",
        database="shell",
    )
    said = await asyncio.to_thread(run, "doctor")
    assert "FAIL  database: the table objects has no forced row-level security" in said
    assert "FAIL  database: its role may TRUNCATE" in said
    assert await asyncio.to_thread(run, "migrate")
    assert "row-level security holds" in await asyncio.to_thread(run, "doctor")
