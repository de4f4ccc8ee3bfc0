"""The id of a deleted tenant is nobody's until nothing of it can come late, from any process."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.tenants import House, long_ago, open_house, rows_of, who

from tause_mcp import times
from tause_mcp.errors import Conflict, NotFound
from tause_mcp.services.tenants import directory, tables
from tause_mcp.tenancy import BELIEVED, TenantId

pytestmark = pytest.mark.anyio
AA = TenantId("aa")
ROW = "SELECT state, updated_at FROM tenants WHERE tenant_id='aa'"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`later(seconds)`: that much has passed for every process here."""
    passed = 0.0
    now, monotonic = times.now, time.monotonic
    monkeypatch.setattr(times, "now", lambda: now() + round(passed * times.SECOND))
    monkeypatch.setattr(directory, "monotonic", lambda: monotonic() + passed)

    def pass_(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    return pass_


async def test_no_process_takes_a_new_tenant_for_the_former(
    house: House, path: Path, later: Any
) -> None:
    """The other process hears nothing: its signals are lost."""
    house.directory.deadline = 2.0
    await house.call("tenants_create", tenant_id="aa", limits={"rows": 7})
    async with open_house(path) as other:
        believed = [await other.directory.limit(AA, "rows")]
        await house.delete("aa")
        for _ in range(100):
            try:
                await house.grow("aa")
                break
            except Conflict as kept:
                assert kept.retry_after is not None and 1 <= kept.retry_after <= 2 + 2 * BELIEVED
            believed.append(other.directory.cached_limit(AA, "rows"))
            later(0.5)
        assert len(believed) > 2 * BELIEVED / 0.5
        assert await other.directory.limit(AA, "rows") is None


async def test_when_to_try_again_is_true(house: House, later: Any) -> None:
    await house.grow("aa")
    await house.delete("aa")
    with pytest.raises(Conflict, match=r"deleted a moment ago.* try again in 68 s, or choose") as e:
        await house.grow("aa")
    later(e.value.retry_after)
    await house.grow("aa")
    assert (await house.call("tenants_get", who("aa")))["name"] == "aa"


async def test_a_call_of_the_former_has_ended_and_what_it_wrote_last_is_removed(
    house: House, path: Path, later: Any
) -> None:
    assert house.directory.kept(times.now()) > house.pipeline.deadline + BELIEVED
    await house.grow("aa")
    await house.delete("aa")
    late = "INSERT INTO tenant_values VALUES ('aa', 'late', '', 'string', '\"x\"', 1, 1)"
    rows_of(path, late)
    later(70)
    await house.grow("aa")
    assert "late" not in (await house.call("tenants_get", who("aa")))["config"]


async def test_strangers_learn_nothing_of_a_deleted_tenant(house: House) -> None:
    await house.grow("aa", "aa1")
    for tenant in ("aab", "ab"):
        await house.call("tenants_create", tenant_id=tenant)
    await house.call("tenants_delete", who("aa"), tenant_id="aa1")
    said = [await refusal(house, "aab", "aa1"), await refusal(house, "aab", "ab")]
    assert said[0] == said[1] == ("this tenant id is not available: choose another", None)
    assert (await refusal(house, "aa", "aa1"))[1]
    assert (await refusal(house, "default", "aa1"))[1]
    with pytest.raises(NotFound):
        await house.call("tenants_get", who("aa"), tenant_id="aa1")


async def refusal(house: House, above: str, named: str) -> tuple[str, float | None]:
    with pytest.raises(Conflict) as refused:
        await house.call("tenants_create", who(above), tenant_id=named)
    return str(refused.value), refused.value.retry_after


async def test_the_mark_says_nothing_of_the_tenant_and_is_swept_away(
    house: House, path: Path, later: Any
) -> None:
    await house.call("tenants_create", tenant_id="aa", name="Ana Díaz", plan="gold")
    await house.delete("aa")
    await house.directory.finish_deletions()
    sql = "SELECT name, plan, state FROM tenants WHERE tenant_id='aa'"
    assert rows_of(path, sql) == [("", None, "deleted")]
    later(70)
    await house.directory.finish_deletions()
    assert rows_of(path, sql) == []


async def test_deleted_tenants_count_for_no_limit(house: House) -> None:
    await house.call("tenants_create", tenant_id="aa", limits={"tenants": 1})
    await house.call("tenants_create", who("aa"), tenant_id="aa1")
    await house.call("tenants_delete", who("aa"), tenant_id="aa1")
    await house.call("tenants_create", who("aa"), tenant_id="aa2")


async def test_of_all_who_make_it_at_once_one_does_at_most_and_sweeps_do_not_disturb(
    house: House, path: Path
) -> None:
    """Farewells are slow, and many processes give the id back: none says goodbye to the new one."""
    alive: list[str] = []

    async def farewell(tenant: TenantId) -> None:
        for _ in range(3):
            await asyncio.sleep(0.01)
            alive.extend(state for state, _ in rows_of(path, ROW) if state != tables.DELETED)

    await house.grow("aa")
    await house.delete("aa")
    await long_ago(house.database, "aa")
    async with open_house(path) as other:
        for one in (house, other):
            one.directory.farewells.append(farewell)
        made = await asyncio.gather(
            *(one.grow("aa") for one in (house, other) for _ in range(4)),
            *(one.directory.finish_deletions() for one in (house, other) for _ in range(4)),
            return_exceptions=True,
        )
        refused = [told for told in made[:8] if told is not None]
        assert {type(told) for told in refused} == {Conflict} and len(refused) >= 7
        if len(refused) == 8:  # a sweep was first: all came while it was at it
            await house.grow("aa")
    assert made[8:] == [None] * 8
    assert alive == []
    assert rows_of(path, ROW)[0][0] == tables.ACTIVE


async def test_whoever_dies_while_giving_an_id_back_keeps_it_for_as_long_again(
    house: House, path: Path, later: Any
) -> None:
    async def dies(tenant: TenantId) -> None:
        raise SystemExit

    await house.grow("aa")
    await house.delete("aa")
    marked = rows_of(path, ROW)[0][1]
    later(70)
    async with open_house(path) as killed:
        killed.directory.farewells.append(dies)
        with pytest.raises(SystemExit):
            await killed.directory.free(AA, marked)
    assert not await house.directory.free(AA, marked)
    with pytest.raises(Conflict, match="68 s"):
        await house.grow("aa")
    later(70)
    await house.directory.finish_deletions()
    assert rows_of(path, ROW) == []


async def test_a_farewell_that_never_ends_is_given_up_before_the_id_is_free(
    house: House, path: Path
) -> None:
    async def never(tenant: TenantId) -> None:
        await asyncio.sleep(3600)

    await house.grow("aa")
    await house.delete("aa")
    house.directory.deadline = 0.5 - BELIEVED
    house.directory.farewells.append(never)
    await long_ago(house.database, "aa")
    with pytest.raises(TimeoutError):
        await house.directory.free(AA, 0)
    ((state, marked),) = rows_of(path, ROW)
    assert (state, marked > 0) == (tables.DELETED, True)
