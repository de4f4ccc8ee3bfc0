"""What is kept: sealed where it must be, gone with its tenant, told to who listens."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tenants import long_ago

from tause_mcp.errors import NotFound, Unavailable
from tause_mcp.services.database.tables import GET
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio

CANARY = "canary-5f1e7c0b9d"
SCHEMA = {
    "properties": {
        "name": {"type": "string"},
        "card": {"type": "string", "encrypted": True},
        "home": {"type": "object", "properties": {"street": {"encrypted": True}}},
    }
}


async def call(home: House, name: str, who: str = "ta", /, **arguments: Any) -> Any:
    return await home.call(f"database_{name}", arguments, who)


async def test_an_encrypted_field_is_nowhere_in_the_clear(home: House) -> None:
    await call(home, "create_collection", name="people", schema=SCHEMA, indexes=["name"])
    document = {"name": "Ana", "card": CANARY, "home": {"street": CANARY, "city": "Cali"}}
    made = await call(home, "insert", collection="people", document=document)
    changes = {"home": {"street": f"{CANARY}-2"}}
    told = await call(home, "update", collection="people", id=made["id"], changes=changes)
    assert told["data"] == {**document, "home": {"street": f"{CANARY}-2", "city": "Cali"}}
    steps = [{"op": "remove", "field": "card"}]
    await call(home, "migrate", collection="people", steps=steps)
    await call(home, "migrate", collection="people", rollback_to=1)
    found = await call(home, "find", collection="people", where={"name": "Ana"})
    assert found["items"][0]["data"] == told["data"]
    for stored in everything(home):
        assert CANARY.encode() not in stored
    row = await home.platform.database_of(home.caller("ta").tenant).first(
        GET, collection="people", id=made["id"]
    )
    assert row is not None and json.loads(row[2]) == {"name": "Ana", "home": {"city": "Cali"}}


def everything(home: House) -> list[bytes]:
    """What lies on disk, or in every table of the server."""
    url = home.platform.settings.database_url
    if not url:
        folder = Path(home.platform.settings.home)
        return [one.read_bytes() for one in folder.rglob("*") if one.is_file()]
    from tests.support import postgres

    name = url.rpartition("/")[2]
    found = postgres.server().sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=name
    )
    return [
        postgres.server().sql(f'SELECT * FROM "{table}"', database=name).encode()
        for table in found.split()
    ]


async def test_a_sealed_part_opens_only_where_it_was_sealed(home: House) -> None:
    """Bytes that are moved to another document, by whoever can write rows, do not open there."""
    import sqlalchemy as sa

    from tause_mcp.database import TENANT, Statement
    from tause_mcp.services.database.tables import documents

    await call(home, "create_collection", name="people", schema=SCHEMA)
    for one in ("a", "b"):
        await call(home, "insert", collection="people", document={"card": CANARY + one}, id=one)
    c = documents.c
    a = sa.select(c.sealed).where(c.tenant_id == TENANT, c.id == "a").scalar_subquery()
    moved = Statement(
        sa.update(documents).where(c.tenant_id == TENANT, c.id == "b").values(sealed=a)
    )
    await home.platform.database_of(home.caller("ta").tenant).write(lambda tx: tx.run(moved))
    with pytest.raises(Unavailable):
        await call(home, "get", collection="people", id="b")
    assert (await call(home, "get", collection="people", id="a"))["data"]["card"] == f"{CANARY}a"


async def test_all_goes_with_the_tenant_and_the_name_starts_empty(tmp_path: Path) -> None:
    async with house(tmp_path / "home") as home:
        for who in ("ta", "tab"):
            await home.tenant(who)
            await call(home, "create_collection", who, name="people", schema=SCHEMA)
            await call(home, "insert", who, collection="people", document={"card": who}, id="one")
        asked = await home.call("tenants_delete", {"tenant_id": "ta"})
        await home.platform.answer(asked["id"], True, by="local:owner", means="cli")
        await home.call("tenants_delete", {"tenant_id": "ta"})
        await long_ago(home.platform.database, "ta")
        await home.tenant("ta")
        assert (await call(home, "list_collections"))["items"] == []
        with pytest.raises(NotFound):
            await call(home, "get", collection="people", id="one")
        with pytest.raises(NotFound):
            await call(home, "insert", collection="people", document={})
        kept = await call(home, "get", "tab", collection="people", id="one")
        assert kept["data"] == {"card": "tab"}
        await call(home, "create_collection", name="people", schema=SCHEMA)
        assert (await call(home, "find", collection="people"))["items"] == []


async def test_changes_are_told_to_the_tenants_listeners(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, ...]] = []
    events = home.platform.events
    monkeypatch.setattr(
        type(events), "resource_updated", lambda _, tenant, path: heard.append((tenant, path))
    )
    monkeypatch.setattr(
        type(events), "resources_changed", lambda _, tenant: heard.append((tenant,))
    )
    await call(home, "create_collection", name="people")
    await call(home, "insert", collection="people", document={}, id="a")
    await call(home, "update", collection="people", id="a", changes={"n": 1})
    operations = [{"op": "delete", "collection": "people", "id": one} for one in ("a", "never")]
    await call(home, "transact", operations=operations)
    assert heard == [("ta",), *[("ta", "database/people/a")] * 3]
