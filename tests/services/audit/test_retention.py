"""Retention removes a whole beginning, never more, and what is left proves itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.backends import on_servers
from tests.support.tenants import rows_at

from tause_mcp import times
from tause_mcp.errors import Forbidden, Invalid
from tause_mcp.migrations.audit_sql import SQLITE_NAMES
from tause_mcp.services.audit import sweep, verify_lines
from tause_mcp.services.audit.retention import prune
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
DAY = 86_400 * times.SECOND
TA = TenantId("ta")
CLOCK = """CREATE OR REPLACE FUNCTION tause_audit_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - {back} $$"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def home(path: Path) -> AsyncIterator[House]:
    async with house(path) as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened


def sql(path: Path, *statements: str) -> None:
    """What somebody does who owns the file or the server, and so can take the walls away."""
    drops = () if on_servers() else [f"DROP TRIGGER IF EXISTS {name}" for name in SQLITE_NAMES]
    for statement in (*drops, *statements):
        rows_at(path, statement)


@contextmanager
def days_ago(path: Path, days: int) -> Iterator[None]:
    """What is recorded meanwhile is that old."""
    with pytest.MonkeyPatch.context() as patch:
        now = times.now
        patch.setattr("tause_mcp.services.audit.trail.times.now", lambda: now() - days * DAY)
        if on_servers():
            rows_at(path, CLOCK.format(back=days * DAY))
        yield
    if on_servers():
        rows_at(path, CLOCK.format(back=0))


async def change(home: House, count: int, tenant: str = "ta") -> None:
    for number in range(count):
        await home.call("storage_put", {"key": "k", "content": str(number)}, tenant)


async def keep_days(home: House, days: int, tenant: str = "ta") -> None:
    told = {"tenant_id": tenant, "values": {"audit.retention_days": days}}
    await home.call("tenants_configure", told)


async def swept(home: House) -> int:
    return await sweep.once(home.platform.database, home.platform.directory)


@pytest.fixture
async def aged(home: House, path: Path) -> House:
    """Five records of `ta` from 100 days ago, four from 10 days ago, two of today."""
    for days, count in ((100, 5), (10, 4)):
        with days_ago(path, days):
            await change(home, count)
    await change(home, 2)
    return home


async def verified(home: House, tenant: str = "ta") -> tuple[bool, int, int, int]:
    told = await home.call("audit_verify", {}, tenant)
    return told["intact"], told.get("pruned", 0), told["records"], told["last_seq"]


async def test_without_a_retention_nothing_goes(aged: House) -> None:
    assert await swept(aged) == 0
    assert await verified(aged) == (True, 0, 11, 11)


async def test_what_is_older_goes_and_the_rest_verifies(aged: House) -> None:
    await keep_days(aged, 30)
    assert await swept(aged) == 5
    assert await verified(aged) == (True, 5, 7, 12)
    assert await swept(aged) == 0
    await keep_days(aged, 2)
    assert await swept(aged) == 4
    assert await verified(aged) == (True, 9, 4, 13)
    await change(aged, 1)
    assert await verified(aged) == (True, 9, 5, 14)


async def test_a_removal_tells_of_itself(aged: House) -> None:
    await keep_days(aged, 30)
    await swept(aged)
    (told,) = (await aged.call("audit_search", {"action": "audit.prune"}, "ta"))["items"]
    assert (told["actor"], told["door"], told["seq"]) == ("house", "background", 12)


async def test_an_export_of_what_is_left_verifies_offline(aged: House) -> None:
    await keep_days(aged, 30)
    await swept(aged)
    content = (await aged.call("audit_export", {}, "ta"))["content"]
    found = verify_lines(content.splitlines())
    assert (found.intact, found.pruned, found.first, found.last) == (True, 5, 6, 12)
    assert "5 before were removed by retention" in found.text
    assert not verify_lines([*content.splitlines()[:1], *content.splitlines()[2:]]).intact


async def test_the_newest_record_stays_though_all_are_old(home: House, path: Path) -> None:
    with days_ago(path, 100):
        await change(home, 3)
    await keep_days(home, 30)
    assert await swept(home) == 3
    assert await verified(home) == (True, 3, 2, 5)


async def test_a_young_record_behind_a_clock_that_went_back_stays(home: House, path: Path) -> None:
    await change(home, 1)
    with days_ago(path, 100):
        await change(home, 2)
    await keep_days(home, 30)
    assert await swept(home) == 0


async def test_a_large_beginning_goes_in_portions(
    aged: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tause_mcp.services.audit.retention.PORTION", 2)
    await keep_days(aged, 30)
    assert await swept(aged) == 5
    assert await verified(aged) == (True, 5, 9, 14)


async def test_the_last_day_is_nobodys_to_remove(aged: House, path: Path) -> None:
    database = aged.platform.database_of(TA)
    with pytest.raises(Invalid, match="last day"):
        await prune(database, aged.platform.database.dialect, times.now() - DAY + 10**7)
    assert await verified(aged) == (True, 0, 11, 11)


async def test_a_floor_above_cannot_be_undercut(aged: House) -> None:
    await aged.call("tenants_configure", {"values": {"audit.retention_floor_days": 60}})
    await keep_days(aged, 2)
    assert await swept(aged) == 5
    assert await verified(aged) == (True, 5, 7, 12)


async def test_a_retention_is_inherited(aged: House) -> None:
    await keep_days(aged, 30, "default")
    assert await swept(aged) == 5


@pytest.mark.parametrize("days", [0, -1, 1.5, "30", True, 36_501])
async def test_a_retention_is_a_number_of_days(home: House, days: Any) -> None:
    with pytest.raises(Invalid):
        await keep_days(home, days)


async def test_a_retention_needs_more_than_writing(home: House) -> None:
    values = {"values": {"audit.retention_days": 1}}
    with pytest.raises(Forbidden, match="admin"):
        await home.call("tenants_configure", values, home.caller("ta", "developer"))
    with pytest.raises(Forbidden, match="admin"):
        told = {"remove": ["audit.retention_floor_days"]}
        await home.call("tenants_configure", told, home.caller("ta", "developer"))


async def test_sweeps_at_once_remove_each_record_once(aged: House) -> None:
    await keep_days(aged, 30)
    assert sum(await asyncio.gather(*(swept(aged) for _ in range(4)))) == 5
    assert (await verified(aged))[:2] == (True, 5)


async def test_one_tenants_retention_leaves_the_others_alone(aged: House, path: Path) -> None:
    with days_ago(path, 100):
        await change(aged, 3, "tab")
    await keep_days(aged, 30)
    assert await swept(aged) == 5
    assert await verified(aged, "tab") == (True, 0, 3, 3)


FORGED = (
    "DELETE FROM audit WHERE tenant_id='ta' AND seq=7",
    "DELETE FROM audit WHERE tenant_id='ta' AND seq<8",
    "UPDATE audit_checkpoints SET seq=6 WHERE tenant_id='ta'",
    "UPDATE audit_checkpoints SET hash='x' WHERE tenant_id='ta'",
    "UPDATE audit_checkpoints SET at=at+1 WHERE tenant_id='ta'",
    "DELETE FROM audit_checkpoints WHERE tenant_id='ta'",
)


@pytest.mark.parametrize("forged", FORGED)
async def test_a_loss_beyond_the_retention_shows(aged: House, path: Path, forged: str) -> None:
    await keep_days(aged, 30)
    await swept(aged)
    sql(path, forged)
    assert not (await verified(aged))[0]
    content = (await aged.call("audit_export", {}, "ta"))["content"]
    assert not verify_lines(content.splitlines()).intact
