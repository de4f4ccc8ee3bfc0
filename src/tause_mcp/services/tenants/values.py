"""Typed configuration and limits, and where each value in force comes from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import orjson

from tause_mcp.capability import Key, ValueKind
from tause_mcp.errors import Invalid

if TYPE_CHECKING:
    from tause_mcp.services.tenants.directory import Line

Kind = ValueKind
Source = Literal["tenant", "parent", "plan", "default", "none"]

KEY_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$"
_KEY = re.compile(KEY_PATTERN.strip("^$"), re.ASCII)
PLANS = "plans."
"""Keys that define plans for the tenants below: `{"values": {...}, "limits": {...}}`."""
REFERENCE = "secret://"
"""What a value of type `secret` begins with: the name of a secret, of whoever reads the value."""
_SECRET = re.compile(r"secret://[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*", re.ASCII)
MAX_VALUE = 8192
"""Bytes of one value as JSON."""
MAX_VALUES = 500

LIMITS: Mapping[str, str] = {
    "storage": "bytes of objects and reserved uploads",
    "rows": "documents in all collections",
    "calls_per_hour": "calls, weighed by their cost",
    "cache_memory": "bytes of cached values",
    "connections": "open streams",
    "ai_spend": "what model providers are paid in a month",
    "messages": "messages sent in a month",
    "tools": "the tenant's own tools",
    "resources": "the tenant's own resources",
    "tenants": "tenants below",
}
"""What an ancestor can bound, and what it is a number of."""
AHEAD = frozenset({"ai_spend", "messages", "tools", "resources"})
"""Limits of capabilities that this version does not have yet: kept, shown, and holding from then on."""
LIMIT_PATTERN = rf"^({'|'.join(LIMITS)}|approval_ceiling_[a-z]{{3}})$"
_LIMIT = re.compile(LIMIT_PATTERN.strip("^$"), re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """One configuration value and its type. `version` is 0 where nobody set it."""

    kind: Kind
    value: Any
    version: int = 0
    updated_at: int = 0
    environment: str = ""


DEFAULTS: Mapping[str, Value] = {
    "currency": Value("string", "COP"),
    "locale": Value("string", "es-CO"),
    "timezone": Value("string", "America/Bogota"),
}
"""What holds where nobody says otherwise."""

RETENTION, RETENTION_FLOOR = "audit.retention_days", "audit.retention_floor_days"


Keys = Mapping[str, Key]

KNOWN: Keys = {
    **{key: Key(value.kind) for key, value in DEFAULTS.items()},
    RETENTION: Key("integer", low=1, high=36_500, scope="tenants:admin"),
    RETENTION_FLOOR: Key("integer", low=1, high=36_500, scope="tenants:admin"),
}
"""The keys that the house itself reads; each capability adds its own."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One level that states a key: how far up the line (-1: a default), as what."""

    source: Source
    depth: int
    value: Value


def value_of(kind: Kind, value: str, version: int, updated_at: int, environment: str) -> Value:
    """From a stored row."""
    return Value(kind, orjson.loads(value), version, updated_at, environment)


def kind_of(value: Any) -> Kind:
    """The type that a JSON value has by itself."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "float"
        case str():
            return "string"
        case _:
            return "json"


def typed(key: str, value: Any, kind: Kind | None, keys: Keys = KNOWN) -> Value:
    """`value` as `kind` (None: its own type); a key of `keys` as that demands.

    Raises:
        Invalid: the key is outside the grammar, or the value is null, too large or not of the type.
    """
    if _KEY.fullmatch(key) is None:
        raise Invalid(f"values: a key matches {KEY_PATTERN}", field="values")
    if value is None:
        raise Invalid(f"values: {key} is null: name it in `remove` instead", field="values")
    if isinstance(value, float) and not isfinite(value):
        raise Invalid(f"values: {key} is not a finite number", field="values")
    own = kind_of(value)
    known = keys.get(key)
    kind = known.kind if known else kind or own
    if kind == "float" and own == "integer":
        value, own = float(value), "float"
    if kind == "secret" or (own == "string" and value.startswith(REFERENCE)):
        own = _secret(key, value, kind)
    if kind not in (own, "json"):
        raise Invalid(f"values: {key} is of type {kind}, not {own}", field="values")
    if known:
        _check_known(key, value, known)
    if key.startswith(PLANS):
        _check_plan(key, value, keys)
    if len(told(key, value)) > MAX_VALUE:
        raise Invalid(f"values: {key} is over {MAX_VALUE} bytes", field="values")
    return Value(kind, value)


def _check_known(key: str, value: Any, known: Key) -> None:
    if known.kind == "integer" and not known.low <= value <= known.high:
        raise Invalid(f"values: {key} is from {known.low} to {known.high}", field="values")
    if known.pattern and re.fullmatch(known.pattern, value, re.ASCII) is None:
        raise Invalid(f"values: {key} matches {known.pattern}", field="values")


def _secret(key: str, value: Any, kind: Kind) -> Kind:
    """Only what is stated to be a reference may look like one."""
    if kind != "secret":
        raise Invalid(f'values: {key} names a secret: state its type "secret"', field="types")
    if not isinstance(value, str) or len(value) > 140 or _SECRET.fullmatch(value) is None:
        raise Invalid(f"values: {key} is written as secret://name", field="values")
    return "secret"


def told(key: str, value: Any) -> str:
    """The value as it is stored."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise Invalid(f"values: {key} cannot be written as JSON", field="values") from None


def check_limits(limits: Mapping[str, Any], field: str = "limits") -> None:
    """Raise `Invalid` unless every name is a limit and every amount a count."""
    for name, amount in limits.items():
        if _LIMIT.fullmatch(name) is None:
            raise Invalid(f"{field}: the limits are {', '.join(LIMITS)}", field=field)
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount < 2**53:
            raise Invalid(f"{field}: {name} is a whole number from 0 to 2^53", field=field)


def _check_plan(key: str, value: Any, keys: Keys) -> None:
    if not isinstance(value, dict) or not set(value) <= {"values", "limits"}:
        raise Invalid(f'values: {key} is {{"values": {{}}, "limits": {{}}}}', field="values")
    if not all(isinstance(part, dict) for part in value.values()):
        raise Invalid(f"values: the parts of {key} are objects", field="values")
    check_limits(value.get("limits", {}), "values")
    for name, inner in value.get("values", {}).items():
        if name.startswith(PLANS):
            raise Invalid("values: a plan defines no plans", field="values")
        typed(name, inner, None, keys)


def plan_of(line: "Line", depth: int) -> dict[str, Any]:
    """What the plan of the tenant at `depth` gives, as the nearest tenant above it defines it."""
    if (plan := line.plans[depth]) is None:
        return {}
    for values in line.values[depth + 1 :]:
        if found := values.get(PLANS + plan):
            return dict(found.value)
    return {}


def origins(line: "Line", key: str) -> Iterator[Origin]:
    """Every level that states `key`, the one in force first."""
    if not key.startswith(PLANS):
        for depth, levels in enumerate(zip(line.values, line.general, strict=True)):
            for values in levels:
                if (found := values.get(key)) is not None:
                    yield Origin("parent" if depth else "tenant", depth, found)
        for depth in range(len(line.ids)):
            stated = plan_of(line, depth).get("values", {})
            if key in stated:
                yield Origin("plan", depth, Value(kind_of(stated[key]), stated[key]))
        if key in DEFAULTS:
            yield Origin("default", -1, DEFAULTS[key])
    elif (own := line.values[0].get(key)) is not None:
        yield Origin("tenant", 0, own)


def in_force(line: "Line") -> dict[str, Origin]:
    """Every key that has a value for this tenant, in the order of the keys."""
    keys = set(DEFAULTS).union(*line.values)
    for depth in range(len(line.ids)):
        keys |= set(plan_of(line, depth).get("values", {}))
    found = {key: next(origins(line, key), None) for key in sorted(keys)}
    return {key: origin for key, origin in found.items() if origin is not None}


def standing_values(line: "Line", keys: Keys = KNOWN) -> dict[str, Any]:
    """The values in force of `keys`, and None where nobody states one."""
    found = {key: next(origins(line, key), None) for key in keys}
    return {key: None if origin is None else origin.value.value for key, origin in found.items()}


def retention_days(line: "Line") -> int | None:
    """How long the audit chain is kept; None is for good. No level's floor can be undercut."""
    stated = next(origins(line, RETENTION), None)
    if stated is None:
        return None
    floors = [int(origin.value.value) for origin in origins(line, RETENTION_FLOOR)]
    return max(int(stated.value.value), *floors, 1)


def stated_limits(line: "Line", depth: int) -> dict[str, int]:
    """What is stated for the tenant at `depth`: by its plan, and above that for itself."""
    return {**plan_of(line, depth).get("limits", {}), **line.limits[depth]}


def limit_origins(line: "Line", name: str) -> Iterator[Origin]:
    """Every level that states a limit, the lowest (which holds) first."""
    stated = []
    for depth, own in enumerate(line.limits):
        amount = stated_limits(line, depth).get(name)
        if amount is not None:
            source: Source = "plan" if name not in own else "parent" if depth else "tenant"
            stated.append(Origin(source, depth, Value("integer", amount)))
    yield from sorted(stated, key=lambda origin: (origin.value.value, origin.depth))


def effective_limits(line: "Line") -> dict[str, int]:
    """The limits in force: nobody has more than any tenant above it."""
    names = {n for depth in range(len(line.ids)) for n in stated_limits(line, depth)}
    return {n: next(limit_origins(line, n)).value.value for n in sorted(names)}
