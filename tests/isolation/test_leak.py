"""The walk finds what it is for: a plugin that leaks in each way, planted here."""

from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp import log
from tause_mcp.capability import CREATE, READ, Capability, tool
from tause_mcp.catalog import Catalog, built_in
from tause_mcp.platform import open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.walk import Report, in_process, walk

pytestmark = pytest.mark.anyio

Name = Annotated[str, Field(pattern=r"^[a-z0-9]{1,40}$")]
Text = Annotated[str, Field(max_length=200)]


class Note(TypedDict):
    name: str
    content: str


class Known(TypedDict):
    known: bool


def forgetful() -> Capability:
    """Notes of everybody in one dictionary: the tenant was forgotten in its key."""
    notes: dict[str, str] = {}

    @tool("Keep a note", scope="notes:write", hints=CREATE)
    async def notes_put(name: Name, content: Text) -> Note:
        """Keep a note."""
        notes.setdefault(name, content)
        return {"name": name, "content": content}

    @tool("Read a note", scope="notes:read", hints=READ)
    async def notes_get(name: Name) -> Note:
        """Read a note."""
        return {"name": name, "content": notes.get(name, "")}

    return _capability(notes_put, notes_get)


def talkative() -> Capability:
    """Says of a name whether anybody has it, and nothing more."""
    names: set[str] = set()

    @tool("Reserve a name", scope="notes:write", hints=CREATE)
    async def notes_put(name: Name) -> Known:
        """Reserve a name."""
        names.add(name)
        return {"known": True}

    @tool("Ask for a name", scope="notes:read", hints=READ)
    async def notes_get(name: Name) -> Known:
        """Tell whether a name is taken."""
        return {"known": name in names}

    return _capability(notes_put, notes_get)


def _capability(*tools: object) -> Capability:
    module = ModuleType("notes")
    for each in tools:
        setattr(module, each.name, each)
    return Capability("notes", "Notes", "notas", services={}, modules=(module,))


async def walked(home: Path, planted: Capability) -> Report:
    log.configure("error")
    needed = [c for c in built_in() if c.name in ("tenants", "access", "approvals")]
    catalog = Catalog((*needed, planted))
    settings = Settings.read({"TAUSE_HOME": str(home)})
    async with (
        open_platform(settings, public_url="http://127.0.0.1:8765", catalog=catalog) as platform,
        in_process(platform) as http,
    ):
        return await walk(platform, http, most=150)


async def test_content_that_crosses_is_found(tmp_path: Path) -> None:
    report = await walked(tmp_path, forgetful())
    leaks = [f for f in report.findings if f.what == "leak"]
    assert leaks and report.bytes > 0
    assert all("notes_get" in f.probe for f in leaks)


async def test_a_name_that_answers_otherwise_than_an_absent_one_is_found(tmp_path: Path) -> None:
    report = await walked(tmp_path, talkative())
    assert report.bytes == 0
    oracles = [f for f in report.findings if f.what == "oracle"]
    assert oracles and all("notes_" in f.probe for f in oracles)
