"""Work on frames in a process of its own, used once, bounded and killed when it is late.

The process (`worker.py`) can open no file and no socket, sees nothing of our environment and gets
its data through a pipe. One that has already started waits for the next job for a while.
"""

import asyncio
import json
import os
import signal
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tause_mcp import log
from tause_mcp.errors import (
    DeadlineExceeded,
    Invalid,
    RateLimited,
    TauseError,
    TooLarge,
    Unavailable,
)
from tause_mcp.tenancy import TenantId

MEMORY = 1 << 30
"""Bytes that a job may use beyond what the process needs to run."""
SECONDS = 15
"""Of processor time, and of waiting, for one job."""
AT_ONCE = 2
"""Jobs at once in this process, one of each tenant."""
WAITING = 16
"""Jobs of one tenant that may wait for their turn."""
IDLE = 30.0
"""Seconds that a started process waits for a job."""
_log = log.get("dataframes")
_WORKER = Path(__file__).with_name("worker.py")
_FRAME = struct.Struct(">QQ")
_MOST = 1 << 28


def _environment() -> dict[str, str]:
    """Nothing of ours but where shared libraries are."""
    kept = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    return {"POLARS_MAX_THREADS": "2", **{name: value for name, value in kept.items() if value}}


def _libraries() -> str:
    """The folder that polars is installed in."""
    found = find_spec("polars")
    return str(Path(found.origin).parents[1]) if found and found.origin else ""


class Engine:
    """The processes of one server."""

    def __init__(self, *, memory: int = MEMORY, seconds: int = SECONDS) -> None:
        self._memory = memory
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[TenantId, asyncio.Lock] = {}
        self._asking: Counter[TenantId] = Counter()
        self._running: dict[TenantId, Process] = {}
        self._ending: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._spare: Process | None = None
        self._taken = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def turn(self, tenant: TenantId) -> AsyncIterator[None]:
        """The right to run one job: what a job needs is fetched only inside.

        Raises:
            RateLimited: too many of the tenant's jobs wait already.
        """
        if self._asking[tenant] > WAITING:
            raise RateLimited("too many queries at once: wait for some to end", retry_after=1.0)
        self._asking[tenant] += 1
        lock = self._turns.setdefault(tenant, asyncio.Lock())
        try:
            async with lock, self._slots:
                yield
        finally:
            self._asking[tenant] -= 1
            if not self._asking[tenant]:
                del self._asking[tenant], self._turns[tenant]

    async def run(
        self, tenant: TenantId, job: Mapping[str, Any], bodies: Sequence[bytes]
    ) -> tuple[Any, bytes]:
        """The worker's answer to a job, and the bytes that came with it; inside the tenant's turn.

        Raises:
            Invalid: what was sent, or asked, cannot be done. DeadlineExceeded, TooLarge: it takes
            too long, or too much memory. Unavailable: the process was killed or cannot start.
        """
        told, body = await self._worked(tenant, job, bodies)
        if (wrong := told.get("error")) is not None:
            raise self._refused(wrong)
        return told, body

    async def _worked(
        self, tenant: TenantId, job: Mapping[str, Any], bodies: Sequence[bytes]
    ) -> tuple[Any, bytes]:
        process = self._running[tenant] = await self._take()
        try:
            async with asyncio.timeout(self._seconds + 1):
                return await _converse(process, job, bodies)
        except TimeoutError:
            raise self._late() from None
        except (EOFError, OSError):
            raise self._died(await _ended(process)) from None
        finally:
            self._running.pop(tenant, None)
            await self._kill(process)
            self._prepare()

    async def end(self, tenant: TenantId) -> None:
        """End what runs for a tenant that is no more."""
        if (process := self._running.get(tenant)) is not None:
            await self._kill(process)

    def _refused(self, wrong: str) -> TauseError:
        if wrong == "damaged":
            return Unavailable("the bytes of this frame are damaged: put it again")
        return self._memory_spent() if wrong == "memory" else Invalid(wrong)

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"it took longer than {self._seconds} s: work on less data")

    def _memory_spent(self) -> TooLarge:
        return TooLarge(f"it needs more than {self._memory >> 20} MiB of memory: work on less data")

    def _died(self, code: int) -> TauseError:
        """Why the process ended without an answer."""
        _log.warning("worker_ended", code=code)
        if code == -signal.SIGXCPU:
            return self._late()
        if code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
            return self._memory_spent()  # an allocation that fails aborts the process
        return Unavailable("the process that works on frames ended: try again", retry_after=1.0)

    # --- processes ------------------------------------------------------------------------------

    async def _take(self) -> Process:
        """A process that is ready and has done nothing yet."""
        spare, self._spare = self._spare, None
        self._taken.set()
        if spare is not None:
            if spare.returncode is None:
                return spare
            await self._kill(spare)
        return await self._start()

    async def _start(self) -> Process:
        opening = asyncio.ensure_future(self._open())
        try:
            process = await asyncio.shield(opening)
        except asyncio.CancelledError:  # half-way: else a process stays that nobody knows
            self._later(self._give_up(opening))
            raise
        except OSError:
            raise Unavailable("no process can be started: try again", retry_after=1.0) from None
        try:
            assert process.stdout is not None
            async with asyncio.timeout(self._seconds):
                await process.stdout.readexactly(1)
        except BaseException as failed:
            if isinstance(failed, EOFError):
                _log.error("worker_not_started", code=await _ended(process))
            await self._kill(process)
            if isinstance(failed, EOFError | TimeoutError):
                told = "the process that works on frames does not start: try again"
                raise Unavailable(told, retry_after=1.0) from None
            raise
        return process

    async def _open(self) -> Process:
        bounds = (str(self._memory), str(self._seconds))
        arguments = ("-I", str(_WORKER), *bounds, _libraries())
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
            cwd="/",
        )

    async def _give_up(self, opening: "asyncio.Future[Process]") -> None:
        with suppress(OSError):
            await self._kill(await opening)

    async def _kill(self, process: Process) -> None:
        """Gone, whatever it was doing, even when this call is being cancelled."""
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await asyncio.shield(self._later(process.wait()))

    def _later(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Go on with it, whatever becomes of the call; `close` waits for it."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    def _prepare(self) -> None:
        """Start one for the next job, unless there is one."""
        if self._starting is None and self._spare is None and not self._closed:
            self._starting = asyncio.create_task(self._keep_ready())

    async def _keep_ready(self) -> None:
        """Until it is taken, or has waited for long enough."""
        try:
            self._spare = ready = await self._start()
            self._taken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE):
                    await self._taken.wait()
            if self._spare is ready:
                self._spare = None
                await self._kill(ready)
        except Unavailable:  # the job that needs one will say so
            return
        finally:
            self._starting = None

    async def close(self) -> None:
        """End what is idle; a running job ends with its call."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        if self._spare is not None:
            await self._kill(self._spare)
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)


async def _converse(
    process: Process, job: Mapping[str, Any], bodies: Sequence[bytes]
) -> tuple[Any, bytes]:
    """Hand over the job, read the answer."""
    assert process.stdin is not None and process.stdout is not None
    line = json.dumps({**job, "lengths": [len(body) for body in bodies]})
    process.stdin.write(line.encode() + b"\n")
    for body in bodies:
        process.stdin.write(body)
        await process.stdin.drain()
    told, extra = _FRAME.unpack(await process.stdout.readexactly(_FRAME.size))
    if told + extra > _MOST:
        raise TooLarge("the answer is too large: ask for less")
    answer = json.loads(await process.stdout.readexactly(told))
    return answer, await process.stdout.readexactly(extra)


async def _ended(process: Process) -> int:
    """How it ended: its pipes close a moment before."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            return await process.wait()
    return 0


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[Engine]:
    """`process://`: on this machine, in processes of their own."""
    engine = Engine()
    try:
        yield engine
    finally:
        await engine.close()
