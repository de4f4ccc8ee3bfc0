"""The steps of a collection's migration: what each does to a document, a schema, and backwards."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, Required

import orjson
from typing_extensions import TypedDict

from tause_mcp.errors import Invalid
from tause_mcp.services.database.names import check_field
from tause_mcp.services.database.values import ABSENT, at, put, same

MAX_STEPS = 50
Op = Literal["add", "rename", "remove", "retype", "index", "unindex"]
Type = Literal["string", "integer", "number", "boolean"]


class Step(TypedDict, total=False):
    """One step, as a caller states it.

    add: `value` where `field` is missing · rename: `field` becomes `to` · remove · retype: to
    `type`, or `value` where that cannot be · index, unindex.
    """

    op: Required[Op]
    field: Required[str]
    to: str
    type: Type
    value: Any


_TAKES: Mapping[str, frozenset[str]] = {
    "add": frozenset({"value"}),
    "rename": frozenset({"to"}),
    "retype": frozenset({"type", "value"}),
}
_NEEDS = {"rename": "to", "retype": "type"}


def checked(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps; `Invalid`, with the number of the step, where one is not whole."""
    if len(steps) > MAX_STEPS:
        raise Invalid(f"steps: at most {MAX_STEPS}", field="steps")
    for n, step in enumerate(steps):
        place, op = f"steps.{n}", step["op"]
        check_field(step["field"], f"{place}.field")
        if extra := set(step) - _TAKES.get(op, frozenset()) - {"op", "field"}:
            raise _wrong(f"{place}.{min(extra)}", f"is nothing that {op} takes")
        if op in _NEEDS and _NEEDS[op] not in step:
            raise _wrong(f"{place}.{_NEEDS[op]}", f"is what {op} needs")
        if "to" in step:
            check_field(step["to"], f"{place}.to")
            if _within(step["to"], step["field"]) or _within(step["field"], step["to"]):
                raise _wrong(f"{place}.to", "is within what is renamed, or the other way")
    return tuple(steps)


def _within(path: str, other: str) -> bool:
    return f"{path}.".startswith(f"{other}.")


def _wrong(place: str, reason: str) -> Invalid:
    return Invalid(f"{place}: {reason}", field=place)


# --- documents --------------------------------------------------------------------------------------


def applied(steps: Sequence[Step], data: dict[str, Any]) -> dict[str, Any]:
    """Change `data` in place; number of a step -> the value that it took away.

    Raises:
        ValueError: saying why this document does not take a step.
    """
    kept: dict[str, Any] = {}
    for n, step in enumerate(steps):
        old = at(data, step["field"])
        match step["op"]:
            case "add" if old is ABSENT:
                _set(data, step["field"], deepcopy(step.get("value")))
            case "add":
                kept[str(n)] = None  # it was there: going back leaves it
            case "rename" if old is not ABSENT:
                if at(data, step["to"]) is not ABSENT:
                    raise ValueError(f"has a {step['to']} already")
                if made := _missing(data, step["to"]):
                    kept[str(n)] = made
                put(data, step["field"], ABSENT)
                _set(data, step["to"], old)
            case "remove" if old is not ABSENT:
                kept[str(n)] = old
                put(data, step["field"], ABSENT)
            case "retype" if old is not ABSENT and old is not None:
                new = _converted(old, step)
                if not (same(new, old) and type(new) is type(old)):
                    kept[str(n)] = old
                    put(data, step["field"], new)
    return kept


def undone(steps: Sequence[Step], data: dict[str, Any], kept: Mapping[str, Any]) -> None:
    """Change `data`, which may have changed since, back to before the steps.

    Raises:
        ValueError: saying why this document does not go back.
    """
    for n, step in reversed(list(enumerate(steps))):
        now, old = at(data, step["field"]), kept.get(str(n), ABSENT)
        match step["op"]:
            case "add" if old is ABSENT:
                put(data, step["field"], ABSENT)
            case "rename":
                moved = at(data, step["to"])
                if moved is not ABSENT and now is ABSENT:
                    put(data, step["to"], ABSENT)
                    _set(data, step["field"], moved)
                if old is not ABSENT and _hollow(at(data, old)):
                    put(data, old, ABSENT)
            case "remove" if now is ABSENT and old is not ABSENT:
                _set(data, step["field"], old)
            case "retype" if old is not ABSENT and same(now, _converted(old, step)):
                _set(data, step["field"], old)


def _missing(data: dict[str, Any], path: str) -> str | None:
    """The outermost object that has to be made for `path`."""
    names = path.split(".")
    above = (".".join(names[:n]) for n in range(1, len(names)))
    return next((one for one in above if at(data, one) is ABSENT), None)


def _hollow(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_hollow, value.values()))


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    try:
        put(data, path, value)
    except ValueError as error:
        raise ValueError(f"has no object at {error} to put {path} into") from None


def _converted(value: Any, step: Step) -> Any:
    """`value` as the type of the step; its own `value` where that cannot be."""
    try:
        return _CONVERT[step["type"]](value)
    except (ValueError, TypeError, OverflowError):
        if "value" in step:
            return deepcopy(step["value"])
        raise ValueError(f"has a {step['field']} that is no {step['type']}") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(_plain(value))


def _number(value: Any) -> float:
    return value if isinstance(value, int) and not isinstance(value, bool) else float(_plain(value))


def _plain(value: Any) -> Any:
    """A number, or a text that JSON would read as one."""
    if isinstance(value, str):
        value = orjson.loads(value.strip() or "x")
    if not isinstance(value, int | float):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str):
        return words[value.strip().lower()] if value.strip().lower() in words else _never()
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else _never()


def _never() -> bool:
    raise ValueError


_CONVERT: Mapping[str, Any] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


# --- definitions --------------------------------------------------------------------------------------


def reindexed(steps: Sequence[Step], indexes: Sequence[str]) -> list[str]:
    """The declared indexes after the steps."""
    told = list(indexes)
    for step in steps:
        path = step["field"]
        match step["op"]:
            case "index":
                told.append(path)
            case "unindex":
                told = [one for one in told if one != path]
            case "remove":
                told = [one for one in told if not _within(one, path)]
            case "rename":
                told = [
                    step["to"] + one.removeprefix(path) if _within(one, path) else one
                    for one in told
                ]
    return list(dict.fromkeys(told))


def reshaped(steps: Sequence[Step], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema after the steps, where it states the fields as plain properties.

    Raises:
        Invalid: it states one in another way: then the new schema is to be given whole.
    """
    told: dict[str, Any] = deepcopy(dict(schema))
    for n, step in enumerate(steps) if schema else ():
        if step["op"] in ("index", "unindex"):
            continue
        parent, name = _parent(told, step["field"], f"steps.{n}.field")
        properties = parent.setdefault("properties", {})
        required = parent.get("required", [])
        match step["op"]:
            case "add" if name not in properties:
                value = step.get("value")
                properties[name] = {} if value is None else {"default": value}
            case "remove" | "rename":
                old = properties.pop(name, None)
                was_required = name in required
                if was_required:
                    parent["required"] = [one for one in required if one != name]
                if step["op"] == "rename":
                    heir, new = _parent(told, step["to"], f"steps.{n}.to")
                    if old is not None:
                        heir.setdefault("properties", {})[new] = old
                    if was_required:
                        heir["required"] = [*heir.get("required", []), new]
            case "retype" if name in properties:
                properties[name] = {**properties[name], "type": step["type"]}
    return told


def _parent(schema: dict[str, Any], path: str, place: str) -> tuple[dict[str, Any], str]:
    *above, last = path.split(".")
    node: Any = schema
    for name in above:
        node = node.setdefault("properties", {}).setdefault(name, {"type": "object"})
        if not isinstance(node, dict) or "$ref" in node:
            raise _wrong(place, "is not stated as a plain property: give the new schema whole")
    properties = node.get("properties", {})
    if not isinstance(properties.get(last, {}), dict):
        raise _wrong(place, "is not stated as a plain property: give the new schema whole")
    return node, last
