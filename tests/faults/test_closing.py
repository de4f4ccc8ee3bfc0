"""A tenant that is suspended or deleted ends on every replica within 5 s, whatever it has open."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.clock import BUSY
from tests.support.forked import Forked, Zygote, forking
from tests.support.serving import environment
from tests.support.tenants import rows_at

from tause_mcp.tenancy import BELIEVED
from tause_mcp.testing.walk_wire import LEGACY, Speaker, written

pytestmark = pytest.mark.anyio
SECONDS = 5.0
DEADLINE = 10.0
KEPT = DEADLINE + 2 * BELIEVED
SWEEP = 15.0
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Replica:
    """One of the servers, and a client of it."""

    forked: Forked
    http: httpx2.AsyncClient

    def speaker(self, token: str = "", **told: Any) -> Speaker:
        return Speaker(self.http, token or self.forked.key, **told)

    async def root(self, tool: str, **arguments: Any) -> Any:
        answer = await self.speaker().tool(tool, arguments)
        assert answer.value, answer.text
        return answer.value

    async def run(self, *arguments: str) -> str:
        """A command's output, beside the servers."""
        log = self.forked.log
        self.forked.log = log.with_suffix(".command")
        try:
            code, said = await asyncio.to_thread(self.forked.run, *arguments)
        finally:
            self.forked.log = log
        assert code == 0, said
        return said.strip().splitlines()[-1]


@pytest.fixture
async def replicas(seed: Zygote, tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two processes of one installation, and `acme` in it."""
    home = tmp_path / "home"
    same = {"TAUSE_PUBLIC_URL": "http://replicas.example", "TAUSE_DEADLINE": f"{DEADLINE:g}"}
    with (
        forking(seed, home, **same) as one,
        forking(seed, home, tmp_path / "other.log", **same) as other,
    ):
        one.start()
        other.start()
        async with _client(one) as first, _client(other) as second:
            here, there = Replica(one, first), Replica(other, second)
            await here.root("tenants_create", tenant_id="acme")
            yield here, there


def _client(forked: Forked) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False)


@dataclass
class Stream:
    """An open answer, and when it ended."""

    name: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ended: float = 0.0

    async def run(self, http: httpx2.AsyncClient, request: httpx2.Request) -> None:
        try:
            response = await http.send(request, stream=True)
            assert response.status_code == 200, (self.name, await response.aread())
            self.opened.set()
            async for _ in response.aiter_raw():
                pass
        except httpx2.TransportError:
            pass
        self.ended = time.monotonic()


class Life:
    """Everything that `acme` has open or was given, at one replica."""

    def __init__(self, at: Replica, key: str, token: str) -> None:
        self.at, self.key, self.token = at, key, token
        self.links: dict[str, str] = {}
        self.uploads: list[str] = []
        self.streams: list[tuple[Stream, asyncio.Task[None]]] = []

    async def begin(self) -> None:
        """Open everything, and see that it works."""
        owner = self.at.speaker(self.key)
        assert (await owner.tool("storage_put", {"key": "k", "content": "canary"})).value
        for method in ("GET", "PUT"):
            told = {"key": "k" if method == "GET" else "up", "method": method}
            self.links[method] = (await owner.tool("storage_sign_url", told)).value["url"]
        begun = await self.at.http.post(self._path("PUT"), headers={**TUS, "Upload-Length": "9"})
        self.uploads.append(begun.headers["location"].partition("/objects")[2])
        await self._listen(owner)
        assert set((await self.alive()).values()) == {True}

    async def _listen(self, owner: Speaker) -> None:
        listening = owner.message("subscriptions/listen", {"notifications": {}})
        session = await self.at.speaker(self.key, era=LEGACY).opened()
        for name, speaker, verb in (("listen", owner, "POST"), ("get", session, "GET")):
            content = written(listening) if verb == "POST" else None
            headers = speaker.headers(listening)
            request = speaker.request(verb, speaker.door, headers, content)
            stream = Stream(name)
            task = asyncio.create_task(stream.run(self.at.http, request))
            self.streams.append((stream, task))
            async with asyncio.timeout(10 + BUSY):
                await stream.opened.wait()

    def _path(self, method: str) -> str:
        return "/objects" + self.links[method].partition("/objects")[2]

    async def alive(self) -> dict[str, bool]:
        """What still works."""
        http = self.at.http
        patch = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "key": lambda: self.at.speaker(self.key).tool("access_whoami", {}),
            "token": lambda: self.at.speaker(self.token).tool("access_whoami", {}),
            "download": lambda: http.get(self._path("GET")),
            "upload": lambda: http.head("/objects" + self.uploads[0], headers=TUS),
            "resumed": lambda: http.patch("/objects" + self.uploads[0], headers=patch, content=b""),
        }
        found = {name: await ask() for name, ask in asked.items()}
        return {
            name: bool(a.value) if name in ("key", "token") else a.status_code < 300
            for name, a in found.items()
        }

    async def dead_within(self, began: float, seconds: float = SECONDS + BUSY) -> None:
        """Everything ends before so many seconds have passed."""
        tasks = [task for _, task in self.streams]
        await asyncio.wait(tasks, timeout=began + seconds + 1 - time.monotonic())
        took = {s.name: s.ended - began for s, _ in self.streams}
        assert all(0 < after <= seconds for after in took.values()), took
        await asyncio.sleep(
            max(0.0, began + SECONDS - time.monotonic())
        )  # until then it may return
        await self.becomes(False, began + seconds)

    async def becomes(self, wanted: bool, until: float) -> None:
        """Wait until everything works, or nothing."""
        while set((found := await self.alive()).values()) != {wanted}:
            assert time.monotonic() < until, found
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        for _, task in self.streams:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.streams), return_exceptions=True)


@asynccontextmanager
async def lives(replicas: tuple[Replica, Replica]) -> AsyncIterator[list[Life]]:
    """`acme` at both replicas, with everything open."""
    here = replicas[0]
    key = await here.run("keys", "create", "--tenant", "acme", "--role", "owner")
    token = await here.run("tokens", "create", "--tenant", "acme", "--scopes", "*:*")
    opened = [Life(at, key, token) for at in replicas]
    try:
        for life in opened:
            await life.begin()
        yield opened
    finally:
        for life in opened:
            await life.close()


async def deleted(here: Replica, tenant: str) -> float:
    """Delete a tenant with a person's approval; when that was."""
    asked = await here.root("tenants_delete", tenant_id=tenant)
    await here.run("approvals", "approve", asked["id"])
    began = time.monotonic()
    told = await here.root("tenants_delete", tenant_id=tenant)
    assert told["status"] == "deleted"
    return began


async def made_again(at: Replica, tenant: str, deleted: float) -> None:
    """Make it as soon as its id is free, and see that it was kept until then."""
    while not (answer := await at.speaker().tool("tenants_create", {"tenant_id": tenant})).value:
        assert "deleted a moment ago" in answer.text and "try again in" in answer.text
        assert time.monotonic() - deleted < KEPT + BUSY
        await asyncio.sleep(0.2)
    assert time.monotonic() - deleted > KEPT - 0.5


async def test_a_suspended_tenant_ends_everywhere_and_comes_back(
    replicas: tuple[Replica, Replica],
) -> None:
    async with lives(replicas) as opened:
        began = time.monotonic()
        await replicas[0].root("tenants_suspend", tenant_id="acme")
        await asyncio.gather(*(life.dead_within(began) for life in opened))
        await replicas[0].root("tenants_resume", tenant_id="acme")
        for life in opened:
            await life.becomes(True, time.monotonic() + SECONDS + BUSY)


async def test_a_deleted_tenant_ends_everywhere_and_the_same_id_sees_nothing_of_it(
    replicas: tuple[Replica, Replica],
) -> None:
    here, there = replicas
    async with lives(replicas) as opened:
        began = await deleted(here, "acme")
        await asyncio.gather(*(life.dead_within(began) for life in opened))
        await made_again(there, "acme", began)
        for life in opened:
            assert set((await life.alive()).values()) == {False}
        key = await here.run("keys", "create", "--tenant", "acme", "--role", "owner")
        for at in replicas:
            fresh = at.speaker(key)
            assert (await fresh.tool("storage_list", {})).value == {"items": []}
            keys = (await fresh.tool("access_list_keys", {})).value["items"]
            assert len(keys) == 1
            told = json.dumps((await fresh.tool("audit_search", {})).value)
            assert "storage_put" not in told


async def test_a_local_session_ends_with_its_tenant_and_no_other(
    replicas: tuple[Replica, Replica],
) -> None:
    here, _ = replicas
    home = here.forked.home
    hello = written(here.speaker(era=LEGACY).message("initialize", INITIALIZE)) + b"\n"
    sessions = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tause_mcp", "serve", "--tenant", name],
            env=environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("acme", "default")
    }
    try:
        for session in sessions.values():
            assert session.stdin is not None and session.stdout is not None
            session.stdin.write(hello)
            session.stdin.flush()
            assert b"serverInfo" in await asyncio.to_thread(session.stdout.readline)
        await here.root("tenants_suspend", tenant_id="acme")
        ended = sessions["acme"]
        assert ended.stderr is not None
        await asyncio.to_thread(ended.wait, SECONDS + BUSY)
        assert b"'acme'" in ended.stderr.read()
        assert sessions["default"].poll() is None
    finally:
        for session in sessions.values():
            session.kill()
            await asyncio.to_thread(session.communicate)


INITIALIZE = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


async def test_the_limit_of_open_streams_holds_over_replicas_and_kinds(
    replicas: tuple[Replica, Replica],
) -> None:
    here, there = replicas
    limits = {"connections": 2}
    await here.root("tenants_configure", tenant_id="acme", limits=limits)
    key = await here.run("keys", "create", "--tenant", "acme", "--role", "owner")
    opened = [Life(at, key, "") for at in (here, there)]
    try:
        await opened[0]._listen(here.speaker(key))  # a listening stream, and a session's GET
        refused = there.speaker(key)
        listening = refused.message("subscriptions/listen", {"notifications": {}})
        answer = await refused.post(listening)
        assert "limit of 2 open streams" in answer.body
        session = await there.speaker(key, era=LEGACY).opened()
        request = session.request("GET", "/mcp", session.headers(listening))
        answered = await there.http.send(request)
        assert (answered.status_code, answered.headers["retry-after"]) == (429, "10")
        await opened[0].close()
        async with asyncio.timeout(10 + BUSY):
            while (await used(there, key)) > 0:
                await asyncio.sleep(0.1)
        await opened[1]._listen(there.speaker(key))
        assert await used(here, key) == 2
    finally:
        for life in opened:
            await life.close()


async def used(at: Replica, key: str) -> int:
    told = (await at.speaker(key).tool("tenants_get_usage", {})).value["limits"]
    return int(next(limit["used"] for limit in told if limit["name"] == "connections"))


async def test_a_deletion_that_was_killed_half_way_is_finished_by_another(
    replicas: tuple[Replica, Replica],
) -> None:
    """The mark is committed, the remains are not yet removed: whoever lives goes on."""
    here, there = replicas
    home = here.forked.home
    key = await here.run("keys", "create", "--tenant", "acme", "--role", "owner")
    await here.speaker(key).tool("storage_put", {"key": "k", "content": "canary" * 10_000})
    marked = time.time_ns() // 1000
    rows_at(home, f"UPDATE tenants SET state='deleted', updated_at={marked} WHERE tenant_id='acme'")
    here.forked.kill()
    await asyncio.to_thread(there.forked.end, signal.SIGTERM)
    there.forked.start()
    until = time.monotonic() + 2 * SWEEP + KEPT + BUSY
    while rows_at(home, "SELECT 1 FROM tenants WHERE tenant_id='acme'"):
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    for table in ("tenants", "api_keys", "objects", "audit", "audit_heads", "usage", "tenant_keys"):
        left = rows_at(home, f"SELECT count(*) FROM {table} WHERE tenant_id='acme'")
        assert left == [(0,)], table
    async with _client(there.forked) as http:
        assert (await Speaker(http, key).tool("access_whoami", {})).status == 401
