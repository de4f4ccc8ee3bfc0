"""Configuration: typed, versioned, inherited; limits: an ancestor's to set, never above its own."""

import asyncio
from typing import Any

import pytest
from tests.support.tenants import House, who

from tause_mcp.errors import Forbidden, Invalid, NotFound, PreconditionFailed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tree(house: House) -> House:
    """default > aa > aa1."""
    await house.grow("aa", "aa1")
    return house


async def explained(house: House, key: str, tenant: str = "aa1", by: str = "default") -> Any:
    return await house.call("tenants_explain", who(by), key=key, tenant_id=tenant)


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": {"calls_per_hour": 10_000}},
        {"unlimited": ["calls_per_hour"]},
        {"plan": "gold"},
        {"plan": ""},
    ],
)
async def test_nobody_raises_their_own_limits(tree: House, changes: dict[str, Any]) -> None:
    await tree.call("tenants_configure", tenant_id="aa", limits={"calls_per_hour": 10})
    for named in ({}, {"tenant_id": "aa"}):
        with pytest.raises(Forbidden, match="above"):
            await tree.call("tenants_configure", who("aa"), **named, **changes)
    assert (await tree.call("tenants_get", who("aa")))["limits"] == {"calls_per_hour": 10}


async def test_a_granted_parent_acting_as_its_child_raises_nothing_either(tree: House) -> None:
    acting = who("aa", home="default")
    with pytest.raises(Forbidden):
        await tree.call("tenants_configure", acting, limits={"rows": 1})


async def test_limits_need_more_than_writing(tree: House) -> None:
    with pytest.raises(Forbidden, match="admin"):
        await tree.call(
            "tenants_configure", who(role="developer"), tenant_id="aa", limits={"rows": 1}
        )
    await tree.call("tenants_configure", who(role="developer"), tenant_id="aa", values={"x": 1})


async def test_the_roots_limits_are_its_owners(tree: House) -> None:
    with pytest.raises(Forbidden):
        await tree.call("tenants_configure", who(role="admin"), limits={"rows": 1})
    told = await tree.call("tenants_configure", limits={"rows": 1})
    assert told["limits"] == {"rows": 1}


async def test_nobody_has_more_than_a_tenant_above(tree: House) -> None:
    await tree.call("tenants_configure", tenant_id="aa", limits={"rows": 100, "storage": 5})
    await tree.call("tenants_configure", who("aa"), tenant_id="aa1", limits={"rows": 10**6})
    told = await tree.call("tenants_get", who("aa1"))
    assert told["limits"] == {"rows": 100, "storage": 5}
    because = await explained(tree, "limits.rows")
    assert (because["value"], because["source"]) == (100, "parent")
    assert [level["tenant_id"] for level in because["levels"]] == ["aa", "aa1"]
    lifted = await tree.call("tenants_configure", tenant_id="aa", unlimited=["rows"])
    assert lifted["limits"] == {"storage": 5}
    assert (await tree.call("tenants_get", who("aa1")))["limits"]["rows"] == 10**6


@pytest.mark.parametrize(
    "limits", [{"rows": -1}, {"rows": 2**53}, {"rows": True}, {"bananas": 1}, {"rows": 1.5}]
)
async def test_a_wrong_limit_is_refused_and_nothing_is_stored(
    tree: House, limits: dict[str, Any]
) -> None:
    for tool, named in (("tenants_configure", "aa"), ("tenants_create", "new")):
        with pytest.raises(Invalid, match="limits"):
            await tree.call(tool, tenant_id=named, limits=limits)
    assert (await tree.call("tenants_get", tenant_id="aa"))["limits"] == {}
    with pytest.raises(NotFound):
        await tree.call("tenants_get", tenant_id="new")


async def test_a_value_comes_from_the_nearest_that_states_it(tree: House) -> None:
    assert (await explained(tree, "currency"))["source"] == "default"
    await tree.call("tenants_configure", values={"currency": "USD"})
    assert (await explained(tree, "currency"))["source"] == "parent"
    await tree.call("tenants_configure", tenant_id="aa", values={"currency": "EUR"})
    await tree.call("tenants_configure", tenant_id="aa1", values={"currency": "GBP"})
    told = await explained(tree, "currency")
    assert (told["value"], told["source"]) == ("GBP", "tenant")
    assert [level["value"] for level in told["levels"]] == ["GBP", "EUR", "USD", "COP"]
    await tree.call("tenants_configure", tenant_id="aa1", remove=["currency"])
    assert (await tree.call("tenants_get", who("aa1")))["config"]["currency"] == "EUR"


async def test_an_unknown_value_is_not_found_anywhere(tree: House) -> None:
    told = await explained(tree, "nothing.here")
    assert told == {
        "key": "nothing.here",
        "found": False,
        "environment": "development",
        "source": "none",
        "levels": [],
    }


async def test_an_explanation_names_no_tenant_above_the_caller(tree: House) -> None:
    await tree.call("tenants_configure", values={"currency": "USD"}, limits={"rows": 5})
    for key in ("currency", "limits.rows"):
        told = await explained(tree, key, tenant="aa1", by="aa")
        assert told["levels"][0]["source"] == "parent"
        assert all("tenant_id" not in level for level in told["levels"])


async def test_a_plan_stands_between_the_parents_and_the_defaults(tree: House) -> None:
    plan = {"values": {"currency": "MXN", "color": "red"}, "limits": {"rows": 7}}
    await tree.call("tenants_configure", values={"plans.gold": plan, "color": "blue"})
    await tree.call("tenants_configure", tenant_id="aa", plan="gold")
    told = await tree.call("tenants_get", who("aa1"))
    assert told["config"] == {
        "color": "blue",
        "currency": "MXN",
        "locale": "es-CO",
        "timezone": "America/Bogota",
    }
    assert told["limits"] == {"rows": 7}
    assert (await explained(tree, "currency"))["source"] == "plan"
    assert (await explained(tree, "limits.rows"))["source"] == "plan"
    with pytest.raises(Invalid, match="the limits are"):
        await tree.call("tenants_configure", values={"plans.silver": {"limits": {"bananas": 1}}})


async def test_nobody_defines_the_plan_that_they_are_on(tree: House) -> None:
    await tree.call("tenants_configure", values={"plans.gold": {"limits": {"rows": 7}}})
    await tree.call("tenants_configure", tenant_id="aa", plan="gold")
    mine = {"plans.gold": {"limits": {"rows": 10**6}}}
    await tree.call("tenants_configure", who("aa"), values=mine)
    assert (await tree.call("tenants_get", who("aa")))["limits"] == {"rows": 7}


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "string"), (1, "integer"), (1.5, "float"), (True, "boolean"), ({"a": [1]}, "json")],
)
async def test_a_key_keeps_its_type(tree: House, value: Any, kind: str) -> None:
    await tree.call("tenants_configure", values={"k": value})
    assert (await explained(tree, "k", "default"))["levels"][0]["type"] == kind
    for other in ("y", 2, 2.5, False, [2]):
        if type(other) is type(value) or kind == "json" or (kind, other) == ("float", 2):
            continue
        with pytest.raises(Invalid, match=f"of type {kind}"):
            await tree.call("tenants_configure", tenant_id="aa", values={"k": other})
    assert (await tree.call("tenants_get"))["config"]["k"] == value


async def test_a_type_can_be_stated(tree: House) -> None:
    await tree.call("tenants_configure", values={"k": 1}, types={"k": "float"})
    told = await explained(tree, "k", "default")
    assert (told["value"], told["levels"][0]["type"]) == (1.0, "float")
    await tree.call("tenants_configure", values={"k": "text"}, types={"k": "json"})
    with pytest.raises(Invalid, match="types"):
        await tree.call("tenants_configure", values={"k": 1}, types={"other": "float"})


@pytest.mark.parametrize(
    "changes",
    [
        {"values": {"k": None}},
        {"values": {"": 1}},
        {"values": {"a b": 1}},
        {"values": {"a\n": 1}},
        {"values": {"k" * 129: 1}},
        {"values": {"ñ": 1}},
        {"values": {"k": "x" * 9000}},
        {"values": {"k": "\ud800"}},
        {"values": {"k": 2**70}},
        {"values": {"k": float("nan")}},
        {"values": {"k": 1}, "remove": ["k"]},
        {"values": {f"k{n}": 1 for n in range(101)}},
    ],
)
async def test_a_wrong_value_is_refused_and_nothing_is_stored(
    tree: House, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        await tree.call("tenants_configure", tenant_id="aa", **changes)
    told = await tree.call("tenants_get", tenant_id="aa")
    assert (told["config_version"], sorted(told["config"])) == (
        0,
        ["currency", "locale", "timezone"],
    )


async def test_a_tenant_has_so_many_values_and_no_more(tree: House) -> None:
    for part in range(5):
        values = {f"k{part}.{n}": n for n in range(100)}
        await tree.call("tenants_configure", tenant_id="aa", values=values)
    with pytest.raises(Invalid, match="at most 500"):
        await tree.call("tenants_configure", tenant_id="aa", values={"more": 1})
    assert (await tree.call("tenants_get", tenant_id="aa"))["config_version"] == 5


async def test_every_change_of_values_is_a_version(tree: House) -> None:
    first = await tree.call("tenants_configure", tenant_id="aa", values={"k": 1}, if_version=0)
    assert first["config_version"] == 1
    with pytest.raises(PreconditionFailed, match="version 1"):
        await tree.call("tenants_configure", tenant_id="aa", values={"k": 2}, if_version=0)
    second = await tree.call("tenants_configure", tenant_id="aa", values={"j": 2}, if_version=1)
    assert second["config_version"] == 2
    assert (await explained(tree, "k", "aa"))["levels"][0]["version"] == 1
    assert (await tree.call("tenants_configure", tenant_id="aa", name="A"))["config_version"] == 3


async def test_of_parallel_changes_at_one_version_one_wins(tree: House) -> None:
    made = await asyncio.gather(
        *(
            tree.call("tenants_configure", tenant_id="aa", values={"k": n}, if_version=0)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, dict) for one in made) == 1
    assert sum(isinstance(one, PreconditionFailed) for one in made) == 5


async def test_a_change_is_told_to_the_tenant_and_those_below(tree: House) -> None:
    await tree.grow("bb")
    told: list[tuple[str, str]] = []
    for tenant in ("default", "aa", "aa1", "bb"):
        tree.events.subscribe(tenant, lambda event, of=tenant: told.append((of, event.uri)))
    await tree.call("tenants_configure", tenant_id="aa", values={"k": 1})
    assert told == [("aa", "tause://aa/config"), ("aa1", "tause://aa1/config")]


async def test_the_resource_says_what_the_tool_says(tree: House) -> None:
    await tree.call("tenants_configure", tenant_id="aa", values={"k": 1}, limits={"rows": 5})
    shown = await tree.call("tenants_config", who("aa"))
    tool = await tree.call("tenants_get", who("aa"))
    assert {k: v["value"] for k, v in shown["values"].items()} == tool["config"]
    assert (shown["tenant_id"], shown["version"], shown["limits"]) == ("aa", 1, {"rows": 5})
    assert shown["values"]["k"] == {"value": 1, "type": "integer", "source": "tenant"}
