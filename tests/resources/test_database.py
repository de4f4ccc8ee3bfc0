"""Documents by URI, and what is suggested while one is typed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import ResourceTemplateReference

from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio

TEMPLATE = "tause://{tenant_id}/database/{collection}/{id}"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        for who in ("ta", "tab"):
            await opened.tenant(who)
            for name in ("people", "places"):
                await opened.call("database_create_collection", {"name": name}, who)
            for one in (f"a-{who}", f"b-{who}"):
                arguments = {"collection": "people", "document": {"of": who}, "id": one}
                await opened.call("database_insert", arguments, who)
        yield opened


async def suggested(client: Client, name: str, typed: str, **known: str) -> list[str]:
    reference = ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
    told = await client.complete(
        reference, {"name": name, "value": typed}, context_arguments=known or None
    )
    return list(told.completion.values)


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    return json.loads(content.text)  # type: ignore[union-attr]  # JSON is text


async def test_a_document_is_read_by_its_uri(home: House) -> None:
    async with home.client("ta") as client:
        told = await read(client, "tause://ta/database/people/a-ta")
    assert told["id"] == "a-ta" and told["data"] == {"of": "ta"}


@pytest.mark.parametrize(
    "uri",
    [
        "tause://tab/database/people/a-tab",
        "tause://ta/database/people/a-tab",
        "tause://ta/database/people/never",
        "tause://ta/database/peopl/a-ta",
        "tause://ta/database/people/..%2Fpeople%2Fa-ta",
    ],
)
async def test_what_is_not_there_or_not_ones_own_is_not_found(home: House, uri: str) -> None:
    async with home.client("ta") as client:
        with pytest.raises(Exception, match=r"not found|match"):
            await client.read_resource(uri)


async def test_names_and_ids_are_suggested_within_the_scope(home: House) -> None:
    async with home.client("ta") as client:
        assert await suggested(client, "collection", "p") == ["people", "places"]
        assert await suggested(client, "collection", "pe") == ["people"]
        assert await suggested(client, "id", "", collection="people") == ["a-ta", "b-ta"]
        assert await suggested(client, "id", "a", collection="people") == ["a-ta"]
        assert await suggested(client, "id", "a", collection="never") == []
        assert await suggested(client, "id", "a") == []
    only = home.caller("ta", scopes=("database:read:places",))
    async with home.client(only) as client:
        assert await suggested(client, "collection", "p") == ["places"]
        assert await suggested(client, "id", "", collection="people") == []
