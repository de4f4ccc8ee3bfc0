"""What a model sees of access: who it is, keys it can make and end, roles it can give."""

from dataclasses import replace

import pytest
from tests.support.ciphers import approvals_of

from tause_mcp.errors import Forbidden, Invalid, NotFound
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId

from .conftest import TOOLS, Desk, holder, owner

pytestmark = pytest.mark.anyio


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["developer", "agent", "viewer"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("access_create_key", {"role": "viewer"}),
        ("access_revoke_key", {"id": "x"}),
        ("access_define_role", {"name": "ops", "scopes": ["storage:read"]}),
        ("access_remove_role", {"name": "ops"}),
        ("access_assign_role", {"subject": "ana", "role": "viewer"}),
        ("access_unassign_role", {"subject": "ana", "role": "viewer"}),
    ],
)
async def test_only_admins_reach_keys_and_roles(
    desk: Desk, role: str, name: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(Forbidden):
        await desk.call(name, holder(*ROLES[role]), **arguments)


async def test_nobody_is_asked_about_a_key_beyond_its_maker(desk: Desk) -> None:
    admin = holder(*ROLES["admin"])
    for arguments in ({"role": "owner"}, {"scopes": ["payments:unattended", "*:admin"]}):
        with pytest.raises(Forbidden):
            await desk.call("access_create_key", admin, **arguments)
    with pytest.raises(Forbidden):
        await desk.call("access_define_role", admin, name="x", scopes=["a:unattended"])
    assert (await desk.call("approvals_list"))["items"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("access_create_key", {"scopes": ["storage"]}, "scopes"),
        ("access_create_key", {"scopes": []}, "scopes"),
        ("access_create_key", {"expires_in": 0}, "expires_in"),
        ("access_create_key", {"toolsets": ["A b"]}, "toolsets"),
        ("access_create_key", {"role": "Owner"}, "role"),
        ("access_create_key", {"tenant_id": "tab"}, "tenant_id"),
        ("access_define_role", {"name": "x", "scopes": ["*"]}, "scopes"),
        ("access_assign_role", {"subject": "", "role": "viewer"}, "subject"),
        ("access_list_keys", {"limit": 0}, "limit"),
        ("access_list_keys", {"cursor": "AAAA"}, "cursor"),
    ],
)
async def test_bad_arguments_name_the_field(
    desk: Desk, name: str, arguments: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as wrong:
        await desk.call(name, **arguments)
    assert wrong.value.field == field


async def test_another_tenants_cursor_does_not_open(desk: Desk) -> None:
    for _ in range(2):
        await desk.call("access_create_key")
    page = await desk.call("access_list_keys", limit=1)
    with pytest.raises(Invalid):
        await desk.call("access_list_keys", owner("tab"), limit=1, cursor=page["next_cursor"])


async def test_another_tenants_things_are_not_found(desk: Desk) -> None:
    made = await desk.call("access_create_key")
    await desk.call("access_define_role", name="ops", scopes=["storage:read"])
    await desk.call("access_assign_role", subject="ana", role="ops")
    foreign = owner("tab")
    for name, arguments in (
        ("access_revoke_key", {"id": made["id"]}),
        ("access_remove_role", {"name": "ops"}),
        ("access_assign_role", {"subject": "ana", "role": "ops"}),
        ("access_unassign_role", {"subject": "ana", "role": "ops"}),
        ("access_unassign_role", {"subject": "ta/ana", "role": "ops"}),
        ("access_assign_role", {"subject": "ta/ana", "role": "viewer"}),
    ):
        with pytest.raises(NotFound):
            await desk.call(name, foreign, **arguments)
    assert (await desk.call("access_list_keys", foreign))["items"] == []
    roles = (await desk.call("access_list_roles", foreign))["items"]
    assert {role["name"] for role in roles} == set(ROLES)


# --- asking a person -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": "owner"},
        {"role": "admin"},
        {"scopes": ["storage:admin"]},
        {"scopes": ["storage:read", "storage:*"]},
        {"scopes": ["storage:unattended"]},
    ],
)
async def test_a_strong_key_waits_for_a_person(desk: Desk, arguments: dict[str, object]) -> None:
    """An owner's `*:*` does not stand for `unattended` when someone is asked, but may give it."""
    waiting = await desk.call("access_create_key", name="ci", **arguments)
    assert waiting["status"] == "approval_required"
    assert "'ci'" in waiting["summary"]
    assert "key" not in waiting
    assert (await desk.call("access_list_keys"))["items"] == []


async def test_the_same_call_after_the_approval_makes_the_key_once(desk: Desk) -> None:
    waiting = await desk.call("access_create_key", role="admin")
    approvals = approvals_of(desk.database_of(TenantId("ta")))
    await approvals.answer(waiting["id"], True, "ana", "cli")
    made = await desk.call("access_create_key", role="admin")
    assert made["scopes"] == sorted(ROLES["admin"])
    again = await desk.call("access_create_key", role="admin")
    assert again["status"] == "approval_required"


@pytest.mark.parametrize(
    "arguments", [{}, {"role": "viewer"}, {"role": "owner", "scopes": ["storage:write"]}]
)
async def test_a_plain_key_asks_nobody(desk: Desk, arguments: dict[str, object]) -> None:
    assert (await desk.call("access_create_key", **arguments))["key"].startswith("tk_ta.")


async def test_a_role_that_passes_unasked_waits_for_a_person(desk: Desk) -> None:
    waiting = await desk.call("access_define_role", name="bot", scopes=["payments:unattended"])
    assert waiting["status"] == "approval_required"
    defined = await desk.call("access_define_role", name="boss", scopes=["tenants:admin"])
    assert defined == {
        "name": "boss", "scopes": ["tenants:admin"], "built_in": False, "assigned": 0,
    }  # fmt: skip


# --- what is told --------------------------------------------------------------------------------


async def test_whoami_tells_tenant_scopes_and_credential(desk: Desk) -> None:
    who = replace(holder("storage:write", "access:read"), toolsets=("storage",), expires_at=1.5)
    assert await desk.call("access_whoami", who) == {
        "subject": "key:k1",
        "tenant": "ta",
        "scopes": ["access:read", "storage:write"],
        "credential": "key",
        "toolsets": ["storage"],
        "expires_at": "1970-01-01T00:00:01.500000Z",
    }


@pytest.mark.parametrize(
    ("caller", "credential"),
    [
        (Caller("local:agent", TenantId("ta"), Scopes(ROLES["agent"])), "local"),
        (Caller("ana", TenantId("ta"), Scopes(ROLES["agent"]), "iss", "jti1"), "token"),
        (Caller("key:x", TenantId("ta"), Scopes(ROLES["agent"]), "iss", "", 9e9), "token"),
    ],
)
async def test_whoami_names_the_role_and_the_kind(
    desk: Desk, caller: Caller, credential: str
) -> None:
    told = await desk.call("access_whoami", caller)
    assert (told["role"], told["credential"]) == ("agent", credential)


async def test_whoami_tells_where_a_visitor_comes_from(desk: Desk) -> None:
    visiting = replace(owner(), home=TenantId("top"))
    assert (await desk.call("access_whoami", visiting))["home"] == "top"


def test_whoami_touches_no_storage() -> None:
    assert [kind for _, kind in TOOLS["access_whoami"].wants] == [Caller]


async def test_keys_are_listed_without_their_secret_page_by_page(desk: Desk) -> None:
    made = [await desk.call("access_create_key", name=f"k{n}", expires_in=60) for n in range(3)]
    await desk.call("access_revoke_key", id=made[0]["id"])
    first = await desk.call("access_list_keys", limit=2)
    rest = await desk.call("access_list_keys", limit=2, cursor=first["next_cursor"])
    items = first["items"] + rest["items"]
    assert [(k["name"], k["status"]) for k in items] == [
        ("k2", "active"), ("k1", "active"), ("k0", "revoked"),
    ]  # fmt: skip
    assert "next_cursor" not in rest
    secrets = [m["key"].rpartition(".")[2] for m in made]
    assert not any(secret[:-4] in repr(items) for secret in secrets)
    assert items[0]["hint"] == f"...{secrets[2][-4:]}"
    assert items[0]["created_by"] == "key:boss"


async def test_revoking_twice_answers_the_same(desk: Desk) -> None:
    made = await desk.call("access_create_key")
    first = await desk.call("access_revoke_key", id=made["id"])
    assert first == await desk.call("access_revoke_key", id=made["id"])
    assert (first["id"], first["status"]) == (made["id"], "revoked")


async def test_a_role_is_defined_given_listed_and_taken_back(desk: Desk) -> None:
    await desk.call("access_define_role", name="ops", scopes=["storage:read:logs/*"])
    given = await desk.call("access_assign_role", subject="top/ana", role="ops", expires_in=60)
    assert (given["subject"], given["scopes"]) == ("top/ana", ["storage:read:logs/*"])
    listed = (await desk.call("access_list_roles"))["items"][-1]
    assert (listed["name"], listed["assigned"], listed["built_in"]) == ("ops", 1, False)
    assert listed["subjects"][0]["subject"] == "top/ana"
    assert "expires_at" in listed["subjects"][0]
    await desk.call("access_unassign_role", subject="top/ana", role="ops")
    assert await desk.call("access_remove_role", name="ops") == {"name": "ops", "removed": True}
    assert "ta" in desk.changes


async def test_roles_page_in_a_stable_order(desk: Desk) -> None:
    await desk.call("access_define_role", name="aaa", scopes=["storage:read"])
    names, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = await desk.call("access_list_roles", limit=2, **more)
        names += [role["name"] for role in page["items"]]
        if (cursor := page.get("next_cursor")) is None:
            break
    assert names == [*sorted(ROLES), "aaa"]


def test_a_key_is_a_secret_result_and_needs_the_admin_scope() -> None:
    assert TOOLS["access_create_key"].secret
    assert {TOOLS[n].scope for n in TOOLS if TOOLS[n].writes} == {"access:admin"}
