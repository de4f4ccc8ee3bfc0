"""An export that is too large for an answer is a file of the tenant, which verifies offline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tause_mcp.errors import NotFound, QuotaExceeded
from tause_mcp.services.audit import verify_lines
from tause_mcp.services.storage import Storage
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        for tenant in ("ta", "tab"):
            await opened.tenant(tenant)
        for number in range(60):
            await opened.call("storage_put", {"key": "k", "content": str(number)}, "ta")
        yield opened


async def content(home: House, key: str) -> bytes:
    operation = home.platform.catalog.tools["storage_get"]
    storage = home.platform.binding(home.caller("ta"), operation).service(Storage)
    return await (await storage.open(key)).whole()


async def test_a_large_export_is_a_file_that_verifies(home: House) -> None:
    told = await home.call("audit_export", {}, "ta")
    assert (told["records"], told["first_seq"], told["last_seq"]) == (60, 1, 60)
    assert "content" not in told and told["url"].startswith("http")
    kept = await content(home, told["key"])
    assert len(kept) == told["size"]
    found = verify_lines(kept.splitlines())
    assert (found.intact, found.records, found.tenant) == (True, 60, "ta")
    assert not verify_lines(kept.splitlines()[:-1]).intact
    with pytest.raises(NotFound):
        await home.call("storage_get", {"key": told["key"]}, "tab")


async def test_it_counts_against_the_quota_like_any_file(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"storage": 1000}})
    with pytest.raises(QuotaExceeded):
        await home.call("audit_export", {}, "ta")
    assert (await home.call("storage_list", {"prefix": "results/"}, "ta"))["items"] == []
