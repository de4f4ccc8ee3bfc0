"""Secrets of any tenant on a shelf of the database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.ciphers import ciphers
from tests.support.rows import make_file

from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.services.secrets import Secrets
from tause_mcp.services.secrets.sources import Ground, Source
from tause_mcp.services.secrets.sources.rows import RowSource
from tause_mcp.tenancy import TenantId


@dataclass
class Cabinet:
    """A database, and any source's secrets of any tenant."""

    database: Database

    def ground(self, tenant: str) -> Ground:
        named = TenantId(tenant)
        bound = TenantDatabase(self.database, named)
        return Ground(named, bound, lambda: ciphers().cipher(named))

    def of(self, tenant: str = "acme", source: Source | None = None) -> Secrets:
        return Secrets((source or RowSource()).of(self.ground(tenant)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"


@pytest.fixture
async def cabinet(path: Path) -> AsyncIterator[Cabinet]:
    async with open_database(make_file(path)) as database:
        yield Cabinet(database)
