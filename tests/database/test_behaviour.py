"""What every engine does alike."""

import asyncio

import pytest
from tests.database.notes import GET, GROW, INSERT, KEEP, LIST, PUT, TAG, TAGGED, UNTAG, names, put

from tause_mcp.database import Database, TenantDatabase, Transaction, open_database
from tause_mcp.errors import Conflict, Unavailable

pytestmark = pytest.mark.anyio


async def test_what_was_written_is_read(mine: TenantDatabase) -> None:
    await mine.write(put("a", 7))
    assert await mine.first(GET, of="a") == ("a", 7)
    assert await mine.first(GET, of="b") is None


async def test_a_failed_work_leaves_nothing(mine: TenantDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        await mine.write(work)
    assert await mine.read(names) == []


async def test_a_failing_unit_does_not_touch_its_neighbours(mine: TenantDatabase) -> None:
    await mine.write(put("taken"))
    wanted = ["a", "taken", "b", "taken", "c"]
    done = await asyncio.gather(*(mine.write(put(name)) for name in wanted), return_exceptions=True)
    assert [isinstance(answer, Exception) for answer in done] == [False, True, False, True, False]
    assert await mine.read(names) == ["a", "b", "c", "taken"]


async def test_parallel_changes_of_one_row_all_count(mine: TenantDatabase) -> None:
    await mine.write(put("a", 0))
    await asyncio.gather(*(mine.write(lambda tx: tx.run(GROW, of="a")) for _ in range(40)))
    assert await mine.first(GET, of="a") == ("a", 40)


async def test_the_same_name_of_another_tenant_is_another_row(
    mine: TenantDatabase, theirs: TenantDatabase
) -> None:
    await mine.write(put("a", 1))
    await theirs.write(put("a", 2))
    assert await mine.first(GET, of="a") == ("a", 1)
    assert await theirs.read(names) == ["a"]
    await theirs.write(lambda tx: tx.run(GROW, of="a"))
    assert await mine.first(GET, of="a") == ("a", 1)


@pytest.mark.parametrize("name", ["tenant", "tenant_id"])
async def test_work_cannot_name_another_tenant(
    mine: TenantDatabase, theirs: TenantDatabase, name: str
) -> None:
    with pytest.raises(TypeError):
        await mine.write(
            lambda tx: tx.run(INSERT, **{name: "tab"}, name="a", size=1, body=None, tag=None)
        )
    with pytest.raises(TypeError):
        await mine.first(GET, of="a", **{"tenant": "tab"})
    assert await theirs.read(names) == []


async def test_a_change_says_how_many_rows_it_touched(mine: TenantDatabase) -> None:
    await mine.write(put("a"))
    assert await mine.write(lambda tx: tx.run(GROW, of="a")) == 1
    assert await mine.write(lambda tx: tx.run(GROW, of="absent")) == 0


async def test_an_upsert_inserts_then_replaces(mine: TenantDatabase) -> None:
    for size in (1, 2):
        row = await mine.write(
            lambda tx, size=size: tx.first(PUT, name="a", size=size, body=None, tag=None)
        )
        assert row == (size,)
    assert await mine.first(GET, of="a") == ("a", 2)


async def test_an_upsert_of_nothing_keeps_what_was_there(mine: TenantDatabase) -> None:
    values = {"name": "a", "body": None, "tag": None}
    assert await mine.write(lambda tx: tx.run(KEEP, size=1, **values)) == 1
    assert await mine.write(lambda tx: tx.run(KEEP, size=2, **values)) == 0
    assert await mine.first(GET, of="a") == ("a", 1)


async def test_a_list_of_constants_is_bound(mine: TenantDatabase) -> None:
    for name in ("a", "b", "c"):
        await mine.write(put(name))
    assert await mine.write(lambda tx: tx.run(TAG)) == 2
    assert await mine.read(lambda tx: tx.all(TAGGED)) == [("a",), ("b",)]


async def test_none_is_a_constant_too(mine: TenantDatabase) -> None:
    await mine.write(put("a"))
    await mine.write(lambda tx: tx.run(TAG))
    assert await mine.write(lambda tx: tx.run(UNTAG)) == 1
    assert await mine.read(lambda tx: tx.all(TAGGED)) == []


@pytest.mark.parametrize("long", [False, True])
async def test_a_read_sees_one_state(
    mine: TenantDatabase, database: Database, url: str, long: bool
) -> None:
    """Between its statements another process commits."""
    import threading

    def elsewhere() -> None:
        async def change() -> None:
            async with open_database(url) as other:
                await TenantDatabase(other, mine.tenant).write(put("late"))

        asyncio.run(change())

    async def work(tx: Transaction) -> tuple[int, int]:
        before = len(await tx.all(LIST))
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
        return before, len(await tx.all(LIST))

    assert await mine.read(work, long=long) == (0, 0)
    assert await mine.read(names) == ["late"]


async def test_a_read_cannot_write(mine: TenantDatabase) -> None:
    with pytest.raises(Unavailable, match="nothing was changed"):
        await mine.read(put("a"))
    await mine.write(put("b"))
    assert await mine.read(names) == ["b"]


async def test_rows_outlive_the_process_that_wrote_them(url: str) -> None:
    async with open_database(url) as first:
        await TenantDatabase(first, "ta").write(put("a"))
    async with open_database(url) as second:
        assert await TenantDatabase(second, "ta").read(names) == ["a"]


async def test_a_cancelled_caller_holds_up_nobody(mine: TenantDatabase) -> None:
    tasks = [asyncio.create_task(mine.write(put(f"n{i}"))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    for index, answer in enumerate(done):
        assert isinstance(answer, asyncio.CancelledError) == (index % 2 == 0)
    kept = await mine.read(names)
    assert {f"n{i}" for i in range(1, 20, 2)} <= set(kept)
    await mine.write(put("after"))


async def test_a_cancellation_that_the_work_itself_raises_is_its_own(mine: TenantDatabase) -> None:
    async def work(tx: Transaction) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await mine.write(work)
    await mine.write(put("after"))
    assert await mine.read(names) == ["after"]


async def test_check_passes_on_a_database_that_may_be_written(database: Database) -> None:
    await database.check()


async def test_after_the_end_every_call_is_refused(url: str) -> None:
    async with open_database(url) as opened:
        mine = TenantDatabase(opened, "ta")
    for call in (mine.write(put("a")), mine.read(names), mine.first(GET, of="a"), opened.check()):
        with pytest.raises(Unavailable):
            await call
