"""A local session by `TAUSE_API_KEY` follows its key: what it may do, and whether it holds."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.clock import BUSY
from tests.support.serving import environment, run

pytestmark = pytest.mark.anyio
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Session:
    """A stdio server, spoken to line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._number = 0

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self._number += 1
        params = {"name": tool, "arguments": arguments, "_meta": META}
        told = {"jsonrpc": "2.0", "id": self._number, "method": "tools/call", "params": params}
        self.process.stdin.write(orjson.dumps(told) + b"\n")
        await self.process.stdin.drain()
        while True:
            line = await self.process.stdout.readline()
            assert line, "the session ended"
            answer: dict[str, Any] = orjson.loads(line)
            if answer.get("id") == self._number:
                return answer


async def test_a_narrowed_key_narrows_its_session_and_a_revoked_one_ends_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "tools", "call", "access_define_role", "--args",
        '{"name": "worker", "scopes": ["storage:read", "storage:write"]}')  # fmt: skip
    key = run(home, "keys", "create", "--tenant", "default", "--role", "worker").strip()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tause_mcp", "serve",
        env={**environment(home, TAUSE_API_KEY=key), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    session = Session(process)
    put = {"key": "k", "content": "x"}
    try:
        assert "result" in await session.call("storage_put", put)
        run(home, "tools", "call", "access_define_role", "--args",
            '{"name": "worker", "scopes": ["storage:read"]}')  # fmt: skip
        until = time.monotonic() + 5 + BUSY
        while "error" not in await session.call("storage_put", put):
            assert time.monotonic() < until, "it may still write"
            await asyncio.sleep(0.1)
        assert "result" in await session.call("storage_get", {"key": "k"})
        run(home, "keys", "revoke", "--tenant", "default", key.split(".")[1])
        assert await asyncio.wait_for(process.wait(), 6 + BUSY) != 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
