"""A repeated key returns the first result, whoever dies when."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from tests.support.ciphers import ciphers
from tests.support.clock import BUSY
from tests.support.tenants import CATALOG, House, at_once, open_house, rows_of, who

from tause_mcp import idempotency, times
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import (
    Conflict,
    Forbidden,
    IdempotencyConflict,
    Invalid,
    NotFound,
    TauseError,
    Unavailable,
)
from tause_mcp.idempotency import StoredIdempotency
from tause_mcp.pipeline import digest_of

pytestmark = pytest.mark.anyio

SET = CATALOG.tools["tenants_configure"]
CREATE = CATALOG.tools["tenants_create"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"


@pytest.fixture
async def house(path: Path) -> AsyncIterator[House]:
    async with open_house(path) as opened:
        await opened.grow("aa")
        yield opened


def keys(house: House, **options: float) -> StoredIdempotency:
    return StoredIdempotency(house.database, ciphers(), **{"patience": 0.2, **options})


async def configure(house: House, key: str, value: Any = 1, caller: Any = None) -> Any:
    arguments = {"values": {"k": value}}
    done = await house.run("tenants_configure", caller or who("aa"), arguments, idempotency_key=key)
    return done.value


async def test_the_same_call_again_returns_the_first_result_and_changes_nothing(
    house: House,
) -> None:
    first = await configure(house, "k1")
    assert await configure(house, "k1") == first
    assert first["config_version"] == 1
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 1
    assert len((await house.call("audit_search", who("aa")))["items"]) == 1


@pytest.mark.parametrize("other", [2, "1", 1.0, True])
async def test_other_arguments_are_refused(house: House, other: Any) -> None:
    await configure(house, "k1", 1)
    with pytest.raises(IdempotencyConflict) as refused:
        await configure(house, "k1", other)
    assert refused.value.field == "idempotency_key"


async def test_another_tool_with_the_same_arguments_is_refused(house: House) -> None:
    await house.run("tenants_suspend", who(), {"tenant_id": "aa"}, idempotency_key="k1")
    with pytest.raises(IdempotencyConflict):
        await house.run("tenants_resume", who(), {"tenant_id": "aa"}, idempotency_key="k1")


async def test_tenants_do_not_share_keys(house: House) -> None:
    await house.grow("ab")
    await configure(house, "k1", 1)
    other = await configure(house, "k1", 2, who("ab"))
    assert other["tenant_id"] == "ab"


async def test_another_caller_gets_the_first_result_only_if_it_may_make_the_call(
    house: House,
) -> None:
    first = await configure(house, "k1")
    assert await configure(house, "k1", caller=who("aa", "developer")) == first
    with pytest.raises(Forbidden):
        await configure(house, "k1", caller=who("aa", "viewer"))


@pytest.mark.parametrize("key", ["x" * 256, "a\nb", "a\0", "\u2028", "\ud800", "\x7f"])
async def test_a_key_outside_the_bounds_is_refused_and_nothing_is_done(
    house: House, key: str
) -> None:
    with pytest.raises(Invalid, match="printable"):
        await configure(house, key)
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, "order 7 / año", "'; --", "%"])
async def test_a_key_may_be_any_printable_text(house: House, key: str) -> None:
    await configure(house, key)
    assert (await configure(house, key))["config_version"] == 1


async def test_of_parallel_calls_with_one_key_one_works(house: House) -> None:
    done = await asyncio.gather(*(configure(house, "k1") for _ in range(10)))
    assert all(one == done[0] for one in done)
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 1


async def test_a_call_that_failed_frees_its_key(house: House) -> None:
    wrong = {"tenant_id": "nobody", "values": {"k": 1}}
    for _ in range(2):
        with pytest.raises(NotFound):
            await house.run("tenants_configure", who("aa"), wrong, idempotency_key="k1")
    await configure(house, "k1")


async def test_a_key_is_forgotten_after_a_day(
    house: House, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await configure(house, "k1", 1)
    rows_of(path, "UPDATE idempotency SET expires_at = expires_at - ?", idempotency.KEPT)
    assert (await configure(house, "k1", 2))["config_version"] == 2
    assert (await configure(house, "k1", 2))["config_version"] == 2


async def test_the_sweep_takes_what_is_a_day_old(house: House, path: Path) -> None:
    await configure(house, "old")
    rows_of(path, "UPDATE idempotency SET expires_at = ?", times.now())
    await configure(house, "new", 2)
    await house.idempotency.sweep()
    assert rows_of(path, "SELECT key FROM idempotency") == [("new",)]


async def test_a_secret_is_shown_once(house: House) -> None:
    store, caller, digest = keys(house), who("aa"), digest_of("t", {})
    assert await store.claim(caller, SET, "k1", digest) is None
    await store.keep(caller, "k1", None)
    for again in (store.recall, store.claim):
        with pytest.raises(Conflict, match="secret"):
            await again(caller, SET, "k1", digest)


async def test_an_answer_that_was_lost_is_said_to_be(house: House) -> None:
    store, caller, digest = keys(house), who("aa"), digest_of("t", {})
    await store.claim(caller, SET, "k1", digest)
    await house.database_of(caller.tenant).write(store.mark(caller, "k1"))
    for again in (store.recall, store.claim):
        with pytest.raises(Conflict, match="answer was lost"):
            await again(caller, SET, "k1", digest)
    with pytest.raises(IdempotencyConflict):
        await store.claim(caller, SET, "k1", digest_of("t", {"a": 1}))


async def test_a_call_in_flight_is_waited_for_and_then_said_to_be(house: House) -> None:
    store, caller, digest = keys(house), who("aa"), digest_of("t", {})
    await store.claim(caller, SET, "k1", digest)
    with pytest.raises(Conflict, match="still working") as refused:
        await store.claim(caller, SET, "k1", digest)
    assert refused.value.retry_after

    async def finish() -> None:
        await asyncio.sleep(0.1)
        await store.keep(caller, "k1", b'{"done": 1}')

    patient = keys(house, patience=5)
    waiting = asyncio.create_task(patient.claim(caller, SET, "k1", digest))
    await finish()
    assert await waiting == {"done": 1}


async def test_an_empty_result_is_a_result(house: House) -> None:
    store, caller, digest = keys(house), who("aa"), digest_of("t", {})
    await store.claim(caller, SET, "k1", digest)
    await store.keep(caller, "k1", b"{}")
    assert await store.recall(caller, SET, "k1", digest) == {}


async def test_a_claim_that_died_is_taken_over_and_cannot_commit_any_more(
    house: House,
) -> None:
    caller, digest = who("aa"), digest_of("t", {})
    slow, other = keys(house, lease=0), keys(house)
    database = house.database_of(caller.tenant)

    async def first() -> Any:
        await slow.claim(caller, SET, "k1", digest)
        mark = slow.mark(caller, "k1")
        assert await asyncio.create_task(other.claim(caller, SET, "k1", digest)) is None
        database.trailers.append(mark)
        return await database.write(lambda tx: _note(tx))

    async def _note(tx: Any) -> None:
        await tx.run(idempotency.DROP, of_key="other", of_token="")

    with pytest.raises(Conflict, match="lost its idempotency key"):
        await first()
    await slow.drop(caller, "k1")
    with pytest.raises(Conflict, match="still working"):
        await keys(house).recall(caller, SET, "k1", digest)


async def test_a_key_whose_change_stays_without_an_answer_says_so_at_once(house: House) -> None:
    caller, digest = who("aa"), digest_of("t", {})
    mine, database = keys(house), house.database_of(caller.tenant)
    await mine.claim(caller, SET, "k1", digest)
    await database.write(mine.mark(caller, "k1"))
    await mine.drop(caller, "k1")
    began = monotonic()
    with pytest.raises(Conflict, match="its answer was lost"):
        await keys(house, patience=60).recall(caller, SET, "k1", digest)
    assert monotonic() - began < BUSY, "nobody waits for what cannot come"


async def test_a_claim_that_was_cancelled_is_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, digest, mine = who("aa"), digest_of("t", {}), keys(house)
    write = TenantDatabase.write

    async def then_cancelled(self: TenantDatabase, work: Any) -> Any:
        await write(self, work)
        raise asyncio.CancelledError

    monkeypatch.setattr(TenantDatabase, "write", then_cancelled)
    with pytest.raises(asyncio.CancelledError):
        await mine.claim(caller, SET, "k1", digest)
    monkeypatch.undo()
    await mine.drop(caller, "k1")
    assert await keys(house).recall(caller, SET, "k1", digest) is None


async def test_a_result_that_cannot_be_kept_fails_no_call_that_is_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: Any, **__: Any) -> None:
        raise Unavailable("down")

    monkeypatch.setattr(StoredIdempotency, "_write", down)
    assert (await configure(house, "k1"))["config_version"] == 1


DIE = """
import asyncio, os, sys
from types import SimpleNamespace
from tests.support.tenants import open_house, who
from pathlib import Path

async def die():
    async with open_house(sys.argv[1]) as house:
        async def killed(*_):
            os._exit(0)
        if sys.argv[2] == "after":
            house.pipeline.idempotency.keep = killed
        else:
            house.pipeline.audit.entry = lambda *_: killed
        arguments = {"values": {"k": 1}}
        await house.run("tenants_configure", who("aa"), arguments, idempotency_key="k1")

asyncio.run(die())
"""


async def test_killed_before_the_commit_the_call_can_be_made_again(
    house: House, path: Path
) -> None:
    at_once(DIE, path, "before", count=1)
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 0
    rows_of(path, "UPDATE idempotency SET lease_until = 0")
    assert (await configure(house, "k1"))["config_version"] == 1


async def test_killed_after_the_commit_the_call_is_not_made_twice(house: House, path: Path) -> None:
    at_once(DIE, path, "after", count=1)
    house.idempotency._patience = 0.1
    with pytest.raises(Conflict, match="answer was lost"):
        await configure(house, "k1")
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 1
    assert len((await house.call("audit_search", who("aa")))["items"]) == 1


RACE = """
import asyncio, sys
from pathlib import Path
from tests.support.tenants import open_house, who
from tause_mcp.database import open_database

async def race():
    async with open_house(sys.argv[1]) as house:
        for n in range(10):
            result = await house.run("tenants_configure", who("aa"), {"values": {"k": n}},
                                     idempotency_key=f"k{n}")
            print(result.value["config_version"], end=" ")

asyncio.run(race())
"""


async def test_processes_that_race_with_the_same_keys_do_the_work_once(
    house: House, path: Path
) -> None:
    told = await asyncio.to_thread(at_once, RACE, path, count=2)
    assert told[0] == told[1]
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 10


async def test_a_failing_call_reports_its_own_error(house: House) -> None:
    with pytest.raises(TauseError, match="null"):
        await configure(house, "k1", None)


async def test_a_kept_result_is_sealed_and_opens_for_its_key_only(house: House, path: Path) -> None:
    for key in ("k1", "k2"):
        await configure(house, key, "canary-3c9f")
    ((sealed,),) = rows_of(path, "SELECT result FROM idempotency WHERE key = 'k1'")
    assert b"canary" not in sealed and not sealed.startswith(b"{")
    rows_of(path, "UPDATE idempotency SET result = ? WHERE key = 'k2'", sealed)
    with pytest.raises(Unavailable):
        await configure(house, "k2", "canary-3c9f")
    await configure(house, "k1", "canary-3c9f")


async def test_a_result_that_an_older_release_kept_in_plain_is_read(
    house: House, path: Path
) -> None:
    first = await configure(house, "k1")
    rows_of(path, "UPDATE idempotency SET result = ?", b'{"old": 1}')
    assert await configure(house, "k1") == {"old": 1} != first
