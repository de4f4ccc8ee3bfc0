"""The statements that look for documents, one for each shape of a question; values are bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, Transaction
from tause_mcp.database.engine import Row
from tause_mcp.services.database import tables
from tause_mcp.services.database.conditions import Span
from tause_mcp.services.database.tables import document_index, documents, param
from tause_mcp.services.database.values import Key

Groups = tuple[tuple[Span, ...], ...]
"""All groups must hold, one span of each."""
Position = tuple[Any, ...]
"""Where a scan goes on: `(id,)`, or `(rank, number, text, id)`."""

_i, _d = document_index.c, documents.c
_NO_TEXT = sa.literal_column("''", tables.KEY_TEXT)
_ZERO = sa.literal_column("0", sa.Double)


@dataclass(frozen=True, slots=True)
class Access:
    """One way through a collection: by id, or by the index of `field` within `groups`."""

    field: str | None = None
    groups: Groups = ()
    descending: bool = False

    @property
    def pinned(self) -> bool:
        """Whether all it finds have the same key, and so come in the order of their ids."""
        return any(len(group) == 1 and group[0].pinned for group in self.groups)

    @property
    def only_key(self) -> Key:
        """The key that all it finds have; only when it is pinned."""
        span = next(group[0] for group in self.groups if len(group) == 1 and group[0].pinned)
        is_text = isinstance(span.low, str)
        return Key(
            span.rank,
            0.0 if is_text else float(span.low or 0.0),
            str(span.low) if is_text else "",
        )

    async def rows(
        self, tx: Transaction, collection: str, after: Position | None, count: int
    ) -> list[Row]:
        """Up to `count` documents behind `after`: the row of each, then its position."""
        statement = _scan(self._shape, self.field is None, self.descending, after is not None)
        values = self._values(collection)
        if after is not None:
            values |= {f"after_{n}": value for n, value in enumerate(after)}
        return await tx.all(statement, **values, count=count)

    async def size(self, tx: Transaction, collection: str, most: int | None) -> int:
        """How many documents it finds; counting ends at `most`."""
        statement = _count(self._shape, self.field is None, most is not None)
        limit = {} if most is None else {"most": most}
        row = await tx.first(statement, **self._values(collection), **limit)
        return int(row[0]) if row else 0

    @property
    def _shape(self) -> tuple[tuple[tuple[bool, ...], ...], ...]:
        return tuple(tuple(span.shape for span in group) for group in self.groups)

    def _values(self, collection: str) -> dict[str, Any]:
        told: dict[str, Any] = {"collection": collection}
        if self.field is not None:
            told["field"] = self.field
        for n, group in enumerate(self.groups):
            for m, span in enumerate(group):
                told |= {
                    f"rank_{n}_{m}": span.rank,
                    f"low_{n}_{m}": span.low,
                    f"high_{n}_{m}": span.high,
                }
        return told


def _span(shape: tuple[bool, ...], at: str) -> sa.ColumnElement[bool]:
    present, is_text, pinned, has_low, has_high, open_low, open_high = shape
    if present:
        return _i.rank > sa.literal_column("0", sa.SmallInteger)
    column: sa.ColumnElement[Any] = _i.text if is_text else _i.number
    low, high = param(f"low_{at}", column.type), param(f"high_{at}", column.type)
    parts = [_i.rank == param(f"rank_{at}", sa.SmallInteger)]
    parts.append(_i.number == _ZERO if is_text else _i.text == _NO_TEXT)
    if pinned:
        parts.append(column == low)
    else:
        if has_low:
            parts.append(column > low if open_low else column >= low)
        if has_high:
            parts.append(column < high if open_high else column <= high)
    return sa.and_(*parts)


def _within(shape: Any, by_id: bool) -> list[sa.ColumnElement[bool]]:
    collection = param("collection")
    if by_id:
        return [_d.tenant_id == TENANT, _d.collection == collection]
    found = [_i.tenant_id == TENANT, _i.collection == collection, _i.field == param("field")]
    for n, group in enumerate(shape):
        found.append(sa.or_(sa.false(), *(_span(one, f"{n}_{m}") for m, one in enumerate(group))))
    return found


@lru_cache(512)
def _scan(shape: Any, by_id: bool, descending: bool, after: bool) -> Statement:
    place: Sequence[sa.ColumnElement[Any]] = (
        (_d.id,) if by_id else (_i.rank, _i.number, _i.text, _i.id)
    )
    found = sa.select(*tables.DOCUMENT, *place).where(*_within(shape, by_id))
    if not by_id:
        same = (_d.tenant_id == _i.tenant_id, _d.collection == _i.collection, _d.id == _i.id)
        mine = (_d.tenant_id == TENANT, _d.collection == param("collection"))
        found = found.select_from(document_index.join(documents, sa.and_(*same))).where(*mine)
    if after:
        last = sa.tuple_(*(param(f"after_{n}", c.type) for n, c in enumerate(place)))
        here = sa.tuple_(*place)
        found = found.where(here < last if descending else here > last)
    ordered = [c.desc() for c in place] if descending else list(place)
    return Statement(found.order_by(*ordered).limit(param("count", sa.Integer)))


@lru_cache(512)
def _count(shape: Any, by_id: bool, bounded: bool) -> Statement:
    within = _within(shape, by_id)
    if not bounded:
        return Statement(
            sa.select(sa.func.count()).select_from(documents if by_id else document_index)
            .where(*within)
        )  # fmt: skip
    table = documents if by_id else document_index
    one = sa.select(sa.literal_column("1", sa.Integer).label("one")).select_from(table)
    some = one.where(*within).limit(param("most", sa.Integer)).subquery()
    return Statement(sa.select(sa.func.count()).select_from(some))
