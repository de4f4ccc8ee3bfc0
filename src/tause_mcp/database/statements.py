"""Statements: written once in SQLAlchemy Core, compiled once per dialect."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg as pg_asyncpg

metadata = sa.MetaData()
"""Every table of the house. A table with a tenant has `tenant_id` first in its key."""

TENANT: sa.BindParameter[str] = sa.bindparam("tenant", type_=sa.Text)
"""The tenant of the transaction; bound by `TenantDatabase`, never by a service."""

Clause = sa.sql.expression.ClauseElement
Build = Callable[[str], Clause]


@cache
def _dialect(name: str) -> sa.Dialect:
    if name == "sqlite":
        return sqlite.dialect(paramstyle="named")
    return pg_asyncpg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class Compiled:
    """SQL text for one driver, the order of its parameters and the constants among them."""

    __slots__ = ("alone", "constants", "order", "selects", "sql")

    def __init__(self, clause: Clause, dialect: str) -> None:
        compiled: Any = clause.compile(dialect=_dialect(dialect))
        required = {name for name, bind in compiled.binds.items() if bind.required}
        # `IN` lists are written out here: the drivers know nothing of SQLAlchemy's late rendering
        state = compiled.construct_expanded_state(dict.fromkeys(required))
        self.sql: str = state.statement
        self.order: tuple[str, ...] = tuple(state.positiontup or ())
        self.constants: dict[str, Any] = {
            name: value for name, value in state.parameters.items() if name not in required
        }
        locks = getattr(clause, "_for_update_arg", None) is not None
        self.selects = isinstance(clause, sa.SelectBase) and not locks
        """Whether it only reads, and locks nothing."""
        self.alone: str | None = None
        """On PostgreSQL, how it is sent outside a transaction."""

    def given(self, values: dict[str, Any]) -> list[Any]:
        """The values of its parameters, in their order."""
        if self.constants:
            values = self.constants | values
        return [values[name] for name in self.order]


class Statement:
    """One statement, or a function of the dialect's name that builds it.

    Parameters are named: `tx.first(STATEMENT, key="a")`. A column of an INSERT is its own name.
    """

    __slots__ = ("_build", "_compiled")

    def __init__(self, clause: Clause | Build) -> None:
        self._build: Build = clause if callable(clause) else lambda _: clause
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: str) -> Compiled:
        found = self._compiled.get(dialect)
        if found is None:
            found = self._compiled[dialect] = Compiled(self._build(dialect), dialect)
        return found


def upsert(
    table: sa.Table, keys: Iterable[str], update: Iterable[str], *returning: sa.ColumnElement[Any]
) -> Statement:
    """INSERT every column of `table`; on a conflict of `keys`, take the new values of `update`."""

    def build(dialect: str) -> Clause:
        insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
        fresh = {name: insert.excluded[name] for name in update}
        clause = (
            insert.on_conflict_do_update(index_elements=list(keys), set_=fresh)
            if fresh
            else insert.on_conflict_do_nothing(index_elements=list(keys))
        )
        clause = clause.returning(*returning) if returning else clause
        return clause  # type: ignore[no-any-return]  # two dialects, one shape

    return Statement(build)
