"""One payout as it is stored: its row, what is sealed in it, and how its tenant sees it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.errors import Unavailable
from tause_mcp.intents import Names
from tause_mcp.sealing import Seal
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.values import (
    Beneficiary,
    Payout,
    Shown,
    Status,
    masked,
    masked_key,
)
from tause_mcp.tenancy import TenantId


class Row(NamedTuple):
    """The columns of `tables.SHOWN`."""

    id: str
    environment: str
    payout_id: str
    attempt: int
    reference: str
    digest: str
    kind: str
    account: str
    account_id: str
    amount: int
    currency: str
    payment_type: str
    state: str
    provider_id: str | None
    provider_status: str | None
    status_message: str | None
    hint: str | None
    sealed: bytes
    claimed_until: int
    sent_at: int | None
    checks: int
    checked_at: int
    problem: str | None
    created_at: int
    updated_at: int
    finalized_at: int | None
    expires_at: int

    @property
    def keyed(self) -> bool:
        """Whether a Bre-B key is paid: that lives in version 2 of the provider's API."""
        return self.kind == "key"

    @property
    def unsent(self) -> str:
        """The state of what is not sent, or not any more."""
        return tables.READY

    @property
    def sought(self) -> bool:
        """Whether the provider may know of it."""
        return self.sent_at is not None or self.provider_id is not None or self.hint is not None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Who is paid, as it is kept encrypted: what the caller gave, and what Wompi said of it."""

    beneficiary: Beneficiary
    bank: str = ""
    bank_id: str = ""
    holder: str = ""
    """Of a Bre-B key, as Wompi masks it: who was approved is who is paid."""
    description: str | None = None

    def closed(self, cipher: Cipher, id_: str) -> bytes:
        return cipher.seal(place_of(id_), orjson.dumps(self))

    @classmethod
    def opened(cls, cipher: Cipher, id_: str, sealed: bytes) -> "Sealed":
        """Raises `Unavailable` when it does not open."""
        told = orjson.loads(cipher.open(place_of(id_), bytes(sealed)))
        return cls(Beneficiary(**told.pop("beneficiary")), **told)

    @property
    def shown(self) -> Shown:
        payee = self.beneficiary
        return Shown(
            name=payee.name,
            document=f"{payee.document_type} {masked(payee.document)}" if payee.document else None,
            bank=self.bank or None,
            account_type=payee.account_type,
            account=masked(payee.account_number) if payee.account_number else None,
            key=masked_key(payee.key) if payee.key else None,
            key_type=payee.key_type,
            holder=self.holder or None,
        )


def place_of(id_: str) -> str:
    """Where it is kept sealed."""
    return f"payouts/{id_}"


def status_of(state: str) -> Status:
    """How callers see a state."""
    return "processing" if state in tables.OPEN else state  # type: ignore[return-value]  # the others are spelt alike


def shown(row: Row, kept: Sealed | None) -> Payout:
    """The row as its tenant sees it; `kept` None: what is sealed does not open."""
    return Payout(
        id=row.id,
        payout_id=row.payout_id,
        attempt=row.attempt,
        status=status_of(row.state),
        amount=row.amount,
        currency=row.currency,
        reference=row.reference,
        environment=row.environment,
        account_id=row.account_id,
        payment_type=row.payment_type,
        created_at=row.created_at,
        updated_at=row.updated_at,
        beneficiary=kept.shown if kept else None,
        description=kept.description if kept else None,
        provider_id=row.provider_id,
        provider_status=row.provider_status,
        status_message=row.status_message,
        problem=row.problem,
        expires_at=row.expires_at if row.state == tables.READY else None,
        finalized_at=row.finalized_at,
    )


def read(row: tuple[Any, ...] | Row, cipher: Cipher) -> Payout:
    """From a row. What does not open hides neither the payout nor the rest of a list."""
    record = Row(*row)
    try:
        kept = Sealed.opened(cipher, record.id, record.sealed)
    except Unavailable:
        kept = None
    return shown(record, kept)


def names(seal: Seal, tenant: TenantId, born: int) -> Names:
    """What a tenant's payouts are known by at the provider; its idempotency key too."""
    return Names(seal, tenant, born, room="payouts", prefix="to")


def account_of(names: Names, environment: str, principal: str) -> str:
    """Whose keys: the same when one of them is replaced, and no way back to them."""
    return names.mac("account", environment, principal).hex()[:32]
