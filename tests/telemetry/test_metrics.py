"""`/metrics`: for the root tenant's administrator, true, and with nothing of any tenant."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.backends import named
from tests.support.clock import BUSY
from tests.support.serving import run_all, serving

from tause_mcp.errors import Misconfigured
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.tally import failed
from tause_mcp.telemetry.counts import Counts, Total
from tause_mcp.telemetry.metrics import exposition
from tause_mcp.tenancy import ROOT, TenantId
from tause_mcp.testing.walk import in_process
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import Speaker

pytestmark = pytest.mark.anyio
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """Every sample, as a real scraper reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    settings = Settings.read(named(tmp_path / "home"))
    async with open_platform(settings, public_url="http://127.0.0.1:8765") as opened:
        yield opened


async def key(platform: Platform, tenant: str, role: str) -> str:
    made = await run(platform, TenantId(tenant), "access_create_key", {"role": role})
    return str(made["key"])


async def scraped(http: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await http.get("/metrics", headers={"authorization": f"Bearer {token}"})


async def test_only_the_root_tenant_s_administrator_reads_them(platform: Platform) -> None:
    await run(platform, ROOT, "tenants_create", {"tenant_id": "acme"})
    async with in_process(platform) as http:
        assert (await http.get("/metrics")).status_code == 401
        assert "resource_metadata=" in (await http.get("/metrics")).headers["www-authenticate"]
        for tenant, role in (("acme", "owner"), (ROOT, "developer"), (ROOT, "viewer")):
            answer = await scraped(http, await key(platform, tenant, role))
            assert answer.status_code == 403 and b"tause_" not in answer.content
        for role in ("owner", "admin"):
            assert (await scraped(http, await key(platform, ROOT, role))).status_code == 200


async def test_calls_are_counted_by_capability_and_outcome(platform: Platform) -> None:
    await run(platform, ROOT, "tenants_create", {"tenant_id": "acme"})
    owner = await key(platform, ROOT, "owner")
    acme = await key(platform, "acme", "owner")
    async with in_process(platform) as http:
        before = parsed((await scraped(http, owner)).text)
        for _ in range(3):
            await Speaker(http, acme).tool("access_whoami", {})
        for _ in range(2):
            await Speaker(http, acme).tool("storage_get", {"key": "c4n4ry/none"})
        answer = await scraped(http, owner)
    assert answer.headers["content-type"].startswith("text/plain")
    after = parsed(answer.text)

    def more(name: str, **labels: str) -> float:
        at = (name, tuple(sorted(labels.items())))
        return after.get(at, 0) - before.get(at, 0)

    assert more("tause_calls_total", capability="access", outcome="ok") == 3
    assert more("tause_calls_total", capability="storage", outcome="not_found") == 2
    assert more("tause_call_seconds_count", capability="access") == 3
    assert more("tause_call_seconds_bucket", capability="storage", le="+Inf") == 2
    assert more("tause_call_seconds_sum", capability="access") > 0
    assert after[("tause_calls_in_flight", ())] == 0
    assert "acme" not in answer.text and "c4n4ry" not in answer.text and owner not in answer.text
    told = [labels for name, labels in after if name == "tause_build_info"]
    assert dict(told[0])["version"] and dict(told[0])["schema"]


def test_what_is_at_work_and_what_failed_is_told() -> None:
    counts = Counts()
    counts.began(TenantId("acme"))
    counts.streams += 2
    failed("cache")
    total = Total()
    total.add(counts.kept())
    samples = parsed(exposition(total, "1", "0001")[0].decode())
    assert samples[("tause_calls_in_flight", ())] == 1
    assert samples[("tause_streams_open", ())] == 2
    assert samples[("tause_failures_total", (("part", "cache"),))] >= 1
    assert ("tause_failures_total", (("part", "database"),)) in samples


def test_a_worker_that_ended_is_still_counted_but_does_nothing_now() -> None:
    one, two = Counts(), Counts()
    for counts, times in ((one, 3), (two, 4)):
        for _ in range(times):
            counts.began(TenantId("acme"))
            counts.ended("storage", "ok", 0.004)
        counts.began(TenantId("acme"))
    total = Total()
    total.add(one.kept())
    total.add(two.kept(), alive=False)
    assert total.counts.calls == {("storage", "ok"): 7}
    assert total.counts.in_flight == 1
    assert sum(total.counts.buckets["storage"]) == 7


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(Misconfigured, match=r"tause-mcp\[metrics\]"):
        exposition(Total(), "1", "0001")


async def test_two_workers_are_one_server_to_whoever_scrapes(tmp_path: Path) -> None:
    options = ("--transport", "http", "--workers", "2")
    with serving(tmp_path / "home", *options) as server:
        made = run_all(server.home, ("keys", "create", "--tenant", "default", "--role", "owner"))
        token = made[0].strip()

        async def once(_: int) -> None:
            async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
                assert (await Speaker(http, token).tool("access_whoami", {})).value

        await asyncio.gather(*map(once, range(30)))
        seen: list[Any] = []
        at = ("tause_calls_total", (("capability", "access"), ("outcome", "ok")))
        until = time.monotonic() + BUSY
        while seen[-6:] != [30] * 6 and time.monotonic() < until:  # they tell each other soon
            async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
                samples = parsed((await scraped(http, token)).text)
            seen.append(samples.get(at))
            await asyncio.sleep(0.1)
    assert seen[-6:] == [30] * 6
