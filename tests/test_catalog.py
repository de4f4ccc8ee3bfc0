"""One line per capability, then plugins: what clashes or breaks is left out in one line."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from tause_mcp.capability import (
    READ,
    Capability,
    Prompt,
    Resource,
    Route,
    Tool,
    prompt,
    resource,
    tool,
)
from tause_mcp.catalog import BUILT_IN, GROUPS, Catalog, load
from tause_mcp.tenancy import ROLES, Scopes


class Book:
    """A plugin's service."""


@tool("Add a contact", scope="crm:write", flagship=True)
async def crm_add(book: Book, name: str) -> dict[str, str]:
    """Add a contact."""
    return {}


@tool("Find contacts", scope="crm:read", hints=READ)
async def crm_find(book: Book, name: str) -> dict[str, str]:
    """Find contacts."""
    return {}


@resource("crm/{id}", "A contact", scope="crm:read")
async def crm_contact(book: Book, id: str) -> str:  # noqa: A002
    """A contact."""
    return id


def made(name: str, *declared: Any) -> Capability:
    module = ModuleType(f"plugin_{name}")
    for index, value in enumerate(declared):
        setattr(module, f"v{index}", value)
    return Capability(name, "contacts", "contactos", {Book: lambda b: Book()}, (module,))


@dataclass(frozen=True)
class Point:
    """An entry point, as `importlib.metadata` finds it."""

    name: str
    given: Any
    group: str = GROUPS[0]
    value: str = "plugin:CAPABILITY"

    def load(self) -> Any:
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


def loaded(*points: Point) -> Catalog:
    return load(points)


CRM = made("crm", crm_add, crm_find, crm_contact)


# --- built in -----------------------------------------------------------------------------------


def test_the_house_loads_without_a_problem() -> None:
    catalog = load(())
    assert catalog.problems == ()
    assert tuple(c.name for c in catalog.capabilities) == BUILT_IN
    catalog.build()


def test_nothing_is_built_before_it_is_asked_for() -> None:
    tools = load(()).tools
    _ = tools["access_whoami"].inputs.schema
    built = {name for name, o in tools.items() if {"schema", "_core"} & vars(o.inputs).keys()}
    assert built == {"access_whoami"}


def test_everything_is_listed_by_name_in_a_stable_order() -> None:
    first, second = load(()), load(())
    for kind in ("tools", "resources", "prompts"):
        names = list(getattr(first, kind))
        assert names == sorted(names) == list(getattr(second, kind))
    scopes = Scopes(frozenset({"*:*"}))
    assert [o.name for o in first.listed(scopes, ["all"])] == list(first.tools)


def test_every_completion_names_an_argument_of_what_it_completes() -> None:
    catalog = load(())
    known = {**catalog.resources, **catalog.prompts}
    for (name, argument), completion in catalog.completions.items():
        assert argument in known[name].inputs.names
        assert completion.scope == known[name].scope


# --- lists --------------------------------------------------------------------------------------


def test_the_default_list_is_the_flagships_and_the_small_door() -> None:
    catalog = loaded(Point("crm", CRM))
    names = [o.name for o in catalog.listed(Scopes(frozenset({"*:*"})))]
    assert {"crm_add", "catalog_search", "catalog_call"} <= set(names)
    assert "crm_find" not in names
    assert names == sorted(names)


def test_a_toolset_is_a_capability() -> None:
    catalog = loaded(Point("crm", CRM))
    scopes = Scopes(frozenset({"*:*"}))
    assert [o.name for o in catalog.listed(scopes, ["crm"])] == ["crm_add", "crm_find"]
    assert catalog.listed(scopes, []) == []
    assert catalog.listed(scopes, ["no-such"]) == []
    assert catalog.toolsets == tuple(sorted({*BUILT_IN, "crm"}))


def test_read_only_and_scopes_narrow_a_list() -> None:
    catalog = loaded(Point("crm", CRM))
    every = Scopes(frozenset({"*:*"}))
    assert [o.name for o in catalog.listed(every, ["crm"], read_only=True)] == ["crm_find"]
    viewer = Scopes(ROLES["viewer"])
    assert all(not o.writes for o in catalog.listed(viewer, ["all"]))
    assert [o.name for o in catalog.listed(Scopes(frozenset()), ["all"])] == ["access_whoami"]
    part = Scopes(frozenset({"crm:write:a*"}))
    assert [o.name for o in catalog.listed(part, ["crm"])] == ["crm_add"]


# --- plugins ------------------------------------------------------------------------------------


def test_a_plugin_is_a_capability_like_any_other() -> None:
    catalog = loaded(Point("crm", CRM))
    assert catalog.problems == ()
    assert catalog.tools["crm_add"].capability == "crm"
    assert catalog.services[Book][0] is CRM


class Stranger:
    """Neither a service nor JSON."""


async def _strange(stranger: Stranger) -> dict[str, str]:
    return {}


def _route(platform: Any) -> Any:
    return None


BROKEN: list[tuple[Any, str]] = [
    (ImportError("No module named 'crm'"), "No module named 'crm'"),
    (RuntimeError("first\nsecond"), "first"),
    (SyntaxError(), "SyntaxError"),
    (object(), "is not a Capability"),
    (Capability, "is not a Capability"),
    (made("storage"), "the capability name 'storage' is taken"),
    (made("crm", Tool(_strange, "Put", "crm:write")), "schema"),
]


@pytest.mark.parametrize(("given", "says"), BROKEN)
def test_a_plugin_that_breaks_is_one_line_and_the_rest_serves(given: Any, says: str) -> None:
    catalog = loaded(Point("broken", given), Point("crm2", made("crm2", crm_add)))
    (line,) = catalog.problems
    assert line.startswith("plugin 'broken' is left out: ")
    assert says in line
    assert "\n" not in line
    assert [c.name for c in catalog.capabilities] == [*BUILT_IN, "crm2"]


def renamed(fn: Any, name: str) -> Any:
    async def copy(book: Book) -> dict[str, str]:
        return {}

    copy.__name__ = name
    return copy


CLASHES: list[tuple[Any, str]] = [
    (Tool(renamed(crm_add, "storage_put"), "Put", "crm:write"), "tool 'storage_put' is taken"),
    (Route(_route, "/x", ("GET",), exempt="static"), "route '/x' is taken by 'first'"),
    (
        Resource(renamed(crm_contact, "other"), "crm/{id}", "A", "crm:read"),
        "resource 'crm/{id}' is taken by 'first'",
    ),
    (
        Prompt(lambda: "", "Tidy", "crm:read"),
        "prompt '<lambda>' is taken by 'first'",
    ),
]


@pytest.mark.parametrize(("declared", "says"), CLASHES)
def test_a_clash_leaves_the_later_plugin_out(declared: Any, says: str) -> None:
    first = made(
        "first",
        crm_contact,
        Route(_route, "/x", ("GET",), exempt="static"),
        prompt("Tidy", scope="crm:read")(lambda: ""),
    )
    catalog = loaded(Point("b", made("second", declared)), Point("a", first))
    (line,) = catalog.problems
    assert line.startswith("plugin 'b' is left out")
    assert says in line
    assert "second" not in [c.name for c in catalog.capabilities]


def test_a_resource_may_not_take_the_name_of_another() -> None:
    """Names are keys: a second one would silently replace the first."""
    twin = Resource(crm_contact.fn, "contacts/{id}", "A contact", "crm:read")
    catalog = loaded(Point("a", made("first", crm_contact)), Point("b", made("second", twin)))
    (line,) = catalog.problems
    assert "crm_contact" in line
    assert catalog.resources["crm_contact"].capability == "first"


def test_a_plugin_may_not_declare_a_name_twice_itself() -> None:
    twice = made("crm", crm_add, Tool(renamed(crm_add, "crm_add"), "Other", "crm:admin"))
    (line,) = loaded(Point("crm", twice)).problems
    assert "crm_add" in line


def test_a_service_belongs_to_one_capability() -> None:
    """Else the later one would make the earlier one's services."""
    catalog = loaded(Point("a", made("first", crm_add)), Point("b", made("second", crm_find)))
    (line,) = catalog.problems
    assert "Book" in line


def test_plugins_come_in_the_order_of_their_names() -> None:
    class Other:
        pass

    module = ModuleType("other")
    other = Capability("other", "x", "x", {Other: lambda b: Other()}, (module,))
    for points in ([Point("z", CRM), Point("a", other)], [Point("a", other), Point("z", CRM)]):
        names = [c.name for c in loaded(*points).capabilities]
        assert names == [*BUILT_IN, "other", "crm"]


def test_the_same_entry_point_twice_is_a_clash() -> None:
    backend = Point("storage.x", object, "tause_mcp.backends")
    catalog = loaded(backend, backend)
    assert catalog.plugins["tause_mcp.backends"] == {"storage.x": object}
    assert "already has 'storage.x'" in catalog.problems[0]


@pytest.mark.parametrize("group", GROUPS[1:])
def test_every_further_group_is_taken(group: str) -> None:
    catalog = loaded(Point("x", 5, group), Point("y", ValueError("no"), group))
    assert catalog.plugins[group] == {"x": 5}
    assert len(catalog.problems) == 1


def test_a_real_entry_point_is_loaded() -> None:
    point = EntryPoint("x", "collections:OrderedDict", "tause_mcp.channels")
    assert set(load([point]).plugins["tause_mcp.channels"]) == {"x"}
