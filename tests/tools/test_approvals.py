"""What a model sees of approvals: what waits, and never a way to answer."""

import pytest
from tests.support.ciphers import approvals_of

from tause_mcp.errors import Invalid, NotFound
from tause_mcp.tenancy import ROLES, TenantId

from .conftest import TOOLS, Desk, holder, owner

pytestmark = pytest.mark.anyio


async def wait(desk: Desk, name: str = "ci", tenant: str = "ta") -> str:
    waiting = await desk.call("access_create_key", owner(tenant), name=name, role="admin")
    return str(waiting["id"])


async def test_another_tenants_approval_is_not_found_and_not_listed(desk: Desk) -> None:
    id_ = await wait(desk)
    told = []
    for foreign in (id_, "ap_tab." + "A" * 24, "nonsense"):
        with pytest.raises(NotFound) as absent:
            await desk.call("approvals_get", owner("tab"), id=foreign)
        told.append((str(absent.value), absent.value.describe()))
    assert told[0] == told[1] == told[2]
    assert (await desk.call("approvals_list", owner("tab")))["items"] == []


async def test_another_filters_or_tenants_cursor_does_not_open(desk: Desk) -> None:
    for name in ("a", "b"):
        await wait(desk, name)
    cursor = (await desk.call("approvals_list", limit=1))["next_cursor"]
    with pytest.raises(Invalid):
        await desk.call("approvals_list", owner("tab"), limit=1, cursor=cursor)
    with pytest.raises(Invalid):
        await desk.call("approvals_list", limit=1, cursor=cursor, status="pending")


def test_no_tool_answers_an_approval() -> None:
    of = [o for o in TOOLS.values() if o.capability == "approvals"]
    assert {o.name for o in of} == {"approvals_list", "approvals_get"}
    assert not any(o.writes for o in of)


async def test_an_agent_sees_its_approval_and_who_answered(desk: Desk) -> None:
    id_ = await wait(desk)
    agent = holder(*ROLES["agent"])
    told = await desk.call("approvals_get", agent, id=id_)
    assert told["status"] == "pending"
    assert (told["tool"], told["caller"], told["page_only"]) == (
        "access_create_key", "key:boss", False,
    )  # fmt: skip
    assert "answered_by" not in told
    await approvals_of(desk.database_of(TenantId("ta"))).answer(id_, True, "ana", "cli")
    told = await desk.call("approvals_get", agent, id=id_)
    assert (told["status"], told["answered_by"], told["means"]) == ("approved", "ana", "cli")


async def test_approvals_are_listed_newest_first_by_status(desk: Desk) -> None:
    ids = [await wait(desk, f"k{n}") for n in range(3)]
    await approvals_of(desk.database_of(TenantId("ta"))).answer(ids[1], False, "ana", "cli")
    first = await desk.call("approvals_list", limit=2)
    rest = await desk.call("approvals_list", limit=2, cursor=first["next_cursor"])
    assert [a["id"] for a in first["items"] + rest["items"]] == ids[::-1]
    denied = await desk.call("approvals_list", status="denied")
    assert [a["id"] for a in denied["items"]] == [ids[1]]


async def test_what_ran_out_is_listed_as_expired_and_not_as_pending(desk: Desk) -> None:
    desk.approval_ttl = 0
    id_ = await wait(desk)
    assert (await desk.call("approvals_list", status="pending"))["items"] == []
    expired = await desk.call("approvals_list", status="expired")
    assert [(a["id"], a["status"]) for a in expired["items"]] == [(id_, "expired")]
