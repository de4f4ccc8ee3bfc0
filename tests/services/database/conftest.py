"""A house with two tenants, whose ids begin alike."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tause_mcp.testing.home import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened
