"""What a declared function takes: strictly, and silent about values."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.shapes import (
    GOOD,
    PUT,
    Box,
    compiled,
    taking,
)

from tause_mcp.errors import Invalid
from tause_mcp.schemas import MAX_DEPTH, MAX_INTEGER, MAX_ITEMS, MAX_TEXT, check_json


def test_good_arguments_arrive_with_their_defaults() -> None:
    read = PUT.inputs.read({**GOOD, "box": {"label": "b", "sizes": [{"width": 3}]}})
    assert read["box"] == Box(label="b", sizes=[{"width": 3}])
    assert (read["kind"], read["count"], read["tags"], read["free"]) == ("wood", 8, None, 0)
    assert "shelf" not in read


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"count": "5"}, "count", "count"),
    ({"count": True}, "count", "count"),
    ({"count": 5.0}, "count", "count"),
    ({"count": 51}, "count", "less than or equal to 50"),
    ({"ready": 1}, "ready", "boolean"),
    ({"ready": "true"}, "ready", "boolean"),
    ({"name": 5}, "name", "string"),
    ({"name": None}, "name", "string"),
    ({"name": "123456789"}, "name", "at most 8"),
    ({"name": ["a"]}, "name", "string"),
    ({"kind": "gold"}, "kind", "'wood' or 'steel'"),
    ({"code": "abc"}, "code", "pattern"),
    ({"tags": "a"}, "tags", "list"),
    ({"tags": {"a": 1}}, "tags", "list"),
    ({"tags": ["a", 1]}, "tags", "tags.1"),
    ({"tags": ["a"] * (MAX_ITEMS + 1)}, "tags", "at most 1000"),
    ({"extra": []}, "extra", "dictionary"),
    ({"extra": dict.fromkeys(map(str, range(MAX_ITEMS + 1)))}, "extra", "at most 1000"),
    ({"weights": {"a": "5"}}, "weights", "weights.a"),
    ({"weights": {"a": True}}, "weights", "weights.a"),
    ({"size": {"width": "3"}}, "size", "size.width"),
    ({"size": {"width": 3, "depth": 1}}, "size", "size.depth: is not an argument"),
    ({"size": {}}, "size", "size.width"),
    ({"box": {"label": "b", "colour": "red"}}, "box", "box.colour: is not an argument"),
    ({"box": {"label": "b", "inner": {"label": 5}}}, "box", "box.inner.label"),
    ({"box": {"label": "b", "inner": {"label": "c", "z": 1}}}, "box", "box.inner.z"),
    ({"box": {"label": "b", "sizes": [{"width": 1, "unit": "mm"}]}}, "box", "box.sizes.0.unit"),
    ({"point": {"x": "1"}}, "point", "point.x"),
    ({"point": {"x": 1, "z": 1}}, "point", "point.z"),
    ({"free": MAX_INTEGER + 1}, "free", "less than or equal"),
    ({"free": -MAX_INTEGER - 1}, "free", "greater than or equal"),
    ({"note": "x" * (MAX_TEXT + 1)}, "note", "at most 1000000"),
    ({"shelf": {}}, "shelf", "is not an argument of this tool"),
    ({"nmae": "a"}, "nmae", "is not an argument of this tool"),
    ({"tenant_id": "other"}, "tenant_id", "is not an argument of this tool"),
]


@pytest.mark.parametrize(("changed", "field", "says"), WRONG)
def test_a_wrong_argument_is_refused_by_name(
    changed: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **changed})
    assert refused.value.field == field
    assert says in str(refused.value)


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(Invalid, match="name: Field required") as refused:
        PUT.inputs.read({"box": {"label": "b"}})
    assert refused.value.field == "name"


def test_what_is_wrong_is_told_before_what_is_absent() -> None:
    """At most five are told: what the caller wrote must be among them."""

    async def fn(a: str, b: str, c: str, d: str, e: str, f: int) -> dict[str, str]:
        return {}

    with pytest.raises(Invalid, match="valid integer") as refused:
        compiled(fn).inputs.read({"f": "1"})
    assert refused.value.field == "f"


@pytest.mark.parametrize(
    "name", ["size", "kind", "count", "tags", "note", "ready", "anything", "point"]
)
def test_null_for_an_optional_argument_counts_as_absent(name: str) -> None:
    assert PUT.inputs.read({**GOOD, name: None}) == PUT.inputs.read(GOOD)


def test_null_is_a_value_where_the_argument_is_required_and_may_be_anything() -> None:
    assert taking(Any).inputs.read({"thing": None}) == {"thing": None}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


UNFIT: list[tuple[Any, str]] = [
    ("\ud800", "surrogate"),
    ({"a": "\udfff"}, "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    ([["\ud83d"]], "surrogate"),
    (2**63, "64 bits"),
    (-(2**63) - 1, "64 bits"),
    ([10**400], "64 bits"),
    (float("nan"), "not finite"),
    ({"a": float("inf")}, "not finite"),
    (deep(MAX_DEPTH), "deeper"),
    (deep(900), "deeper"),
]


@pytest.mark.parametrize(("value", "says"), UNFIT)
def test_what_json_cannot_carry_is_refused_wherever_it_is(value: Any, says: str) -> None:
    for arguments in ({**GOOD, "anything": value}, {**GOOD, "extra": {"a": value}}):
        with pytest.raises(Invalid, match=says) as refused:
            PUT.inputs.read(arguments)
        assert refused.value.field in ("anything", "extra")
        str(refused.value).encode()


def test_a_name_that_is_no_text_is_refused_without_being_told() -> None:
    with pytest.raises(Invalid, match="the name of an argument holds half") as refused:
        PUT.inputs.read({**GOOD, "\ud800": 1})
    str(refused.value).encode()


def test_the_deepest_that_is_allowed_passes() -> None:
    assert PUT.inputs.read({**GOOD, "anything": deep(MAX_DEPTH - 1)})
    assert PUT.inputs.read({**GOOD, "anything": [-(2**63), 2**63 - 1, "ñ😀", 1.5, None]})


def test_a_hundred_thousand_unknown_names_are_refused_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **{f"n{i}": i for i in range(100_000)}})
    assert refused.value.field == "n0"
    assert len(str(refused.value)) < 1000


def test_a_very_long_name_is_cut_in_the_answer() -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, "x" * 10_000: 1})
    assert len(str(refused.value)) < 200
    assert len(refused.value.field or "") <= 80


CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    "changed",
    [
        {"name": CANARY + "toolong"},
        {"count": CANARY},
        {"kind": CANARY},
        {"code": CANARY},
        {"ready": CANARY},
        {"tags": CANARY},
        {"size": {"width": CANARY}},
        {"box": CANARY},
        {"box": {"label": [CANARY]}},
        {"weights": {"a": CANARY}},
        {"anything": CANARY + "\ud800"},
        {"unknown": CANARY},
    ],
)
def test_an_error_never_echoes_the_value(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **changed})
    assert CANARY not in str(refused.value)
    assert CANARY not in repr(refused.value.describe())
    assert refused.value.__cause__ is None


# --- properties ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=10) | JSON,
        "box": st.fixed_dictionaries({"label": st.text(max_size=3)}) | JSON,
        "size": st.fixed_dictionaries({"width": st.integers()}) | JSON,
        "count": st.integers(-5, 60) | JSON,
        "kind": st.sampled_from(["wood", "steel", "gold"]) | JSON,
        "tags": st.lists(st.text(max_size=3)) | JSON,
        "weights": st.dictionaries(st.text(max_size=3), st.floats() | st.integers()) | JSON,
        "extra": JSON,
        "anything": JSON,
        "ready": JSON,
        "what": JSON,
    },
)
_quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fits_schema(arguments: Any) -> bool:
    present = {k: v for k, v in arguments.items() if v is not None or k in ("name", "box")}
    return jsonschema.Draft202012Validator(PUT.inputs.schema).is_valid(present)


@_quick
@given(ARGUMENTS)
def test_arguments_are_taken_or_refused_as_invalid_and_nothing_else(
    arguments: dict[str, Any],
) -> None:
    try:
        taken = PUT.inputs.read(arguments)
    except Invalid as refused:
        assert refused.field is not None or "name of an argument" in str(refused)
        str(refused).encode()
        return
    assert set(taken) == PUT.inputs.names


@_quick
@given(ARGUMENTS)
def test_what_is_taken_fits_the_published_schema(arguments: dict[str, Any]) -> None:
    try:
        PUT.inputs.read(arguments)
    except Invalid:
        return
    assert fits_schema(without_inner_nulls(arguments))


def without_inner_nulls(arguments: dict[str, Any]) -> dict[str, Any]:
    """`inner: null` and the like: optional members are nullable in the model, absent in JSON."""
    box = arguments.get("box")
    if isinstance(box, dict):
        arguments = {**arguments, "box": {k: v for k, v in box.items() if v is not None}}
    return arguments


@_quick
@given(JSON)
def test_what_passes_the_check_survives_json(value: Any) -> None:
    try:
        check_json({"a": value})
    except Invalid:
        return
    assert json.loads(json.dumps(value).encode()) == value
