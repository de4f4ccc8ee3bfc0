"""Aggregates, transactions and migrations, as a model calls them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, TooLarge
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        await call(opened, "create_collection", name="sales", indexes=["city"])
        yield opened


async def call(home: House, name: str, who: Any = "ta", /, **arguments: Any) -> Any:
    return await home.call(f"database_{name}", arguments, who)


async def sold(home: House, *sales: dict[str, Any]) -> list[str]:
    operations = [{"op": "insert", "collection": "sales", "document": one} for one in sales]
    return [one["id"] for one in (await call(home, "transact", operations=operations))["items"]]


async def everything(home: House) -> list[Any]:
    found = await call(home, "find", collection="sales", limit=200)
    return [(one["id"], one["version"], one["data"]) for one in found["items"]]


# --- aggregates ---------------------------------------------------------------------------------------


async def test_figures_by_group(home: House) -> None:
    await sold(
        home,
        {"city": "Cali", "amount": 10, "day": "2026-01-02"},
        {"city": "Cali", "amount": 2.5, "day": "2026-01-01"},
        {"city": "Pasto", "amount": "much"},
        {"amount": 1},
    )
    told = await call(
        home,
        "aggregate",
        collection="sales",
        metrics=["count", "count:amount", "sum:amount", "avg:amount", "min:day", "max:amount"],
        group_by=["city"],
    )
    assert told["items"] == [
        {
            "group": {},
            "values": {
                "count": 1,
                "count:amount": 1,
                "sum:amount": 1,
                "avg:amount": 1,
                "max:amount": 1,
            },
        },
        {
            "group": {"city": "Cali"},
            "values": {
                "count": 2,
                "count:amount": 2,
                "sum:amount": 12.5,
                "avg:amount": 6.25,
                "min:day": "2026-01-01",
                "max:amount": 10,
            },
        },
        {
            "group": {"city": "Pasto"},
            "values": {"count": 1, "count:amount": 1, "sum:amount": 0, "max:amount": "much"},
        },
    ]


async def test_the_count_of_nothing_is_none_at_all(home: House) -> None:
    for where in ({"city": "Cali"}, {"town": "Cali"}):
        told = await call(home, "aggregate", collection="sales", where=where)
        assert told == {"items": [{"group": {}, "values": {"count": 0}}]}


async def test_too_many_groups_are_refused(home: House) -> None:
    for start in range(0, 300, 100):
        await sold(home, *({"city": f"c{n}"} for n in range(start, start + 100)))
    with pytest.raises(TooLarge, match="groups"):
        await call(home, "aggregate", collection="sales", group_by=["city"])


@pytest.mark.parametrize("metric", ["sum", "median:amount", "sum:", "sum:a b", "count:a.b'"])
async def test_a_metric_is_of_the_grammar(home: House, metric: str) -> None:
    with pytest.raises(Invalid):
        await call(home, "aggregate", collection="sales", metrics=[metric])


# --- transactions ----------------------------------------------------------------------------------


async def test_a_transaction_sees_its_own_changes_in_order(home: House) -> None:
    operations = [
        {"op": "insert", "collection": "sales", "id": "a", "document": {"n": 1}},
        {"op": "update", "collection": "sales", "id": "a", "changes": {"n": 2}, "version": 1},
        {"op": "insert", "collection": "sales", "id": "b"},
        {"op": "delete", "collection": "sales", "id": "b"},
        {"op": "delete", "collection": "sales", "id": "never"},
    ]
    told = (await call(home, "transact", operations=operations))["items"]
    assert [one.get("version", one.get("deleted")) for one in told] == [1, 2, 1, True, False]
    assert await everything(home) == [("a", 2, {"n": 2})]


@pytest.mark.parametrize(
    ("last", "kind", "field"),
    [
        ({"op": "insert", "collection": "sales", "id": "a"}, Conflict, "operations.2.id"),
        ({"op": "update", "collection": "sales", "id": "x"}, NotFound, "operations.2.id"),
        ({"op": "delete", "collection": "none", "id": "x"}, NotFound, "operations.2.collection"),
        (
            {"op": "delete", "collection": "sales", "id": "a", "version": 9},
            PreconditionFailed,
            "operations.2.version",
        ),
        ({"op": "delete", "collection": "sales"}, Invalid, "operations.2.id"),
        (
            {"op": "delete", "collection": "sales", "id": "a", "document": {}},
            Invalid,
            "operations.2.document",
        ),
    ],
)
async def test_one_that_fails_undoes_them_all(
    home: House, last: dict[str, Any], kind: type[Exception], field: str
) -> None:
    first = {"op": "insert", "collection": "sales", "document": {"city": "Cali"}}
    operations = [first | {"id": "a"}, first | {"id": "b"}, last]
    with pytest.raises(kind) as told:
        await call(home, "transact", operations=operations)
    assert getattr(told.value, "field", None) == field
    assert await everything(home) == []
    usage = await home.platform.database_of("ta").first(_rows())  # type: ignore[arg-type]
    assert usage is None or usage[0] == 0


def _rows() -> Any:
    from tause_mcp.services.database.tables import USAGE

    return USAGE


async def test_a_transaction_needs_the_scope_of_each_collection(home: House) -> None:
    await call(home, "create_collection", name="others")
    only = home.caller("ta", scopes=("database:write:sales",))
    operations = [
        {"op": "insert", "collection": "sales"},
        {"op": "insert", "collection": "others"},
    ]
    with pytest.raises(Forbidden):
        await call(home, "transact", only, operations=operations)
    await call(home, "transact", only, operations=operations[:1])


# --- migrations -----------------------------------------------------------------------------------


async def test_steps_change_all_documents_and_go_back(home: House) -> None:
    ids = await sold(
        home,
        {"city": "Cali", "amount": "12", "note": "old", "who": {"name": "Ana"}},
        {"city": "Pasto", "amount": "3", "currency": "USD"},
    )
    before = await everything(home)
    steps = [
        {"op": "rename", "field": "city", "to": "place.city"},
        {"op": "retype", "field": "amount", "type": "integer"},
        {"op": "add", "field": "currency", "value": "COP"},
        {"op": "remove", "field": "note"},
        {"op": "index", "field": "amount"},
    ]
    rehearsed = await call(home, "migrate", collection="sales", steps=steps, dry_run=True)
    assert rehearsed["dry_run"] and rehearsed["changed"] == 2
    assert await everything(home) == before
    done = await call(home, "migrate", collection="sales", steps=steps)
    assert done == {**rehearsed, "dry_run": False}
    assert done["version"] == 2 and done["indexes"] == ["place.city", "amount"]
    assert [data for *_, data in await everything(home)] == [
        {"amount": 12, "who": {"name": "Ana"}, "place": {"city": "Cali"}, "currency": "COP"},
        {"amount": 3, "currency": "USD", "place": {"city": "Pasto"}},
    ]
    found = await call(home, "find", collection="sales", where={"place.city": "Pasto"})
    assert [one["id"] for one in found["items"]] == [ids[1]]
    await sold(home, {"place": {"city": "Tunja"}, "amount": 1})
    changes = {"place": {"city": "Buga"}}
    await call(home, "update", collection="sales", id=ids[0], changes=changes)
    back = await call(home, "migrate", collection="sales", rollback_to=1)
    assert back["version"] == 3 and back["indexes"] == ["city"]
    first, second, third = [data for *_, data in await everything(home)]
    assert first == {
        "city": "Buga",  # what was changed since stays
        "amount": "12",
        "note": "old",
        "who": {"name": "Ana"},
    }
    assert second == {"city": "Pasto", "amount": "3", "currency": "USD"}
    assert third == {"city": "Tunja", "amount": 1, "place": {}}
    await call(home, "migrate", collection="sales", rollback_to=2)
    assert [data["amount"] for *_, data in await everything(home)] == [12, 3, 1]
    (told,) = (await call(home, "list_collections", name="sales"))["items"]
    assert [(one["version"], one["steps"]) for one in told["history"]] == [
        (4, ["rollback"]),
        (3, ["rollback"]),
        (2, [step["op"] for step in steps]),
    ]


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([{"op": "retype", "field": "amount", "type": "integer"}], Conflict),
        ([{"op": "rename", "field": "amount", "to": "city"}], Conflict),
        ([{"op": "rename", "field": "amount"}], Invalid),
        ([{"op": "rename", "field": "amount", "to": "amount.x"}], Invalid),
        ([{"op": "remove", "field": "amount", "to": "x"}], Invalid),
        ([{"op": "remove", "field": "a; DROP"}], Invalid),
        ([], Invalid),
    ],
)
async def test_a_migration_that_fails_changes_nothing(
    home: House, steps: list[dict[str, Any]], kind: type[Exception]
) -> None:
    await sold(home, {"city": "Cali", "amount": 1}, {"city": "Cali", "amount": "many"})
    before = await everything(home)
    with pytest.raises(kind):
        await call(home, "migrate", collection="sales", steps=steps)
    assert await everything(home) == before
    assert (await call(home, "list_collections"))["items"][0]["version"] == 1


async def test_a_new_schema_holds_for_what_is_there(home: House) -> None:
    await sold(home, {"city": "Cali", "mail": "a"}, {"city": "Cali", "mail": "a"})
    unique = {"properties": {"mail": {"type": "string", "unique": True}}}
    with pytest.raises(Conflict, match="same value"):
        await call(home, "migrate", collection="sales", schema=unique)
    with pytest.raises(Invalid) as told:
        await call(home, "migrate", collection="sales", schema={"required": ["age"]})
    assert str(told.value.field).startswith("documents.")
    schema = {"properties": {"mail": {"type": "string", "encrypted": True}}}
    await call(home, "migrate", collection="sales", schema=schema)
    assert [data["mail"] for *_, data in await everything(home)] == ["a", "a"]
    with pytest.raises(Invalid, match="encrypted"):
        await call(home, "find", collection="sales", where={"mail": "a"})
    await call(home, "migrate", collection="sales", rollback_to=1)
    assert len((await call(home, "find", collection="sales", where={"mail": "a"}))["items"]) == 2


@pytest.mark.parametrize("version", [1, 2, 9])
async def test_there_is_no_way_back_to_a_version_that_was_not(home: House, version: int) -> None:
    with pytest.raises(NotFound):
        await call(home, "migrate", collection="sales", rollback_to=version)
