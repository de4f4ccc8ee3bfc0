"""The whole house on both engines: on PostgreSQL one migrated database, emptied for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import postgres

from tause_mcp.testing.home import House, house

ENGINES = ("sqlite", "postgresql")
DATABASE = "engines"


@cache
def server_settings() -> dict[str, str]:
    """Settings of a database on the session's server, migrated when the first house opens."""
    url = postgres.server().create(DATABASE)
    admin = postgres.server().url(DATABASE, "owner")
    return {"TAUSE_DATABASE_URL": url, "TAUSE_DATABASE_ADMIN_URL": admin}


def superuser(*statements: str) -> str:
    """What somebody with the server itself sees or does."""
    return postgres.server().sql(*statements, database=DATABASE)


def emptied() -> None:
    """Remove what the former test made; the schema stays."""
    found = superuser("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split()
    if tables := ", ".join(name for name in found if name != "alembic_version"):
        superuser(f"TRUNCATE {tables}")


def settings_of(engine: str) -> dict[str, str]:
    """The settings of an empty database of this engine."""
    if engine == "sqlite":
        return {}
    settings = server_settings()
    emptied()
    return settings


@asynccontextmanager
async def house_on(engine: str, home: Path, **settings: Any) -> AsyncIterator[House]:
    """A house with tenants `ta` and `tab`, over an empty database."""
    async with house(home, **settings_of(engine), **settings) as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened
