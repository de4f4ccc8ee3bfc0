"""A house in this process, and two tenants in it that cannot know of each other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.backends import named

from tause_mcp import log
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings

URL = "http://127.0.0.1:8765"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    log.configure("error")
    settings = Settings.read(named(tmp_path / "home"))
    async with open_platform(settings, public_url=URL) as opened:
        yield opened
