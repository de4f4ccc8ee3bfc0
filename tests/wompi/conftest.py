"""A sandbox of Wompi, served; and what a merchant's program does with it.

The contract tests run on the double. They run on Wompi's own sandbox too when
`TAUSE_WOMPI_SANDBOX` is its base URL and the `WOMPI_*` keys of a test account are set.
"""

import os
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.wompi.endpoint import Endpoint
from tests.wompi.receiver import Receiver, receiving

from tause_mcp.testing.wompi import Sandbox, Served, running

# Read at import: the settings of whoever runs the tests are gone once a test begins.
REAL = os.environ.get("TAUSE_WOMPI_SANDBOX", "")
KEYS = [
    os.environ.get(f"WOMPI_{name}", "")
    for name in ("PUBLIC_KEY", "PRIVATE_KEY", "INTEGRITY_SECRET")
]


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def served(sandbox: Sandbox) -> AsyncIterator[Served]:
    async with running(sandbox) as served:
        yield served


@pytest.fixture
async def wompi(sandbox: Sandbox, served: Served) -> AsyncIterator[Endpoint]:
    """The double, as an endpoint."""
    async with Endpoint.of(sandbox, served) as endpoint:
        yield endpoint


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A merchant's webhook."""
    async with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module", params=["double", *(["sandbox"] if REAL else [])])
async def any_wompi(request: pytest.FixtureRequest) -> AsyncIterator[Endpoint]:
    """The double, and Wompi's own sandbox when there is one to ask."""
    if request.param == "double":
        sandbox = Sandbox(resolve_after="polls:1", pse_url_stage=False)
        async with running(sandbox) as served, Endpoint.of(sandbox, served) as endpoint:
            yield endpoint
        return
    assert all(KEYS), "TAUSE_WOMPI_SANDBOX needs WOMPI_PUBLIC_KEY, _PRIVATE_KEY, _INTEGRITY_SECRET"
    assert not any("prod" in key for key in KEYS), "test keys only"
    async with httpx2.AsyncClient(base_url=REAL, timeout=30) as http:
        yield Endpoint(REAL, *KEYS, http=http, patience=2.0)
