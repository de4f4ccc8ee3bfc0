"""One intent as it is stored: its row, what is sealed in it, and how its tenant sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.errors import Unavailable
from tause_mcp.intents import Names
from tause_mcp.sealing import Seal
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.values import Customer, Method, Payment, Status
from tause_mcp.tenancy import TenantId


class Row(NamedTuple):
    """The columns of `tables.SHOWN`."""

    id: str
    environment: str
    order_id: str
    attempt: int
    reference: str
    digest: str
    kind: str
    account: str
    amount: int
    currency: str
    method: str
    state: str
    provider_id: str | None
    status_message: str | None
    redirect_url: str | None
    sealed: bytes
    claimed_until: int
    sent_at: int | None
    checks: int
    checked_at: int
    voided: int
    voiding: int
    void_state: str | None
    source_id: str | None
    schedule_id: str | None
    link_id: str | None
    problem: str | None
    created_at: int
    updated_at: int
    finalized_at: int | None
    expires_at: int

    @property
    def attended(self) -> bool:
        """Whether the payer's own acceptance is waited for, on our page or on Wompi's."""
        return self.kind in ("payment", "checkout")

    @property
    def unsent(self) -> str:
        """The state of what is not sent, or not any more."""
        return tables.AWAITING if self.attended else tables.READY

    @property
    def sought(self) -> bool:
        """Whether the provider may know of it."""
        return self.sent_at is not None or self.kind == "checkout" or self.provider_id is not None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is the payer's, as it is kept encrypted."""

    customer: Customer
    method: Method | None
    description: str | None = None
    acceptance: Mapping[str, Any] | None = None
    checkout_url: str | None = None
    source: int | None = None
    """The provider's id of the saved source that is charged."""
    installments: int | None = None

    def closed(self, cipher: Cipher, payment_id: str) -> bytes:
        return cipher.seal(place_of(payment_id), orjson.dumps(self))

    @classmethod
    def opened(cls, cipher: Cipher, payment_id: str, sealed: bytes) -> "Sealed":
        """Raises `Unavailable` when it does not open."""
        told = orjson.loads(cipher.open(place_of(payment_id), bytes(sealed)))
        customer, method = told.pop("customer"), told.pop("method")
        return cls(Customer(**customer), Method(**method) if method else None, **told)


def place_of(payment_id: str) -> str:
    """Where it is kept sealed."""
    return f"payments/{payment_id}"


def shown(row: Row, kept: Sealed | None, pay_url: str) -> Payment:
    """The row as its tenant sees it; `kept` None: what is sealed does not open."""
    waits = row.state == tables.AWAITING
    return Payment(
        id=row.id,
        order_id=row.order_id,
        attempt=row.attempt,
        status=status_of(row.state),
        amount=row.amount,
        currency=row.currency,
        method=row.method,
        reference=row.reference,
        environment=row.environment,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at if row.state in tables.UNSENT else None,
        finalized_at=row.finalized_at,
        description=kept.description if kept else None,
        pay_url=pay_url if row.attended and row.state not in tables.FINAL else None,
        checkout_url=kept.checkout_url if kept and waits else None,
        redirect_url=row.redirect_url if row.state == tables.PENDING else None,
        provider_id=row.provider_id,
        status_message=row.status_message,
        voided=row.voided,
        void_status=_void_status(row),
        source_id=row.source_id,
        schedule_id=row.schedule_id,
        link_id=row.link_id,
        problem=row.problem,
        customer=kept.customer if kept else None,
    )


def _void_status(row: Row) -> str | None:
    return None if row.void_state is None else "processing"


def status_of(state: str) -> Status:
    """How callers see a state."""
    return "processing" if state in (tables.READY, tables.SENDING) else state  # type: ignore[return-value]  # the others are spelt alike


def read(row: tuple[Any, ...] | Row, cipher: Cipher, pay_url: str) -> Payment:
    """From a row. What does not open hides neither the payment nor the rest of a list."""
    record = Row(*row)
    try:
        kept = Sealed.opened(cipher, record.id, record.sealed)
    except Unavailable:
        kept = None
    return shown(record, kept, pay_url)


def names(seal: Seal, tenant: TenantId, born: int) -> Names:
    """What a tenant's payments are known by at the provider."""
    return Names(seal, tenant, born, room="payments", prefix="tp")
