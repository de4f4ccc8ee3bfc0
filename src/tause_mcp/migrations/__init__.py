"""The schema's history, packaged. Alembic is imported only when a migration is pending."""

import asyncio
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from tause_mcp.database.sqlite import path_of
from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings

HEAD = "0003"
"""The newest revision. A test compares it with the scripts."""

_HERE = Path(__file__).parent
_LOCK = 0x7461757365  # "tause": one migration at a time among replicas
_LOCK_SECONDS = 60.0
"""How long a process waits for another one's migration."""
_GRANTS = (
    "USAGE ON SCHEMA public",
    "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
    "USAGE ON ALL SEQUENCES IN SCHEMA public",
)


def database_url(settings: Settings) -> str:
    """The rows' URL: the setting, or `tause.db` in the home."""
    return settings.database_url or f"sqlite:///{settings.at_home('tause.db')}"


async def migrated(settings: Settings) -> None:
    """Bring the schema to `HEAD`, unless it is there already.

    A migration is one transaction: a process that dies in it leaves the schema as it was.

    Raises:
        Misconfigured: the database cannot be reached or changed, was written by a newer version,
            or is a server with a migration pending and no admin URL that allows it.
    """
    url = database_url(settings)
    if url.startswith("sqlite"):
        path = path_of(url)
        if _revision_of_file(path) != HEAD:
            await asyncio.to_thread(_upgrade_file, path)
        return
    try:
        await _migrated_server(url, settings.database_admin_url)
    except ImportError as missing:
        raise Misconfigured(
            f"TAUSE_DATABASE_URL: PostgreSQL needs {missing.name or 'greenlet'!r}: "
            "install the extra `tause-mcp[postgres]`"
        ) from None


async def _migrated_server(url: str, admin: str) -> None:
    if await _revision_of_server(url) == HEAD:
        return
    if not admin:
        raise Misconfigured(
            "a migration is pending: set TAUSE_DATABASE_ADMIN_URL and run `tause-mcp migrate`"
        )
    await _upgrade_server(admin, url)


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
            upgrade(connection)
    except (OSError, sa.exc.DBAPIError) as error:
        raise _failed("TAUSE_DATABASE_URL", error) from None
    finally:
        engine.dispose()


async def _revision_of_server(url: str) -> str | None:
    import asyncpg

    from tause_mcp.database.postgres import dsn_of

    try:
        connection = await asyncpg.connect(dsn_of(url), timeout=10)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Misconfigured(f"TAUSE_DATABASE_URL: {type(error).__name__}: cannot connect") from None
    try:
        row = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    except asyncpg.InsufficientPrivilegeError:
        raise Misconfigured(
            "TAUSE_DATABASE_URL: its role may not read the tables: grant it SELECT, INSERT, UPDATE "
            "and DELETE on them"
        ) from None
    finally:
        await connection.close()
    return None if row is None else str(row)


async def _upgrade_server(admin: str, url: str) -> None:
    """Migrate as the admin role, and let the role of `url` use the tables."""
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    import_module("greenlet")  # SQLAlchemy misses it only in the middle
    try:
        engine = create_async_engine(_with_driver(admin), poolclass=sa.NullPool)
        role = _with_driver(url).username
    except sa.exc.ArgumentError:
        raise Misconfigured("TAUSE_DATABASE_ADMIN_URL: not a URL of PostgreSQL") from None
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(upgrade)
            if role and role != engine.url.username:
                quoted = connection.dialect.identifier_preparer.quote_identifier(role)
                for grant in _GRANTS:
                    await connection.exec_driver_sql(f"GRANT {grant} TO {quoted}")
    except (OSError, sa.exc.SQLAlchemyError) as error:
        raise _failed("TAUSE_DATABASE_ADMIN_URL", error) from None
    finally:
        await engine.dispose()


def _with_driver(url: str) -> Any:
    import sqlalchemy as sa

    return sa.make_url(url).set(drivername="postgresql+asyncpg")


def _failed(setting: str, error: Exception) -> Misconfigured:
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
