"""Configuration by environment, its history, and references to secrets."""

from typing import Any

import pytest
from tests.support.tenants import House, who

from tause_mcp.errors import Invalid, NotFound, PreconditionFailed
from tause_mcp.services.tenants import history

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tree(house: House) -> House:
    """default > aa > aa1, in `development`."""
    await house.grow("aa", "aa1")
    return house


async def put(house: House, tenant: str, environment: str | None = None, **values: Any) -> Any:
    told = {"tenant_id": tenant, "values": values, "environment": environment}
    return await house.call("tenants_configure", **told)


async def explained(house: House, key: str, tenant: str = "aa1", **more: Any) -> Any:
    caller = who(more.pop("by", "default"))
    return await house.call("tenants_explain", caller, key=key, tenant_id=tenant, **more)


async def changes(house: House, key: str, tenant: str = "aa", **more: Any) -> Any:
    return (await explained(house, key, tenant, history=True, **more))["changes"]


# --- environments -------------------------------------------------------------------------------


async def test_a_value_of_another_environment_does_not_count_here(tree: House) -> None:
    await put(tree, "aa", "production", color="red")
    assert not (await explained(tree, "color"))["found"]
    assert "color" not in (await tree.call("tenants_get", who("aa1")))["config"]
    told = await explained(tree, "color", environment="production")
    assert (told["value"], told["environment"]) == ("red", "production")


async def test_of_one_tenant_the_environments_own_value_wins(tree: House) -> None:
    await put(tree, "aa", color="blue")
    await put(tree, "aa", "development", color="green")
    await put(tree, "aa", "production", color="red")
    told = await explained(tree, "color")
    assert told["value"] == "green"
    assert [(at["value"], at.get("environment")) for at in told["levels"]] == [
        ("green", "development"),
        ("blue", None),
    ]
    assert (await tree.call("tenants_get", who("aa1")))["config"]["color"] == "green"
    assert (await explained(tree, "color", environment="staging"))["value"] == "blue"


async def test_a_nearer_tenant_wins_over_a_parents_environment(tree: House) -> None:
    await put(tree, "aa", "development", color="green")
    await put(tree, "aa1", color="yellow")
    assert [at["value"] for at in (await explained(tree, "color"))["levels"]] == ["yellow", "green"]


async def test_what_is_removed_of_one_environment_stays_in_the_others(tree: House) -> None:
    await put(tree, "aa", color="blue")
    await put(tree, "aa", "development", color="green")
    remove = {"tenant_id": "aa", "remove": ["color"]}
    await tree.call("tenants_configure", **remove, environment="development")
    assert (await explained(tree, "color"))["value"] == "blue"
    await put(tree, "aa", "production", color="red")
    await tree.call("tenants_configure", **remove)
    assert (await explained(tree, "color", environment="production"))["value"] == "red"


async def test_an_environment_that_does_not_exist_is_refused(tree: House) -> None:
    for tool, more in (("tenants_explain", {"key": "x"}), ("tenants_configure", {})):
        with pytest.raises(Invalid, match="environment"):
            await tree.call(tool, environment="prod", **more)


# --- history ------------------------------------------------------------------------------------


async def test_a_history_says_who_changed_what_from_what_to_what(tree: House) -> None:
    await put(tree, "aa", color="blue")
    await put(tree, "aa", color="red", other=1)
    await put(tree, "aa", other=2)
    await tree.call("tenants_configure", tenant_id="aa", remove=["color"])
    told = await changes(tree, "color")
    assert [(c["version"], c.get("before"), c.get("after"), c["by"]) for c in told] == [
        (4, "red", None, "key:default"),
        (2, "blue", "red", "key:default"),
        (1, None, "blue", "key:default"),
    ]
    assert told[0]["at"] > told[1]["at"] > told[2]["at"]


async def test_limits_plan_and_name_have_a_history(tree: House) -> None:
    await tree.call("tenants_create", tenant_id="bb", limits={"rows": 5})
    await tree.call("tenants_configure", tenant_id="bb", limits={"rows": 7}, plan="gold", name="B")
    await tree.call("tenants_configure", tenant_id="bb", unlimited=["rows"], plan="")
    rows = await changes(tree, "limits.rows", "bb")
    assert [(c.get("before"), c.get("after")) for c in rows] == [(7, None), (5, 7), (None, 5)]
    plans = await changes(tree, "plan", "bb")
    assert [(c.get("before"), c.get("after")) for c in plans] == [("gold", None), (None, "gold")]
    assert (await changes(tree, "name", "bb"))[0]["before"] == "bb"


async def test_what_stays_the_same_is_no_change(tree: House) -> None:
    await put(tree, "aa", color="blue")
    await put(tree, "aa", color="blue")
    assert len(await changes(tree, "color")) == 1


async def test_a_refused_change_leaves_no_history(tree: House) -> None:
    await put(tree, "aa", color="blue")
    with pytest.raises(PreconditionFailed, match="version 1"):
        await tree.call("tenants_configure", tenant_id="aa", values={"color": "red"}, if_version=0)
    assert len(await changes(tree, "color")) == 1


async def test_a_history_names_nobody_from_above_the_caller(tree: House) -> None:
    await put(tree, "aa", color="blue")
    await tree.call("tenants_configure", who("aa"), values={"color": "red"})
    told = await changes(tree, "color", by="aa")
    assert [(c.get("by"), c["after"]) for c in told] == [("key:aa", "red"), (None, "blue")]


async def test_a_history_of_a_foreign_tenant_looks_absent(tree: House) -> None:
    for tenant in ("default", "nobody"):
        with pytest.raises(NotFound, match="no such tenant"):
            await changes(tree, "color", tenant, by="aa")


async def test_a_history_is_bounded_in_rows_and_in_bytes(
    tree: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 5)
    for number in range(8):
        await put(tree, "aa", color=f"{number}" * 3000)
    told = await tree.run(
        "tenants_explain", who(), {"key": "color", "tenant_id": "aa", "history": True}
    )
    assert [c["version"] for c in told.value["changes"]] == [8, 7]
    assert len(told.text) < 24 * 1024
    assert len(await history.changes_of(tree.database_of("aa"), "color", 50)) == 5  # type: ignore[arg-type]  # a name will do


async def test_a_new_tenant_of_the_same_id_has_no_history(tree: House) -> None:
    await put(tree, "aa1", color="blue")
    await tree.delete("aa1", again=True)
    assert await changes(tree, "color", "aa1") == []


# --- secrets ------------------------------------------------------------------------------------


async def test_a_value_may_name_a_secret_where_its_type_says_so(tree: House) -> None:
    told = {"values": {"smtp.password": "secret://smtp"}, "types": {"smtp.password": "secret"}}
    await tree.call("tenants_configure", tenant_id="aa", **told)
    found = await explained(tree, "smtp.password")
    assert (found["value"], found["levels"][0]["type"]) == ("secret://smtp", "secret")
    await put(tree, "aa1", **{"smtp.password": "secret://other"})
    with pytest.raises(Invalid, match="secret://name"):
        await put(tree, "aa1", **{"smtp.password": "hunter2"})


@pytest.mark.parametrize("kind", [None, "string", "json"])
async def test_a_reference_of_another_type_is_refused(tree: House, kind: str | None) -> None:
    types = {"k": kind} if kind else None
    with pytest.raises(Invalid, match="state its type"):
        await tree.call("tenants_configure", values={"k": "secret://x"}, types=types)


@pytest.mark.parametrize("value", ["", "secret://", "secret://a b", "secret://a/../b", 5, ["x"]])
async def test_what_names_no_secret_is_refused(tree: House, value: Any) -> None:
    with pytest.raises(Invalid, match="secret://name"):
        await tree.call("tenants_configure", values={"k": value}, types={"k": "secret"})
