"""Migrated databases on both engines with two tenants, and the keys over them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import postgres

from tause_mcp.database import Database, TenantDatabase, Transaction, open_database
from tause_mcp.encryption import TenantKeys, open_masters
from tause_mcp.migrations import database_url, migrated
from tause_mcp.services.tenants import TenantDirectory, tables
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROOT, TenantId

TA, TAB = TenantId("ta"), TenantId("tab")


@dataclass
class Ground:
    """One process's view of an installation."""

    settings: Settings
    database: Database
    directory: TenantDirectory
    keys: TenantKeys

    async def tenant(self, name: str) -> None:
        fresh = {"parent": ROOT, "named": name, "plan": None, "now": 1}
        await self.database.write(
            None, lambda tx: tx.run(tables.INSERT, child=name, **fresh), house=True
        )

    async def mark_deleted(self, name: str) -> None:
        await TenantDatabase(self.database, TenantId(name)).write(
            lambda tx: tx.run(tables.MARK_DELETED, child=name, now=2)
        )

    async def remove(self, name: str) -> None:
        """All of it, and its id is free: it was marked long ago."""
        await self.directory.remove(TenantId(name))
        assert await self.directory.free(TenantId(name), 2)

    async def rows(self, tenant: str) -> list[Any]:
        from tause_mcp.encryption.tables import KEYS

        async def work(tx: Transaction) -> list[Any]:
            return await tx.all(KEYS)

        return await TenantDatabase(self.database, TenantId(tenant)).read(work)


async def view(settings: Settings, database: Database) -> Ground:
    """Another process's view: nothing of what the first one holds."""
    directory = TenantDirectory(database)
    masters = await open_masters(settings, database)
    return Ground(
        settings, database, directory, TenantKeys(database, masters, directory.cached_born)
    )


@pytest.fixture(scope="session")
def keys_server() -> dict[str, str]:
    postgres.server().create("keys")
    return postgres.server().settings("keys")


@pytest.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    stated = {"TAUSE_HOME": str(tmp_path / "home")}
    if request.param == "postgresql":
        stated |= request.getfixturevalue("keys_server")
    made = Settings.read(stated)
    await migrated(made)
    if request.param == "postgresql":
        postgres.server().sql("TRUNCATE tenants, tenant_keys, house_secrets", database="keys")
    return made


@pytest.fixture
async def ground(settings: Settings) -> AsyncIterator[Ground]:
    async with open_database(database_url(settings)) as database:
        made = await view(settings, database)
        await made.directory.ensure_root()
        await made.tenant(TA)
        await made.tenant(TAB)
        yield made
