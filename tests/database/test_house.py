"""The whole house on both engines: every service's statements meet the real driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import postgres

from tause_mcp.errors import IdempotencyConflict, NotFound, PreconditionFailed, Unauthenticated
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
TA, TAB = TenantId("ta"), TenantId("tab")


@pytest.fixture(scope="module")
def server_settings() -> dict[str, str]:
    postgres.server().create("house")
    return postgres.server().settings("house")


def emptied() -> None:
    """Remove what the former test made; the schema stays."""
    found = postgres.server().sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database="house"
    )
    tables = ", ".join(name for name in found.split() if name != "alembic_version")
    if tables:
        postgres.server().sql(f"TRUNCATE {tables}", database="house")


@pytest.fixture(params=["sqlite", "postgresql"])
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    settings = {}
    if request.param == "postgresql":
        settings = request.getfixturevalue("server_settings")
        emptied()
    async with house(tmp_path / "home", **settings) as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened


async def approve(home: House, tenant: TenantId, asked: dict[str, str]) -> None:
    assert asked["status"] == "approval_required"
    book = home.platform.approvals_of(home.platform.database_of(tenant))
    await book.answer(asked["id"], True, "ana", "cli")


async def test_objects_are_kept_listed_copied_and_removed(home: House) -> None:
    for key in ("a/1", "a/2", "b"):
        stored = await home.call("storage_put", {"key": key, "content": f"ñ {key}"}, TA)
    assert (await home.call("storage_get", {"key": "a/1"}, TA))["content"] == "ñ a/1"
    assert (await home.call("storage_stat", {"key": "b"}, TA))["etag"] == stored["etag"]
    first = await home.call("storage_list", {"prefix": "a/", "limit": 1}, TA)
    rest = await home.call(
        "storage_list", {"prefix": "a/", "limit": 1, "cursor": first["next_cursor"]}, TA
    )
    assert [o["key"] for o in (*first["items"], *rest["items"])] == ["a/1", "a/2"]
    await home.call("storage_copy", {"source": "b", "destination": "c"}, TA)
    await home.call("storage_delete", {"key": "b"}, TA)
    with pytest.raises(NotFound):
        await home.call("storage_get", {"key": "b"}, TA)
    assert (await home.call("storage_list", {}, TAB))["items"] == []
    assert await home.call("storage_sign_url", {"key": "c", "method": "GET"}, TA)


async def test_large_objects_and_conditions(home: House) -> None:
    put = {"key": "big", "content": "x" * 100_000}
    first = await home.call("storage_put", put, TA)
    other = await home.call("storage_put", {"key": "other", "content": "y"}, TA)
    with pytest.raises(PreconditionFailed):
        await home.call("storage_put", {**put, "if_match": other["etag"]}, TA)
    again = await home.call("storage_put", {**put, "if_match": first["etag"]}, TA)
    assert again["size"] == 100_000


async def test_keys_and_roles_live_and_end(home: House) -> None:
    made = await home.call("access_create_key", {"scopes": ["storage:read"]}, TA)
    caller = await home.platform.verify(made["key"])
    assert (caller.tenant, caller.scopes.granted) == ("ta", {"storage:read"})
    role = {"name": "clerk", "scopes": ["storage:read", "storage:write:in/*"]}
    await home.call("access_define_role", role, TA)
    roles = await home.call("access_list_roles", {}, TA)
    assert "clerk" in [r["name"] for r in roles["items"]]
    subject = f"key:{made['id']}"
    await home.call("access_assign_role", {"subject": subject, "role": "clerk"}, TA)
    await home.call("access_unassign_role", {"subject": subject, "role": "clerk"}, TA)
    await home.call("access_remove_role", {"name": "clerk"}, TA)
    assert [k["id"] for k in (await home.call("access_list_keys", {}, TA))["items"]] == [made["id"]]
    await home.call("access_revoke_key", {"id": made["id"]}, TA)
    with pytest.raises(Unauthenticated):
        await home.platform.verify(made["key"])


async def test_a_repeated_key_is_one_change(home: House) -> None:
    put = {"key": "a", "content": "1"}
    first = await home.call("storage_put", put, TA, key="k1")
    assert await home.call("storage_put", put, TA, key="k1") == first
    with pytest.raises(IdempotencyConflict):
        await home.call("storage_put", {**put, "content": "2"}, TA, key="k1")
    both = await asyncio.gather(*(home.call("storage_put", put, TA, key="k2") for _ in range(4)))
    assert all(told == both[0] for told in both)
    records = await home.call("audit_search", {"action": "storage_put"}, TA)
    assert len(records["items"]) == 2


async def test_an_approval_is_asked_answered_used_and_spent(home: House) -> None:
    delete = {"tenant_id": "tab"}
    asked = await home.call("tenants_delete", delete)
    pending = await home.call("approvals_list", {"status": "pending"})
    assert [a["id"] for a in pending["items"]] == [asked["id"]]
    assert (await home.call("approvals_get", {"id": asked["id"]}))["status"] == "pending"
    await approve(home, TenantId("default"), asked)
    await home.call("tenants_delete", delete)
    assert (await home.call("approvals_get", {"id": asked["id"]}))["status"] == "consumed"
    with pytest.raises(NotFound):
        await home.call("storage_list", {}, TAB)


async def test_what_changed_is_in_the_chain_and_the_chain_holds(home: House) -> None:
    await asyncio.gather(
        *(home.call("storage_put", {"key": f"k{i}", "content": "x"}, TA) for i in range(8))
    )
    found = await home.call("audit_search", {"action": "storage_*", "limit": 50}, TA)
    assert len(found["items"]) == 8
    assert (await home.call("audit_verify", {}, TA))["intact"] is True
    assert (await home.call("audit_search", {"action": "storage_*"}, TAB))["items"] == []


async def test_tenants_are_configured_counted_and_suspended(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "values": {"colour": "red"}})
    told = await home.call("tenants_explain", {"tenant_id": "ta", "key": "colour"})
    assert told["value"] == "red"
    await home.call("storage_put", {"key": "a", "content": "1"}, TA)
    await home.platform.usage.flush()
    usage = await home.call("tenants_get_usage", {}, TA)
    assert usage["calls"] >= 1
    listed = await home.call("tenants_list", {})
    assert {"ta", "tab"} <= {t["tenant_id"] for t in listed["items"]}
    await home.call("tenants_suspend", {"tenant_id": "ta"})
    with pytest.raises(NotFound):
        await home.call("storage_list", {}, TA)
    await home.call("tenants_resume", {"tenant_id": "ta"})
    assert await home.call("storage_list", {}, TA)
