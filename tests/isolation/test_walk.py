"""A few hundred probes of the walk, over the whole HTTP server in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tause_mcp import log
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.walk import in_process, walk
from tause_mcp.testing.walk_wire import LEGACY, MODERN

pytestmark = pytest.mark.anyio

PROBES = 400
URL = "http://127.0.0.1:8765"
NOT_MADE: set[str] = set()
"""Tools that make something, of which the walk cannot have A make any."""


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    log.configure("error")
    settings = Settings.read({"TAUSE_HOME": str(tmp_path / "home")})
    async with open_platform(settings, public_url=URL) as opened:
        yield opened


async def test_nobody_finds_anything_of_another_tenant(platform: Platform) -> None:
    async with in_process(platform) as http:
        report = await walk(platform, http, most=PROBES, eras=(MODERN, LEGACY))
    assert not report.findings, report
    assert report.bytes == 0 and report.probes >= PROBES
    assert set(report.not_made) == NOT_MADE
    everything = {*platform.catalog.tools, *platform.catalog.prompts}
    assert not everything - report.covered
