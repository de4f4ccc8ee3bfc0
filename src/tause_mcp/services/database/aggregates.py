"""Counts, sums, averages, least and greatest of documents, by group."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.database.documents import Document
from tause_mcp.services.database.names import check_field
from tause_mcp.services.database.values import ABSENT, NUMBER, STRING, Key, key_of

Function = Literal["count", "sum", "avg", "min", "max"]
FUNCTIONS: tuple[Function, ...] = get_args(Function)
MAX_METRICS = 10
MAX_GROUP_BY = 3
MAX_GROUPS = 200


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: `count`, or a function of a field such as `sum:amount`."""

    name: str
    function: Function
    path: str | None


def metrics_of(names: Sequence[str]) -> tuple[Metric, ...]:
    """What is computed; the count alone when nothing is named.

    Raises:
        Invalid.
    """
    told = []
    for name in names or ("count",):
        function, _, path = name.partition(":")
        if function not in FUNCTIONS or (not path and function != "count"):
            raise Invalid(
                f"metrics: count, or one of {', '.join(FUNCTIONS)} of a field, such as sum:amount",
                field="metrics",
            )
        named = check_field(path, "metrics") if path else None
        told.append(Metric(name, function, named))
    if len(told) > MAX_METRICS:
        raise Invalid(f"metrics: at most {MAX_METRICS}", field="metrics")
    return tuple(told)


class _Figure:
    """One metric of one group, document by document."""

    __slots__ = ("_count", "_extreme", "_metric", "_numbers")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._count = 0
        self._numbers: list[float] = []
        self._extreme: tuple[Key, Any] | None = None

    def add(self, document: Document) -> None:
        path, function = self._metric.path, self._metric.function
        value: Any = document.value(path) if path else None
        if value is ABSENT or (path and value is None):
            return
        self._count += 1
        key = key_of(value)
        if function in ("sum", "avg") and key.rank == NUMBER:
            self._numbers.append(value)
        if function in ("min", "max") and key.rank in (NUMBER, STRING):
            place = Key(key.rank, key.number, value if key.rank == STRING else "")
            if self._extreme is None or (place < self._extreme[0]) == (function == "min"):
                self._extreme = place, value

    def told(self) -> Any:
        match self._metric.function:
            case "count":
                return self._count
            case "sum":
                return _sum(self._numbers)
            case "avg" if self._numbers:
                return math.fsum(self._numbers) / len(self._numbers)
            case "min" | "max" if self._extreme:
                return self._extreme[1]
        return None


def _sum(numbers: Sequence[float]) -> float:
    """Exact where all are whole; else as exact as a double holds."""
    if all(isinstance(one, int) for one in numbers):
        return sum(numbers)
    total = math.fsum(numbers)
    return total if math.isfinite(total) else 0.0


class Groups:
    """Documents, counted into groups by the values of a few fields."""

    def __init__(self, metrics: tuple[Metric, ...], group_by: Sequence[str]) -> None:
        self._metrics = metrics
        self._paths = tuple(check_field(path, "group_by") for path in group_by)
        if len(self._paths) > MAX_GROUP_BY or len(set(self._paths)) < len(self._paths):
            raise Invalid(f"group_by: at most {MAX_GROUP_BY} fields, each once", field="group_by")
        self._groups: dict[tuple[Any, ...], tuple[dict[str, Any], list[_Figure]]] = {}
        if not self._paths:
            self._group((), {})

    @property
    def paths(self) -> list[str]:
        """Every field that is looked at."""
        return [*self._paths, *(m.path for m in self._metrics if m.path)]

    def add(self, document: Document) -> None:
        """Count one document.

        Raises:
            TooLarge: there are too many groups.
        """
        values = {path: document.value(path) for path in self._paths}
        key = tuple(_sort_key(value) for value in values.values())
        found = self._groups.get(key)
        if found is None:
            shown = {path: _shown(value) for path, value in values.items()}
            found = self._group(key, {p: v for p, v in shown.items() if v is not ABSENT})
        for figure in found[1]:
            figure.add(document)

    def _group(
        self, key: tuple[Any, ...], shown: dict[str, Any]
    ) -> tuple[dict[str, Any], list[_Figure]]:
        if len(self._groups) >= MAX_GROUPS:
            raise TooLarge(
                f"group_by: more than {MAX_GROUPS} groups: group by a field of fewer values, or "
                "narrow where",
                field="group_by",
            )
        made = self._groups[key] = shown, [_Figure(metric) for metric in self._metrics]
        return made

    def told(self) -> list[Mapping[str, Any]]:
        """`{group, values}` of each group, in the order of its values. What has no figure (the
        average of nothing) is left out."""
        items = sorted(self._groups.items(), key=lambda pair: pair[0])
        return [
            {
                "group": shown,
                "values": {
                    metric.name: told
                    for metric, figure in zip(self._metrics, figures, strict=True)
                    if (told := figure.told()) is not None
                },
            }
            for _, (shown, figures) in items
        ]


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Groups tell texts apart in full, lists and objects not at all."""
    key = key_of(value)
    return key.rank, key.number, value if key.rank == STRING else ""


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, list | dict):
        return f"<{'list' if isinstance(value, list) else 'object'}>"
    return value
