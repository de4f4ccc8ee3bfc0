"""Usage: every call counted once, whatever fails, and read by whoever may."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.tenants import CATALOG, House, at_once, make_file, open_house, rows_of, who

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import NotFound, TauseError, Unavailable
from tause_mcp.services.tenants import UsageMeter
from tause_mcp.services.tenants.usage import HOUR
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

READ = CATALOG.tools["tenants_get"]
SEARCH = CATALOG.tools["audit_search"]
AA = TenantId("aa")


def stored(path: Path, tenant: str = "aa") -> int:
    found = rows_of(path, "SELECT coalesce(sum(calls), 0) FROM usage WHERE tenant_id=?", tenant)
    return int(found[0][0])


async def test_a_flush_that_fails_loses_nothing(house: House, path: Path) -> None:
    await house.grow("aa")

    class Down:
        async def write(self, *_: Any, **__: Any) -> None:
            raise Unavailable("down")

    meter = UsageMeter(house.database)
    for _ in range(3):
        meter.count(AA, READ, 0.001, True, 10)
    meter._database = Down()  # type: ignore[assignment]  # it writes nothing
    with pytest.raises(Unavailable):
        await meter.flush()
    meter.count(AA, READ, 0.001, True, 10)
    meter._database = house.database
    await meter.flush()
    await meter.flush()
    assert stored(path) == 4


async def test_a_report_counts_stored_and_unstored_calls_once(house: House) -> None:
    await house.grow("aa")
    now = 1000.0 * HOUR
    meter = UsageMeter(house.database, clock=lambda: now)
    told = []
    for number in range(1, 6):
        meter.count(AA, READ, 0.002, number != 2, 100)
        _, report = await asyncio.gather(meter.flush(), meter.report(AA, 1000, 1000))
        told.append(report.total.calls)
    assert told == [1, 2, 3, 4, 5]
    assert (report.total.errors, report.total.bytes) == (1, 500)


async def test_hours_and_capabilities_are_told_apart(house: House) -> None:
    await house.grow("aa")
    clock = [1000.0 * HOUR]
    meter = UsageMeter(house.database, clock=lambda: clock[0])
    meter.count(AA, READ, 0.001, True, 1)
    clock[0] += HOUR
    meter.count(AA, SEARCH, 1.0, False, 2)
    meter.count(TenantId("default"), SEARCH, 1.0, False, 2)
    await meter.flush()
    report = await meter.report(AA, 1000, 1001)
    assert {h: f.calls for h, f in report.by_hour.items()} == {1000: 1, 1001: 1}
    assert {c: f.errors for c, f in report.by_capability.items()} == {"tenants": 0, "audit": 1}
    assert report.by_capability["audit"].told()["p95_ms"] == pytest.approx(1000, rel=0.1)
    assert (await meter.report(AA, 1001, 1001)).total.calls == 1
    assert (await meter.report(AA, 1000, 1001, "tenants")).total.calls == 1


async def test_a_late_flush_of_another_process_brings_no_deleted_tenant_back(
    house: House, path: Path
) -> None:
    await house.grow("aa")
    house.usage.count(AA, READ, 0.001, True, 1)
    async with open_house(path) as other:
        await other.call("tenants_delete", tenant_id="aa")
    await house.usage.flush()
    assert stored(path) == 0


ADD = """
import asyncio, sys
from types import SimpleNamespace
from tause_mcp.database import open_database
from tause_mcp.services.tenants import UsageMeter

async def count():
    async with open_database(sys.argv[1]) as database:
        meter = UsageMeter(database, clock=lambda: 3600.0)
        for _ in range(20):
            meter.count("default", SimpleNamespace(capability="x"), 0.001, True, 1)
            await meter.flush()

asyncio.run(count())
"""


async def test_processes_add_to_the_same_hour(path: Path) -> None:
    make_file(path)
    async with open_house(path):
        pass
    at_once(ADD, path, count=2)
    assert stored(path, "default") == 40


async def test_what_a_call_used_is_counted_by_the_pipeline(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_get", who("aa"))
    with pytest.raises(TauseError):
        await house.call("tenants_get", who("aa"), tenant_id="nobody")
    told = await house.call("tenants_get_usage", tenant_id="aa")
    assert (told["calls"], told["errors"]) == (2, 1)
    assert told["bytes"] > 100
    assert 0 < told["p50_ms"] <= told["p95_ms"]
    assert [row["capability"] for row in told["by_capability"]] == ["tenants"]
    assert [row["calls"] for row in told["by_hour"]] == [2]
    narrowed = await house.call("tenants_get_usage", tenant_id="aa", capability="audit")
    assert narrowed["calls"] == 0
    assert "p50_ms" not in narrowed


async def test_what_is_left_of_a_limit_is_told(house: House) -> None:
    async def gauge(database: TenantDatabase) -> int:
        return {"aa": 70}.get(database.tenant, 0)

    house.directory.gauges["storage"] = gauge
    await house.grow("aa")
    limits = {"calls_per_hour": 100, "storage": 50, "rows": 5}
    await house.call("tenants_configure", tenant_id="aa", limits=limits)
    await house.call("tenants_get", who("aa"))
    told = await house.call("tenants_get_usage", tenant_id="aa")
    assert told["limits"] == [
        {"name": "calls_per_hour", "limit": 100, "used": 1, "left": 99},
        {"name": "rows", "limit": 5},
        {"name": "storage", "limit": 50, "used": 70, "left": 0},
    ]


async def test_the_resource_says_what_the_tool_says(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_get", who("aa"))
    tool = await house.call("tenants_get_usage", tenant_id="aa")
    shown = await house.call("tenants_usage", who("aa"))
    assert (shown["calls"], shown["tenant_id"]) == (tool["calls"], "aa")


async def test_the_busiest_week_fits_one_answer(house: House) -> None:
    await house.grow("aa")
    import time

    clock = [time.time()]
    house.usage._clock = lambda: clock[0]
    for _ in range(168):
        house.usage.count(AA, READ, 1234.5, False, 10**12)
        clock[0] -= HOUR
    clock[0] = time.time()
    result = await house.run("tenants_get_usage", who("aa"), {"hours": 168})
    assert len(result.value["by_hour"]) == 168
    assert len(result.text) < 24 * 1024


async def test_usage_of_a_foreign_tenant_looks_absent(house: House) -> None:
    await house.grow("aa")
    with pytest.raises(NotFound, match="no such tenant"):
        await house.call("tenants_get_usage", who("aa"), tenant_id="default")
