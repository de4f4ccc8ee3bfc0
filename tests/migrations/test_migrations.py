"""The schema arrives whole or not at all, once, whoever starts at the same time."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support import postgres

from tause_mcp import migrations
from tause_mcp.database.sqlite import path_of
from tause_mcp.errors import Misconfigured
from tause_mcp.migrations import HEAD, database_url, migrated
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


@dataclass
class Place:
    """An empty database, and its settings as an environment."""

    environ: dict[str, str]
    query: Callable[[str], list[str]]
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.read(self.environ)

    def child(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """A Python process that has these settings and nothing else of ours."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TAUSE_")}
        found = os.pathsep.join([str(ROOT / "src"), str(ROOT), environment.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**environment, **self.environ, "PYTHONPATH": found},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.children.append(process)
        return process

    def end(self) -> None:
        for process in self.children:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def revision(self) -> list[str]:
        return self.query("SELECT version_num FROM alembic_version")


def at_file(path: Path) -> Place:
    def query(sql: str) -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            return [str(row[0]) for row in connection.execute(sql)]

    return Place({"TAUSE_DATABASE_URL": f"sqlite:///{path}"}, query)


def at_server(name: str) -> Place:
    postgres.server().create(name)

    def query(sql: str) -> list[str]:
        return postgres.server().sql(sql, database=name).split()

    return Place(postgres.server().settings(name), query)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = at_file(tmp_path / "rows.db") if request.param == "sqlite" else at_server("migrations")
    yield made
    made.end()


TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}


def tables(place: Place) -> set[str]:
    return set(place.query(TABLES[place.settings.database_url.partition(":")[0].split("+")[0]]))


# --- what the scripts say -----------------------------------------------------------------------


def test_head_is_the_newest_script() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_the_migrated_schema_is_the_one_in_the_code(place: Place) -> None:
    """Else a new installation and the statements would not fit."""
    import tause_mcp.platform  # imports every table of the house
    import tause_mcp.services.payments  # noqa: F401
    from tause_mcp.catalog import built_in
    from tause_mcp.database import metadata

    built_in()

    await migrated(place.settings)
    url = place.settings.database_url
    if url.startswith("sqlite"):
        assert _differences(sa.create_engine(url), metadata) == []
        return
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=sa.NullPool)
    async with engine.connect() as connection:
        assert await connection.run_sync(_compared, metadata) == []
    await engine.dispose()


def _differences(engine: sa.Engine, metadata: sa.MetaData) -> list[object]:
    with engine.connect() as connection:
        found = _compared(connection, metadata)
    engine.dispose()
    return found


def _compared(connection: sa.Connection, metadata: sa.MetaData) -> list[object]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_every_table_of_a_tenant_has_the_tenant_first_in_its_key() -> None:
    import tause_mcp.platform  # imports every table of the house
    import tause_mcp.services.payments  # noqa: F401
    from tause_mcp.catalog import built_in
    from tause_mcp.database import metadata

    built_in()

    for table in metadata.tables.values():
        if "tenant_id" in table.columns:
            assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name


# --- once, and only once ------------------------------------------------------------------------


async def test_an_empty_database_is_brought_to_head(place: Place) -> None:
    await migrated(place.settings)
    assert place.revision() == [HEAD]
    assert {"tenants", "approvals", "idempotency"} <= tables(place)
    await migrated(place.settings)
    assert place.revision() == [HEAD]


_MIGRATE = """
import asyncio, sys
from tause_mcp.migrations import migrated
from tause_mcp.settings import Settings

asyncio.run(migrated(Settings.read()))
print("alembic" in sys.modules, "sqlalchemy.ext.asyncio" in sys.modules)
"""


async def test_a_new_file_is_made_without_alembic(tmp_path: Path) -> None:
    first = at_file(tmp_path / "rows.db").child(_MIGRATE)
    out, _ = await asyncio.to_thread(first.communicate, timeout=60)
    assert (first.returncode, out.split()) == (0, ["False", "False"]), out


async def test_a_second_start_does_not_even_import_alembic(place: Place) -> None:
    await migrated(place.settings)
    again = place.child(_MIGRATE)
    out, _ = await asyncio.to_thread(again.communicate, timeout=60)
    assert (again.returncode, out.split()) == (0, ["False", "False"]), out


_RACE = """
import asyncio, sys
import alembic.command, sqlalchemy.ext.asyncio
from tause_mcp import migrations
from tause_mcp.migrations import server
from tause_mcp.settings import Settings

revision = migrations._revision_of_file, server.revision

def meet():
    print("pending", flush=True)
    sys.stdin.readline()

def of_file(path):
    found = revision[0](path)
    meet()
    return found

async def of_server(url):
    try:
        return await revision[1](url)
    finally:  # also where the role is still to be made
        meet()

migrations._revision_of_file, server.revision = of_file, of_server
asyncio.run(migrations.migrated(Settings.read()))
"""


async def test_three_processes_that_all_see_a_pending_migration_do_it_once(place: Place) -> None:
    started = [place.child(_RACE) for _ in range(3)]
    for process in started:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "pending\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        out, _ = await asyncio.to_thread(process.communicate, timeout=90)
        assert process.returncode == 0, out
    assert place.revision() == [HEAD]
    assert "tenants" in tables(place)


_HALF = """
import asyncio, sys, time
import sqlalchemy as sa
from tause_mcp.migrations import migrated
from tause_mcp.settings import Settings

seen = 0

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def stop(connection, cursor, statement, *_):
    global seen
    seen += statement.lstrip().startswith("CREATE TABLE")
    if seen == 5:
        print("half", flush=True)
        time.sleep(600)

asyncio.run(migrated(Settings.read()))
"""


async def test_a_migration_killed_half_way_leaves_nothing_and_is_done_again(place: Place) -> None:
    process = place.child(_HALF)
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    assert line == "half\n", line + process.stdout.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    await migrated(place.settings)
    assert place.revision() == [HEAD]
    assert {"tenants", "approvals", "idempotency"} <= tables(place)


async def test_a_newer_schema_is_refused_and_left_alone(place: Place) -> None:
    await migrated(place.settings)
    place.query("SELECT 1")
    newer = "UPDATE alembic_version SET version_num = '9999'"
    if place.settings.database_admin_url:
        place.query(newer)
    else:
        with closing(sqlite3.connect(path_of(place.settings.database_url))) as connection:
            connection.execute(newer)
            connection.commit()
    with pytest.raises(Misconfigured, match="newer version") as refused:
        await migrated(place.settings)
    assert "\n" not in str(refused.value)
    assert place.revision() == ["9999"]


# --- files --------------------------------------------------------------------------------------


def test_the_default_is_a_file_in_the_home(tmp_path: Path) -> None:
    settings = Settings.read({"TAUSE_HOME": str(tmp_path)})
    assert database_url(settings) == f"sqlite:///{tmp_path}/tause.db"


@pytest.mark.parametrize("name", ["a b%41?x=1#ñ.db", "100%.db"])
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    place = at_file(tmp_path / "in here" / name)
    await migrated(place.settings)
    assert [p.name for p in (tmp_path / "in here").iterdir()] == [name]
    assert place.revision() == [HEAD]


async def test_the_folder_is_its_owners_only(tmp_path: Path) -> None:
    await migrated(at_file(tmp_path / "home" / "rows.db").settings)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content", [b"no database at all " * 500, b"SQLite format 3\0" + b"x" * 5000]
)
async def test_a_file_that_is_no_database_is_one_clear_line_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "rows.db"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="TAUSE_DATABASE_URL") as refused:
        await migrated(at_file(path).settings)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("at", ["/proc/rows.db", "/proc/home/rows.db"])
async def test_a_place_where_nobody_may_write_is_one_clear_line(at: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_DATABASE_URL"):
        await migrated(at_file(Path(at)).settings)


async def test_a_file_locked_for_too_long_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_LOCK_SECONDS", 0.1)
    path = tmp_path / "rows.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Misconfigured, match="locked"):
            await migrated(at_file(path).settings)
    await migrated(at_file(path).settings)
