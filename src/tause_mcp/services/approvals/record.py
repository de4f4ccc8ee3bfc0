"""One approval as it is stored, and its id."""

import re
import secrets
from typing import Any, NamedTuple

from tause_mcp import times
from tause_mcp.capability import Cipher
from tause_mcp.tenancy import TenantId

_ID = re.compile(r"ap_([a-z0-9][a-z0-9_-]{1,62})\.[A-Za-z0-9_-]{24}", re.ASCII)


def new_id(tenant: TenantId) -> str:
    """`ap_{tenant}.{144 random bits}`: a page finds the tenant, nobody guesses the record."""
    return f"ap_{tenant}.{secrets.token_urlsafe(18)}"


def tenant_of(approval_id: str) -> TenantId | None:
    """The tenant that an id names; None when it is not the id of an approval."""
    found = _ID.fullmatch(approval_id)
    return TenantId(found[1]) if found else None


class Record(NamedTuple):
    """An approval. Times are epoch microseconds; `amount` is in minor units of `currency`."""

    id: str
    tool: str
    subject: str
    summary: str
    amount: int | None
    currency: str | None
    page_only: bool
    status: str
    asked_at: int | None
    answered_at: int | None
    answered_by: str | None
    means: str | None
    created_at: int
    expires_at: int

    @property
    def expires(self) -> str:
        return times.iso(self.expires_at)


def place_of(approval_id: str) -> str:
    """Where a summary is kept sealed."""
    return f"approvals/{approval_id}"


def read(row: tuple[Any, ...], now: int, cipher: Cipher) -> Record:
    """From a row of `tables.SHOWN`; what ran out unanswered or unused reads as expired."""
    *columns, sealed = row
    record = Record(*columns)
    if sealed is not None:
        record = record._replace(summary=cipher.open(place_of(record.id), bytes(sealed)).decode())
    lapsed = record.status in ("pending", "approved") and record.expires_at <= now
    return record._replace(
        page_only=bool(record.page_only), status="expired" if lapsed else record.status
    )
