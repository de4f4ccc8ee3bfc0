"""A house of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.tenants import House, open_house


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"


@pytest.fixture
async def house(path: Path) -> AsyncIterator[House]:
    async with open_house(path) as opened:
        yield opened
