"""Saved sources, schedules and links as their tenant sees them, and how they are read from rows."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.errors import Unavailable
from tause_mcp.services.payments.record import place_of
from tause_mcp.services.payments.values import Customer

SourceType = Literal["card", "nequi"]
SourceStatus = Literal[
    "awaiting_payer",
    "processing",
    "pending",
    "available",
    "error",
    "unknown",
    "expired",
    "removing",
    "removed",
]
Every = Literal["day", "week", "month", "year"]
ScheduleStatus = Literal["active", "ended", "cancelled"]
LinkStatus = Literal["processing", "active", "paid", "unknown", "error", "cancelling", "cancelled"]


@dataclass(frozen=True, slots=True)
class SavedSource:
    """A way to pay that was saved for later charges. `label` is what Wompi shows of it (brand,
    last four digits...). `unknown`: Wompi gave no clear answer; save it anew with another token."""

    id: str
    type: SourceType
    status: SourceStatus
    environment: str
    created_at: int
    updated_at: int
    email: str | None = None
    label: dict[str, str] | None = None
    pay_url: str | None = None
    status_message: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A charge of a source that recurs. `done` times have passed, `skipped` of them too late."""

    id: str
    source_id: str
    amount: int
    currency: str
    every: Every
    start_at: int
    status: ScheduleStatus
    environment: str
    done: int
    skipped: int
    created_at: int
    updated_at: int
    next_at: int | None = None
    until: int | None = None
    count: int | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class PayLink:
    """A payment link. `problem` says what is not known of it."""

    id: str
    name: str
    status: LinkStatus
    environment: str
    currency: str
    single_use: bool
    created_at: int
    updated_at: int
    description: str | None = None
    amount: int | None = None
    url: str | None = None
    provider_id: str | None = None
    expires_at: int | None = None
    problem: str | None = None


class SourceRow(NamedTuple):
    """The columns of `source_tables.SOURCE`."""

    id: str
    environment: str
    account: str
    digest: str
    type: Any
    state: str
    unattended: int
    provider_id: int | None
    status_message: str | None
    sealed: bytes
    claimed_until: int
    created_at: int
    updated_at: int
    expires_at: int

    @property
    def former(self) -> str:
        """Its state before it is sent."""
        return "ready" if self.unattended else "awaiting_payer"


class ScheduleRow(NamedTuple):
    """The columns of `source_tables.SCHEDULE`."""

    id: str
    environment: str
    digest: str
    source_id: str
    amount: int
    currency: str
    every: Any
    start_at: int
    until: int | None
    most: int | None
    sealed: bytes
    state: Any
    done: int
    skipped: int
    next_at: int | None
    created_at: int
    updated_at: int


class LinkRow(NamedTuple):
    """The columns of `source_tables.LINK`."""

    id: str
    environment: str
    account: str
    sku: str
    amount: int | None
    currency: str
    single_use: int
    sealed: bytes
    state: str
    provider_id: str | None
    url: str | None
    problem: str | None
    expires_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is sealed of a source: the token until it is used, the payer, Wompi's label."""

    customer: Customer
    token: str | None = None
    acceptance: dict[str, Any] | None = None
    label: dict[str, str] | None = None


def seal_kept(cipher: Cipher, id_: str, kept: Kept) -> bytes:
    return cipher.seal(place_of(id_), orjson.dumps(kept))


def open_kept(cipher: Cipher, row: SourceRow) -> Kept:
    """Raises `Unavailable` when it does not open."""
    told = orjson.loads(cipher.open(place_of(row.id), bytes(row.sealed)))
    return Kept(Customer(**told.pop("customer")), **told)


def seal_texts(cipher: Cipher, id_: str, **texts: str | None) -> bytes:
    return cipher.seal(place_of(id_), orjson.dumps(texts))


def _texts(cipher: Cipher, id_: str, sealed: bytes) -> dict[str, Any]:
    """What does not open hides neither the thing nor the rest of a list."""
    try:
        told: dict[str, Any] = orjson.loads(cipher.open(place_of(id_), bytes(sealed)))
    except Unavailable:
        return {}
    return told


def source_of(row: SourceRow, cipher: Cipher, pay_url: str) -> SavedSource:
    told = _texts(cipher, row.id, row.sealed)
    waits = row.state in ("awaiting_payer", "ready")
    sending = row.state in ("ready", "sending")
    return SavedSource(
        id=row.id,
        type=row.type,
        status="processing" if sending else row.state,  # type: ignore[arg-type]  # the others are spelt alike
        environment=row.environment,
        created_at=row.created_at,
        updated_at=row.updated_at,
        email=(told.get("customer") or {}).get("email"),
        label=told.get("label"),
        pay_url=pay_url if row.state == "awaiting_payer" else None,
        status_message=row.status_message,
        expires_at=row.expires_at if waits else None,
    )


def schedule_of(row: ScheduleRow, cipher: Cipher) -> Schedule:
    told = _texts(cipher, row.id, row.sealed)
    return Schedule(
        id=row.id,
        source_id=row.source_id,
        amount=row.amount,
        currency=row.currency,
        every=row.every,
        start_at=row.start_at,
        status=row.state,
        environment=row.environment,
        done=row.done,
        skipped=row.skipped,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_at=row.next_at,
        until=row.until,
        count=row.most,
        description=told.get("description"),
    )


def link_of(row: LinkRow, cipher: Cipher) -> PayLink:
    told = _texts(cipher, row.id, row.sealed)
    return PayLink(
        id=row.id,
        name=told.get("name") or "",
        status="processing" if row.state == "creating" else row.state,  # type: ignore[arg-type]  # the others are spelt alike
        environment=row.environment,
        currency=row.currency,
        single_use=bool(row.single_use),
        created_at=row.created_at,
        updated_at=row.updated_at,
        description=told.get("description"),
        amount=row.amount,
        url=row.url if row.state == "active" else None,
        provider_id=row.provider_id,
        expires_at=row.expires_at,
        problem=row.problem,
    )
