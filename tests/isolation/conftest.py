"""A house in this process, and two tenants in it that cannot know of each other."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import shop
from tests.support.backends import named

from tause_mcp import log
from tause_mcp.catalog import Catalog, load
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.walk import Prepare
from tause_mcp.testing.wompi import Sandbox, Served, running

URL = "http://127.0.0.1:8765"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(resolve_after="polls:1")


@pytest.fixture
async def served(sandbox: Sandbox) -> AsyncIterator[Served]:
    """A local Wompi, so that payments are made for real."""
    async with running(sandbox) as served:
        yield served


def _still(catalog: Catalog) -> Catalog:
    """Without what payments and payouts do by themselves: what changes was changed by somebody."""
    quiet = (
        replace(c, background=None) if c.name in ("payments", "payouts") else c
        for c in catalog.capabilities
    )
    return replace(catalog, capabilities=tuple(quiet))


@pytest.fixture
async def platform(tmp_path: Path, sandbox: Sandbox, served: Served) -> AsyncIterator[Platform]:
    log.configure("error")
    told = {**named(tmp_path / "home"), **shop.settings(sandbox, served)}
    settings = Settings.read(told)
    async with open_platform(settings, public_url=URL, catalog=_still(load())) as opened:
        yield opened


@pytest.fixture
def prepare(platform: Platform, sandbox: Sandbox, served: Served) -> Prepare:
    return shop.stocked(platform, sandbox, served)
