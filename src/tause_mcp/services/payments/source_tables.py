"""Saved sources, schedules and links: their tables and the moves between their states."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

sources = sa.Table(
    "payment_sources",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("unattended", sa.SmallInteger, nullable=False),
    sa.Column("provider_id", sa.BigInteger),
    sa.Column("status_message", sa.Text),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("claim", sa.Text),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant_id", "digest", name="one_source_per_token"),
    sa.Index("payment_sources_by_time", "tenant_id", "created_at", "id"),
)
"""`sealed` holds the token (until it is used), the customer and what Wompi shows of the source."""
schedules = sa.Table(
    "payment_schedules",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("live", sa.SmallInteger),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("every", sa.Text, nullable=False),
    sa.Column("start_at", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("count", sa.BigInteger),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("skipped", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant_id", "digest", "live", name="one_live_schedule"),
    sa.Index("payment_schedules_by_time", "tenant_id", "created_at", "id"),
    sa.Index("payment_schedules_by_source", "tenant_id", "source_id"),
)
"""`done` times have passed, `skipped` of them too late to be charged; `live` is 1 while it is
active, else NULL: the same schedule twice is one. `sealed` holds the description."""
links = sa.Table(
    "payment_links",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("single_use", sa.SmallInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("payment_links_by_time", "tenant_id", "created_at", "id"),
    sa.Index("payment_links_by_provider", "tenant_id", "provider_id"),
)

AWAITING, READY, SENDING, PENDING = "awaiting_payer", "ready", "sending", "pending"
AVAILABLE, ERROR, UNKNOWN = "available", "error", "unknown"
EXPIRED, REMOVING, REMOVED = "expired", "removing", "removed"
ACTIVE, ENDED, CANCELLED = "active", "ended", "cancelled"
CREATING, CANCELLING = "creating", "cancelling"

_s, _h, _l = sources.c, schedules.c, links.c
_ID: sa.BindParameter[str] = sa.bindparam("of", type_=sa.Text)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_END: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
_END_ID: sa.BindParameter[str] = sa.bindparam("before_id", type_=sa.Text)
_MOST: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer)


def _text(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.Text)


def _number(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _insert(table: sa.Table) -> Statement:
    def build(dialect: str) -> Any:
        insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
        return insert.on_conflict_do_nothing()

    return Statement(build)


def _shown(table: sa.Table, *hidden: str) -> tuple[sa.Column[Any], ...]:
    return tuple(c for c in table.columns if c.name not in ("tenant_id", *hidden))


def _recent(table: sa.Table, *hidden: str) -> Statement:
    c = table.c
    return Statement(
        sa.select(*_shown(table, *hidden))
        .where(
            c.tenant_id == TENANT,
            sa.or_(c.created_at < _END, sa.and_(c.created_at == _END, c.id < _END_ID)),
        )
        .order_by(c.created_at.desc(), c.id.desc())
        .limit(_MOST)
    )


# --- sources ----------------------------------------------------------------------------------

_source = (_s.tenant_id == TENANT, _s.id == _ID)
_held = (*_source, _s.state == SENDING, _s.claim == _text("of_claim"))
_free = {"claim": sa.null(), "claimed_until": 0, "updated_at": _NOW}
INSERT_SOURCE = _insert(sources)
SOURCE = Statement(sa.select(*_shown(sources, "claim")).where(*_source))
SOURCE_OF = Statement(
    sa.select(*_shown(sources, "claim")).where(
        _s.tenant_id == TENANT, _s.digest == _text("of_digest")
    )
)
SOURCES = _recent(sources, "claim")
CLAIM_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == _text("former"), _s.expires_at > _NOW)
    .values(
        state=SENDING,
        claim=_text("of_claim"),
        claimed_until=_number("until"),
        sealed=sa.bindparam("of_sealed", type_=sa.LargeBinary),
        updated_at=_NOW,
    )
)
SETTLE_SOURCE = Statement(
    sa.update(sources)
    .where(*_held)
    .values(
        state=_text("target"),
        provider_id=_number("of_provider"),
        status_message=_text("message"),
        sealed=sa.bindparam("of_sealed", type_=sa.LargeBinary),
        **_free,
    )
)
"""What came of the one post; back, when nothing was sent."""
LOSE_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == SENDING, _s.claimed_until <= _NOW)
    .values(state=UNKNOWN, status_message=_text("message"), **_free)
)
"""Whoever posted it died: Wompi has no way to look it up, and no money moved."""
EXPIRE_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state.in_((AWAITING, READY)), _s.expires_at <= _NOW)
    .values(state=EXPIRED, **_free)
)
READ_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == PENDING)
    .values(state=_text("target"), status_message=_text("message"), updated_at=_NOW)
)
"""A payer agreed, or did not."""
REMOVE_SOURCE = Statement(
    sa.update(sources)
    .where(
        *_source,
        _s.state.in_((AWAITING, READY, PENDING, AVAILABLE, ERROR, UNKNOWN, EXPIRED)),
    )
    .values(
        state=sa.case((_s.provider_id.is_(None), REMOVED), else_=REMOVING),
        **_free,
    )
)
REMOVED_SOURCE = Statement(
    sa.update(sources).where(*_source, _s.state == REMOVING).values(state=REMOVED, updated_at=_NOW)
)

# --- schedules --------------------------------------------------------------------------------

_schedule = (_h.tenant_id == TENANT, _h.id == _ID)
_over = {"state": CANCELLED, "live": sa.null(), "next_at": sa.null(), "updated_at": _NOW}
INSERT_SCHEDULE = _insert(schedules)
SCHEDULE = Statement(sa.select(*_shown(schedules, "live")).where(*_schedule))
SCHEDULE_OF = Statement(
    sa.select(*_shown(schedules, "live")).where(
        _h.tenant_id == TENANT, _h.digest == _text("of_digest"), _h.live == 1
    )
)
SCHEDULES = _recent(schedules, "live")
ADVANCE = Statement(
    sa.update(schedules)
    .where(*_schedule, _h.state == ACTIVE, _h.done == _number("before"))
    .values(
        done=_h.done + 1,
        skipped=_h.skipped + _number("too_late"),
        next_at=_number("following"),
        state=_text("target"),
        live=sa.case((_text("target") == ACTIVE, 1), else_=sa.null()),
        updated_at=_NOW,
    )
)
"""One time has passed: for exactly one of any number of callers."""
CANCEL = Statement(sa.update(schedules).where(*_schedule, _h.state == ACTIVE).values(**_over))
OF_SOURCE = Statement(
    sa.select(_h.id).where(
        _h.tenant_id == TENANT, _h.source_id == _text("of_source"), _h.state == ACTIVE
    )
)

# --- links ------------------------------------------------------------------------------------

_link = (_l.tenant_id == TENANT, _l.id == _ID)
INSERT_LINK = Statement(sa.insert(links))
LINK = Statement(sa.select(*_shown(links)).where(*_link))
LINKS = _recent(links)
SETTLE_LINK = Statement(
    sa.update(links)
    .where(*_link, _l.state == CREATING)
    .values(
        state=_text("target"),
        provider_id=_text("of_provider"),
        url=_text("of_url"),
        problem=_text("said"),
        updated_at=_NOW,
    )
)
"""What came of the one post."""
CANCEL_LINK = Statement(
    sa.update(links).where(*_link, _l.state == ACTIVE).values(state=CANCELLING, updated_at=_NOW)
)
CANCELLED_LINK = Statement(
    sa.update(links).where(*_link, _l.state == CANCELLING).values(state=CANCELLED, updated_at=_NOW)
)
