"""What changed something stands in the tenant's chain, together with the change or not at all."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.tenants import CATALOG, House, at_once, open_house, rows_of, who

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Forbidden, NotFound, TauseError
from tause_mcp.pipeline import Invocation
from tause_mcp.tenancy import Caller, Scopes, TenantId

pytestmark = pytest.mark.anyio

SET = CATALOG.tools["tenants_configure"]


async def items(house: House, tenant: str = "aa", **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.call("audit_search", who(tenant), **asked))["items"]
    return found


async def test_a_change_is_recorded_with_who_what_and_how(house: House) -> None:
    await house.grow("aa")
    caller = who("aa", issuer="https://issuer", credential="k1", home="default")
    await house.run("tenants_configure", caller, {"values": {"x": 1}}, door="link")
    (told,) = await items(house)
    assert told["seq"] == 1
    assert told["actor"] == "key:aa"
    assert told["home"] == "default"
    assert (told["issuer"], told["credential"]) == ("https://issuer", "k1")
    assert (told["action"], told["outcome"], told["door"]) == ("tenants_configure", "done", "link")


async def test_arguments_are_recorded_as_a_digest_only(house: House, path: Path) -> None:
    await house.grow("aa")
    await house.call("tenants_configure", who("aa"), values={"canary": "c4n4ry"})
    assert "c4n4ry" not in str(rows_of(path, "SELECT * FROM audit"))


async def test_reads_and_failures_are_not_recorded(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_get", who("aa"))
    with pytest.raises(TauseError):
        await house.call("tenants_configure", who("aa"), values={"k": None})
    with pytest.raises(Forbidden):
        await house.call("tenants_configure", who("aa", "viewer"), values={"k": 1})
    assert await items(house) == []


async def test_a_change_of_a_child_stands_in_the_parents_chain(house: House) -> None:
    await house.grow("aa")
    await house.call("tenants_suspend", tenant_id="aa")
    assert [i["action"] for i in await items(house, "default")] == [
        "tenants_suspend",
        "tenants_create",
    ]


async def test_a_change_that_cannot_be_recorded_is_not_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.grow("aa")

    async def broken(*_: Any) -> None:
        raise NotFound("the chain is out of order")

    monkeypatch.setattr(house.audit, "_append", broken)
    with pytest.raises(NotFound):
        await house.change("aa")
    assert (await house.call("tenants_get", who("aa")))["config_version"] == 0


async def test_a_tenant_that_never_was_has_no_chain(house: House, path: Path) -> None:
    caller = who("ghost")
    database = TenantDatabase(house.database, caller.tenant)
    with pytest.raises(NotFound, match="no such tenant"):
        await database.write(house.audit.entry(Invocation(caller, {}), SET, "d"))
    assert rows_of(path, "SELECT * FROM audit") == rows_of(path, "SELECT * FROM audit_heads") == []


@pytest.mark.parametrize("actor", ["a\nb", "a\0b", "\ud800", "x" * 5000, "\u2028", "ñ"])
async def test_no_name_breaks_a_record(house: House, actor: str) -> None:
    await house.grow("aa")
    caller = Caller(actor, TenantId("aa"), Scopes(frozenset({"*:*"})), issuer=actor)
    await house.call("tenants_configure", caller, values={"x": 1})
    exported = (await house.call("audit_export", who("aa")))["content"]
    assert len(exported.splitlines()) == 3
    assert (await house.call("audit_verify", who("aa")))["intact"]
    assert len((await items(house))[0]["actor"]) <= 512


async def test_an_answer_to_an_approval_is_recorded(house: House) -> None:
    database = house.database_of(TenantId("default"))
    for by in ("local:owner", who()):
        answered = house.audit.answered(TenantId("default"), "ap_1", by == "x", by, "page")
        await database.write(answered)
    told = await items(house, "default")
    assert [(i["actor"], i["action"], i["outcome"], i["digest"], i["door"]) for i in told] == [
        ("key:default", "approvals.answer", "denied", "ap_1", "page"),
        ("local:owner", "approvals.answer", "denied", "ap_1", "page"),
    ]


async def test_parallel_changes_make_one_chain_per_tenant(house: House) -> None:
    await house.grow("aa")
    await house.grow("ab")
    await asyncio.gather(*(house.change(t, 5) for t in ("aa", "ab") * 4))
    for tenant in ("aa", "ab"):
        told = await house.call("audit_verify", who(tenant))
        assert (told["intact"], told["records"], told["last_seq"]) == (True, 20, 20)


CHANGE = """
import asyncio, os, sys
from pathlib import Path
from tests.support.tenants import open_house

async def change():
    async with open_house(sys.argv[1]) as house:
        if sys.argv[2] == "die":
            asyncio.get_running_loop().call_later(0.5, os._exit, 0)
            await asyncio.gather(*(house.change("aa", 10_000) for _ in range(8)))
        await house.change("aa", 20)

asyncio.run(change())
"""


def test_processes_append_to_the_same_chain_and_one_that_is_killed_leaves_it_whole(
    path: Path,
) -> None:
    async def prepare() -> None:
        async with open_house(path) as house:
            await house.grow("aa")

    async def verdict() -> dict[str, Any]:
        async with open_house(path) as house:
            told: dict[str, Any] = await house.call("audit_verify", who("aa"))
            version = (await house.call("tenants_get", who("aa")))["config_version"]
            assert told["records"] == version
            return told

    asyncio.run(prepare())
    at_once(CHANGE, path, "live", count=2)
    assert asyncio.run(verdict()) | {"hash": ""} == {
        "intact": True,
        "records": 40,
        "last_seq": 40,
        "hash": "",
    }
    at_once(CHANGE, path, "die", count=1)
    assert asyncio.run(verdict())["intact"]
