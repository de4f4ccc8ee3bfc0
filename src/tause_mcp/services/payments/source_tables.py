"""Saved sources, schedules and links: their tables and the moves between their states."""

from typing import Any

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, metadata
from tause_mcp.intents.statements import (
    FREE,
    HOLDER,
    ID,
    NOW,
    STATES,
    insert_once,
    newest,
    number,
    text,
)

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

READY, SENDING, PENDING, ERROR, EXPIRED = STATES
AWAITING, AVAILABLE, UNKNOWN = "awaiting_payer", "available", "unknown"
REMOVING, REMOVED = "removing", "removed"
ACTIVE, ENDED, CANCELLED = "active", "ended", "cancelled"
CREATING, CANCELLING, PAID = "creating", "cancelling", "paid"

_s, _h, _l = sources.c, schedules.c, links.c


def _shown(table: sa.Table, *hidden: str) -> tuple[sa.Column[Any], ...]:
    return tuple(c for c in table.columns if c.name not in ("tenant_id", *hidden))


# --- sources ----------------------------------------------------------------------------------

_source = (_s.tenant_id == TENANT, _s.id == ID)
_held = (*_source, _s.state == SENDING, _s.claim == HOLDER)
_free = {**FREE, "updated_at": NOW}
INSERT_SOURCE = insert_once(sources)
SOURCE = Statement(sa.select(*_shown(sources, "claim")).where(*_source))
SOURCE_OF = Statement(
    sa.select(*_shown(sources, "claim")).where(
        _s.tenant_id == TENANT, _s.digest == text("of_digest")
    )
)
SOURCES = newest(sources, _shown(sources, "claim"))
CLAIM_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == text("former"), _s.expires_at > NOW)
    .values(
        state=SENDING,
        claim=HOLDER,
        claimed_until=number("until"),
        sealed=sa.bindparam("of_sealed", type_=sa.LargeBinary),
        updated_at=NOW,
    )
)
SETTLE_SOURCE = Statement(
    sa.update(sources)
    .where(*_held)
    .values(
        state=text("target"),
        provider_id=number("of_provider"),
        status_message=text("message"),
        sealed=sa.bindparam("of_sealed", type_=sa.LargeBinary),
        **_free,
    )
)
"""What came of the one post; back, when nothing was sent."""
LOSE_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == SENDING, _s.claimed_until <= NOW)
    .values(state=UNKNOWN, status_message=text("message"), **_free)
)
"""Whoever posted it died: Wompi has no way to look it up, and no money moved."""
EXPIRE_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state.in_((AWAITING, READY)), _s.expires_at <= NOW)
    .values(state=EXPIRED, **_free)
)
READ_SOURCE = Statement(
    sa.update(sources)
    .where(*_source, _s.state == PENDING)
    .values(state=text("target"), status_message=text("message"), updated_at=NOW)
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
    sa.update(sources).where(*_source, _s.state == REMOVING).values(state=REMOVED, updated_at=NOW)
)

# --- schedules --------------------------------------------------------------------------------

_schedule = (_h.tenant_id == TENANT, _h.id == ID)
_over = {"state": CANCELLED, "live": sa.null(), "next_at": sa.null(), "updated_at": NOW}
INSERT_SCHEDULE = insert_once(schedules)
SCHEDULE = Statement(sa.select(*_shown(schedules, "live")).where(*_schedule))
SCHEDULE_OF = Statement(
    sa.select(*_shown(schedules, "live")).where(
        _h.tenant_id == TENANT, _h.digest == text("of_digest"), _h.live == 1
    )
)
SCHEDULES = newest(schedules, _shown(schedules, "live"))
ADVANCE = Statement(
    sa.update(schedules)
    .where(*_schedule, _h.state == ACTIVE, _h.done == number("before"))
    .values(
        done=_h.done + 1,
        skipped=_h.skipped + number("too_late"),
        next_at=number("following"),
        state=text("target"),
        live=sa.case((text("target") == ACTIVE, 1), else_=sa.null()),
        updated_at=NOW,
    )
)
"""One time has passed: for exactly one of any number of callers."""
CANCEL = Statement(sa.update(schedules).where(*_schedule, _h.state == ACTIVE).values(**_over))
OF_SOURCE = Statement(
    sa.select(_h.id).where(
        _h.tenant_id == TENANT, _h.source_id == text("of_source"), _h.state == ACTIVE
    )
)

# --- links ------------------------------------------------------------------------------------

_link = (_l.tenant_id == TENANT, _l.id == ID)
INSERT_LINK = Statement(sa.insert(links))
LINK = Statement(sa.select(*_shown(links)).where(*_link))
LINK_OF_PROVIDER = Statement(
    sa.select(*_shown(links)).where(
        _l.tenant_id == TENANT,
        _l.provider_id == text("of_link"),
        _l.state.in_((ACTIVE, CANCELLING, CANCELLED, PAID)),
    )
)
"""The link that Wompi knows by this id, if it is surely ours."""
LINKS = newest(links, _shown(links))
SETTLE_LINK = Statement(
    sa.update(links)
    .where(*_link, _l.state == CREATING)
    .values(
        state=text("target"),
        provider_id=text("of_provider"),
        url=text("of_url"),
        problem=text("said"),
        updated_at=NOW,
    )
)
"""What came of the one post."""
CANCEL_LINK = Statement(
    sa.update(links).where(*_link, _l.state == ACTIVE).values(state=CANCELLING, updated_at=NOW)
)
CLOSED_LINK = Statement(
    sa.update(links).where(*_link, _l.state == ACTIVE).values(state=text("target"), updated_at=NOW)
)
"""Wompi takes no more payments by it."""
LINK_PROBLEM = Statement(
    sa.update(links)
    .where(*_link, sa.or_(_l.problem.is_(None), _l.problem != text("said")))
    .values(problem=text("said"), updated_at=NOW)
)
CANCELLED_LINK = Statement(
    sa.update(links).where(*_link, _l.state == CANCELLING).values(state=CANCELLED, updated_at=NOW)
)
