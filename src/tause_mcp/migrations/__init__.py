"""The schema's history, packaged. Alembic is imported only when a migration is pending."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tause_mcp.database.sqlite import path_of
from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings

HEAD = "0001"
"""The newest revision. A test compares it with the scripts."""

_HERE = Path(__file__).parent
_LOCK = 0x7461757365  # "tause": one migration at a time among replicas


def database_url(settings: Settings) -> str:
    """The rows' URL: the setting, or `tause.db` in the home."""
    return settings.database_url or f"sqlite:///{settings.at_home('tause.db')}"


async def migrated(settings: Settings) -> None:
    """Bring the schema to `HEAD`, unless it is there already.

    Raises:
        Misconfigured: a migration is pending on a server, and no admin URL allows it.
    """
    url = database_url(settings)
    if url.startswith("sqlite"):
        path = path_of(url)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _revision_of_file(path) != HEAD:
            await asyncio.to_thread(_upgrade_file, path)
        return
    if await _revision_of_server(url) != HEAD:
        admin = settings.database_admin_url
        if not admin:
            raise Misconfigured(
                "a migration is pending: set TAUSE_DATABASE_ADMIN_URL or run `tause-mcp migrate`"
            )
        await _upgrade_server(admin)


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

    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def by_hand(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")  # outside any transaction, or it is ignored

    @sa.event.listens_for(engine, "begin")
    def immediately(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()


async def _revision_of_server(url: str) -> str | None:
    import asyncpg

    from tause_mcp.database.postgres import dsn_of

    try:
        connection = await asyncpg.connect(dsn_of(url), timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        raise Misconfigured(f"TAUSE_DATABASE_URL: {type(error).__name__}: cannot connect") from None
    try:
        row = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
    return None if row is None else str(row)


async def _upgrade_server(url: str) -> None:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=sa.NullPool)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def upgrade(connection: Any) -> None:
    """Run the pending revisions on a connection that is in a transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
