"""What is due is looked at, later and later when that fails, and one's own holds up nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.rows import make_file

from tause_mcp import due, times
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.due import Due, Sweep, pause
from tause_mcp.errors import Unavailable
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
HOUR, DAY = 3600, 86_400


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(make_file(tmp_path / "rows.db")) as opened:
        yield opened


async def put(database: Database, tenant: str, id_: str, at: int, kind: str = "a") -> None:
    rows = TenantDatabase(database, TenantId(tenant))
    await rows.write(lambda tx: due.put(tx, kind, id_, at))


class Seen:
    """What a sweep was told to look at."""

    def __init__(self, database: Database, fails: str = "") -> None:
        self.ids: list[str] = []
        self.fails = fails
        self.sweep = Sweep(database, ["a", "b"], self.run)

    async def run(self, one: Due) -> None:
        self.ids.append(one.id)
        if one.id == self.fails:
            raise ValueError(one.id)


@pytest.mark.parametrize(
    ("tries", "age", "seconds"),
    [
        (0, 0, 2),
        (1, 0, 4),
        (8, 0, 512),
        (9, 0, 600),
        (10**9, 47 * HOUR, 600),
        (0, 49 * HOUR, HOUR),
        (0, 8 * DAY, DAY),
    ],
)
def test_it_is_looked_at_later_and_later(tries: int, age: int, seconds: int) -> None:
    assert pause(tries, age * times.SECOND) == seconds * times.SECOND


async def test_only_what_is_due_of_these_kinds_is_looked_at(database: Database) -> None:
    await put(database, "ta", "now", 100)
    await put(database, "ta", "later", 10_000)
    await put(database, "ta", "other", 100, kind="c")
    await put(database, "tb", "also", 50, kind="b")
    seen = Seen(database)
    assert await seen.sweep.once(100) == 2
    assert sorted(seen.ids) == ["also", "now"]


async def test_what_was_looked_at_comes_back_until_it_is_ended(database: Database) -> None:
    await put(database, "ta", "x", 100)
    seen = Seen(database)
    assert [await seen.sweep.once(at) for at in (100, 101, 100 + 2 * times.SECOND)] == [1, 0, 1]
    rows = TenantDatabase(database, TenantId("ta"))
    await rows.write(lambda tx: due.end(tx, "a", "x", since=99))  # put there after that
    later = 10**9
    assert await seen.sweep.once(later) == 1
    await rows.write(lambda tx: due.end(tx, "a", "x", since=100))
    assert await seen.sweep.once(10**12) == 0


async def test_what_fails_holds_up_nobody(database: Database) -> None:
    for tenant, id_ in (("ta", "bad"), ("ta", "z"), ("tb", "fine")):
        await put(database, tenant, id_, 100)
    seen = Seen(database, fails="bad")
    await seen.sweep.once(100)
    assert sorted(seen.ids) == ["bad", "fine", "z"]
    await seen.sweep.once(101)
    assert len(seen.ids) == 3


async def test_a_tenant_with_many_does_not_keep_others_waiting(database: Database) -> None:
    for number in range(30):
        await put(database, "ta", f"a{number:02}", number)
    await put(database, "tb", "b", 99)
    seen = Seen(database)
    assert await seen.sweep.once(100) == due.SHARE + 1
    assert "b" in seen.ids
    assert sorted(seen.ids)[: due.SHARE] == [f"a{n:02}" for n in range(due.SHARE)]


async def test_of_one_tenant_one_thing_is_looked_at_at_a_time(database: Database) -> None:
    """No rate bounds the house's looks: this does, and that each is taken later and later."""
    for number in range(30):
        await put(database, "ta", f"a{number:02}", number)
    running, most, looked = 0, 0, 0

    async def run(one: Due) -> None:
        nonlocal running, most, looked
        running, looked = running + 1, looked + 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    sweep = Sweep(database, ["a"], run)
    assert [await sweep.once(100) for _ in range(6)] == [8, 8, 8, 6, 0, 0]
    assert (most, looked) == (1, 30)


async def test_two_sweepers_at_once_look_once(database: Database) -> None:
    for number in range(8):
        await put(database, "ta", f"a{number}", 1)
    seen = Seen(database)
    await asyncio.gather(*(seen.sweep.once(100) for _ in range(4)))
    assert sorted(seen.ids) == [f"a{number}" for number in range(8)]


async def test_hastened_it_is_looked_at_sooner_and_never_later(database: Database) -> None:
    rows = TenantDatabase(database, TenantId("ta"))
    await put(database, "ta", "x", 10_000)
    await rows.write(lambda tx: due.hasten(tx, "a", "x", 100))
    await rows.write(lambda tx: due.hasten(tx, "a", "x", 500))
    await rows.write(lambda tx: due.hasten(tx, "a", "none", 1))
    seen = Seen(database)
    assert await seen.sweep.once(100) == 1


async def test_a_sweep_ends_when_it_is_cancelled_and_not_before(database: Database) -> None:
    await put(database, "ta", "x", 1)
    looked = asyncio.Event()

    async def run(one: Due) -> None:
        looked.set()
        raise Unavailable("down")

    task = asyncio.create_task(Sweep(database, ["a"], run).forever())
    await asyncio.wait_for(looked.wait(), 20)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
