"""Who reaches whom, and what stands for whom."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.tenants import (
    House,
    at_once,
    long_ago,
    make_file,
    open_house,
    rows_of,
    who,
)

from tause_mcp.database import metadata
from tause_mcp.errors import Conflict, Forbidden, NotFound, QuotaExceeded, RateLimited, TauseError
from tause_mcp.services.tenants import tables
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

ON_A_TENANT = (
    ("tenants_get", {}),
    ("tenants_explain", {"key": "currency"}),
    ("tenants_get_usage", {}),
    ("tenants_configure", {"values": {"x": 1}}),
    ("tenants_configure", {"limits": {"rows": 1}}),
    ("tenants_suspend", {}),
    ("tenants_resume", {}),
    ("tenants_delete", {}),
)


async def test_a_foreign_tenant_looks_absent(house: House) -> None:
    foreign = ("ab", "a-b", "a_", "default", "uncle")
    await house.grow("aa")
    for tenant in foreign:
        if tenant != "default":
            await house.grow(tenant)

    async def answer(tool: str, more: dict, tenant_id: str) -> dict:
        with pytest.raises(NotFound) as refused:
            await house.call(tool, who("aa"), tenant_id=tenant_id, **more)
        return {"text": str(refused.value), **refused.value.describe()}

    for tool, more in ON_A_TENANT:
        absent = await answer(tool, more, "nobody")
        assert [await answer(tool, more, tenant) for tenant in foreign] == [absent] * len(foreign)


async def test_a_parent_out_of_reach_looks_absent(house: House) -> None:
    await house.grow("aa")
    await house.grow("bb")
    for parent in ("bb", "default", "nobody"):
        with pytest.raises(NotFound, match="no such tenant"):
            await house.call("tenants_create", who("aa"), tenant_id="cc", parent=parent)
        with pytest.raises(NotFound, match="no such tenant"):
            await house.call("tenants_list", who("aa"), parent=parent)


async def test_a_list_shows_ones_own_branch_only(house: House) -> None:
    await house.grow("aa", "aa1", "aa2")
    await house.grow("ab")
    page = await house.call("tenants_list", who("aa"))
    assert [item["tenant_id"] for item in page["items"]] == ["aa", "aa1", "aa2"]
    assert "parent" not in page["items"][0]
    assert page["items"][1]["parent"] == "aa"


async def test_pages_of_the_list_hold_each_tenant_once(house: House) -> None:
    for number in range(7):
        await house.grow(f"t{number}")
    seen: list[str] = []
    cursor: dict = {}
    while True:
        page = await house.call("tenants_list", limit=3, **cursor)
        seen += [item["tenant_id"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ["default", *(f"t{n}" for n in range(7))]


async def test_a_cursor_of_another_tenant_does_not_open(house: House) -> None:
    await house.grow("aa", "aa1")
    page = await house.call("tenants_list", limit=1)
    with pytest.raises(TauseError, match="cursor"):
        await house.call("tenants_list", who("aa"), limit=1, cursor=page["next_cursor"])


async def test_an_id_is_taken_once(house: House) -> None:
    await house.grow("aa")
    with pytest.raises(Conflict, match="not available"):
        await house.call("tenants_create", tenant_id="aa")
    with pytest.raises(Conflict, match="not available"):
        await house.call("tenants_create", who("aa"), tenant_id="default")


async def test_of_parallel_creations_one_wins(house: House) -> None:
    made = await asyncio.gather(
        *(house.call("tenants_create", tenant_id="aa") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, dict) for one in made) == 1
    assert sum(isinstance(one, Conflict) for one in made) == 7


@pytest.mark.parametrize("tool", ["tenants_suspend", "tenants_resume", "tenants_delete"])
@pytest.mark.parametrize("tenant", ["default", "aa"])
async def test_nobody_closes_their_own_tenant(house: House, tool: str, tenant: str) -> None:
    await house.grow("aa")
    with pytest.raises(Forbidden):
        await house.call(tool, who(tenant), tenant_id=tenant)
    await house.call("tenants_get", who(tenant))


@pytest.mark.parametrize("role", ["developer", "agent", "viewer"])
async def test_lesser_roles_make_and_close_no_tenants(house: House, role: str) -> None:
    await house.grow("aa")
    for tool in ("tenants_create", "tenants_suspend", "tenants_delete"):
        with pytest.raises(Forbidden):
            await house.call(tool, who(role=role), tenant_id="aa")


async def test_a_suspended_tenant_and_those_below_look_absent_until_resumed(house: House) -> None:
    await house.grow("aa", "aa1")
    await house.call("tenants_get", who("aa1"))
    await house.call("tenants_suspend", tenant_id="aa")
    for tenant in ("aa", "aa1"):
        with pytest.raises(NotFound, match="no such tenant"):
            await house.call("tenants_get", who(tenant))
    assert (await house.call("tenants_get", tenant_id="aa1"))["status"] == "suspended"
    listed = await house.call("tenants_list", status="suspended")
    assert [item["tenant_id"] for item in listed["items"]] == ["aa", "aa1"]
    assert house.changes == ["aa"]
    await house.call("tenants_resume", tenant_id="aa")
    await house.call("tenants_get", who("aa1"))


async def test_suspending_twice_changes_nothing_more(house: House) -> None:
    await house.grow("aa")
    first = await house.call("tenants_suspend", tenant_id="aa")
    assert await house.call("tenants_suspend", tenant_id="aa") == first


async def test_below_a_suspended_tenant_nothing_is_made(house: House) -> None:
    await house.grow("aa", "aa1")
    await house.call("tenants_suspend", tenant_id="aa")
    with pytest.raises(Conflict, match="suspended"):
        await house.call("tenants_create", tenant_id="aa2", parent="aa1")


async def test_a_suspension_elsewhere_arrives_within_four_seconds(
    house: House, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.grow("aa")
    clock = [100.0]
    monkeypatch.setattr("tause_mcp.services.tenants.directory.monotonic", lambda: clock[0])
    await house.directory.require_active(TenantId("aa"))
    async with open_house(path) as other:
        await other.call("tenants_suspend", tenant_id="aa")
    clock[0] += 4.0
    with pytest.raises(NotFound):
        await house.directory.require_active(TenantId("aa"))


async def test_a_stale_process_cannot_change_a_suspended_tenant(house: House, path: Path) -> None:
    await house.grow("aa")
    await house.change("aa")
    await house.directory.require_active(TenantId("aa"))
    async with open_house(path) as other:
        await other.call("tenants_suspend", tenant_id="aa")
    await house.directory.require_active(TenantId("aa"))
    with pytest.raises(NotFound, match="no such tenant"):
        await house.change("aa")
    assert rows_of(path, "SELECT version FROM tenant_values WHERE tenant_id='aa'") == [(1,)]


async def test_a_tenant_with_children_is_not_deleted(house: House) -> None:
    await house.grow("aa", "aa1")
    with pytest.raises(Conflict, match="below it"):
        await house.call("tenants_delete", tenant_id="aa")
    assert (await house.call("tenants_get", who("aa")))["children"] == 1


async def test_deleting_asks_a_person(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_delete", tenant_id="aa")
    assert house.asked == ["Delete the tenant aa and everything it holds, for good"]


async def test_deleting_leaves_no_row_anywhere_and_the_neighbours_alone(
    house: House, path: Path
) -> None:
    names = ("aa", "aab", "a_", "aa-")
    for name in names:
        await house.grow(name)
        await house.change(name)
        await house.call("tenants_configure", tenant_id=name, limits={"rows": 5})
    _fill(path, names)
    await house.usage.flush()
    held = _tables()
    before = {t.name: _count(path, t.name, names[1:]) for t in held}
    await house.call("tenants_delete", tenant_id="aa")
    for table in held:
        left = 1 if table.name == "tenants" else 0  # the mark that keeps the id
        assert _count(path, table.name, ["aa"]) == left, table.name
        assert _count(path, table.name, names[1:]) == before[table.name], table.name


def _tables() -> list[sa.Table]:
    """Every table with rows of tenants, but those of what is still to be removed elsewhere."""
    return [
        table
        for table in metadata.sorted_tables
        if "tenant_id" in table.columns and not table.info.get("outlives")
    ]


def _fill(path: Path, names: tuple[str, ...]) -> None:
    """A row of each tenant in every table that has none yet, so that none can be forgotten."""
    for table in _tables():
        for name in names:
            if _count(path, table.name, [name]):
                continue
            needed = [c for c in table.columns if not c.nullable]
            values = [name if c.name == "tenant_id" else _some(c) for c in needed]
            columns = ", ".join(f'"{c.name}"' for c in needed)
            marks = ", ".join("?" for _ in needed)
            rows_of(path, f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})', *values)


def _some(column: Any) -> Any:
    """A value of the column's own type."""
    made = {int: 1, bool: True, float: 1.0, bytes: b"1", dict: "{}", list: "[]"}
    return made.get(column.type.python_type, f"{column.table.name}1")


def _count(path: Path, table: str, names: list[str] | tuple[str, ...]) -> int:
    marks = ", ".join("?" for _ in names)
    sql = f'SELECT count(*) FROM "{table}" WHERE tenant_id IN ({marks})'
    return int(rows_of(path, sql, *names)[0][0])


async def test_the_same_id_again_sees_nothing_of_the_former(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_configure", who("aa"), values={"secret.plan": "x"})
    await house.call("tenants_configure", tenant_id="aa", limits={"calls_per_hour": 1000})
    await house.delete("aa")
    since = await house.directory.active_since(TenantId("aa"))
    assert since is None
    await long_ago(house.database, "aa")
    await house.grow("aa")
    fresh = await house.call("tenants_get", who("aa"))
    assert "secret.plan" not in fresh["config"]
    assert fresh["limits"] == {}
    assert (await house.call("audit_search", who("aa")))["items"] == []
    assert (await house.call("tenants_get_usage", who("aa")))["calls"] == 2


async def test_rows_that_outlived_a_former_tenant_are_not_the_new_ones(
    house: House, path: Path
) -> None:
    late = "INSERT INTO tenant_values VALUES ('aa', 'late', '', 'string', '\"x\"', 1, 1)"
    rows_of(path, late)
    await house.grow("aa")
    assert "late" not in (await house.call("tenants_get", who("aa")))["config"]


async def test_a_new_tenant_has_its_whole_hour(house: House) -> None:
    limits = {"calls_per_hour": 1}
    for _ in range(2):
        await house.call("tenants_create", tenant_id="aa", limits=limits)
        await house.call("tenants_get", who("aa"))
        with pytest.raises(RateLimited):
            await house.call("tenants_get", who("aa"))
        await house.delete("aa")
        await long_ago(house.database, "aa")


async def test_what_is_kept_outside_the_rows_is_removed_first(house: House) -> None:
    told: list[str] = []

    async def farewell(tenant: TenantId) -> None:
        told.append(tenant)

    house.directory.farewells.append(farewell)
    await house.grow("aa")
    assert told == []
    assert (await house.call("tenants_delete", tenant_id="aa"))["status"] == "deleted"
    assert told == ["aa"]


async def test_a_deletion_that_is_held_up_is_finished_later(house: House, path: Path) -> None:
    down = True

    async def farewell(tenant: TenantId) -> None:
        if down:
            raise OSError("the store is down")

    house.directory.farewells.append(farewell)
    await house.grow("aa")
    await house.change("aa")
    assert (await house.call("tenants_delete", tenant_id="aa"))["status"] == "deleting"
    for caller in (who(), who("aa")):
        with pytest.raises(NotFound):
            await house.call("tenants_get", caller, tenant_id="aa")
    assert [i["tenant_id"] for i in (await house.call("tenants_list"))["items"]] == ["default"]
    await house.directory.finish_deletions()
    assert _count(path, "audit", ["aa"]) == 1
    down = False
    await house.directory.finish_deletions()
    assert _count(path, "audit", ["aa"]) == 0
    await long_ago(house.database, "aa")
    await house.directory.finish_deletions()
    assert _count(path, "tenants", ["aa"]) == 0


async def test_the_limit_of_tenants_holds_for_the_whole_branch(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_configure", tenant_id="aa", limits={"tenants": 2})
    made = await asyncio.gather(
        *(house.call("tenants_create", who("aa"), tenant_id=f"aa{n}") for n in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, dict) for one in made) == 2
    assert sum(isinstance(one, QuotaExceeded) for one in made) == 4
    child = next(one["tenant_id"] for one in made if isinstance(one, dict))
    with pytest.raises(QuotaExceeded):
        await house.call("tenants_create", who(child), tenant_id="aax")


async def test_a_plan_limits_tenants_too(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_configure", values={"plans.one": {"limits": {"tenants": 1}}})
    await house.call("tenants_configure", tenant_id="aa", plan="one")
    await house.call("tenants_create", who("aa"), tenant_id="aa1")
    with pytest.raises(QuotaExceeded):
        await house.call("tenants_create", who("aa"), tenant_id="aa2")


async def test_the_tree_has_a_bottom(house: House) -> None:
    line = [f"t{n}" for n in range(tables.DEEPEST - 1)]
    await house.grow(*line)
    with pytest.raises(Conflict, match="deep"):
        await house.call("tenants_create", tenant_id="tx", parent=line[-1])


async def test_ancestors_are_told_nearest_first(house: House) -> None:
    await house.grow("aa", "aa1", "aa2")
    assert await house.directory.ancestors(TenantId("aa2")) == ("aa1", "aa", "default")
    assert await house.directory.ancestors(TenantId("default")) == ()
    with pytest.raises(NotFound):
        await house.directory.ancestors(TenantId("nobody"))


START = """
import asyncio, sys
from tause_mcp.database import open_database
from tause_mcp.services.tenants import TenantDirectory

async def start():
    async with open_database(sys.argv[1]) as database:
        directory = TenantDirectory(database)
        await directory.ensure_root()
        await directory.require_active("default")

asyncio.run(start())
"""


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.torture)])
def test_of_processes_that_start_at_once_all_find_the_root(path: Path, count: int) -> None:
    make_file(path)
    at_once(START, path, count=count)
    assert rows_of(path, "SELECT tenant_id, parent_id FROM tenants") == [("default", None)]
