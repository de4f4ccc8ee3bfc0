"""What only SQLite's one writer can get wrong: shared commits, foreign awaits, its end."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.database.notes import GET, LIST, names, put
from tests.support.clock import BUSY

from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.database.sqlite import SqliteDatabase, open_sqlite, path_of
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(sqlite_notes: str) -> AsyncIterator[SqliteDatabase]:
    async with open_sqlite(sqlite_notes) as opened:
        yield opened


class Gate:
    """Holds the writer inside a transaction until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def work(self, tx: Transaction) -> None:
        self.entered.set()
        assert self.opened.wait(10)


async def held(database: SqliteDatabase) -> tuple[Gate, asyncio.Task[None]]:
    gate = Gate()
    task = asyncio.create_task(database.write(None, gate.work))
    assert await asyncio.to_thread(gate.entered.wait, 10)
    return gate, task


# --- what a transaction may await ---------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_a_transaction_that_awaits_something_foreign_is_refused(
    mine: TenantDatabase, seconds: float
) -> None:
    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        await asyncio.sleep(seconds)

    with pytest.raises(RuntimeError):
        await mine.write(work)
    assert await mine.read(names) == []


async def test_a_read_that_awaits_something_foreign_is_refused(mine: TenantDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its own statements"):
        await mine.read(work)
    assert await mine.read(names) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, StopIteration, GeneratorExit])
async def test_the_writer_outlives_whatever_a_unit_raises(
    mine: TenantDatabase, error: type[BaseException]
) -> None:
    def work(tx: Transaction) -> None:
        raise error

    task = asyncio.ensure_future(_caught(mine, work))
    assert isinstance(await task, BaseException)
    await mine.write(put("after"))
    assert await mine.read(names) == ["after"]


async def _caught(mine: TenantDatabase, work: object) -> BaseException | None:
    try:
        await mine.write(work)
    except BaseException as error:
        return error
    return None


# --- one commit for many ------------------------------------------------------------------------


async def test_writers_that_wait_share_a_commit(
    database: SqliteDatabase, mine: TenantDatabase, sqlite_notes: str
) -> None:
    def frames() -> int:
        return path_of(sqlite_notes).with_name("rows.db-wal").stat().st_size

    gate, task = await held(database)
    before = frames()
    writes = [asyncio.create_task(mine.write(put(f"n{i:02}"))) for i in range(40)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(task, *writes)
    assert len(await mine.read(names)) == 40
    assert frames() - before < 40 * 4096, "each of them wrote a page of its own"


async def crowd(database: SqliteDatabase, mine: TenantDatabase, name: str = "crowd") -> None:
    """Three changes in one commit."""
    gate, task = await held(database)
    writes = [asyncio.create_task(mine.write(put(f"{name}{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(task, *writes)


async def test_as_many_as_last_time_are_waited_for(
    database: SqliteDatabase, mine: TenantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tause_mcp.database.sqlite._MOMENT", BUSY)
    await crowd(database, mine)
    writes = [asyncio.create_task(mine.write(put(f"n{n}"))) for n in range(2)]
    done, _ = await asyncio.wait(writes, timeout=0.1)
    assert not done
    await asyncio.gather(*writes, mine.write(put("the third")))
    assert len(await mine.read(names)) == 6


async def test_nobody_waits_for_more_than_a_moment_nor_beyond_the_end(
    sqlite_notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sqlite(sqlite_notes) as database:
        mine = TenantDatabase(database, TenantId("ta"))
        await crowd(database, mine)
        await mine.write(put("alone"))
        monkeypatch.setattr("tause_mcp.database.sqlite._MOMENT", 10 * BUSY)
        await crowd(database, mine, "more")
        last = asyncio.create_task(mine.write(put("last")))
        await asyncio.sleep(0)
        async with asyncio.timeout(BUSY):
            await database.aclose()
        assert await last is None


async def test_a_caller_that_left_before_its_turn_changes_nothing(
    database: SqliteDatabase, mine: TenantDatabase
) -> None:
    gate, task = await held(database)
    left = asyncio.create_task(mine.write(put("left")))
    stays = asyncio.create_task(mine.write(put("stays")))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(task, stays)
    assert await mine.read(names) == ["stays"]


async def test_one_value_too_large_for_the_file_fails_alone(
    database: SqliteDatabase, mine: TenantDatabase
) -> None:
    """It fills the file in the middle of a shared transaction, which SQLite then gives up."""
    pages = database._writer._connection.execute("PRAGMA page_count").fetchone()[0]
    database._writer._connection.execute(f"PRAGMA max_page_count={pages + 8}")
    gate, task = await held(database)
    wanted = [put("a"), put("huge", body=bytes(400_000)), put("b")]
    writes = [asyncio.create_task(mine.write(work)) for work in wanted]
    await asyncio.sleep(0)
    gate.opened.set()
    done = await asyncio.gather(task, *writes, return_exceptions=True)
    assert [type(answer) for answer in done[1:]] == [type(None), Unavailable, type(None)]
    assert "disk is full" in str(done[2])
    assert await mine.read(names) == ["a", "b"]


# --- the end ------------------------------------------------------------------------------------


async def test_every_write_that_was_asked_before_the_end_is_answered(sqlite_notes: str) -> None:
    async with open_sqlite(sqlite_notes) as database:
        mine = TenantDatabase(database, TenantId("ta"))
        gate, task = await held(database)
        writes = [asyncio.create_task(mine.write(put(f"n{i:03}"))) for i in range(200)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(database.aclose())
        await asyncio.sleep(0)
        late = asyncio.create_task(mine.write(put("late")))
        await asyncio.sleep(0)
        gate.opened.set()
        async with asyncio.timeout(10):
            done = await asyncio.gather(task, closing, *writes, late, return_exceptions=True)
    assert done[:-1] == [None] * 202
    assert isinstance(done[-1], Unavailable)
    assert "closing" in str(done[-1])
    async with open_sqlite(sqlite_notes) as again:
        assert len(await TenantDatabase(again, TenantId("ta")).read(names)) == 200


async def test_the_end_may_come_twice(sqlite_notes: str) -> None:
    async with open_sqlite(sqlite_notes) as database:
        await database.aclose()


async def test_the_end_leaves_no_thread_and_no_journal(sqlite_notes: str) -> None:
    before = threading.active_count()
    async with open_sqlite(sqlite_notes) as database:
        await TenantDatabase(database, TenantId("ta")).write(put("a"))
    assert not any(t.name == "tause-sqlite-writer" for t in threading.enumerate())
    assert threading.active_count() <= before + 1  # the loop's own executor
    assert not path_of(sqlite_notes).with_name("rows.db-wal").exists()


# --- reads --------------------------------------------------------------------------------------


async def test_a_long_read_leaves_the_loop_free(mine: TenantDatabase) -> None:
    free = threading.Event()

    async def work(tx: Transaction) -> int:
        assert free.wait(BUSY), "the loop stands still"
        return len(await tx.all(LIST))

    async def tick() -> None:
        for _ in range(5):
            await asyncio.sleep(0.005)
        free.set()

    beat = asyncio.create_task(tick())
    await mine.read(work, long=True)
    await beat


async def test_reads_go_on_while_a_write_is_open(
    database: SqliteDatabase, mine: TenantDatabase
) -> None:
    gate, task = await held(database)
    assert await mine.first(GET, of="a") is None
    assert await mine.read(names) == []
    gate.opened.set()
    await task


# --- opening ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://relative.db", "sqlite://host/file.db"]
)
def test_a_url_without_a_path_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_DATABASE_URL"):
        path_of(url)


def test_a_path_is_relative_or_absolute() -> None:
    assert path_of("sqlite:///a/b.db") == Path("a/b.db")
    assert path_of("sqlite:////a/b.db") == Path("/a/b.db")


@pytest.mark.parametrize("at", ["file/rows.db", "folder"])
async def test_a_place_that_cannot_hold_a_database_is_one_clear_line(
    tmp_path: Path, at: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Misconfigured, match="TAUSE_DATABASE_URL") as refused:
        async with open_sqlite(f"sqlite:///{tmp_path / at}"):
            pass
    assert "\n" not in str(refused.value)


async def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "rows.db").write_bytes(b"this is a text and nothing else" * 200)
    with pytest.raises(Misconfigured, match="not a database"):
        async with open_sqlite(f"sqlite:///{tmp_path / 'rows.db'}"):
            pass


async def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    async with open_sqlite(f"sqlite:///{tmp_path / 'home' / 'rows.db'}"):
        assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


async def test_a_commit_is_durable(database: SqliteDatabase) -> None:
    (level,) = database._writer._connection.execute("PRAGMA synchronous").fetchone()
    (mode,) = database._writer._connection.execute("PRAGMA journal_mode").fetchone()
    assert (level, mode) == (2, "wal"), "FULL: the log is flushed at every commit"


def test_a_damaged_file_is_told_without_its_path() -> None:
    from tause_mcp.database.sqlite import of_database, unavailable

    assert of_database(sqlite3.DatabaseError("database disk image is malformed"))
    assert not of_database(sqlite3.IntegrityError("UNIQUE constraint failed: notes.name"))
    told = unavailable(sqlite3.OperationalError("unable to open /secret/path: near SELECT"))
    assert "secret" not in str(told) and "SELECT" not in str(told)
