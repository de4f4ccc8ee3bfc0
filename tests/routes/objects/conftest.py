"""A house with storage, and a client of its HTTP side."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.support.storage import House, opened_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path / "house") as opened:
        yield opened


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.http() as client:
        yield client
