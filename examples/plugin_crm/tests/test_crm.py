"""The plugin, judged by the house's laws and used through its real pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from tause_crm import CAPABILITY
from tause_crm.sqlite import open_book

from tause_mcp.catalog import Catalog
from tause_mcp.errors import Invalid, NotFound, PreconditionFailed
from tause_mcp.testing import House, assembled, house, laws

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return assembled([CAPABILITY], {"crm.sqlite": open_book})


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_the_plugin_keeps_the_law(catalog: Catalog, law: laws.Law) -> None:
    law(catalog, only="crm")


@pytest.fixture(params=["memory", "sqlite"])
async def home(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[House]:
    """The same suite on each backend."""
    monkeypatch.setenv("CRM_URL", f"{request.param}://{tmp_path}/crm.db")
    async with house(tmp_path / "home", catalog=catalog) as opened:
        for name in ("acme", "globex"):
            await opened.tenant(name)
        yield opened


async def ana(home: House, **more: Any) -> Any:
    told = {"name": "Ana Gómez", "email": "ana@example.com", "tags": ["VIP", " bogotá "], **more}
    return await home.call("crm_create", told, "acme")


async def test_another_tenant_finds_nothing(home: House) -> None:
    contact = await ana(home)
    assert await home.call("crm_list", {}, "globex") == {"items": []}
    assert await home.call("crm_search", {"query": "ana"}, "globex") == {"items": []}
    for tool, more in [
        ("crm_get", {}),
        ("crm_update", {"name": "x"}),
        ("crm_tag", {"tags": ["x"]}),
        ("crm_untag", {"tags": ["vip"]}),
        ("crm_delete", {}),
    ]:
        with pytest.raises(NotFound) as foreign:
            await home.call(tool, {"id": contact["id"], **more}, "globex")
        with pytest.raises(NotFound) as absent:
            await home.call(tool, {"id": "0" * 22, **more}, "globex")
        assert str(foreign.value) == str(absent.value)
    assert await home.call("crm_get", {"id": contact["id"]}, "acme") == contact


async def test_another_tenants_cursor_is_no_cursor(home: House) -> None:
    await ana(home)
    await ana(home, name="Luis")
    page = await home.call("crm_list", {"limit": 1}, "acme")
    with pytest.raises(Invalid):
        await home.call("crm_list", {"limit": 1, "cursor": page["next_cursor"]}, "globex")


async def test_a_deleted_tenants_contacts_are_gone(home: House) -> None:
    contact = await ana(home)
    await home.platform.catalog.capabilities[-1].on_delete(home.platform, "acme")
    assert await home.call("crm_list", {}, "acme") == {"items": []}
    with pytest.raises(NotFound):
        await home.call("crm_get", {"id": contact["id"]}, "acme")


async def test_a_viewer_reads_and_changes_nothing(home: House) -> None:
    contact = await ana(home)
    viewer = home.caller("acme", "viewer")
    assert (await home.call("crm_get", {"id": contact["id"]}, viewer)) == contact
    async with home.client(viewer, toolsets=("crm",)) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed == {"crm_get", "crm_list", "crm_search"}
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("crm_delete", {"id": contact["id"]})
        assert unknown.value.code == -32602


async def test_a_change_to_another_version_is_refused(home: House) -> None:
    contact = await ana(home)
    changed = await home.call("crm_update", {"id": contact["id"], "company": "Acme"}, "acme")
    assert changed["version"] == 2
    with pytest.raises(PreconditionFailed):
        await home.call("crm_update", {"id": contact["id"], "name": "x", "version": 1}, "acme")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": "x" * 201},
        {"name": 7},
        {"name": "x", "tags": [" "]},
        {"name": "x", "rank": "general"},
    ],
)
async def test_a_wrong_contact_is_refused_and_nothing_is_kept(home: House, wrong: Any) -> None:
    with pytest.raises(Invalid):
        await home.call("crm_create", wrong, "acme")
    assert await home.call("crm_list", {}, "acme") == {"items": []}


async def test_a_contact_is_kept_changed_and_gone(home: House) -> None:
    contact = await ana(home)
    assert contact["tags"] == ["bogotá", "vip"]
    assert "phone" not in contact
    told = {"id": contact["id"], "email": "", "phone": "+57 300"}
    changed = await home.call("crm_update", told, "acme")
    assert "email" not in changed
    assert changed["phone"] == "+57 300"
    assert await home.call("crm_get", {"id": contact["id"]}, "acme") == changed
    gone = await home.call("crm_delete", {"id": contact["id"]}, "acme")
    assert gone == {"id": contact["id"], "deleted": True}
    with pytest.raises(NotFound):
        await home.call("crm_get", {"id": contact["id"]}, "acme")


async def test_a_search_needs_no_accents_and_every_word(home: House) -> None:
    contact = await ana(home, notes="Prefiere café")
    for query in ("gomez", "ANA café", "bogota", "example.com"):
        found = await home.call("crm_search", {"query": query}, "acme")
        assert [c["id"] for c in found["items"]] == [contact["id"]], query
    assert (await home.call("crm_search", {"query": "ana pérez"}, "acme"))["items"] == []
    assert (await home.call("crm_search", {"query": "100%"}, "acme"))["items"] == []


async def test_tags_come_and_go_and_filter_the_list(home: House) -> None:
    one, two = await ana(home), await ana(home, name="Luis", tags=[])
    tagged = await home.call("crm_tag", {"id": two["id"], "tags": ["Vip", "new"]}, "acme")
    assert tagged["tags"] == ["new", "vip"]
    listed = await home.call("crm_list", {"tag": "VIP"}, "acme")
    assert [c["id"] for c in listed["items"]] == [one["id"], two["id"]]
    left = await home.call("crm_untag", {"id": one["id"], "tags": ["vip"]}, "acme")
    assert left["tags"] == ["bogotá"]
    same = await home.call("crm_untag", {"id": one["id"], "tags": ["vip"]}, "acme")
    assert same["version"] == left["version"]


async def test_pages_hold_each_contact_once_in_order(home: House) -> None:
    made = [(await ana(home, name=f"n{n}"))["id"] for n in range(5)]
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = await home.call("crm_list", {"limit": 2, **more}, "acme")
        seen += [c["id"] for c in page["items"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert seen == made


async def test_a_host_reads_the_resource_the_prompt_and_the_suggestions(home: House) -> None:
    contact = await ana(home)
    async with home.client("acme") as client:
        uri = f"tause://acme/crm/contacts/{contact['id']}"
        assert "Ana Gómez" in (await client.read_resource(uri)).contents[0].text
        prompt = await client.get_prompt("crm_follow_up", {"contact": "Ana"})
        assert "Ana" in prompt.messages[0].content.text
    async with home.client("globex") as client:
        with pytest.raises(MCPError):
            await client.read_resource(uri)
