"""Migrations of a PostgreSQL server: role, schema, privileges and walls, in one transaction."""

from importlib import import_module
from typing import Any

from tause_mcp.database import protection, role, safety
from tause_mcp.errors import Misconfigured
from tause_mcp.migrations import HEAD, failed, upgrade

_LOCK = 0x7461757365  # "tause": one migration at a time among replicas
_NO_DATABASE = (
    "the database does not exist: make it with CREATE DATABASE, owned by the admin's role"
)
_LOCK_SECONDS = 60
"""How long a migration waits for the transactions that use a table which it changes."""


async def migrated_server(url: str, admin: str, *, again: bool) -> None:
    """See `migrations.migrated`."""
    known = await (_revision_or_none(url) if admin else revision(url))
    if known != HEAD and not admin:
        raise Misconfigured(
            "a migration is pending: set TAUSE_DATABASE_ADMIN_URL and run `tause-mcp migrate`"
        )
    if admin and (again or known != HEAD):
        await _upgrade(admin, url)
    await _require_safe(url)


async def _revision_or_none(url: str) -> str | None:
    """The revision; None also while the role is still to be made or to be let in."""
    try:
        return await revision(url)
    except Misconfigured:
        return None


async def revision(url: str) -> str | None:
    """What the schema is at, as the application's role reads it; None: nothing is there.

    Raises:
        Misconfigured: it cannot connect, or may not read it.
    """
    import asyncpg

    try:
        async with safety.examined(url) as connection:
            row = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    except asyncpg.InsufficientPrivilegeError:
        raise Misconfigured(
            "TAUSE_DATABASE_URL: its role may not read the tables: run `tause-mcp migrate` with "
            "TAUSE_DATABASE_ADMIN_URL"
        ) from None
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _cannot_connect(error) from None
    return None if row is None else str(row)


def _cannot_connect(error: Exception) -> Misconfigured:
    import asyncpg

    why = f"{type(error).__name__}: cannot connect"
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        why = (
            "its role cannot log in: look at the password, or let `tause-mcp migrate` with "
            "TAUSE_DATABASE_ADMIN_URL make the role"
        )
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        why = _NO_DATABASE
    return Misconfigured(f"TAUSE_DATABASE_URL: {why}")


async def found_at(url: str) -> list[safety.Danger]:
    """What is unsafe about the role and the database of a URL.

    Raises:
        Misconfigured: it cannot connect.
    """
    import asyncpg

    try:
        async with safety.examined(url) as connection:
            return await safety.dangers(connection)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _cannot_connect(error) from None


async def _require_safe(url: str) -> None:
    found = await found_at(url)
    if found:
        more = f" ({len(found) - 1} more: run `tause-mcp doctor`)" if found[1:] else ""
        raise Misconfigured(f"TAUSE_DATABASE_URL: unsafe: {found[0]}{more}")


async def _upgrade(admin: str, url: str) -> None:
    """Migrate as the admin, then let the role of `url` use the tables and see its tenant's rows."""
    import asyncpg
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    import_module("greenlet")  # SQLAlchemy misses it only in the middle
    app = _with_driver("TAUSE_DATABASE_URL", url)
    engine = create_async_engine(
        _with_driver("TAUSE_DATABASE_ADMIN_URL", admin), poolclass=sa.NullPool
    )
    if not app.username or app.username == engine.url.username:
        raise Misconfigured(
            "TAUSE_DATABASE_URL: name a role of its own, other than the admin's: migrating makes it"
        )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_whole, app.username, app.password)
    except (OSError, sa.exc.SQLAlchemyError) as error:
        if _state(error) == asyncpg.InvalidCatalogNameError.sqlstate:
            raise Misconfigured(f"TAUSE_DATABASE_ADMIN_URL: {_NO_DATABASE}") from None
        raise failed("TAUSE_DATABASE_ADMIN_URL", error) from None
    finally:
        await engine.dispose()


def _state(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _whole(connection: Any, name: str, password: str | None) -> None:
    """All of it, or nothing of it."""
    run = connection.exec_driver_sql
    run(f"SELECT pg_advisory_xact_lock({_LOCK})")
    run(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
    role.ensure_role(run, name, password)
    if _pending(run):
        protection.lift(run)
        upgrade(connection)
    protection.protect(run)
    role.grant(run, name)


def _pending(run: protection.Run) -> bool:
    """Whether another replica has not done it while this one waited."""
    if run("SELECT to_regclass('alembic_version') IS NULL").scalar():
        return True
    return bool(run("SELECT version_num FROM alembic_version").scalar() != HEAD)


def _with_driver(setting: str, url: str) -> Any:
    import sqlalchemy as sa

    try:
        return sa.make_url(url).set(drivername="postgresql+asyncpg")
    except (sa.exc.ArgumentError, ValueError):
        raise Misconfigured(f"{setting}: not a URL of PostgreSQL") from None
