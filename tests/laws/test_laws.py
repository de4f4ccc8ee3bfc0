"""Every law over the whole catalogue, and proof that each law can be broken."""

import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tause_mcp.capability import (
    READ,
    REPLACE,
    Backends,
    Capability,
    Consent,
    Hints,
    Route,
    prompt,
    resource,
    tool,
)
from tause_mcp.catalog import Catalog, load
from tause_mcp.testing import laws, surface

SURFACE = Path(__file__).parent.parent / "surface"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(())


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_the_whole_catalogue_keeps_the_law(catalog: Catalog, law: laws.Law) -> None:
    law(catalog)


def test_what_is_published_changes_only_on_purpose(catalog: Catalog) -> None:
    surface.compare(catalog, SURFACE, update=os.environ.get("UPDATE_SURFACE") == "1")


# --- each law catches its breach -------------------------------------------------------------------


class Shelf:
    """A service of a lawless capability."""


def made(*declared: Any, **changes: Any) -> Catalog:
    module = ModuleType("shelf")
    for n, value in enumerate(declared):
        setattr(module, f"declared_{n}", value)
    capability = Capability(
        "shelf", "things on a shelf", "estante shelf", {Shelf: lambda _: Shelf()}, (module,)
    )
    return Catalog((replace(capability, **changes),))


def declared(fn: Any, name: str = "shelf_get", doc: str = "Get a thing.", **told: Any) -> Any:
    fn.__name__, fn.__doc__ = name, doc
    return tool(**{"title": "Get a thing", "scope": "shelf:read", "hints": READ, **told})(fn)


def plain(name: str = "shelf_get", **told: Any) -> Any:
    async def fn(shelf: Shelf) -> dict[str, str]:
        return {}

    return declared(fn, name, **told)


class Numbered(TypedDict):
    """A result whose id cannot be that of an approval."""

    id: int


def asking() -> Any:
    async def fn(shelf: Shelf) -> Numbered:
        return {"id": 1}

    return declared(
        fn, "shelf_put", scope="shelf:write", hints=REPLACE, consent=lambda _: Consent("Put it")
    )


def taking(annotation: Any) -> Catalog:
    async def fn(shelf: Shelf, thing: annotation) -> dict[str, str]:
        return {}

    return made(declared(fn))


def telling(annotation: Any, *dropped: str, **told: Any) -> Catalog:
    """As `taking`, with a schema that says something else than the kernel would."""
    catalog = taking(annotation)
    (operation,) = catalog.tools.values()
    schema = operation.inputs.schema
    about = next(iter(schema.get("$defs", {}).values()), schema["properties"]["thing"])
    about.update(told)
    for name in dropped:
        del about[name]
    return catalog


class Open(BaseModel):
    size: Annotated[int, Field(ge=0, le=9)]


async def shelf_item(shelf: Shelf, item: str) -> str:
    """A thing."""
    return item


def shelf_tidy(how: Annotated[int, Field(ge=1, le=3)]) -> str:
    """Tidy up."""
    return "Tidy up."


async def guess(shelf: Shelf, typed: str) -> list[str]:
    return []


ITEM = resource("shelf/{item}", "A thing", scope="shelf:read")
BREACHES: list[tuple[laws.Law, Catalog, str]] = [
    (laws.capabilities_are_introduced, made(plain(), about=""), "about"),
    (laws.capabilities_are_introduced, made(plain(), words=""), "words"),
    (laws.capabilities_are_introduced, made(), "no tool"),
    (laws.capabilities_are_introduced, made(plain(), name="Book_Shelf"), "one word"),
    (laws.names_follow_the_grammar, made(plain("get_shelf")), "<verb>"),
    (laws.names_follow_the_grammar, made(plain("shelf_Get")), "<verb>"),
    (laws.names_follow_the_grammar, made(plain("shelf_" + "x" * 35)), "41 characters"),
    (laws.words_are_there, made(plain(title="")), "title"),
    (laws.words_are_there, made(plain(title="get a thing")), "title"),
    (laws.words_are_there, made(plain(doc="")), "description"),
    (laws.words_are_there, made(plain(cost=0)), "cost"),
    (laws.hints_tell_the_truth, made(plain(hints=REPLACE)), "reads"),
    (laws.hints_tell_the_truth, made(plain(scope="shelf:write")), "writes"),
    (laws.hints_tell_the_truth, made(plain(hints=Hints(read_only=True))), "destructive"),
    (laws.hints_tell_the_truth, made(plain(hints=replace(READ, open_world=None))), "four hints"),
    (laws.hints_tell_the_truth, made(plain(consent=lambda _: None)), "asks nobody"),
    (laws.scopes_are_of_the_capability, made(plain(scope="storage:read")), "not shelf:"),
    (laws.scopes_are_of_the_capability, made(plain(scope="shelf:Read")), "not shelf:"),
    (
        laws.scopes_are_of_the_capability,
        made(resource("shelf/{item}", "A thing", scope="shelf:write")(shelf_item)),
        "only reads",
    ),
    (laws.inputs_have_no_union_and_no_null, taking(int | str), "anyOf"),
    (laws.inputs_have_no_union_and_no_null, taking(list[int | str]), "anyOf"),
    (laws.inputs_have_no_union_and_no_null, taking(None), "null"),
    (laws.inputs_are_closed_and_bounded, telling(Open, "additionalProperties"), "closed"),
    (laws.inputs_are_closed_and_bounded, taking(float), "minimum"),
    (laws.inputs_are_enforced, telling(int, maximum=5), "against its own schema"),
    (laws.outputs_are_objects, made(plain()), ""),
    (laws.every_answer_has_the_published_shape, made(asking()), "shelf_put"),
    (laws.what_is_made_can_be_undone, made(plain("shelf_put", hints=REPLACE)), "shelf_delete"),
    (
        laws.what_is_made_can_be_undone,
        made(plain("shelf_create_box", hints=REPLACE), plain("shelf_delete_lid")),
        "shelf_delete_box",
    ),
    (
        laws.data_goes_with_its_tenant,
        made(plain(), backends=Backends(lambda _: "memory://", {})),
        "on_delete",
    ),
    (laws.routes_name_their_tool, made(Route(lambda _: None, "/s", ("GET",))), "one of them"),
    (
        laws.routes_name_their_tool,
        made(Route(lambda _: None, "/s", ("GET",), tool="shelf_get")),
        "no tool",
    ),
    (
        laws.routes_name_their_tool,
        made(plain(), Route(lambda _: None, "/s", ("GET",), tool="shelf_get", exempt="static")),
        "one of them",
    ),
    (laws.resources_have_their_tool, made(ITEM(shelf_item)), "no tool"),
    (
        laws.resources_have_their_tool,
        made(plain(), resource("shelf/{key}", "A thing", scope="shelf:read")(shelf_item)),
        "do not agree",
    ),
    (
        laws.resources_have_their_tool,
        made(
            plain(),
            resource("shelf/{item}", "A", scope="shelf:read", complete={"key": guess})(shelf_item),
        ),
        "completes key",
    ),
    (laws.prompts_take_strings, made(prompt("Tidy", scope="shelf:read")(shelf_tidy)), "string"),
    (
        laws.lists_stay_small,
        made(*(plain(f"shelf_get_{n}", flagship=True) for n in range(33))),
        "33",
    ),
    (laws.lists_stay_small, made(plain(), about="x" * 2048), "instructions"),
]
BREACHES = [b for b in BREACHES if b[0] is not laws.outputs_are_objects]


@pytest.mark.parametrize(
    ("law", "broken", "says"),
    BREACHES,
    ids=[f"{b[0].__name__}-{n}" for n, b in enumerate(BREACHES)],
)
def test_a_breach_is_named(law: laws.Law, broken: Catalog, says: str) -> None:
    with pytest.raises(AssertionError) as caught:
        law(broken)
    assert says in str(caught.value)


def test_a_result_that_is_no_object_is_named() -> None:
    operation = SimpleNamespace(
        name="shelf_get", capability="shelf", outputs=SimpleNamespace(schema={"type": "string"})
    )
    with pytest.raises(AssertionError, match="no object"):
        laws.outputs_are_objects(SimpleNamespace(tools={"shelf_get": operation}))


def test_a_status_may_be_that_of_waiting() -> None:
    """A call that asks a person answers with that status first, whatever its own are."""
    schema = load(()).tools["tenants_delete"].outputs.schema
    assert schema["properties"]["status"]["enum"] == ["deleted", "deleting", "approval_required"]


def test_every_law_is_shown_to_be_breakable() -> None:
    assert {b[0] for b in BREACHES} | {laws.outputs_are_objects} == set(laws.LAWS)


def test_only_one_capability_is_judged_when_asked() -> None:
    broken = made(plain("nonsense"))
    laws.names_follow_the_grammar(broken, only="other")
    with pytest.raises(AssertionError, match="names_follow_the_grammar"):
        laws.judge(broken)


def test_what_must_last_needs_no_inverse() -> None:
    chart = made(plain("shelf_create_invoice", hints=REPLACE))
    laws.what_is_made_can_be_undone(chart, lasting=["shelf_create_invoice"])


@pytest.mark.parametrize(
    ("change", "says"),
    [({"title": "Fetch a thing"}, "changed in title"), ({"cost": 3}, "changed in cost")],
)
def test_a_changed_tool_is_named_with_what_changed(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    surface.compare(made(plain()), tmp_path, update=True)
    surface.compare(made(plain()), tmp_path, update=False)
    with pytest.raises(AssertionError, match=says):
        surface.compare(made(plain(**change)), tmp_path, update=False)


def test_a_new_tool_and_a_lost_one_are_named(tmp_path: Path) -> None:
    surface.compare(made(plain()), tmp_path, update=True)
    with pytest.raises(AssertionError) as caught:
        surface.compare(made(plain("shelf_read")), tmp_path, update=False)
    assert "shelf_get: has a snapshot and is gone" in str(caught.value)
    assert "shelf_read: new" in str(caught.value)
