"""Races over several workers: quotas, approvals, idempotency keys and revocation hold."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.support.clock import BUSY
from tests.support.serving import Served, run, start

from tause_mcp.testing.walk_wire import MODERN, Answer, Speaker, written

pytestmark = [pytest.mark.anyio, pytest.mark.torture, pytest.mark.timeout(300)]

CALLS = 50
REVOKED_SECONDS = 5.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with workers(tmp_path_factory.mktemp("races") / "home", 3) as served:
        yield served


@contextmanager
def workers(home: Path, count: int) -> Iterator[Served]:
    """Several workers; stopped politely, because a killed parent leaves its workers behind."""
    served = start(home, "--transport", "http", "--workers", str(count))
    try:
        served.ready()
        yield served
    finally:
        served.stop()


@asynccontextmanager
async def apart(url: str, token: str, count: int) -> AsyncIterator[list[Speaker]]:
    """Speakers with a connection each, so that every worker gets some."""
    clients = [httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) for _ in range(count)]
    try:
        yield [Speaker(http, token) for http in clients]
    finally:
        for http in clients:
            await http.aclose()


def tenant_of(server: Served, name: str) -> str:
    """A fresh tenant, and an owner's key of it."""
    run(server.home, "tenants", "create", name)
    return run(server.home, "keys", "create", "--tenant", name, "--role", "owner").strip()


async def test_a_quota_holds_under_parallel_puts_over_several_workers(server: Served) -> None:
    key = tenant_of(server, "quota")
    run(server.home, "tenants", "configure", "quota", "--limit", "storage=100000")
    async with apart(server.url, key, 20) as speakers:
        sizes = [1000, 5000, 20_000] * 20
        puts = [
            speakers[n % 20].tool("storage_put", {"key": f"k/{n}", "content": "x" * size})
            for n, size in enumerate(sizes)
        ]
        answers = await asyncio.gather(*puts)
        kept = [a.value["size"] for a in answers if a.value]
        refused = [a for a in answers if not a.value]
        listed = (await speakers[0].tool("storage_list", {"limit": 200})).value["items"]
        usage = (await speakers[0].tool("tenants_get_usage", {})).value["limits"]
    assert sum(kept) <= 100_000 and refused
    assert all("quota_exceeded" in a.body for a in refused)
    assert sorted(o["size"] for o in listed) == sorted(kept)
    assert [u["used"] for u in usage if u["name"] == "storage"] == [sum(kept)]
    assert 100_000 - sum(kept) < 20_000, "there was room, and it was refused"


async def test_an_approval_is_consumed_by_one_of_many_parallel_calls(server: Served) -> None:
    key = tenant_of(server, "consent")
    asked = {"role": "admin", "name": "raced"}
    async with apart(server.url, key, 20) as speakers:
        pending = (await speakers[0].tool("access_create_key", asked)).value
        assert pending["status"] == "approval_required"
        run(server.home, "approvals", "approve", pending["id"])
        calls = [speakers[n % 20].tool("access_create_key", asked) for n in range(CALLS)]
        answers = await asyncio.gather(*calls)
        listed = (await speakers[0].tool("access_list_keys", {"limit": 100})).value["items"]
    assert sum("key" in a.value for a in answers) == 1
    assert sum(item.get("name") == "raced" for item in listed) == 1


async def test_an_idempotency_key_executes_once_however_many_call(server: Served) -> None:
    key = tenant_of(server, "again")
    asked = {"key": "k/once", "content": "once"}
    async with apart(server.url, key, 20) as speakers:
        calls = [
            speakers[n % 20].tool("storage_put", asked, key="the-same-key") for n in range(CALLS)
        ]
        answers = await asyncio.gather(*calls)
        found = await speakers[0].tool("audit_search", {"action": "storage_put"})
    told = {json.dumps(a.value, sort_keys=True) for a in answers}
    assert len(told) == 1 and answers[0].value["key"] == "k/once", told
    assert len(found.value["items"]) == 1


async def test_conditional_creates_have_one_winner_over_several_workers(server: Served) -> None:
    key = tenant_of(server, "winner")
    async with apart(server.url, key, 20) as speakers:
        calls = [
            speakers[n % 20].tool(
                "storage_put", {"key": "k/first", "content": f"{n}", "if_none_match": "*"}
            )
            for n in range(CALLS)
        ]
        answers = await asyncio.gather(*calls)
    assert sum(bool(a.value) for a in answers) == 1
    assert all("precondition_failed" in a.body for a in answers if not a.value)


async def test_a_revoked_key_ends_on_every_worker_and_on_open_streams(tmp_path: Path) -> None:
    with workers(tmp_path / "home", 2) as server:
        made = run(server.home, "keys", "create", "--tenant", "default").strip()
        async with apart(server.url, made, 16) as speakers:
            before = await asyncio.gather(*(s.ask("tools/list") for s in speakers))
            assert {a.status for a in before} == {200}
            streams = [asyncio.create_task(_until_closed(s)) for s in speakers[:6]]
            await asyncio.sleep(1.0)
            assert not any(stream.done() for stream in streams)
            run(server.home, "keys", "revoke", made.split(".")[1])
            revoked = time.monotonic()
            await asyncio.wait(streams, timeout=REVOKED_SECONDS + BUSY)
            closed = [s.result() - revoked for s in streams if s.done()]
            await asyncio.sleep(max(0.0, REVOKED_SECONDS - (time.monotonic() - revoked)))
            after = [await _fresh(server.url, made) for _ in range(30)]
    assert {a.status for a in after} == {401}
    assert len(closed) == len(streams), closed


async def _until_closed(speaker: Speaker) -> float:
    """Listen until the server ends the stream; when that was."""
    wanted = {"notifications": {"toolsListChanged": True}}
    message = speaker.message("subscriptions/listen", wanted)
    assert speaker.era == MODERN
    request = speaker.request("POST", "/mcp", speaker.headers(message), written(message))
    response = await speaker.http.send(request, stream=True)
    assert response.status_code == 200
    async for _ in response.aiter_raw():
        pass
    return time.monotonic()


async def _fresh(url: str, token: str) -> Answer:
    async with apart(url, token, 1) as speakers:
        return await speakers[0].ask("tools/list")
