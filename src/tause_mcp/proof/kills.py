"""`kill -9` while everybody writes: what was acknowledged is there afterwards."""

import asyncio
import hashlib
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx2

from tause_mcp.platform import open_platform
from tause_mcp.proof.deployment import (
    Deployment,
    ended,
    free_port,
    keeping_url,
    ready,
    spawned,
    tenant,
    throwaway_home,
)
from tause_mcp.proof.findings import Check
from tause_mcp.settings import Settings
from tause_mcp.testing.walk_wire import Speaker

_WRITERS = 4
_SIZES = (300, 18_000)
"""Characters: one in the row, one in a blob of its own."""
_DEATH = (httpx2.HTTPError, OSError, EOFError)


@dataclass
class Writer:
    """Puts objects of its own, and remembers which were acknowledged."""

    name: str
    kept: dict[str, str] = field(default_factory=dict)
    """Key -> SHA-256 of its content."""
    serial: int = 0

    async def write(self, speaker: Speaker, problems: list[str]) -> None:
        """Until the server dies."""
        with suppress(*_DEATH):
            while True:
                self.serial += 1
                key = f"kill/{self.name}/{self.serial}"
                content = f"{key} ".ljust(_SIZES[self.serial % 2], "x")
                answer = await speaker.tool("storage_put", {"key": key, "content": content})
                if answer.value:
                    self.kept[key] = hashlib.sha256(content.encode()).hexdigest()
                elif "unavailable" not in answer.body:
                    problems.append(f"a write was refused: {answer.body[:200]}")
                    return

    async def lost(self, speaker: Speaker) -> int:
        """How many acknowledged objects are gone or changed; what is there is counted once."""
        missing = 0
        for key, digest in self.kept.items():
            answer = await speaker.tool("storage_get", {"key": key})
            content = str(answer.value.get("content", ""))
            missing += hashlib.sha256(content.encode()).hexdigest() != digest
        self.kept.clear()
        return missing


@dataclass(frozen=True, slots=True)
class Killed:
    """Embedded: a server of a throw-away home. Else: a further replica of this deployment."""

    deployment: Deployment
    name: str
    kills: int

    async def __call__(self, check: Check) -> None:
        async with self._victim() as (settings, key, readers):
            await self._rounds(check, settings, key, readers)
        check.require(check.counts["lost"] == 0, "acknowledged writes are gone or changed")
        check.require(check.counts["acknowledged writes"] > 0, "nothing was written")

    @asynccontextmanager
    async def _victim(self) -> AsyncIterator[tuple[Settings, str, str]]:
        """Settings of what is killed, an owner's key, and who is asked afterwards if it is not it."""
        if self.deployment.embedded:
            async with (
                throwaway_home() as settings,
                open_platform(settings) as platform,
                tenant(platform, self.name) as (_, key),
            ):
                yield settings, key, ""
            return
        platform = self.deployment.platform
        async with tenant(platform, self.name) as (_, key):
            with keeping_url(platform.settings):
                yield platform.settings, key, self.deployment.url

    async def _rounds(self, check: Check, settings: Settings, key: str, readers: str) -> None:
        """Start, read what was acknowledged, write, kill; the last round only reads."""
        writers = [Writer(str(n)) for n in range(_WRITERS)]
        check.counts |= {"kills": 0, "acknowledged writes": 0, "lost": 0}
        port = free_port()
        own = f"http://127.0.0.1:{port}"
        for left in reversed(range(self.kills + 1)):
            process = spawned(settings, port, alone=self.deployment.embedded)
            try:
                await ready(process, own)
                async with _client(readers or own) as http:
                    for writer in writers:
                        check.counts["lost"] += await writer.lost(Speaker(http, key))
                if left:
                    await _interrupted(process, own, key, writers, check)
            finally:
                await ended(process, signal.SIGKILL)


async def _interrupted(
    process: "subprocess.Popen[bytes]", url: str, key: str, writers: list[Writer], check: Check
) -> None:
    """Everybody writes until the process is killed."""
    async with _client(url) as http:
        tasks = [
            asyncio.create_task(writer.write(Speaker(http, key), check.problems))
            for writer in writers
        ]
        await asyncio.sleep(random.uniform(0.3, 0.8))  # noqa: S311  # when to kill
        await ended(process, signal.SIGKILL)
        await asyncio.gather(*tasks)
    check.counts["kills"] += 1
    check.counts["acknowledged writes"] += sum(len(writer.kept) for writer in writers)


def _client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False)
