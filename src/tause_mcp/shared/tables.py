"""Rows that processes share: rates by tenant; what was used once, leases and signals of the house.

Those of the house name no tenant in a column of its own: nothing of a tenant's call reads them.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata, upsert

Clause = sa.sql.expression.ClauseElement

rates = sa.Table(
    "rates",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("full_at", sa.BigInteger, nullable=False),
)
"""`full_at`: when all of the rate is earned back (epoch microseconds)."""

spent_assertions = sa.Table(
    "spent_assertions",
    metadata,
    sa.Column("assertion", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Index("spent_assertions_by_time", "until"),
)
"""Single-use assertions, hashed, until they would have run out anyway."""

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)

signals = sa.Table(
    "signals",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("message", sa.LargeBinary, nullable=False),
    sa.Column("sent_at", sa.BigInteger, nullable=False),
    sa.Index("signals_sent_at", "sent_at"),
)
"""What processes told each other in the last minute."""


def number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


def text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def now_on(dialect: str) -> sa.ColumnElement[int]:
    """The one clock of all processes: a server's own; a file's processes share their machine's."""
    if dialect == "sqlite":
        return number("now")
    epoch = sa.func.extract("epoch", sa.func.clock_timestamp()) * 1_000_000
    return sa.cast(epoch, sa.BigInteger)


def _larger(dialect: str, *of: Any) -> Any:
    return (sa.func.max if dialect == "sqlite" else sa.func.greatest)(*of)


def _smaller(dialect: str, *of: Any) -> Any:
    return (sa.func.min if dialect == "sqlite" else sa.func.least)(*of)


def _insert(dialect: str, table: sa.Table) -> Any:
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


# --- rates ------------------------------------------------------------------------------------


def _owed(dialect: str) -> Any:
    """What is still to be earned back, from the row as it is now."""
    now = now_on(dialect)
    return _smaller(dialect, _larger(dialect, rates.c.full_at - now, 0), number("burst"))


def _take(dialect: str) -> Clause:
    now, charge, burst = now_on(dialect), number("charge"), number("burst")
    fresh = _insert(dialect, rates).values(
        tenant_id=TENANT, name=text("of_name"), full_at=now + charge
    )
    owed = _owed(dialect)
    clause: Clause = fresh.on_conflict_do_update(
        index_elements=["tenant_id", "name"],
        set_={"full_at": now + owed + charge},
        where=owed + charge <= burst,
    ).returning(rates.c.full_at - now)
    return clause


TAKE = Statement(_take)
"""One row, with what is owed after it, when the charge was taken."""
OWED = Statement(
    lambda dialect: sa.select(_owed(dialect)).where(
        rates.c.tenant_id == TENANT, rates.c.name == text("of_name")
    )
)
FORGET_RATE = Statement(
    sa.delete(rates).where(rates.c.tenant_id == TENANT, rates.c.name == text("of_name"))
)

# --- what may be used once --------------------------------------------------------------------

SPEND = upsert(spent_assertions, ("assertion",), ())
FORGET_SPENT = Statement(
    sa.delete(spent_assertions).where(spent_assertions.c.until <= number("now"))
)

# --- leases -----------------------------------------------------------------------------------


def _hold(dialect: str) -> Clause:
    now = now_on(dialect)
    until = now + number("ttl")
    token = text("of_token")
    fresh = _insert(dialect, leases).values(name=text("of_name"), token=token, until=until)
    clause: Clause = fresh.on_conflict_do_update(
        index_elements=["name"],
        set_={"token": token, "until": until},
        where=sa.or_(leases.c.until <= now, leases.c.token == token),
    )
    return clause


HOLD = Statement(_hold)
"""One row when the lease was free, run out, or this token's already."""
RELEASE = Statement(
    sa.delete(leases).where(leases.c.name == text("of_name"), leases.c.token == text("of_token"))
)

# --- signals ----------------------------------------------------------------------------------

SEND = Statement(
    lambda dialect: _insert(dialect, signals).values(
        message=sa.bindparam("told", type_=sa.LargeBinary), sent_at=now_on(dialect)
    )
)
NEWEST = Statement(sa.select(sa.func.coalesce(sa.func.max(signals.c.id), 0)))
AFTER = Statement(
    sa.select(signals.c.id, signals.c.message)
    .where(signals.c.id > number("floor"))
    .order_by(signals.c.id)
    .limit(number("most"))
)
FORGET_SIGNALS = Statement(
    lambda dialect: sa.delete(signals).where(signals.c.sent_at <= now_on(dialect) - number("age"))
)
