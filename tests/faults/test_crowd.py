"""Many callers of many tenants at once: nobody gets another's answer, and limits are exact."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support.serving import Served, run_all, serving

from tause_mcp.testing.walk_wire import Speaker

pytestmark = pytest.mark.anyio
TENANTS = 12
CALLS = 12
ALLOWED = 5
SIZE = 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("crowd") / "home"
    with serving(home, "--transport", "http", "--workers", "2") as served:
        yield served
        served.stop()


@pytest.fixture(scope="module")
def keys(server: Served) -> dict[str, str]:
    """Tenants with room for a few objects each, and a key of each."""
    names = [f"crowd{n}" for n in range(TENANTS)]
    room = f"storage={ALLOWED * SIZE + SIZE // 2}"
    commands = [
        command
        for name in names
        for command in (
            ("tenants", "create", name),
            ("tenants", "configure", name, "--limit", room),
            ("keys", "create", "--tenant", name, "--role", "owner"),
        )
    ]
    told = run_all(server.home, *commands)
    return {name: told[3 * n + 2].strip() for n, name in enumerate(names)}


async def test_everybody_at_once_gets_their_own_and_exactly_as_much_as_allowed(
    server: Served, keys: dict[str, str]
) -> None:
    await asyncio.sleep(4)  # a limit is believed for as long

    async def one(http: httpx2.AsyncClient, name: str, n: int) -> tuple[str, bool, bool]:
        speaker = Speaker(http, keys[name])
        content = f"{name}:".ljust(SIZE, "x")
        put, who = await asyncio.gather(
            speaker.tool("storage_put", {"key": f"k{n}", "content": content}),
            speaker.tool("access_whoami", {}),
        )
        assert who.value["tenant"] == name, who.body
        assert put.value or "quota_exceeded" in put.body, put.body
        read = await speaker.tool("storage_get", {"key": f"k{n}"})
        mine = not read.value or read.value["content"] == content
        return name, bool(put.value), mine and bool(read.value) == bool(put.value)

    clients = [httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) for _ in "abcd"]
    try:
        jobs = [one(clients[n % len(clients)], name, n) for n in range(CALLS) for name in keys]
        done = await asyncio.gather(*jobs)
    finally:
        for http in clients:
            await http.aclose()
    assert all(own for _, _, own in done)
    stored = {name: sum(put for who, put, _ in done if who == name) for name in keys}
    assert stored == dict.fromkeys(keys, ALLOWED)
