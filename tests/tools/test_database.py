"""The tools of collections, as a model calls them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    TauseError,
    TooLarge,
)
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio

PEOPLE = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "unique": True},
        "age": {"type": "integer", "default": 18},
        "boss": {"type": "string", "references": "people"},
        "ssn": {"type": "string", "encrypted": True},
    },
    "required": ["email"],
}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened


@pytest.fixture
async def people(home: House) -> House:
    await call(home, "create_collection", name="people", schema=PEOPLE, indexes=["age"])
    return home


async def call(home: House, name: str, who: Any = "ta", /, **arguments: Any) -> Any:
    return await home.call(f"database_{name}", arguments, who)


async def refused(
    kind: type[TauseError], home: House, name: str, who: Any = "ta", /, **arguments: Any
) -> TauseError:
    with pytest.raises(kind) as told:
        await call(home, name, who, **arguments)
    return told.value


# --- what must not work ---------------------------------------------------------------------------


async def test_another_tenant_finds_nothing_by_any_tool(people: House) -> None:
    made = await call(people, "insert", collection="people", document={"email": "canary"})
    for name, arguments in [
        ("get", {"id": made["id"]}),
        ("find", {}),
        ("insert", {"document": {"email": "x"}}),
        ("update", {"id": made["id"], "changes": {"email": "x"}}),
        ("delete", {"id": made["id"]}),
    ]:
        foreign = await refused(NotFound, people, name, "tab", collection="people", **arguments)
        absent = await refused(NotFound, people, name, collection="peopl", **arguments)
        assert (str(foreign), foreign.field) == (str(absent), absent.field)
    assert (await call(people, "list_collections", "tab"))["items"] == []


async def test_the_same_names_in_two_tenants_are_two_documents(people: House) -> None:
    await call(people, "create_collection", "tab", name="people", schema=PEOPLE)
    for who in ("ta", "tab"):
        await call(people, "insert", who, collection="people", document={"email": who}, id="one")
    await call(people, "delete", collection="people", id="one")
    kept = await call(people, "get", "tab", collection="people", id="one")
    assert kept["data"]["email"] == "tab"
    assert (await call(people, "find", collection="people", total=True))["total"] == 0


async def test_a_reference_does_not_reach_into_another_tenant(people: House) -> None:
    await call(people, "create_collection", "tab", name="people", schema=PEOPLE)
    await call(people, "insert", collection="people", document={"email": "a"}, id="boss")
    told = await refused(
        Invalid,
        people,
        "insert",
        "tab",
        collection="people",
        document={"email": "a", "boss": "boss"},
    )
    assert told.field == "document.boss"


async def test_a_cursor_of_another_tenant_filter_order_or_collection_is_refused(
    people: House,
) -> None:
    for who in ("ta", "tab"):
        if who == "tab":
            await call(people, "create_collection", who, name="people", schema=PEOPLE)
        await call(people, "create_collection", who, name="others")
        for n in range(3):
            await call(people, "insert", who, collection="people", document={"email": str(n)})
    page = await call(people, "find", collection="people", limit=1)
    for who, changes in [
        ("tab", {}),
        ("ta", {"where": {"age": 18}}),
        ("ta", {"order_by": ["age"]}),
        ("ta", {"collection": "others"}),
    ]:
        arguments = {"collection": "people", "cursor": page["next_cursor"], **changes}
        assert (await refused(Invalid, people, "find", who, **arguments)).field == "cursor"


async def test_a_scope_of_one_collection_opens_no_other(people: House) -> None:
    await call(people, "create_collection", name="people2")
    only = people.caller("ta", scopes=("database:read:people", "database:write:people"))
    await call(people, "insert", only, collection="people", document={"email": "a"})
    await refused(Forbidden, people, "insert", only, collection="people2", document={})
    await refused(Forbidden, people, "find", only, collection="people2")
    await refused(Forbidden, people, "list_collections", only, name="people2")
    listed = await call(people, "list_collections", only)
    assert [one["name"] for one in listed["items"]] == ["people"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "document.email"),
        ({"email": 7}, "document.email"),
        ({"email": "a", "age": "old"}, "document.age"),
        ({"email": "a", "boss": "nobody"}, "document.boss"),
    ],
)
async def test_what_does_not_fit_is_told_by_its_path_without_its_value(
    people: House, document: dict[str, Any], field: str
) -> None:
    told = await refused(Invalid, people, "insert", collection="people", document=document)
    assert told.field == field
    assert "old" not in str(told) and "7" not in str(told)
    assert (await call(people, "find", collection="people", total=True))["total"] == 0


@pytest.mark.parametrize(
    "document",
    [
        {"n": float("nan")},
        {"n": 1 << 70},
        {"t": "\ud800"},
        {"\udfff": 1},
        {"deep": eval("[" * 70 + "]" * 70)},
    ],
)
async def test_what_json_cannot_carry_is_refused(home: House, document: dict[str, Any]) -> None:
    await call(home, "create_collection", name="things")
    await refused(Invalid, home, "insert", collection="things", document=document)


async def test_a_document_over_its_bound_is_refused(home: House) -> None:
    await call(home, "create_collection", name="things")
    await refused(TooLarge, home, "insert", collection="things", document={"t": "x" * 262_144})
    kept = await call(home, "insert", collection="things", document={"t": "x" * 250_000})
    assert set(kept) == {"preview", "key", "size", "url"}  # over 24 KiB: kept as an object


async def test_a_unique_value_is_taken_once(people: House) -> None:
    await call(people, "insert", collection="people", document={"email": "a"})
    two = await call(people, "insert", collection="people", document={"email": "b"}, id="two")
    told = await refused(Conflict, people, "insert", collection="people", document={"email": "a"})
    assert told.field == "document.email"
    changes = {"email": "a"}
    told = await refused(Conflict, people, "update", collection="people", id="two", changes=changes)
    assert told.field == "changes.email"
    assert await call(people, "get", collection="people", id="two") == two


async def test_an_id_is_taken_once(people: House) -> None:
    await call(people, "insert", collection="people", document={"email": "a"}, id="one")
    told = await refused(
        Conflict, people, "insert", collection="people", document={"email": "b"}, id="one"
    )
    assert told.field == "id"
    assert (await call(people, "find", collection="people", total=True))["total"] == 1


async def test_a_version_that_has_passed_changes_nothing(people: House) -> None:
    one = await call(people, "insert", collection="people", document={"email": "a"})
    named = {"collection": "people", "id": one["id"]}
    two = await call(people, "update", **named, changes={"age": 2}, version=1)
    assert two["version"] == 2 and two["data"]["age"] == 2
    told = await refused(PreconditionFailed, people, "update", **named, changes={}, version=1)
    assert told.field == "version"
    await refused(PreconditionFailed, people, "delete", **named, version=1)
    assert await call(people, "get", **named) == two
    assert await call(people, "delete", **named, version=2) == {"id": one["id"], "deleted": True}


async def test_what_is_referred_to_stays(people: House) -> None:
    await call(people, "insert", collection="people", document={"email": "a"}, id="boss")
    report = {"email": "b", "boss": "boss"}
    await call(people, "insert", collection="people", document=report, id="report")
    await refused(Conflict, people, "delete", collection="people", id="boss")
    await call(people, "update", collection="people", id="report", changes={"boss": None})
    assert (await call(people, "delete", collection="people", id="boss"))["deleted"]


async def test_the_limit_of_rows_holds_and_is_given_back(people: House) -> None:
    told = {"tenant_id": "ta", "limits": {"rows": 2}}
    await people.call("tenants_configure", told)
    for n in range(2):
        await call(people, "insert", collection="people", document={"email": str(n)}, id=f"i{n}")
    await refused(QuotaExceeded, people, "insert", collection="people", document={"email": "x"})
    usage = await people.call("tenants_get_usage", {}, "ta")
    assert next(one for one in usage["limits"] if one["name"] == "rows")["used"] == 2
    await call(people, "delete", collection="people", id="i0")
    await call(people, "delete", collection="people", id="i0")
    await call(people, "insert", collection="people", document={"email": "x"})
    await refused(QuotaExceeded, people, "insert", collection="people", document={"email": "y"})


async def test_a_collection_is_dropped_when_a_person_approves(people: House) -> None:
    await call(people, "insert", collection="people", document={"email": "a"})
    asked = await call(people, "drop_collection", name="people")
    assert asked["status"] == "approval_required"
    assert (await call(people, "find", collection="people", total=True))["total"] == 1
    await people.platform.answer(asked["id"], True, by="local:owner", means="cli")
    done = await call(people, "drop_collection", name="people")
    assert done == {"name": "people", "dropped": True, "documents": 1}
    await refused(NotFound, people, "find", collection="people")
    await call(people, "create_collection", name="people")
    assert (await call(people, "find", collection="people"))["items"] == []


# --- what works --------------------------------------------------------------------------------------


async def test_a_document_comes_back_as_it_was_put(people: House) -> None:
    document = {"email": "ñ@x.co", "ssn": "sealed", "more": {"a": [1, 2.5, None, True, "t"]}}
    made = await call(people, "insert", collection="people", document=document)
    assert made["data"] == {**document, "age": 18} and made["version"] == 1
    assert await call(people, "get", collection="people", id=made["id"]) == made
    found = await call(people, "find", collection="people", where={"email": "ñ@x.co"})
    assert found == {"items": [made]}


async def test_changes_merge_and_null_removes(people: House) -> None:
    document = {"email": "a", "more": {"a": 1, "b": 2}, "ssn": "old"}
    made = await call(people, "insert", collection="people", document=document)
    changes = {"more": {"a": None, "c": 3}, "age": None, "ssn": "new"}
    told = await call(people, "update", collection="people", id=made["id"], changes=changes)
    assert told["data"] == {"email": "a", "more": {"b": 2, "c": 3}, "ssn": "new"}
    assert told["version"] == 2 and told["created_at"] == made["created_at"]
    assert told["updated_at"] > made["updated_at"]


async def test_pages_in_order_with_a_total(people: House) -> None:
    for n in range(7):
        await call(people, "insert", collection="people", document={"email": f"{n}", "age": n % 3})
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = await call(
            people,
            "find",
            collection="people",
            where={"age": {"gte": 0}},
            order_by=["-age"],
            limit=2,
            total=True,
            **cursor,
        )
        assert page["total"] == 7
        seen += [one["data"]["age"] for one in page["items"]]
        cursor = {"cursor": page.get("next_cursor", "")}
    assert seen == [2, 2, 1, 1, 0, 0, 0]
    assert "next_cursor" not in page


async def test_a_collection_is_described(people: House) -> None:
    (short,) = (await call(people, "list_collections"))["items"]
    assert short["name"] == "people" and short["indexes"] == ["age", "email"]
    assert sorted(short["fields"]) == ["age", "boss", "email", "ssn"] and "schema" not in short
    (whole,) = (await call(people, "list_collections", name="people"))["items"]
    assert whole["schema"] == PEOPLE
