"""Frames over rows and blobs in a small world; processes that end with their test."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support.ciphers import ciphers
from tests.support.objects import World, opened_world

from tause_mcp.database import TenantDatabase
from tause_mcp.services.dataframes import Engine, Frames, worker
from tause_mcp.tenancy import TenantId


@dataclass
class Shop:
    """Frames of any tenant."""

    world: World
    engine: Engine

    def frames(self, tenant: str = "acme", **options: Any) -> Frames:
        database = TenantDatabase(self.world.database, TenantId(tenant))
        storage = self.world.storage(tenant, **options)
        return Frames(database, storage, self.engine, lambda: ciphers().cipher(TenantId(tenant)))

    async def rows(self, sql: str, tenant: str = "acme") -> list[dict[str, Any]]:
        answer = await self.frames(tenant).query(sql, lambda name: True)
        found: list[dict[str, Any]] = answer["rows"]
        return found


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine()
    yield made
    await made.close()


class Here(Engine):
    """The worker's own work in this process: starting another takes longer than most tests."""

    async def _worked(
        self, tenant: TenantId, job: Mapping[str, Any], bodies: Sequence[bytes]
    ) -> tuple[Any, bytes]:
        await anyio.sleep(0)
        told, body = worker.answered(dict(job), list(bodies))
        return json.loads(json.dumps(told)), body


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened_world(tmp_path / "shop") as world:
        yield Shop(world, Here())
