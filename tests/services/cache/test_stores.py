"""Every backend keeps, counts, evicts and invalidates alike; nothing crosses a tenant."""

import asyncio
import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.services.cache.conftest import LIMIT, Shelves

from tause_mcp import times
from tause_mcp.errors import Conflict, Invalid, QuotaExceeded, Unavailable
from tause_mcp.services.cache import tables
from tause_mcp.services.cache.backends import OVERHEAD, WHOLE, size_of
from tause_mcp.services.cache.backends.memory import MemoryStore
from tause_mcp.tenancy import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]


async def keys_left(shelves: Shelves, keys: list[str], tenant: str = "aa") -> list[str]:
    at = shelves.of(tenant)
    return [key for key in keys if await shelves.store.get(at, key, None) is not None]


async def test_what_is_set_is_read_replaced_and_deleted(shelves: Shelves) -> None:
    at = shelves.of()
    assert await shelves.store.get(at, "k", None) is None
    await shelves.store.set(at, "k", b'{"a": "\xc3\xb1\\n"}', None)
    assert await shelves.store.get(at, "k", None) == b'{"a": "\xc3\xb1\\n"}'
    await shelves.store.set(at, "k", b"2", None)
    assert await shelves.store.get(at, "k", None) == b"2"
    assert await shelves.store.delete(at, "k")
    assert not await shelves.store.delete(at, "k")
    assert await shelves.used(at) == 0


async def test_what_has_run_out_is_gone_and_counts_nothing(shelves: Shelves) -> None:
    at = shelves.of()
    await shelves.store.set(at, "short", b"1", 2)
    await shelves.store.set(at, "long", b"2", 100)
    assert await shelves.store.increment(at, "count", 1, 2) == 1
    assert await keys_left(shelves, ["short", "long", "count"]) == ["short", "long", "count"]
    await asyncio.sleep(2.1)
    assert await keys_left(shelves, ["short", "long", "count"]) == ["long"]
    assert await shelves.used(at) == size_of("long", b"2")
    assert not await shelves.store.delete(at, "short")
    assert await shelves.store.increment(at, "count", 5, None) == 5
    assert await shelves.store.clear(at, "") == 2


async def test_a_counter_keeps_its_own_end(shelves: Shelves) -> None:
    at = shelves.of()
    await shelves.store.increment(at, "n", 1, 2)
    await shelves.store.increment(at, "n", 1, 100)
    await asyncio.sleep(2.1)
    assert await shelves.store.get(at, "n", None) is None


async def test_setting_anew_sets_a_new_end(shelves: Shelves) -> None:
    at = shelves.of()
    await shelves.store.set(at, "k", b"1", 1)
    await shelves.store.set(at, "k", b"2", None)
    await asyncio.sleep(1.1)
    assert await shelves.store.get(at, "k", None) == b"2"


@pytest.mark.parametrize(
    "value", [b'"5"', b"1.5", b"null", b"true", b"[]", b'""', b"9007199254740993", b"1e3", b"-"]
)
async def test_only_a_whole_number_is_counted(shelves: Shelves, value: bytes) -> None:
    at = shelves.of()
    await shelves.store.set(at, "k", value, None)
    with pytest.raises(Conflict):
        await shelves.store.increment(at, "k", 1, None)
    assert await shelves.store.get(at, "k", None) == value


async def test_a_counter_never_leaves_what_is_exact(shelves: Shelves) -> None:
    at = shelves.of()
    assert await shelves.store.increment(at, "k", WHOLE, None) == WHOLE
    with pytest.raises(Invalid):
        await shelves.store.increment(at, "k", 1, None)
    assert await shelves.store.get(at, "k", None) == str(WHOLE).encode()
    assert await shelves.store.increment(at, "k", -WHOLE, None) == 0
    assert await shelves.store.increment(at, "k", -WHOLE, None) == -WHOLE
    assert await shelves.store.increment(at, "k", 1, None) == -WHOLE + 1


async def test_parallel_counts_are_exact(shelves: Shelves) -> None:
    at = shelves.of()
    told = await asyncio.gather(*(shelves.store.increment(at, "k", 1, None) for _ in range(60)))
    assert sorted(told) == list(range(1, 61))


PREFIXED = [
    "a",
    "ab",
    "abc",
    "a%",
    "a%x",
    "a*",
    "a*x",
    "a_",
    "axb",
    "A",
    "AB",
    "a[b]c",
    "a?",
    "a\\",
]


@pytest.mark.parametrize("prefix", ["a", "ab", "a%", "a*", "a_", "A", "a[", "a?", "a\\", "b", "~"])
async def test_a_prefix_is_its_text_and_nothing_else(shelves: Shelves, prefix: str) -> None:
    at = shelves.of()
    for key in PREFIXED:
        await shelves.store.set(at, key, b"1", None)
    meant = [key for key in PREFIXED if key.startswith(prefix)]
    assert await shelves.store.clear(at, prefix) == len(meant)
    assert await keys_left(shelves, PREFIXED) == [key for key in PREFIXED if key not in meant]
    left = sum(size_of(key, b"1") for key in PREFIXED if key not in meant)
    assert await shelves.used(at) == left


async def test_everything_is_cleared_however_much_it_is(shelves: Shelves) -> None:
    at = shelves.of(limit=10**7)
    for number in range(1100):
        await shelves.store.set(at, f"k:{number}", b"1", None)
    assert await shelves.store.clear(at, "k:1") == 211
    assert await shelves.store.clear(at, "k:") == 889
    assert await shelves.used(at) == 0


TENANTS = ["aa", "aa-b", "aa_b", "aab", "a0"]


async def test_tenants_share_no_key_no_count_and_no_limit(shelves: Shelves) -> None:
    for tenant in TENANTS:
        await shelves.store.set(shelves.of(tenant), "b", tenant.encode(), None)
    for tenant in TENANTS:
        assert await shelves.store.get(shelves.of(tenant), "b", None) == tenant.encode()
    assert await shelves.store.clear(shelves.of("aa"), "") == 1
    for tenant in TENANTS[1:]:
        assert await keys_left(shelves, ["b"], tenant) == ["b"]
        assert await shelves.used(shelves.of(tenant)) == size_of("b", tenant)


@pytest.mark.parametrize("kind", ["memory", "redis"], indirect=True)
async def test_a_later_tenant_of_the_same_id_sees_nothing_of_the_former(shelves: Shelves) -> None:
    """Rows go with all the tenant's rows; here what a slow process writes late is elsewhere."""
    former, later = shelves.of(born=1), shelves.of(born=2)
    await shelves.store.set(former, "k", b"1", None)
    await shelves.store.leave(TenantId("aa"), 1)
    assert await shelves.store.get(former, "k", None) is None
    await shelves.store.set(former, "k", b"late", None)
    assert await shelves.store.get(later, "k", None) is None
    assert await shelves.used(later) == 0


async def test_what_was_used_longest_ago_makes_room(shelves: Shelves) -> None:
    entry = size_of("k0", b"x" * 100)
    at = shelves.of(limit=5 * entry)
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        await shelves.store.set(at, key, b"x" * 100, None)
        await asyncio.sleep(0.002)
    assert await shelves.used(at) == 5 * entry
    await shelves.store.set(at, "k5", b"x" * 100, None)
    assert await keys_left(shelves, keys) == ["k1", "k2", "k3", "k4"]
    assert await shelves.used(at) == 5 * entry


@pytest.mark.parametrize("kind", ["memory", "redis"], indirect=True)
async def test_what_is_read_stays(shelves: Shelves) -> None:
    """Rows note a use at most once in a minute."""
    entry = size_of("k0", b"x" * 100)
    at = shelves.of(limit=3 * entry)
    for key in ("k0", "k1", "k2"):
        await shelves.store.set(at, key, b"x" * 100, None)
    await shelves.store.get(at, "k0", None)
    await shelves.store.set(at, "k3", b"x" * 100, None)
    assert await keys_left(shelves, ["k0", "k1", "k2", "k3"]) == ["k0", "k2", "k3"]


async def test_what_is_over_the_limit_by_itself_is_refused_and_the_rest_stays(
    shelves: Shelves,
) -> None:
    at = shelves.of(limit=1000)
    await shelves.store.set(at, "small", b"1", None)
    with pytest.raises(QuotaExceeded):
        await shelves.store.set(at, "big", b"x" * 1000, None)
    assert await keys_left(shelves, ["small", "big"]) == ["small"]
    with pytest.raises(QuotaExceeded):
        await shelves.store.set(shelves.of(limit=0), "k", b"1", None)


async def test_a_lowered_limit_holds_from_the_next_value_on(shelves: Shelves) -> None:
    for number in range(60):
        await shelves.store.set(shelves.of(), f"k{number}", b"1", None)
    low = shelves.of(limit=1000)
    await shelves.store.set(low, "new", b"1", None)
    assert await shelves.used(low) <= 1000
    assert await shelves.store.get(low, "new", None) == b"1"


async def test_parallel_writers_never_exceed_the_limit(shelves: Shelves) -> None:
    at = shelves.of(limit=2000)
    await asyncio.gather(*(shelves.store.set(at, f"k{n}", b"x" * (n * 7), None) for n in range(60)))
    used = await shelves.used(at)
    assert used <= 2000
    kept = 0
    for number in range(60):
        found = await shelves.store.get(at, f"k{number}", None)
        kept += 0 if found is None else size_of(f"k{number}", found)
    assert used == kept


key = st.sampled_from(["a", "ab", "a%", "A", "b", "a*"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), key, st.binary(max_size=40).map(lambda b: b.hex().encode())),
        st.tuples(st.just("count"), key, st.integers(-50, 50)),
        st.tuples(st.just("delete"), key, st.none()),
        st.tuples(st.just("clear"), st.sampled_from(["", "a", "a%", "A", "z"]), st.none()),
    ),
    max_size=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(taken=steps)
async def test_it_is_a_dictionary(shelves: Shelves, taken: list[tuple[str, str, Any]]) -> None:
    at = shelves.of(limit=10**6)
    await shelves.store.clear(at, "")
    model: dict[str, bytes] = {}
    for what, name, given_ in taken:
        await _step(shelves, model, what, name, given_)
        assert await shelves.used(at) == sum(size_of(k, v) for k, v in model.items())
    for name in ("a", "ab", "a%", "A", "b", "a*"):
        assert await shelves.store.get(at, name, None) == model.get(name)


async def _step(
    shelves: Shelves, model: dict[str, bytes], what: str, name: str, value: Any
) -> None:
    at, store = shelves.of(limit=10**6), shelves.store
    if what == "set":
        await store.set(at, name, value, None)
        model[name] = value
    elif what == "delete":
        assert await store.delete(at, name) == (model.pop(name, None) is not None)
    elif what == "clear":
        gone = [key for key in model if key.startswith(name)]
        assert await store.clear(at, name) == len(gone)
        for each in gone:
            del model[each]
    else:
        await _count(shelves, model, name, value)


async def _count(shelves: Shelves, model: dict[str, bytes], name: str, by: int) -> None:
    held = model.get(name, b"0")
    if not held.isdigit() and not (held.startswith(b"-") and held[1:].isdigit()):
        with pytest.raises(Conflict):
            await shelves.store.increment(shelves.of(limit=10**6), name, by, None)
    elif len(held) > 16 or abs(int(held) + by) > WHOLE:
        with pytest.raises((Conflict, Invalid)):
            await shelves.store.increment(shelves.of(limit=10**6), name, by, None)
    else:
        told = await shelves.store.increment(shelves.of(limit=10**6), name, by, None)
        assert told == int(held) + by
        model[name] = str(told).encode()


ticks = st.lists(
    st.tuples(key, st.integers(1, 9), st.integers(0, 4), st.integers(0, 60)), max_size=60
)


@given(ticks, st.integers(300, 1200))
async def test_memory_forgets_in_time_and_never_holds_more_than_the_limit(
    steps: list[tuple[str, int, int, int]], limit: int
) -> None:
    clock = [0.0]
    store = MemoryStore(lambda: clock[0], most=5 * limit)
    shelves = Shelves(store, None)  # type: ignore[arg-type]  # memory asks no database
    ends: dict[str, float] = {}
    for name, ttl, passes, size in steps:
        clock[0] += passes
        at = shelves.of(limit=limit)
        await store.set(at, name, b"x" * size, ttl)
        ends[name] = clock[0] + ttl
        used = await shelves.used(at)
        assert used <= limit and store._bytes == used
        for each, end in ends.items():
            if end <= clock[0]:
                assert await store.get(at, each, None) is None
        assert await store.get(at, name, None) == b"x" * size


async def test_memory_of_all_tenants_together_is_bounded() -> None:
    store = MemoryStore(most=50_000)
    shelves = Shelves(store, None)  # type: ignore[arg-type]  # memory asks no database
    await store.set(shelves.of("small"), "k", b"1", None)
    for number in range(200):
        await store.set(shelves.of("large", limit=10**6), f"k{number}", b"x" * 400, None)
    assert store._bytes <= 50_000
    assert await keys_left(shelves, ["k"], "small") == ["k"]


async def test_a_key_replaced_for_ever_leaves_nothing_behind_in_memory() -> None:
    store = MemoryStore()
    at = Shelves(store, None).of()  # type: ignore[arg-type]  # memory asks no database
    for _ in range(5000):
        await store.set(at, "k", b"1", 1000)
    shelf = store._shelves[(at.tenant, at.born)]
    assert len(shelf._ends) < 200 and shelf.bytes == OVERHEAD + 2
    assert shelf.bytes < LIMIT


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
async def test_a_value_in_a_row_is_sealed_and_opens_under_its_key_only(shelves: Shelves) -> None:
    at = shelves.of()
    await shelves.store.set(at, "k", b'"canary-2f6c"', None)
    row = await at.database.first(tables.GET, of_key="k", now=times.now())
    assert row is not None and "canary" not in base64.b64decode(row[0]).decode("latin-1")
    told = {"key": "other", "value": row[0], "size": 9, "expires_at": None, "used_at": times.now()}
    await at.database.write(lambda tx: tx.run(tables.PUT, **told))
    with pytest.raises(Unavailable):
        await shelves.store.get(at, "other", None)
    assert await shelves.store.get(at, "k", None) == b'"canary-2f6c"'
