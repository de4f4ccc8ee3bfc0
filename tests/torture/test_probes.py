"""At least 10,000 probes over real HTTP, in both eras, and the timing of foreign against absent."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from tests.support import shop
from tests.support.backends import named
from tests.support.serving import serving

from tause_mcp import log
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.walk import walk
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Answer, Speaker
from tause_mcp.testing.wompi import Sandbox
from tause_mcp.testing.wompi import serving as sandboxed

pytestmark = [pytest.mark.anyio, pytest.mark.torture, pytest.mark.timeout(1500)]

PROBES = 10_000
SAMPLES = 400
APART = 0.15
"""How far from 0.5 the chance may be that an answer about what is foreign takes longer than one
about what is absent: with 400 samples of each, chance alone stays within 0.07."""


@asynccontextmanager
async def house(
    home: Path, url: str, **more: str
) -> AsyncIterator[tuple[Platform, httpx2.AsyncClient]]:
    """The home of a running server, opened here too, and a client of that server."""
    log.configure("error")
    settings = Settings.read({**named(home), **more})
    async with (
        open_platform(settings, public_url=url) as platform,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
    ):
        yield platform, http


async def test_ten_thousand_probes_find_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    sandbox = Sandbox(resolve_after="polls:1")
    with sandboxed(sandbox) as wompi:
        told = shop.settings(sandbox, wompi)
        with serving(tmp_path / "home", **told) as server:
            async with house(server.home, server.url, **told) as (platform, http):
                report = await walk(
                    platform,
                    http,
                    most=PROBES,
                    eras=(MODERN, LEGACY),
                    settle=10,
                    prepare=shop.stocked(platform, sandbox, wompi),
                )
    record_property("counted", str(report))
    assert not report.findings and report.bytes == 0
    assert report.probes >= PROBES


Asked = Callable[[], Awaitable[Answer]]


async def seconds(ask: Asked) -> float:
    started = time.perf_counter()
    await ask()
    return time.perf_counter() - started


async def longer(one: Asked, other: Asked) -> float:
    """The chance that `one` takes longer than `other`, from samples in random order."""
    order = [True, False] * SAMPLES
    random.Random(7).shuffle(order)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for which in order:
        taken[which].append(await seconds(one if which else other))
    ranked = sorted([(t, 1) for t in taken[True]] + [(t, 0) for t in taken[False]])
    total = sum(rank for rank, (_, mine) in enumerate(ranked, 1) if mine)
    return (total - SAMPLES * (SAMPLES + 1) / 2) / SAMPLES**2


async def test_foreign_and_absent_take_the_same_time(tmp_path: Path) -> None:
    from tause_mcp.testing.walk_cast import cast, run

    with serving(tmp_path / "home") as server:
        async with house(server.home, server.url) as (platform, http):
            company = await cast(platform)
            a, b = company.owner, company.others[0]
            await run(platform, a.tenant, "storage_put", {"key": "k/one", "content": "x" * 9000})
            made = await run(platform, a.tenant, "access_create_key", {"role": "viewer"})
            speaker = Speaker(http, b.token)

            def tool(name: str, **arguments: str) -> Asked:
                return lambda: speaker.tool(name, arguments)

            def resource(uri: str) -> Asked:
                return lambda: speaker.ask("resources/read", {"uri": uri})

            def door(tenant: str) -> Asked:
                return lambda: Speaker(http, b.token, door=f"/t/{tenant}/mcp").ask("tools/list")

            def credential(tenant: str, key_id: str) -> Asked:
                token = f"tk_{tenant}.{key_id}.{'x' * 43}"
                return lambda: Speaker(http, token).ask("tools/list")

            absent = "0123456789abcdef"
            pairs = {
                "object": (tool("storage_get", key="k/one"), tool("storage_get", key="k/two")),
                "resource": (
                    resource("tause://acme/storage/k/one"),
                    resource("tause://acmf/storage/k/one"),
                ),
                "tenant": (
                    tool("access_whoami", tenant_id="acme"),
                    tool("access_whoami", tenant_id="acmf"),
                ),
                "door": (door("acme"), door("acmf")),
                "key": (
                    tool("access_revoke_key", id=made["id"]),
                    tool("access_revoke_key", id=absent),
                ),
                "credential": (credential("acme", made["id"]), credential("acme", absent)),
                "credential tenant": (credential("acme", absent), credential("acmf", absent)),
            }
            found = {name: await longer(*pair) for name, pair in pairs.items()}
    apart = {name: round(chance, 3) for name, chance in found.items() if abs(chance - 0.5) > APART}
    assert not apart, found
