"""Plugins: five entry point groups; one that fails is one clear line, and the rest still serves."""

import sys
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.catalog import BUILT_IN, GROUPS, Catalog, load
from tause_mcp.testing import assembled, house

pytestmark = pytest.mark.anyio

CAPABILITIES = "tause_mcp.capabilities"
FACES = '''
from tause_mcp.capability import READ, Backends, Capability, Route, prompt, resource, tool

class {kind}:
    """A service."""
    def __init__(self, kept): self.kept = kept

@tool("Get", scope="{name}:read", hints=READ)
async def {name}_get({name}: {kind}) -> dict[str, str]:
    """Get what is kept."""
    return {name}.kept

{more}

import sys
capability = Capability(
    "{name}", "what is kept", "guardar kept", {{{kind}: lambda b: {kind}(b.backend("{name}"))}},
    (sys.modules[__name__],), Backends(lambda settings: "plain://", {{}}),
)
'''

Write = Callable[..., EntryPoint]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a plugin's module; its entry point."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def written(
        name: str, more: str = "", *, text: str | None = None, group: str = CAPABILITIES
    ) -> EntryPoint:
        source = FACES.format(name=name, kind=name.title(), more=more) if text is None else text
        (folder / f"plugin_{name}.py").write_text(source)
        return EntryPoint(name, f"plugin_{name}:capability", group)

    yield written
    for module in set(sys.modules) - before:
        if module.startswith("plugin_"):
            del sys.modules[module]


def names(catalog: Catalog) -> list[str]:
    return [c.name for c in catalog.capabilities]


# --- one that fails --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line"),
        ("", "AttributeError"),
        ("capability = 'a string'", "TypeError: plugin_bad:capability is not a Capability"),
    ],
)
async def test_a_plugin_that_fails_is_one_line_and_the_rest_serves(
    write: Write, tmp_path: Path, text: str, says: str
) -> None:
    good, bad = write("good"), write("bad", text=text)
    catalog = load([bad, good, backend("good")])
    assert names(catalog) == [*BUILT_IN, "good"]
    (problem,) = catalog.problems
    assert problem.startswith("plugin 'bad' is left out: ")
    assert says in problem
    assert "\n" not in problem
    async with house(tmp_path / "home", catalog=catalog) as opened:
        assert await opened.call("good_get") == {"kept": "well"}
        assert await opened.call("access_whoami")


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("storage", "", "the capability name 'storage' is taken"),
        (
            "shelf",
            '@tool("T", scope="shelf:read", hints=READ)\n'
            'async def storage_get(shelf: Shelf) -> dict[str, str]:\n    "D."\n    return {}',
            "tool 'storage_get' is taken by 'storage'",
        ),
        (
            "shelf",
            '@resource("storage/{+key}", "T", scope="shelf:read")\n'
            'async def item(shelf: Shelf, key: str) -> str:\n    "D."\n    return key',
            "resource 'storage/{+key}' is taken by 'storage'",
        ),
        (
            "shelf",
            '@tool("T", scope="shelf:read", hints=READ)\n'
            'async def shelf_find(what: object()) -> dict[str, str]:\n    "D."\n    return {}',
            "left out",
        ),
    ],
)
async def test_a_clash_with_the_house_leaves_the_plugin_out(
    write: Write, name: str, more: str, says: str
) -> None:
    catalog = load([write(name, more)])
    (problem,) = catalog.problems
    assert says in problem
    assert names(catalog) == list(BUILT_IN)
    assert "shelf_get" not in catalog.tools


def test_of_two_plugins_with_one_name_the_first_stays(write: Write) -> None:
    first = write("shelf")
    second = EntryPoint("shelf2", "plugin_shelf:capability", CAPABILITIES)
    catalog = load([second, first])
    assert names(catalog) == [*BUILT_IN, "shelf"]
    assert catalog.problems == (
        "plugin 'shelf2' is left out: ValueError: the capability name 'shelf' is taken",
    )


def test_of_two_backends_with_one_name_the_first_stays(write: Write) -> None:
    write("kept", text="capability = 1")
    point = EntryPoint("storage.ftp", "plugin_kept:capability", "tause_mcp.backends")
    catalog = load([point, point])
    assert catalog.plugins["tause_mcp.backends"] == {"storage.ftp": 1}
    (problem,) = catalog.problems
    assert "tause_mcp.backends already has 'storage.ftp'" in problem


def test_a_plugin_in_hand_that_clashes_fails_the_test_that_gave_it(write: Write) -> None:
    catalog = assembled([write("storage")])
    assert len(catalog.problems) == 1


# --- five groups -----------------------------------------------------------------------------------


@asynccontextmanager
async def open_plain(url: str) -> Any:
    yield {"kept": "well"}


def backend(name: str) -> EntryPoint:
    return EntryPoint(f"{name}.plain", f"{__name__}:open_plain", "tause_mcp.backends")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this())


def _this() -> Any:
    from types import ModuleType

    module = ModuleType(__name__)
    module.__dict__.update(globals())
    return module


def test_every_group_is_loaded_by_name(write: Write) -> None:
    points = [write("shelf")]
    for group in GROUPS[1:]:
        kind = group.rpartition(".")[2]
        write(kind, text=f"capability = 'the {kind}'")
        points.append(EntryPoint(f"shelf.{kind}", f"plugin_{kind}:capability", group))
    catalog = load(points)
    assert catalog.problems == ()
    assert "shelf_get" in catalog.tools
    assert {g: dict(v) for g, v in catalog.plugins.items()} == {
        g: {f"shelf.{g.rpartition('.')[2]}": f"the {g.rpartition('.')[2]}"} for g in GROUPS[1:]
    }


async def test_a_plugged_backend_keeps_what_its_capability_serves(
    write: Write, tmp_path: Path
) -> None:
    async with (
        house(tmp_path, plugins=[write("shelf"), backend("shelf")]) as opened,
        opened.client(toolsets=("shelf",)) as client,
    ):
        assert [t.name for t in (await client.list_tools()).tools] == ["shelf_get"]
        got = await client.call_tool("shelf_get", {})
        assert got.structured_content == {"kept": "well"}


async def test_a_plugins_scope_is_its_own(write: Write, tmp_path: Path) -> None:
    async with house(tmp_path, plugins=[write("shelf"), backend("shelf")]) as opened:
        stranger = opened.caller(scopes=["storage:*"])
        async with opened.client(stranger, toolsets=("all",)) as client:
            assert not [t for t in (await client.list_tools()).tools if t.name == "shelf_get"]


def test_what_is_installed_is_found_without_being_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write
) -> None:
    write("shelf")
    about = tmp_path / "plugins" / "tause_shelf-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tause-shelf\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{CAPABILITIES}]\nshelf = plugin_shelf:capability\n")
    assert "shelf_get" in load().tools
