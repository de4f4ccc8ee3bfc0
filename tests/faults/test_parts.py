"""PostgreSQL, Redis and S3 break while calls run through a real server, and come back.

Every call ends in time with a clear word, nothing acknowledged is lost, nobody gets in who may
not, and the server recovers by itself.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from tests.support.clock import BUSY
from tests.support.parts import DEADLINE, EVERY, PASSWORD, How, Part, Parts, standing
from tests.support.serving import run_all

from tause_mcp.testing.walk_wire import Answer, Speaker

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]  # its parts are its own
BOUND = DEADLINE + 3.0 + BUSY / 2
"""The deadline and what giving up may take, as operations.md says, and a busy machine's own share.
The seconds themselves are claimed in `tests/pipeline/test_in_time.py`, by a clock."""
RECOVERY = 20.0
MAY = {"unavailable", "deadline_exceeded"}
TELLING = re.compile(
    r"127\.0\.0\.1|localhost|\.py\b|Traceback|/tmp|SELECT|INSERT|asyncpg|redis|obstore|errno|"
    + PASSWORD,
    re.IGNORECASE,
)
BOGUS = f"tk_default.0123456789abcdef.{'x' * 43}"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with standing(tmp_path_factory.mktemp("parts") / "home") as made:
        yield made
        crashes = [line for line in made.server.log.read_text().splitlines() if "crash" in line]
        print("\n".join(crashes[:3]))


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=parts.server.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def key(parts: Parts) -> str:
    """An owner of a tenant with a rate: each of its calls asks the cache, too."""
    told = run_all(
        parts.server.home,
        ("tenants", "create", "acme"),
        ("tenants", "configure", "acme", "--limit", "calls_per_hour=10000000"),
        ("keys", "create", "--tenant", "acme", "--role", "owner"),
        **parts.settings,
    )
    return told[2].strip()


@dataclass
class Caller:
    """Writes and reads without rest, and remembers what was acknowledged."""

    name: str
    speaker: Speaker
    kept: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    async def run(self, until: float) -> None:
        n = 0
        while time.monotonic() < until:
            n += 1
            key = f"{self.name}/{n}"
            content = key.ljust((40, 20_000)[n % 2], ".")
            put = await self.asked("storage_put", {"key": key, "content": content})
            if put is not None:
                self.kept[key] = content
            await self.asked("storage_get", {"key": key})
            await self.asked("access_whoami", {})

    async def asked(self, tool: str, arguments: dict[str, str]) -> Answer | None:
        """The answer when it worked; a refusal is looked at."""
        began = time.monotonic()
        answer = await self.speaker.tool(tool, arguments)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.value:
            return answer
        self.refused += 1
        self.judge(answer, missing=tool == "storage_get")
        return None

    def judge(self, answer: Answer, *, missing: bool) -> None:
        """A clear, bounded word that tells nothing of the house."""
        may = MAY | ({"not_found"} if missing else set())
        told = answer.result.get("_meta", {}).get("pro.tause/error", {}).get("code")
        if told is None and answer.status == 503:
            told = json.loads(answer.body).get("error")
        if told not in may or TELLING.search(answer.body) or len(answer.body) > 2000:
            self.wrong.append(f"{answer.status} {answer.body[:300]}")


async def readyz(http: httpx2.AsyncClient) -> tuple[int, list[str]]:
    answer = await http.get("/readyz")
    return answer.status_code, answer.json().get("failing", [])


async def recovered(http: httpx2.AsyncClient) -> None:
    until = time.monotonic() + RECOVERY
    while (told := await readyz(http))[0] != 200:
        assert time.monotonic() < until, f"it did not recover by itself: {told}"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(("part", "how"), EVERY)
async def test_a_part_breaks_under_load_and_comes_back(
    parts: Parts, http: httpx2.AsyncClient, key: str, part: Part, how: How
) -> None:
    await recovered(http)
    speaker = Speaker(http, key)
    callers = [Caller(f"{part}-{how}/{n}", speaker) for n in range(4)]
    tasks = [asyncio.create_task(c.run(time.monotonic() + 2.5)) for c in callers]
    await asyncio.sleep(0.7)
    await asyncio.to_thread(parts.broken, part, how)
    try:
        status, failing = await readyz(http)
        assert (status, failing) == (503, [part])
        stranger = await Speaker(http, BOGUS).tool("access_whoami", {})
        assert not stranger.value and stranger.status in (401, 503)
        assert (await http.get("/healthz")).status_code == 200
        await asyncio.gather(*tasks)
        told = (await http.get("/readyz")).text
        assert not TELLING.search(told.replace(part, ""))
    finally:
        parts.mended(part, how)  # not in a thread: what a thread starts dies with it
    wrong = [w for c in callers for w in c.wrong]
    assert not wrong, wrong[:5]
    assert max(c.slowest for c in callers) < BOUND
    assert sum(c.refused for c in callers), "nobody noticed"
    await recovered(http)
    for caller in callers:
        for key, content in caller.kept.items():
            answer = await read(speaker, key)
            assert answer.value.get("content") == content, (key, answer.body[:300])
    assert (await speaker.tool("audit_verify", {})).value["intact"]
    assert parts.server.process.poll() is None


async def read(speaker: Speaker, key: str) -> Answer:
    """What is kept; a question from before the recovery may still close the door for a moment."""
    until = time.monotonic() + RECOVERY
    while True:
        answer = await speaker.tool("storage_get", {"key": key, "range": "0-19999"})
        if answer.value or time.monotonic() > until:
            return answer
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("part", ["database", "cache", "storage"])
async def test_calls_that_fail_again_and_again_keep_nothing(
    parts: Parts, http: httpx2.AsyncClient, key: str, part: Part
) -> None:
    await recovered(http)
    speaker = Speaker(http, key)

    async def many(count: int) -> None:
        for _ in range(count // 20):
            put = {"key": "memory", "content": "x" * 20_000}
            await asyncio.gather(*(speaker.tool("storage_put", put) for _ in range(20)))

    await asyncio.to_thread(parts.broken, part, "stopped")
    try:
        await many(100)
        before = parts.resident
        await many(400)
        grown = parts.resident - before
    finally:
        parts.mended(part, "stopped")
    assert grown < 16_384, f"{grown} KiB more after 400 failed calls"
    await recovered(http)
