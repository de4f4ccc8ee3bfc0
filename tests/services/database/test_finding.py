"""What is found does not depend on the database, the indexes or the size of a page."""

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.database import finding
from tause_mcp.services.database.scanning import Access
from tause_mcp.services.database.service import Collections
from tause_mcp.testing.home import House

pytestmark = pytest.mark.anyio

LONG = "x" * 250
SCALARS = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.0, 2.5, 2**53 + 1, -0.0, 1e300, "", "a", "ab", "B", "é", "\U0001f600", LONG, LONG + "y", "a\u0000"[:1]]
)  # fmt: skip
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.just({"in": 1}), st.just({}))
DOCUMENTS = st.fixed_dictionaries({}, optional={"f": VALUES, "g": VALUES, "h": VALUES})
OPS = {
    "eq": VALUES,
    "ne": VALUES,
    "gt": st.one_of(st.sampled_from([0, 1.0, 2**53, "", "a", LONG])),
    "gte": st.one_of(st.sampled_from([0, 1.0, 2**53, "", "a", LONG])),
    "lt": st.one_of(st.sampled_from([0, 1.0, 2**53, "", "b", LONG + "z"])),
    "lte": st.one_of(st.sampled_from([0, 1.0, 2**53, "", "b", LONG + "z"])),
    "in": st.lists(VALUES, max_size=3),
    "contains": SCALARS,
    "exists": st.booleans(),
}
CONDITION = st.sampled_from(sorted(OPS)).flatmap(lambda op: st.fixed_dictionaries({op: OPS[op]}))
WHERE = st.dictionaries(st.sampled_from("fgh"), CONDITION, max_size=2)
ORDER = st.lists(st.sampled_from(["f", "-f", "g", "-g", "h", "-h"]), max_size=2).filter(
    lambda names: len({n.lstrip("-") for n in names}) == len(names)
)


# --- the meaning, once more and plainly ---------------------------------------------------------

_NONE = object()


def rank(value: Any) -> int:
    kinds: list[Callable[[Any], bool]] = [
        lambda v: v is _NONE,
        lambda v: v is None,
        lambda v: isinstance(v, bool),
        lambda v: isinstance(v, int | float),
        lambda v: isinstance(v, str),
        lambda v: isinstance(v, list),
    ]
    return next((n for n, is_kind in enumerate(kinds) if is_kind(value)), len(kinds))


def equal(a: Any, b: Any) -> bool:
    if rank(a) != rank(b):
        return False
    if rank(a) == 5:
        return len(a) == len(b) and all(map(equal, a, b))
    if rank(a) == 6:
        return set(a) == set(b) and all(equal(a[k], b[k]) for k in a)
    return float(a) == float(b) if rank(a) == 3 else bool(a == b)


def less(a: Any, b: Any) -> bool:
    if rank(a) == 3 == rank(b):
        return float(a) < float(b)
    return rank(a) == 4 == rank(b) and a < b


def meets(document: dict[str, Any], where: dict[str, dict[str, Any]]) -> bool:
    def one(field: str, op: str, value: Any) -> bool:
        found = document.get(field, _NONE)
        match op:
            case "eq":
                return equal(found, value)
            case "ne":
                return not equal(found, value)
            case "gt":
                return less(value, found)
            case "gte":
                return less(value, found) or (rank(found) in (3, 4) and equal(found, value))
            case "lt":
                return less(found, value)
            case "lte":
                return less(found, value) or (rank(found) in (3, 4) and equal(found, value))
            case "in":
                return any(equal(found, each) for each in value)
            case "exists":
                return (found is not _NONE) is value
        if isinstance(found, str):
            return isinstance(value, str) and value in found
        return isinstance(found, list) and any(equal(each, value) for each in found)

    return all(one(field, op, v) for field, told in where.items() for op, v in told.items())


def compared(a: Any, b: Any) -> int:
    if rank(a) != rank(b):
        return rank(a) - rank(b)
    if rank(a) in (2, 3):
        return (float(a) > float(b)) - (float(a) < float(b))
    return (a[:200] > b[:200]) - (a[:200] < b[:200]) if rank(a) == 4 else 0


def expected(
    documents: dict[str, dict[str, Any]], where: dict[str, Any], order: list[str]
) -> list[str]:
    def before(one: str, other: str) -> int:
        for name in order:
            field, sign = name.lstrip("-"), -1 if name.startswith("-") else 1
            a, b = documents[one].get(field, _NONE), documents[other].get(field, _NONE)
            if step := compared(a, b):
                return sign * step
        sign = -1 if order and order[-1].startswith("-") else 1
        return sign * ((one > other) - (one < other))

    found = [one for one, document in documents.items() if meets(document, where)]
    return sorted(found, key=cmp_to_key(before))


# --- the laws ---------------------------------------------------------------------------------------


@pytest.fixture
async def collections(home: House) -> Collections:
    platform = home.platform
    return Collections(platform.database_of(await _ta(home)), _no_cipher)


async def _ta(home: House) -> Any:
    return home.caller("ta").tenant


async def _no_cipher() -> Any:
    """Nothing here is encrypted."""


_made = [0]


@given(
    documents=st.lists(DOCUMENTS, max_size=12),
    questions=st.lists(st.tuples(WHERE, ORDER), min_size=1, max_size=4),
    indexes=st.sets(st.sampled_from("fg")),
    limit=st.integers(1, 5),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_way_finds_the_same_in_the_same_order(
    collections: Collections,
    documents: list[dict[str, Any]],
    questions: list[tuple[dict[str, Any], list[str]]],
    indexes: set[str],
    limit: int,
) -> None:
    _made[0] += 1
    name = f"c{_made[0] % 150}"
    await collections.create(name, None, sorted(indexes))
    try:
        known = {}
        for n, data in enumerate(documents):
            made = await collections.insert(name, data, f"d{n:02}")
            known[made.id] = data
        for where, order in questions:
            seen: list[str] = []
            after: Any = None
            while True:
                found, total, asked = await collections.find(
                    name, where, order, most=limit, after=after, total=True
                )
                seen += [one.id for one in found]
                if len(found) < limit:
                    break
                after = asked.place(found[-1])
            assert seen == expected(known, where, order), (where, order)
            assert total == len(seen)
    finally:
        await collections.drop(name)


@pytest.mark.parametrize(
    "where",
    [
        {"f": {"$gt": 1}},
        {"f": {"like": "a%"}},
        {"f": {">=": 1}},
        {"f": {"gte": 1, "max": 5}},
        {"f": {"gt": None}},
        {"f": {"lt": True}},
        {"f": {"in": "abc"}},
        {"f": {"exists": 1}},
        {"f": {"contains": [1]}},
        {"f": "a\0b"},
        {"a b": 1},
        {"f'; DROP TABLE documents; --": 1},
        {"": 1},
        {"a..b": 1},
        {"x" * 129: 1},
        {f"f{n}": 1 for n in range(21)},
    ],
)
async def test_what_is_no_condition_is_refused(
    collections: Collections, where: dict[str, Any]
) -> None:
    await collections.create("things")
    with pytest.raises(Invalid) as told:
        await collections.find("things", where)
    assert str(told.value.field).startswith("where")


@pytest.mark.parametrize("order", [["a b"], ["a", "-a"], ["a", "b", "c", "d", "e"], ["--a"], [""]])
async def test_what_is_no_order_is_refused(collections: Collections, order: list[str]) -> None:
    await collections.create("things")
    with pytest.raises(Invalid):
        await collections.find("things", None, order)


async def test_an_object_with_members_like_operators_is_compared_by_eq(
    collections: Collections,
) -> None:
    await collections.create("things")
    one = await collections.insert("things", {"f": {"gt": 1, "x": 2}})
    await collections.insert("things", {"f": 3})
    found, _, _ = await collections.find("things", {"f": {"eq": {"gt": 1, "x": 2}}})
    assert [each.id for each in found] == [one.id]


async def test_a_walk_without_an_index_ends(
    collections: Collections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST", 20)
    await collections.create("things", None, ["n"])
    for n in range(30):
        await collections.insert("things", {"n": n, "m": n})
    for question in ({"where": {"m": 29}}, {"order_by": ["m"]}, {"where": {"m": 1}, "total": True}):
        with pytest.raises(TooLarge, match="index on m"):
            await collections.find("things", **question)
    found, total, _ = await collections.find("things", {"n": {"gte": 28}}, ["m"], total=True)
    assert [one.data["n"] for one in found] == [28, 29] and total == 2
    found, _, _ = await collections.find("things", {"n": {"gte": 3}, "m": 4}, most=1)
    assert [one.data["n"] for one in found] == [4]
    found, _, _ = await collections.find("things", None, ["-n"], most=2)
    assert [one.data["n"] for one in found] == [29, 28]


async def test_the_times_and_the_id_of_a_document_are_found_too(collections: Collections) -> None:
    await collections.create("things", None, ["updated_at"])
    one, two = [await collections.insert("things", {}) for _ in range(2)]
    await collections.update("things", one.id, {"x": 1})
    found, _, _ = await collections.find("things", None, ["-updated_at"])
    assert [each.id for each in found] == [one.id, two.id]
    found, _, _ = await collections.find("things", {"id": two.id, "version": 1})
    assert [each.id for each in found] == [two.id]


async def test_a_declared_index_is_what_the_database_uses(home: House) -> None:
    """EXPLAIN on either database, as the role that serves, with enough rows to matter."""
    tenant = home.caller("ta").tenant
    collections = Collections(home.platform.database_of(tenant), _no_cipher)
    await collections.create("things", None, ["n"])
    for start in range(0, 400, 100):
        await collections.transact(
            [
                {"op": "insert", "collection": "things", "document": {"n": start + n}}
                for n in range(100)
            ]
        )
    seen = await explained(home, [("n", "eq", 7, False), ("n", "gte", 390, True)])
    for plan in seen:
        assert "document_index_order" in plan, plan
        assert "SCAN documents" not in plan and "SCAN document_index" not in plan, plan
        assert "Seq Scan on document_index" not in plan, plan


async def explained(home: House, asked: list[tuple[str, str, Any, bool]]) -> list[str]:
    """The plans of index scans."""
    from tause_mcp.database import Statement, Transaction
    from tause_mcp.services.database.conditions import Condition, spans_of

    class Explaining:
        def __init__(self, tx: Transaction) -> None:
            self._tx = tx
            self.plans: list[str] = []

        async def all(self, statement: Statement, /, **values: Any) -> list[Any]:
            dialect = home.platform.database.dialect
            compiled = statement.on(dialect)
            word = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
            sql, made = compiled.sql, Statement(lambda _: None)  # type: ignore[arg-type,return-value]
            compiled.sql = word + sql
            try:
                made._compiled[dialect] = compiled
                rows = await self._tx.all(made, **values)
            finally:
                compiled.sql = sql
            self.plans.append("\n".join(str(row[-1]) for row in rows))
            return []

    async def work(tx: Transaction) -> list[str]:
        explaining = Explaining(tx)
        for field, op, value, descending in asked:
            spans = spans_of(Condition(field, op, value))  # type: ignore[arg-type]
            assert spans is not None
            await Access(field, (spans[0],), descending).rows(explaining, "things", None, 10)  # type: ignore[arg-type]
        return explaining.plans

    if home.platform.database.dialect == "postgresql":
        await analyzed(home)
    return await home.platform.database_of(home.caller("ta").tenant).read(work)


async def analyzed(home: House) -> None:
    """What autovacuum does after a while."""
    from tests.support import postgres

    url = home.platform.settings.database_url
    postgres.server().sql("ANALYZE", database=url.rpartition("/")[2])
