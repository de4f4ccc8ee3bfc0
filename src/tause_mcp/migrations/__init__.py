"""The schema's history, packaged. Alembic is imported only when a migration is pending.

A new file gets the outcome of all of them at once, from `newest.sql` (`make surface` writes it).
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tause_mcp.database.sqlite import path_of
from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings

HEAD = "0012"
"""The newest revision. A test compares it with the scripts."""

_HERE = Path(__file__).parent
NEWEST = _HERE / "newest.sql"
BETWEEN = "\n--\n"
"""What stands between two statements of it: a trigger has semicolons of its own."""
_LOCK_SECONDS = 60.0
"""How long a process waits for another one's migration."""


def database_url(settings: Settings) -> str:
    """The rows' URL: the setting, or `tause.db` in the home."""
    return settings.database_url or f"sqlite:///{settings.at_home('tause.db')}"


async def migrated(settings: Settings, *, again: bool = False) -> None:
    """Bring the schema to `HEAD`, unless it is there already; on a server, prove that it is safe.

    A migration is one transaction: a process that dies in it leaves the schema as it was. `again`:
    put role, privileges and policies of a server right, even when no migration is pending.

    Raises:
        Misconfigured: the database cannot be reached or changed, was written by a newer version,
            is a server with a migration pending and no admin URL that allows it, or is unsafe.
    """
    url = database_url(settings)
    if url.startswith("sqlite"):
        path = path_of(url)
        if _revision_of_file(path) != HEAD:
            await asyncio.to_thread(_upgrade_file, path)
        return
    try:
        from tause_mcp.migrations.server import migrated_server

        await migrated_server(url, settings.database_admin_url, again=again)
    except ImportError as missing:
        raise Misconfigured(
            f"TAUSE_DATABASE_URL: PostgreSQL needs {missing.name or 'greenlet'!r}: "
            "install the extra `tause-mcp[postgres]`"
        ) from None


def _revision_of_file(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _upgrade_file(path: Path) -> None:
    import sqlalchemy as sa

    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": _LOCK_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def by_hand(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")  # outside any transaction, or it is ignored

    @sa.event.listens_for(engine, "begin")
    def immediately(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with engine.begin() as connection:
            if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                upgrade(connection)
            else:
                make(connection)
    except (OSError, sa.exc.DBAPIError) as error:
        raise failed("TAUSE_DATABASE_URL", error) from None
    finally:
        engine.dispose()


def make(connection: Any) -> None:
    """Give an empty file the schema of `HEAD`."""
    for statement in NEWEST.read_text().split(BETWEEN):
        connection.exec_driver_sql(statement)


def failed(setting: str, error: Exception) -> Misconfigured:
    """One line of what the driver said: no statement, no credentials."""
    said = getattr(error, "orig", None) or error
    text = str(said).splitlines()[0] if str(said) else type(said).__name__
    return Misconfigured(f"{setting}: the schema cannot be migrated: {text[:200]}")


def upgrade(connection: Any) -> None:
    """Run the pending revisions on a connection that is in a transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise Misconfigured(
            f"the database was written by a newer version (this one knows the schema {HEAD}): "
            "install that version, or restore a backup"
        ) from None
