"""Rows and blobs in a small world of their own, below any server: quick to import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.support import backends
from tests.support.ciphers import ciphers
from tests.support.rows import make_file

from tause_mcp.database import TENANT, Database, Statement, TenantDatabase, open_database
from tause_mcp.services.storage import Blobs, ObjectStore, Storage, Sweep, Uploads, open_store
from tause_mcp.services.storage.tables import uploads
from tause_mcp.supervision import Aside
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

_AGE = Statement(sa.update(uploads).where(uploads.c.tenant_id == TENANT).values(expires_at=1))


class World:
    """Rows in a fresh SQLite file, blobs in a store, and services of any tenant over both."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self.database = database
        self.store = store
        self.sweep = Sweep(database, store)
        self.aside = Aside()
        self.changed: list[tuple[str, str]] = []

    def storage(
        self, tenant: str = "acme", *, limit: int | None = None, most: int = 1 << 30
    ) -> Storage:
        def bound() -> TenantDatabase:
            return TenantDatabase(self.database, TenantId(tenant))

        return Storage(
            bound(),
            Blobs(bound(), self.store, lambda: ciphers().cipher(TenantId(tenant)), self.aside),
            limit=lambda: limit,
            max_object=most,
            changed=lambda key: self.changed.append((tenant, key)),
            link=lambda key: f"link:{key}",
        )

    def uploads(self, tenant: str = "acme", **options: Any) -> Uploads:
        storage = self.storage(tenant, **options)
        return Uploads(TenantDatabase(self.database, TenantId(tenant)), storage, storage.blobs)

    async def blobs(self) -> dict[str, int]:
        return {blob.name: blob.size async for blob in self.store.names()}

    async def swept(self) -> dict[str, int]:
        """What blobs remain once everything that is planned has been carried out."""
        await self.sweep.empty(now() + 10**12)
        return await self.blobs()

    async def age_uploads(self, tenant: str = "acme") -> None:
        """Every upload of the tenant that is under way has run out of time."""
        await TenantDatabase(self.database, TenantId(tenant)).write(lambda tx: tx.run(_AGE))


@asynccontextmanager
async def opened_world(folder: Path) -> AsyncIterator[World]:
    """A world on files in `folder`; opening it again finds what was there."""
    async with opened_at(*urls_of(folder)) as world:
        yield world


def urls_of(folder: Path) -> tuple[str, str]:
    """Where the world of `folder` keeps rows and blobs: what another process opens it by."""
    folder.mkdir(exist_ok=True)
    return make_file(folder / "rows.db"), backends.objects_url(folder / "objects")


@asynccontextmanager
async def opened_at(rows: str, objects: str) -> AsyncIterator[World]:
    async with open_database(rows) as database, open_store(objects) as store:
        world = World(database, store)
        try:
            yield world
        finally:
            await world.aside.settled()
