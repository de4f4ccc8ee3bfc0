"""The cache through the whole pipeline, in memory and on Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.redis import Server

from tause_mcp.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Unavailable,
)
from tause_mcp.testing.home import House, house

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]
REDIS = pytest.mark.parametrize("home", ["redis"], indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.remove()


@pytest.fixture(params=["memory", "database", "redis"])
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    url = "database://" if request.param == "database" else "memory://"
    if request.param == "redis":
        url = request.getfixturevalue("server").url()
    async with house(tmp_path / "home", TAUSE_CACHE_URL=url) as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened


async def get(home: House, key: str, tenant: str = "ta") -> Any:
    return await home.call("cache_get", {"key": key}, tenant)


async def put(home: House, key: str, value: Any, tenant: str = "ta", **more: Any) -> Any:
    return await home.call("cache_set", {"key": key, "value": value, **more}, tenant)


VALUES: list[Any] = [
    "text",
    "",
    "ñ€😀",
    0,
    -1,
    1.5,
    True,
    False,
    [],
    {},
    [None],
    {"a": [1, {"b": None}]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_any_value_comes_back_as_it_was(home: House, value: Any) -> None:
    kept = await put(home, "k", value)
    assert kept["key"] == "k" and kept["size"] > 0
    assert await get(home, "k") == {"found": True, "value": value}


async def test_what_was_never_kept_is_not_found(home: House) -> None:
    assert await get(home, "k") == {"found": False}
    assert await home.call("cache_delete", {"key": "k"}, "ta") == {"key": "k", "deleted": False}
    assert await home.call("cache_clear", {"prefix": "k"}, "ta") == {"removed": 0}


@pytest.mark.parametrize("key", ["", "a b", "ñ", "a\n", "a\x00", "k" * 257, "a\x7f"])
async def test_a_key_outside_the_grammar_is_refused_everywhere(home: House, key: str) -> None:
    for tool, more in (
        ("cache_get", {}),
        ("cache_set", {"value": 1}),
        ("cache_delete", {}),
        ("cache_increment", {}),
    ):
        with pytest.raises(Invalid):
            await home.call(tool, {"key": key, **more}, "ta")
    with pytest.raises(Invalid):
        await home.call("cache_clear", {"prefix": key}, "ta")


@pytest.mark.parametrize(
    "told",
    [
        {"key": "k", "value": None},
        {"key": "k"},
        {"key": "k", "value": 1, "ttl": 0},
        {"key": "k", "value": 1, "ttl": -1},
        {"key": "k", "value": 1, "ttl": 10**10},
        {"key": "k", "value": 1, "ttl": "1"},
        {"key": "k", "value": "\ud800"},
        {"key": "k", "value": 2**70},
        {"key": "k", "value": 1, "colour": "red"},
    ],
    ids=repr,
)
async def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    home: House, told: dict[str, Any]
) -> None:
    await put(home, "k", "before")
    with pytest.raises(Invalid):
        await home.call("cache_set", told, "ta")
    assert (await get(home, "k"))["value"] == "before"


async def test_a_value_over_its_bound_is_too_large_and_the_largest_comes_back(home: House) -> None:
    largest = "x" * (20 * 1024 - 2)
    await put(home, "k", largest)
    assert (await get(home, "k"))["value"] == largest
    with pytest.raises(TooLarge):
        await put(home, "k", largest + "x")


async def test_counting_is_exact_under_parallel_calls(home: House) -> None:
    calls = [home.call("cache_increment", {"key": "n", "by": 2}, "ta") for _ in range(30)]
    told = await asyncio.gather(*calls)
    assert sorted(t["value"] for t in told) == list(range(2, 62, 2))
    assert await get(home, "n") == {"found": True, "value": 60}
    await put(home, "t", "text")
    with pytest.raises(Conflict):
        await home.call("cache_increment", {"key": "t"}, "ta")


async def test_a_repeated_count_under_one_idempotency_key_counts_once(home: House) -> None:
    told = [await home.call("cache_increment", {"key": "n"}, "ta", key="once") for _ in range(3)]
    assert [t["value"] for t in told] == [1, 1, 1]
    assert (await get(home, "n"))["value"] == 1


async def test_nothing_crosses_a_tenant(home: House) -> None:
    for tenant in ("ta", "tab"):
        await put(home, "b", tenant, tenant)
        await put(home, "b:x", tenant, tenant)
    assert await home.call("cache_clear", {}, "ta") == {"removed": 2}
    assert await get(home, "b", "ta") == {"found": False}
    assert await get(home, "b", "tab") == {"found": True, "value": "tab"}
    await home.call("cache_delete", {"key": "b"}, "ta")
    assert (await home.call("cache_increment", {"key": "b:x"}, "ta"))["value"] == 1
    assert (await get(home, "b:x", "tab"))["value"] == "tab"


async def test_a_deleted_tenants_cache_goes_and_its_id_begins_empty(home: House) -> None:
    await put(home, "k", "old")
    await home.platform.directory.remove("tab")  # what never held anything is removed too
    await _delete(home, "ta")
    with pytest.raises(NotFound):
        await get(home, "k")
    await home.tenant("ta")
    assert await get(home, "k") == {"found": False}
    assert await home.call("cache_clear", {}, "ta") == {"removed": 0}


async def _delete(home: House, tenant: str) -> None:
    from tause_mcp.services.tenants import tables
    from tause_mcp.tenancy import TenantId

    named = TenantId(tenant)
    await home.platform.database.write(
        None, lambda tx: tx.run(tables.MARK_DELETED, child=named, now=1), house=True
    )
    await home.platform.directory.remove(named)


async def test_the_tenants_limit_holds_and_its_usage_is_told(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"cache_memory": 5000}})
    for number in range(40):
        await put(home, f"k{number}", "x" * 200)
    told = await home.call("tenants_get_usage", {}, "ta")
    mine = next(limit for limit in told["limits"] if limit["name"] == "cache_memory")
    assert mine["limit"] == 5000 and 4000 < mine["used"] <= 5000
    assert (await get(home, "k39"))["found"] and not (await get(home, "k0"))["found"]
    with pytest.raises(QuotaExceeded):
        await put(home, "big", "x" * 6000)


async def test_a_scope_for_some_keys_reaches_those_alone(home: House) -> None:
    await put(home, "a", 1)
    await put(home, "ab", 2)
    one = home.caller("ta", scopes=["cache:read:a", "cache:write:a"])
    some = home.caller("ta", scopes=["cache:read:a*", "cache:write:a*"])
    assert (await home.call("cache_get", {"key": "a"}, one))["found"]
    for tool, told in (
        ("cache_get", {"key": "ab"}),
        ("cache_set", {"key": "ab", "value": 1}),
        ("cache_increment", {"key": "ab"}),
        ("cache_delete", {"key": "ab"}),
        ("cache_clear", {"prefix": "a"}),
        ("cache_clear", {}),
    ):
        with pytest.raises(Forbidden):
            await home.call(tool, told, one)
    with pytest.raises(Forbidden):
        await home.call("cache_clear", {}, some)
    assert await home.call("cache_clear", {"prefix": "a"}, some) == {"removed": 2}


async def test_a_rate_holds_for_reads_too_and_is_counted_once_each(home: House) -> None:
    await put(home, "k", 1)
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"calls_per_hour": 5}})
    for _ in range(5):
        assert (await get(home, "k"))["found"]
    with pytest.raises(RateLimited) as refused:
        await get(home, "k")
    assert 700 < (refused.value.retry_after or 0) <= 720
    assert await get(home, "k", "tab") == {"found": False}


async def test_a_read_that_is_refused_before_it_asks_is_counted_all_the_same(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"calls_per_hour": 2}})
    viewer = home.caller("ta", "viewer")
    for _ in range(2):
        told = {"name": "cache_get", "arguments": {"key": "k"}}
        with pytest.raises((RateLimited, NotFound)):
            await home.call("catalog_read", told, viewer)
            raise NotFound("it passed")
    with pytest.raises(RateLimited):
        await get(home, "k")


@REDIS
async def test_a_read_under_a_limit_is_one_question(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(home, "k", 1)
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"calls_per_hour": 1000}})
    await get(home, "k")
    client = home.platform.shared_state.source
    asked: list[Any] = []
    run = client.run

    async def counting(*told: Any) -> Any:
        asked.append(told)
        return await run(*told)

    monkeypatch.setattr(client, "run", counting)
    assert (await get(home, "k"))["found"]
    assert len(asked) == 1
    left = await home.platform.shared[_limits()].left("ta")
    assert left == 998


def _limits() -> type[Any]:
    from tause_mcp.limits import TenantLimits

    return TenantLimits


@REDIS
async def test_redis_down_reads_find_nothing_changes_are_refused_and_it_comes_back(
    home: House, server: Server
) -> None:
    await put(home, "k", 1)
    server.kill()
    assert await get(home, "k") == {"found": False}
    for tool, told in (
        ("cache_set", {"key": "k", "value": 2}),
        ("cache_increment", {"key": "n"}),
        ("cache_delete", {"key": "k"}),
        ("cache_clear", {}),
    ):
        with pytest.raises(Unavailable):
            await home.call(tool, told, "ta")
    assert await home.platform.ready() == ["cache"]
    server.start()
    assert await home.platform.ready() == []
    assert await get(home, "k") == {"found": False}
    await put(home, "k", 3)
    assert (await get(home, "k"))["value"] == 3


@REDIS
async def test_redis_down_nobody_with_a_limit_passes(home: House, server: Server) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"calls_per_hour": 1000}})
    await get(home, "k")
    server.pause()
    try:
        for tool in ("cache_get", "storage_stat"):
            with pytest.raises(Unavailable):
                await home.call(tool, {"key": "k"}, "ta")
        with pytest.raises(NotFound):
            await home.call("storage_stat", {"key": "k"}, "tab")
    finally:
        server.resume()
