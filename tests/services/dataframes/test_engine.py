"""The other process: what it cannot do, and how it ends."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from tests.support.ciphers import ciphers
from tests.support.clock import BUSY
from tests.support.objects import opened_world

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import DeadlineExceeded, Invalid, RateLimited, TooLarge, Unavailable
from tause_mcp.services.dataframes import Engine, Frames
from tause_mcp.services.dataframes import engine as room
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
ACME, BETA = TenantId("acme"), TenantId("beta")


def packed(rows: int) -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"a": range(rows)}).write_parquet(out)
    return out.getvalue()


SMALL, LARGE = packed(3), packed(200_000)


def ask(sql: str) -> dict[str, Any]:
    return {
        "task": "ask",
        "frames": ["s"],
        "sql": sql,
        "most_rows": 10,
        "most_bytes": 10_000,
    }


SLOW = ask("SELECT SUM(x.a * y.a) AS n FROM s AS x CROSS JOIN s AS y")


def processes() -> list[int]:
    """Workers that live now, as children of this process."""
    found = []
    for told in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = told.read_text().rpartition(")")[2].split()
            line = (told.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parts[1]) == os.getpid() and b"worker.py" in line and parts[0] != "Z":
            found.append(int(told.parent.name))
    return found


async def spare_of(engine: Engine) -> int:
    """Wait for the process that is ready for the next job."""
    with anyio.fail_after(10 + BUSY):
        while engine._spare is None:
            await anyio.sleep(0.01)
    return engine._spare.pid


async def test_a_frame_is_made_and_asked_in_processes_of_their_own(
    engine: Engine, tmp_path: Path
) -> None:
    async with opened_world(tmp_path / "w") as world:
        frames = Frames(
            TenantDatabase(world.database, ACME),
            world.storage(),
            engine,
            lambda: ciphers().cipher(ACME),
        )
        await frames.put("s", "csv", b"a,b\n1,x\n2,y\n", "csv")
        answer = await frames.query("SELECT SUM(a) AS n FROM s", lambda name: True)
    assert answer["rows"] == [{"n": 3}]


async def test_a_query_is_answered(engine: Engine) -> None:
    told, body = await engine.run(ACME, ask("SELECT SUM(a) AS n FROM s"), [SMALL])
    assert told == {
        "columns": [{"name": "n", "type": "int64"}],
        "rows": [{"n": 3}],
        "row_count": 1,
        "truncated": False,
    }
    assert body == b""


@pytest.mark.parametrize(
    "table",
    [
        "read_csv('/etc/passwd')",
        "read_csv('{file}')",
        "read_parquet('{file}')",
        "read_ipc('{file}')",
        "read_json('{file}')",
        "read_csv('http://127.0.0.1:{port}/x')",
        "read_parquet('s3://bucket/x')",
    ],
)
async def test_no_file_and_no_network_even_for_sql_that_nobody_checked(
    engine: Engine, tmp_path: Path, table: str
) -> None:
    """Below the allow-list: the process itself can open nothing."""
    secret = tmp_path / "secret.csv"
    secret.write_text("canary\ncanary-value\n")
    reached: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(b"reached")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sql = f"SELECT * FROM {table.format(file=secret, port=port)}"
        with pytest.raises(Invalid) as told:
            await engine.run(ACME, ask(sql), [SMALL])
    assert "canary" not in str(told.value) and "root" not in str(told.value)
    assert reached == []


async def test_nothing_of_our_environment_is_seen(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAUSE_CANARY", "canary-secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/canary")
    await engine.run(ACME, ask("SELECT 1 AS one FROM s"), [SMALL])
    spare = await spare_of(engine)
    told = Path(f"/proc/{spare}/environ").read_bytes().split(b"\0")
    assert {line.partition(b"=")[0] for line in told} <= {
        b"",
        b"POLARS_MAX_THREADS",
        b"LD_LIBRARY_PATH",
        b"LC_CTYPE",
    }


async def test_a_query_that_takes_too_long_is_killed() -> None:
    engine = Engine(seconds=1, memory=8 << 30)
    began = time.monotonic()
    try:
        with pytest.raises(DeadlineExceeded, match="longer than 1 s"):
            await engine.run(ACME, SLOW, [LARGE])
    finally:
        await engine.close()
    assert time.monotonic() - began < 20 + BUSY
    assert processes() == []


async def test_a_query_that_takes_too_much_memory_is_told_so() -> None:
    engine = Engine(memory=200 << 20)
    try:
        with pytest.raises(TooLarge, match="more than 200 MiB"):
            sql = "SELECT COUNT(DISTINCT x.a * y.a) AS n FROM s AS x CROSS JOIN s AS y"
            await engine.run(ACME, ask(sql), [LARGE])
        told, _ = await engine.run(ACME, ask("SELECT COUNT(*) AS n FROM s"), [LARGE])
        assert told["rows"] == [{"n": 200_000}]
    finally:
        await engine.close()


async def test_a_process_that_is_killed_is_a_clear_failure_and_the_next_works(
    engine: Engine,
) -> None:
    async with anyio.create_task_group() as group:

        async def kill() -> None:
            while ACME not in engine._running:
                await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            os.kill(engine._running[ACME].pid, signal.SIGKILL)

        group.start_soon(kill)
        with pytest.raises(Unavailable, match="try again"):
            await engine.run(ACME, SLOW, [LARGE])
    told, _ = await engine.run(ACME, ask("SELECT 1 AS one FROM s LIMIT 1"), [SMALL])
    assert told["rows"] == [{"one": 1}]


async def test_a_cancelled_call_ends_its_process() -> None:
    engine = Engine()
    with anyio.move_on_after(0.8):
        await engine.run(ACME, SLOW, [LARGE])
    await engine.close()
    assert processes() == []


async def test_the_deleted_tenants_query_ends(engine: Engine) -> None:
    async with anyio.create_task_group() as group:

        async def end() -> None:
            while ACME not in engine._running:
                await anyio.sleep(0.01)
            await engine.end(BETA)
            await engine.end(ACME)

        group.start_soon(end)
        with anyio.fail_after(5 + BUSY), pytest.raises(Unavailable):
            await engine.run(ACME, SLOW, [LARGE])


async def test_a_spare_is_used_once_and_not_kept_for_ever(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "IDLE", 0.3)
    await engine.run(ACME, ask("SELECT 1 AS one FROM s"), [SMALL])
    spare = await spare_of(engine)
    await anyio.sleep(0.1)
    await engine.run(BETA, ask("SELECT 1 AS one FROM s"), [SMALL])
    assert spare not in processes()
    with anyio.fail_after(5 + BUSY):
        while processes():
            await anyio.sleep(0.05)


async def test_a_spare_that_died_meanwhile_is_replaced(engine: Engine) -> None:
    await engine.run(ACME, ask("SELECT 1 AS one FROM s"), [SMALL])
    spare = await spare_of(engine)
    os.kill(spare, signal.SIGKILL)
    await anyio.sleep(0.1)
    told, _ = await engine.run(ACME, ask("SELECT 1 AS one FROM s LIMIT 1"), [SMALL])
    assert told["rows"] == [{"one": 1}]


async def test_one_tenant_takes_one_turn_at_a_time_and_does_not_queue_without_end(
    engine: Engine,
) -> None:
    inside, most = 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with engine.turn(ACME):
            inside += 1
            most = max(most, inside)
            await anyio.sleep(0.01)
            inside -= 1

    refused = 0

    async def counted() -> None:
        nonlocal refused
        try:
            await one()
        except RateLimited:
            refused += 1

    async with engine.turn(BETA):
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(counted)
    assert (most, refused) == (1, 30 - room.WAITING - 1)
    assert engine._turns == {} and not engine._asking


async def test_a_process_that_cannot_start_is_unavailable(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_WORKER", Path("/nonexistent.py"))
    with pytest.raises(Unavailable, match="does not start"):
        await engine.run(ACME, ask("SELECT 1"), [SMALL])


async def test_what_polars_says_is_one_short_line(engine: Engine) -> None:
    with pytest.raises(Invalid) as told:
        await engine.run(ACME, ask("SELECT nope FROM s"), [SMALL])
    assert str(told.value) == 'unable to find column "nope"'


SERVER = """
import asyncio, sys
from tause_mcp.services.dataframes import Engine

async def main():
    engine = Engine()
    body = sys.stdin.buffer.read()
    sql = "SELECT SUM(x.a * y.a) AS n FROM s AS x CROSS JOIN s AS y"
    job = {"task": "ask", "frames": ["s"], "sql": sql, "most_rows": 1, "most_bytes": 100}
    running = asyncio.create_task(engine.run("acme", job, [body]))
    while "acme" not in engine._running:
        await asyncio.sleep(0.01)
    print(engine._running["acme"].pid, flush=True)
    await running

asyncio.run(main())
"""


async def test_a_killed_server_leaves_no_process_behind() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(LARGE)
    server.stdin.close()
    worker = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    with anyio.fail_after(5 + BUSY):
        while _lives(worker):
            await anyio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return told.rpartition(")")[2].split()[0] != "Z"
