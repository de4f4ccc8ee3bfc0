"""The statements over a table of intents, and the only moves between the states that all have."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared by bytes on every database: a prefix is a range."""

STATES = READY, SENDING, PENDING, ERROR, EXPIRED = "ready", "sending", "pending", "error", "expired"
"""Of every intent; a table may have others besides."""

Condition = sa.ColumnElement[bool]


def text(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.Text)


def number(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.BigInteger)


ID, NOW = text("of"), number("now")
HOLDER = text("of_claim")

CLAIMED: Mapping[str, Any] = {
    "claim": HOLDER,
    "claimed_until": number("until"),
    "checks": 0,
    "checked_at": 0,
    "updated_at": NOW,
}
"""Its holder alone may post, until then."""
FREE: Mapping[str, Any] = {"claim": sa.null(), "claimed_until": 0}
DOUBTED: Mapping[str, Any] = {"claimed_until": NOW, "updated_at": NOW}
"""It may have been sent: its holder posts no more, and whoever looks next may count."""


def missed(table: sa.Table, *which: Condition) -> Statement:
    """The provider was asked after the claim ran out, and knows nothing of it."""
    c = table.c
    return Statement(
        sa.update(table)
        .where(*which, c.claimed_until <= NOW)
        .values(
            checks=c.checks + 1,
            checked_at=sa.case((c.checks == 0, NOW), else_=c.checked_at),
            updated_at=NOW,
        )
    )


def twice(table: sa.Table) -> tuple[Condition, ...]:
    """It was asked twice, the first time before `since`."""
    c = table.c
    return (c.claimed_until <= NOW, c.checks >= 2, c.checked_at <= number("since"))


def insert_once(table: sa.Table) -> Statement:
    """A new row; nothing when somebody else made it first."""

    def build(dialect: str) -> Any:
        insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
        return insert.on_conflict_do_nothing()

    return Statement(build)


def newest(
    table: sa.Table, shown: Sequence[sa.Column[Any]], *which: sa.ColumnElement[bool]
) -> Statement:
    """The newest first, behind a `(before, before_id)`, at most `most`."""
    c, before, id_ = table.c, number("before"), text("before_id")
    return Statement(
        sa.select(*shown)
        .where(
            c.tenant_id == TENANT,
            *which,
            sa.or_(c.created_at < before, sa.and_(c.created_at == before, c.id < id_)),
        )
        .order_by(c.created_at.desc(), c.id.desc())
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def page_after(after: tuple[int, str] | None, most: int) -> dict[str, Any]:
    """The parameters of `newest`: behind a `(created_at, id)`, or from the first one."""
    before, before_id = after or (2**63 - 1, "")
    return {"before": before, "before_id": before_id, "most": most}


class Statements:
    """The statements over one table. `name`: the column of what callers call it; `unsent`: the
    states of what waits to be sent.

    What a table has besides: `claimable` and `returnable` are further conditions of being claimed
    and of being given back, `claiming` and `releasing` further columns that then change.
    """

    def __init__(
        self,
        table: sa.Table,
        name: sa.Column[str],
        unsent: Sequence[str],
        *,
        claimable: Iterable[Condition] = (),
        claiming: Mapping[str, Any] = {},
        releasing: Mapping[str, Any] = {},
        returnable: Iterable[Condition] = (),
    ) -> None:
        c, former = table.c, text("former")
        self.table = table
        self.shown = tuple(one for one in c if one.name not in ("tenant_id", "claim"))
        """The columns of a row, in its order."""
        counters = dict.fromkeys(("claimed_until", "checks", "checked_at"), 0)
        self.blank = {one.name: None for one in c if one.nullable} | counters
        """Columns of a new row that hold nothing yet."""
        self.mine = (c.tenant_id == TENANT, c.id == ID)
        held = (*self.mine, c.state == SENDING, c.claim == HOLDER)
        self.insert = insert_once(table)
        self.get = Statement(sa.select(*self.shown).where(*self.mine))
        self.of_reference = self._of(c.reference, "of_reference")
        self.of_provider = self._of(c.provider_id, "of_provider")
        self.last = _last(table, name, self.shown)
        self.recent = _recent(table, name, self.shown)
        self.claim = self._update(
            (*self.mine, c.state == former, c.expires_at > NOW, *claimable),
            {**CLAIMED, "state": SENDING, "sent_at": NOW, **claiming},
        )
        """Touches one row for exactly one of any number of callers: only that one may post."""
        self.release = self._update(held, {"state": former, **releasing, **FREE})
        """Nothing was sent: its holder gives it back."""
        self.doubt = self._update(held, DOUBTED)
        self.refuse = self.ended(ERROR, *held, status_message=text("message"))
        """The provider made nothing of it, and would not the next time either."""
        self.missed = missed(table, *self.mine, c.state == SENDING)
        self.give_back = self._update(
            (*self.mine, c.state == SENDING, *twice(table), c.problem.is_(None), *returnable),
            {"state": former, **FREE},
        )
        """Asked twice, a minute apart, it knew nothing: the same reference may be sent again."""
        over = (c.state.in_(unsent), c.expires_at <= number("over"))
        self.expire = self.ended(EXPIRED, *self.mine, *over)
        """It was not sent in time, and is not any more."""
        self.problem = self._update(
            (*self.mine, sa.or_(c.problem.is_(None), c.problem != text("said"))),
            {"problem": text("said")},
        )

    def ended(self, target: str, *which: Condition, **also: Any) -> Statement:
        """It ends here, with nothing of the provider's."""
        return self._update(which, {"state": target, "finalized_at": NOW, **also, **FREE})

    def adopt(
        self, target: str, former: Sequence[str], given_up: Sequence[str], **also: Any
    ) -> Statement:
        """What the provider says; no row when it may not become that.

        `former`: what may become it. `given_up`: what may too, because it was ended here with
        nothing of the provider's, and now there is something after all.
        """
        c, provider = self.table.c, text("of_provider")
        ended = sa.and_(c.state.in_(given_up), c.provider_id.is_(None))
        return self._update(
            (
                *self.mine,
                sa.or_(c.state.in_(former), ended),
                sa.or_(c.provider_id.is_(None), c.provider_id == provider),
            ),
            {
                "state": target,
                "provider_id": provider,
                "status_message": text("message"),
                "problem": sa.null(),
                "finalized_at": sa.null() if target == PENDING else NOW,
                **also,
                **FREE,
            },
        )

    def _update(self, which: Iterable[Condition], values: Mapping[str, Any]) -> Statement:
        return Statement(sa.update(self.table).where(*which).values({"updated_at": NOW, **values}))

    def _of(self, column: sa.Column[Any], param: str) -> Statement:
        of = (self.table.c.tenant_id == TENANT, column == text(param))
        return Statement(sa.select(*self.shown).where(*of))


def _last(table: sa.Table, name: sa.Column[str], shown: Sequence[sa.Column[Any]]) -> Statement:
    """The last attempt at what a caller calls so."""
    c = table.c
    return Statement(
        sa.select(*shown)
        .where(
            c.tenant_id == TENANT,
            c.environment == text("of_environment"),
            name == sa.bindparam("of_name", type_=name.type),
        )
        .order_by(c.attempt.desc())
        .limit(1)
    )


def _recent(table: sa.Table, name: sa.Column[str], shown: Sequence[sa.Column[Any]]) -> Statement:
    """Of a status as callers see it, of a name; "" is any."""
    wanted, of_name = text("wanted"), sa.bindparam("of_name", type_=name.type)
    told = sa.case((table.c.state.in_((READY, SENDING)), "processing"), else_=table.c.state)
    named = sa.or_(of_name == "", name == of_name)
    return newest(table, shown, sa.or_(wanted == "", told == wanted), named)
