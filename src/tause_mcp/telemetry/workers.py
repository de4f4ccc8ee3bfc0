"""The counts of `--workers N` as one: each process writes its own beside the others'.

A scrape reaches any one of them; without this, counters would jump from worker to worker.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson

from tause_mcp.telemetry.counts import Counts, Total

_EVERY = 1.0
"""Seconds; what a worker counted since is missing in another's answer."""


@asynccontextmanager
async def sharing(counts: Counts, folder: Path | None) -> AsyncIterator[None]:
    """Write this worker's counts while it serves, and once more at its end."""
    if folder is None:
        yield
        return
    task = asyncio.create_task(_writing(counts, folder))
    try:
        yield
    finally:
        task.cancel()
        _write(counts, folder)


async def _writing(counts: Counts, folder: Path) -> None:
    while True:
        _write(counts, folder)
        await asyncio.sleep(_EVERY)


def _write(counts: Counts, folder: Path) -> None:
    """A few hundred bytes, replaced whole. A full disk costs a scrape, not a call."""
    path = folder / str(os.getpid())
    fresh = folder / f".{path.name}"
    with suppress(OSError):
        fresh.write_bytes(orjson.dumps(counts.kept()))
        fresh.replace(path)


def total(counts: Counts, folder: Path | None) -> Total:
    """This process's counts now, and what its siblings wrote last: those that ended too."""
    found = Total()
    found.add(counts.kept())
    for path in sorted(folder.glob("[0-9]*")) if folder else ():
        if path.name != str(os.getpid()):
            with suppress(OSError, ValueError, KeyError):
                found.add(orjson.loads(path.read_bytes()), alive=_alive(int(path.name)))
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
