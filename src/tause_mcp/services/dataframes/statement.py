"""A caller's SQL, parsed, held against the allow-list, and written anew from the checked tree."""

from dataclasses import dataclass
from typing import Any

from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from tause_mcp.errors import Invalid
from tause_mcp.services.dataframes.grammar import FUNCTIONS, NODES, TYPES, Polars

LONGEST = 10_000
"""Characters of a query."""
MOST_NODES = 2_000
DEEPEST = 60
MOST: dict[type[exp.Expr], tuple[int, str]] = {
    exp.Join: (8, "joins"),
    exp.SetOperation: (16, "unions"),
    exp.Select: (32, "selects"),
}
"""What is counted, how many there may be, and what it is called."""

_OPENING = frozenset("([{")


@dataclass(frozen=True, slots=True)
class Query:
    """Checked SQL, and the names that it reads: frames, unless a WITH of its own makes them."""

    sql: str
    tables: frozenset[str]
    made: frozenset[str]
    """Names that its own WITH makes: they need not be frames."""


def checked(sql: str) -> Query:
    """The query that `sql` is.

    Raises:
        Invalid: it is no single SELECT, or holds something that is not on the list.
    """
    _check_text(sql)
    try:
        trees = Polars().parse(sql)
        if len(trees) != 1 or not isinstance(trees[0], exp.Select | exp.SetOperation):
            raise _wrong("give one SELECT, and nothing beside it")
        tree = trees[0]
        _check(tree)
        text = tree.sql(
            Polars, identify=True, comments=False, unsupported_level=ErrorLevel.IMMEDIATE
        )
    except SqlglotError as failed:
        raise _wrong(f"this is not SQL that can be read{_where(failed)}") from None
    except RecursionError:
        raise _wrong("it is nested too deeply") from None
    made = frozenset(one.alias for one in tree.find_all(exp.CTE))
    return Query(text, frozenset(one.name for one in tree.find_all(exp.Table)), made)


def _wrong(text: str) -> Invalid:
    return Invalid(f"sql: {text}", field="sql")


def _where(failed: SqlglotError) -> str:
    told = getattr(failed, "errors", None) or [{}]
    line, column = told[0].get("line"), told[0].get("col")
    return f": look at line {line}, column {column}" if line and column else ""


def _check_text(sql: str) -> None:
    """What would make reading it slow or its text ambiguous."""
    if len(sql) > LONGEST:
        raise _wrong(f"it is longer than {LONGEST} characters")
    if any(c < " " and c not in "\t\n\r" for c in sql) or (not sql.isascii() and _hides(sql)):
        raise _wrong("it holds control characters")
    depth = 0
    for c in sql:
        depth += (c in _OPENING) - (c in ")]}")
        if depth > DEEPEST:
            raise _wrong("it is nested too deeply")


def _hides(sql: str) -> bool:
    """Whether it holds what is not seen: formats, separators, surrogates, private characters."""
    return any(not c.isprintable() and c not in "\t\n\r" for c in sql)


def _check(tree: exp.Expr) -> None:
    counts = dict.fromkeys(MOST, 0)
    for number, node in enumerate(tree.walk()):
        if number >= MOST_NODES:
            raise _wrong("it is too long a query")
        if type(node) not in NODES:
            raise _wrong(f"{_named(node)} is not allowed here; see the subset in the documentation")
        for kind in MOST:
            counts[kind] += isinstance(node, kind)
        if check := _CHECKS.get(type(node)):
            check(node)
    for kind, (most, name) in MOST.items():
        if counts[kind] > most:
            raise _wrong(f"it has more than {most} {name}")


def _named(node: exp.Expr) -> str:
    return type(node).__name__.upper()


def _check_table(node: exp.Expr) -> None:
    """A plain name: no schema before it, no function, no file, no version or sample behind it."""
    given = {name for name, value in node.args.items() if value}
    if not isinstance(node.this, exp.Identifier) or given - {"this", "alias"}:
        raise _wrong("a table is the plain name of a frame, as dataframes_list shows it")
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        raise _wrong("an alias of a table names no columns")


def _check_function(node: exp.Expr) -> None:
    name = node.this
    if not isinstance(name, str) or name.lower() not in FUNCTIONS:
        raise _wrong(f"there is no function {str(name)[:40]!r}; see the list in the documentation")


def _check_type(node: exp.Expr) -> None:
    if node.this not in TYPES or any(
        not isinstance(part, exp.DataTypeParam) for part in node.expressions
    ):
        raise _wrong("this type cannot be cast to; see the list in the documentation")


def _check_with(node: exp.Expr) -> None:
    if node.args.get("recursive"):
        raise _wrong("WITH RECURSIVE is not allowed")


_CHECKS: dict[type[exp.Expr], Any] = {
    exp.Table: _check_table,
    exp.Anonymous: _check_function,
    exp.DataType: _check_type,
    exp.With: _check_with,
}
