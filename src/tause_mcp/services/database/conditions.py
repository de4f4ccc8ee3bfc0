"""`where` and `order_by`: what they may state, and what they mean. Names never become SQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import orjson

from tause_mcp.errors import Invalid
from tause_mcp.services.database.documents import Document
from tause_mcp.services.database.names import check_field
from tause_mcp.services.database.values import (
    ABSENT,
    ARRAY,
    MISSING,
    NUMBER,
    OBJECT,
    STRING,
    TEXT,
    key_of,
    same,
)

Op = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "exists"]
OPS: tuple[Op, ...] = get_args(Op)
_ELSEWHERE = frozenset(
    [
        "=",
        "==",
        "!=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "like",
        "ilike",
        "regex",
        "matches",
        "startswith",
        "starts_with",
        "endswith",
        "ends_with",
        "not",
        "nin",
        "not_in",
        "neq",
        "equals",
        "between",
        "is",
        "is_null",
        "isnull",
        "not_null",
    ]
)
"""Operators of other query languages."""
MAX_CONDITIONS = 20
MAX_CHOICES = 100
MAX_ORDER = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of one field."""

    path: str
    op: Op
    value: Any

    def holds(self, document: Document) -> bool:
        """Whether a document meets it. A field of another kind than the value is unequal to it,
        and neither before nor after it."""
        return _MEANING[self.op](document.value(self.path), self.value)


@dataclass(frozen=True, slots=True)
class Order:
    """One field to sort by. Missing, null, false, true, numbers, texts, lists, objects."""

    path: str
    descending: bool


def _compared(value: Any, other: Any, holds: Callable[[Any, Any], bool]) -> bool:
    one, two = key_of(value), key_of(other)
    if one.rank != two.rank:
        return False
    return holds(value, other) if one.rank == STRING else holds(one.number, two.number)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list) and any(same(one, part) for one in value)


_MEANING: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": same,
    "ne": lambda value, other: not same(value, other),
    "gt": lambda value, other: _compared(value, other, lambda a, b: a > b),
    "gte": lambda value, other: _compared(value, other, lambda a, b: a >= b),
    "lt": lambda value, other: _compared(value, other, lambda a, b: a < b),
    "lte": lambda value, other: _compared(value, other, lambda a, b: a <= b),
    "in": lambda value, choices: any(same(value, one) for one in choices),
    "contains": _contains,
    "exists": lambda value, wanted: (value is not ABSENT) is wanted,
}


def conditions_of(where: Mapping[str, Any] | None, field: str = "where") -> tuple[Condition, ...]:
    """`{field: value | {op: value}}` as conditions that all must hold.

    An object whose members are all operators is operators; any other object is a value.

    Raises:
        Invalid: naming the field.
    """
    told = []
    for path, stated in (where or {}).items():
        check_field(path, field)
        is_value = not isinstance(stated, dict) or not stated or not set(stated) <= set(OPS)
        if is_value and isinstance(stated, dict) and (meant := _meant_as_operators(stated)):
            raise _wrong(
                field,
                path,
                f"{meant} is no operator: they are {', '.join(OPS)}; an object to compare with "
                'is written {"eq": {...}}',
            )
        pairs = [("eq", stated)] if is_value else list(stated.items())
        told += [_condition(field, path, cast(Op, op), value) for op, value in pairs]
    if len(told) > MAX_CONDITIONS:
        raise Invalid(f"{field}: at most {MAX_CONDITIONS} comparisons", field=field)
    return tuple(told)


def _meant_as_operators(stated: Mapping[str, Any]) -> str | None:
    """The member that makes an object no value to equal: an operator of elsewhere, or one that
    stands beside ours. Taken as a value it would quietly find nothing."""
    ours = set(stated) & set(OPS)
    strange = (name for name in stated if name not in ours)
    return next((n[:80] for n in strange if ours or n in _ELSEWHERE or n.startswith("$")), None)


def _condition(field: str, path: str, op: Op, value: Any) -> Condition:
    if op == "exists" and not isinstance(value, bool):
        raise _wrong(field, path, "exists is true or false")
    if op == "in" and not (isinstance(value, list) and len(value) <= MAX_CHOICES):
        raise _wrong(field, path, f"in takes a list of at most {MAX_CHOICES} values")
    if op in ("gt", "gte", "lt", "lte") and key_of(value).rank not in (NUMBER, STRING):
        raise _wrong(field, path, f"{op} compares with a number or a text")
    if op == "contains" and isinstance(value, dict | list):
        raise _wrong(field, path, "contains looks for a text within a text, or a value in a list")
    if "\\u0000" in orjson.dumps(value).decode() and _holds_nul(value):
        raise _wrong(field, path, "a text to look for holds no NUL")
    return Condition(path, op, value)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(one) for one in (*value, *value.values()))
    return isinstance(value, list) and any(map(_holds_nul, value))


def _wrong(field: str, path: str, reason: str) -> Invalid:
    return Invalid(f"{field}.{path}: {reason}", field=f"{field}.{path}")


def orders_of(order_by: Sequence[str] | None) -> tuple[Order, ...]:
    """`["-a", "b"]` as orders, each field once."""
    told = [
        Order(check_field(name.removeprefix("-"), "order_by"), name.startswith("-"))
        for name in order_by or ()
    ]
    if len(told) > MAX_ORDER or len({one.path for one in told}) < len(told):
        raise Invalid(f"order_by: at most {MAX_ORDER} fields, each once", field="order_by")
    return tuple(told)


def canonical(where: Mapping[str, Any] | None) -> str:
    """One spelling of a filter, for the cursors that are bound to it."""
    return orjson.dumps(where or {}, option=orjson.OPT_SORT_KEYS).decode()


# --- what an index can do ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Keys of one rank, from `low` to `high` (None: no bound): texts for a text, else numbers.

    Rank `PRESENT` is every rank of a field that is there.
    """

    rank: int
    low: float | str | None = None
    high: float | str | None = None
    open_low: bool = False
    open_high: bool = False

    @property
    def pinned(self) -> bool:
        """Whether all its keys are alike."""
        return self.low is not None and self.low == self.high

    @property
    def shape(self) -> tuple[bool, ...]:
        """What of it is in the text of a statement, and not among the values."""
        low, high = self.low is not None, self.high is not None
        kind = (self.rank == PRESENT, self.rank == STRING, self.pinned)
        return (*kind, low, high, self.open_low, self.open_high)


PRESENT = -1
Spans = tuple[tuple[Span, ...], bool]


def spans_of(condition: Condition) -> Spans | None:
    """The keys among which is whatever meets a condition, and whether nothing else is.

    None: an index is of no use for it.
    """
    op, value = condition.op, condition.value
    if op == "eq":
        return _equal(value)
    if op == "in":
        parts = [_equal(one) for one in value]
        spans = dict.fromkeys(span for part, _ in parts for span in part)
        return tuple(spans), all(exact for _, exact in parts)
    if op == "exists":
        return (Span(PRESENT) if value else Span(MISSING, 0.0, 0.0),), True
    if op in ("gt", "gte", "lt", "lte"):
        return _beside(op, value)
    return None


def _equal(value: Any) -> Spans:
    key = key_of(value)
    told = key.text if key.rank == STRING else key.number
    return (Span(key.rank, told, told),), key.rank not in (ARRAY, OBJECT) and _whole(value)


def _whole(value: Any) -> bool:
    """Whether an index tells this value from every other."""
    return not isinstance(value, str) or len(value) < TEXT


def _beside(op: str, value: Any) -> Spans:
    key, exact = key_of(value), _whole(value)
    told = key.text if key.rank == STRING else key.number
    strictly = exact and not op.endswith("e")
    if op.startswith("g"):
        return (Span(key.rank, low=told, open_low=strictly),), exact
    return (Span(key.rank, high=told, open_high=strictly),), exact
