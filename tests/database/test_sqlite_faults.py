"""SQLite on a bad day: disk full, read-only, locked, several processes, kill -9."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.database.notes import names, put
from tests.support.clock import BUSY

from tause_mcp.database import TenantDatabase, sqlite
from tause_mcp.database.sqlite import SqliteDatabase, open_sqlite, path_of
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
TA = TenantId("ta")


def integrity(url: str) -> str:
    with closing(sqlite3.connect(path_of(url))) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


# --- disk full ----------------------------------------------------------------------------------


class SmallDisk:
    """A file system of 1 MiB, a third of it taken; where mounting is not ours, a page limit."""

    def __init__(self, mount: Path, mounted: bool, rows: Path) -> None:
        self._ballast = mount / "ballast"
        self._mounted = mounted
        path = mount / "rows.db"
        path.write_bytes(rows.read_bytes())
        if mounted:
            self._ballast.write_bytes(bytes(350_000))
        self.url = f"sqlite:///{path}"

    def limit(self, database: SqliteDatabase) -> None:
        if not self._mounted:
            database._writer._connection.execute("PRAGMA max_page_count=160")

    def free(self, database: SqliteDatabase) -> None:
        if self._mounted:
            self._ballast.unlink()
        else:
            database._writer._connection.execute("PRAGMA max_page_count=1000")


@pytest.fixture
def small_disk(sqlite_notes: str, tmp_path: Path) -> Iterator[SmallDisk]:
    mount = tmp_path / "small"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    mounted = os.geteuid() == 0 and not subprocess.run(["mount", *options]).returncode
    try:
        yield SmallDisk(mount, mounted, path_of(sqlite_notes))
    finally:
        if mounted:
            subprocess.run(["umount", str(mount)], check=True)


async def test_a_full_disk_keeps_the_old_value_and_recovers_when_freed(
    small_disk: SmallDisk,
) -> None:
    async with open_sqlite(small_disk.url) as database:
        small_disk.limit(database)
        mine = TenantDatabase(database, TA)
        await mine.write(put("old"))
        with pytest.raises(Unavailable, match="disk is full") as refused:
            for i in range(64):
                await mine.write(put(f"n{i}", body=os.urandom(60_000)))
        assert refused.value.retry_after
        kept = await mine.read(names)
        assert "old" in kept
        with pytest.raises(Unavailable, match="disk is full"):
            await mine.write(put("one more", body=os.urandom(300_000)))
        assert await mine.read(names) == kept
        small_disk.free(database)
        await mine.write(put("freed", body=os.urandom(60_000)))
        assert await mine.read(names) == sorted([*kept, "freed"])
    assert integrity(small_disk.url) == "ok"


async def test_a_full_disk_fails_each_of_many_waiting_writes_cleanly(
    small_disk: SmallDisk,
) -> None:
    async with open_sqlite(small_disk.url) as database:
        small_disk.limit(database)
        mine = TenantDatabase(database, TA)
        works = [put(f"n{i:02}", body=os.urandom(60_000)) for i in range(40)]
        done = await asyncio.gather(*(mine.write(w) for w in works), return_exceptions=True)
        kept = await mine.read(names)
    assert {type(answer) for answer in done} == {type(None), Unavailable}
    assert kept == [f"n{i:02}" for i, answer in enumerate(done) if answer is None]
    assert integrity(small_disk.url) == "ok"


# --- read-only ----------------------------------------------------------------------------------


async def test_a_read_only_file_is_read_and_refuses_changes(sqlite_notes: str) -> None:
    async with open_sqlite(sqlite_notes) as database:
        mine = TenantDatabase(database, TA)
        await mine.write(put("old"))
        database._writer._connection.execute("PRAGMA query_only=ON")  # as root, modes do not bind
        with pytest.raises(Unavailable, match="read-only"):
            await mine.write(put("new"))
        assert await mine.read(names) == ["old"]


@pytest.mark.parametrize("at", ["/proc/rows.db", "/proc/home/rows.db"])
async def test_a_place_where_nobody_may_write_is_one_clear_line(at: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_DATABASE_URL") as refused:
        async with open_sqlite(f"sqlite:///{at}"):
            pass
    assert "\n" not in str(refused.value)


# --- others at the file -------------------------------------------------------------------------


async def test_a_file_locked_by_another_process_is_busy_and_then_free(
    sqlite_notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 1.0)
    async with open_sqlite(sqlite_notes) as database:
        database._writer._connection.execute("PRAGMA busy_timeout=1000")
        mine = TenantDatabase(database, TA)
        await mine.write(put("a"))
        with closing(sqlite3.connect(path_of(sqlite_notes), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            done = await asyncio.gather(
                *(mine.write(put(f"n{i}")) for i in range(30)), return_exceptions=True
            )
            assert time.monotonic() - began < BUSY, "one wait for the whole batch, not one for each"
            assert {type(answer) for answer in done} == {Unavailable}
            assert "busy" in str(done[0])
            assert await mine.read(names) == ["a"]
            other.execute("ROLLBACK")
        await mine.write(put("b"))
        assert await mine.read(names) == ["a", "b"]


_CHILD = """
import asyncio, os, sys
from tause_mcp.database import TenantDatabase
from tause_mcp.database.sqlite import open_sqlite
from tests.database.notes import put

async def main(url, prefix, count, lanes):
    async with open_sqlite(url) as database:
        mine = TenantDatabase(database, "ta")
        numbers = iter(range(count))
        async def lane():
            for i in numbers:
                name = f"{prefix}{i:06}"
                await mine.write(put(name, body=bytes(300)))
                os.write(1, name.encode() + b"\\n")
        await asyncio.gather(*(lane() for _ in range(lanes)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), 8))
"""


def child(url: str, prefix: str, count: int) -> subprocess.Popen[bytes]:
    """A process that writes, and prints a name once its write was acknowledged."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, url, prefix, str(count)],
        stdout=subprocess.PIPE,
        env=environment,
    )


async def test_two_processes_write_at_once_and_nothing_is_lost(sqlite_notes: str) -> None:
    writers = [child(sqlite_notes, prefix, 60) for prefix in "ab"]
    for writer in writers:
        out, _ = await asyncio.to_thread(writer.communicate, timeout=60)
        assert writer.returncode == 0
        assert len(out.splitlines()) == 60
    async with open_sqlite(sqlite_notes) as database:
        assert len(await TenantDatabase(database, TA).read(names)) == 120
    assert integrity(sqlite_notes) == "ok"


async def _killed(url: str, prefix: str, after: int) -> set[str]:
    """Kill a writing process after so many acknowledgements; the names it acknowledged."""
    writer = child(url, prefix, 1_000_000)
    assert writer.stdout is not None

    def watch() -> bytes:
        assert writer.stdout is not None
        seen = b"".join(writer.stdout.readline() for _ in range(after))
        writer.send_signal(signal.SIGKILL)
        return seen + writer.stdout.read()

    out = await asyncio.to_thread(watch)
    writer.wait()
    writer.stdout.close()
    return {line.decode() for line in out.split(b"\n")[:-1]}


async def test_a_kill_loses_no_acknowledged_write(sqlite_notes: str) -> None:
    acknowledged = await _killed(sqlite_notes, "a", 40)
    async with open_sqlite(sqlite_notes) as database:
        assert acknowledged <= set(await TenantDatabase(database, TA).read(names))
    assert len(acknowledged) >= 40
    assert integrity(sqlite_notes) == "ok"


@pytest.mark.torture
@pytest.mark.timeout(900)
async def test_two_hundred_kills_lose_no_acknowledged_write(sqlite_notes: str) -> None:
    import random

    acknowledged: set[str] = set()
    for round_ in range(200):
        acknowledged |= await _killed(sqlite_notes, f"r{round_}-", random.randint(1, 120))
    async with open_sqlite(sqlite_notes) as database:
        kept = set(await TenantDatabase(database, TA).read(names))
    assert acknowledged <= kept
    assert integrity(sqlite_notes) == "ok"
