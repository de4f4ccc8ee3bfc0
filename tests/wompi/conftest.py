"""A sandbox of Wompi, served; and what a merchant's program does with it."""

from collections.abc import AsyncIterator

import pytest
from tests.wompi.endpoint import Endpoint

from tause_mcp.testing.wompi import Sandbox, running


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def served(sandbox: Sandbox) -> AsyncIterator[Endpoint]:
    """The double, as an endpoint."""
    async with running(sandbox) as served:
        async with Endpoint.of(sandbox, served) as endpoint:
            yield endpoint
