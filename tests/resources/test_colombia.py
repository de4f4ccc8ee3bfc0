"""Departments and municipalities by URI, for the tenant whose URI it is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import MCPError
from mcp_types import ResourceTemplateReference

from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
TEMPLATE = "tause://{tenant_id}/colombia/municipalities/{department_code}"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        yield opened


@pytest.mark.parametrize(
    "path", ["municipalities/5", "municipalities/00", "municipalities/", "municipalities/0%35x"]
)
async def test_what_is_no_department_is_not_read(home: House, path: str) -> None:
    async with home.client() as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"tause://default/colombia/{path}")
    assert caught.value.code == -32602


async def test_another_tenants_uri_is_not_read(home: House) -> None:
    await home.tenant("acme")
    async with home.client("acme") as client:
        with pytest.raises(MCPError):
            await client.read_resource("tause://default/colombia/departments")
        assert (await client.read_resource("tause://acme/colombia/departments")).contents


async def test_departments_and_municipalities_are_read(home: House) -> None:
    async with home.client() as client:
        read = await client.read_resource("tause://default/colombia/departments")
        departments = json.loads(read.contents[0].text)["items"]
        assert len(departments) == 33
        read = await client.read_resource("tause://default/colombia/municipalities/05")
        told = json.loads(read.contents[0].text)
    assert (told["department_code"], len(told["items"])) == ("05", 125)
    assert told["items"][0]["code"] == "05001"


async def test_the_codes_of_departments_are_suggested(home: House) -> None:
    async with home.client() as client:
        told = await client.complete(
            ResourceTemplateReference(uri=TEMPLATE), {"name": "department_code", "value": "9"}
        )
    assert told.completion.values == ["91", "94", "95", "97", "99"]
