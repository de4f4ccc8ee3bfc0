"""One small table on both engines; each test begins with none of its rows."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from tests.database.notes import notes
from tests.support import postgres

from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.tenancy import TenantId


@pytest.fixture(scope="session")
def postgres_notes() -> str:
    """A database on the session's server with the table in it; its URL."""
    server = postgres.server()
    url = server.create("notes")
    ddl = str(sa.schema.CreateTable(notes).compile(dialect=postgresql.dialect()))
    server.sql("SET ROLE owner", ddl, database="notes")
    server.protect("notes")
    return url


@pytest.fixture
def sqlite_notes(tmp_path: Path) -> str:
    path = tmp_path / "rows.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    notes.create(engine)
    engine.dispose()
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_notes")
        return
    yield request.getfixturevalue("postgres_notes")
    postgres.server().sql("TRUNCATE notes", database="notes")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with open_database(url) as opened:
        yield opened


@pytest.fixture
def mine(database: Database) -> TenantDatabase:
    return TenantDatabase(database, TenantId("ta"))


@pytest.fixture
def theirs(database: Database) -> TenantDatabase:
    return TenantDatabase(database, TenantId("tab"))
