"""What is told to Wompi about a payout, and what it tells. Money is an int in cents of COP."""

from dataclasses import dataclass
from typing import Literal

AccountType = Literal["savings", "checking", "deposit"]
PaymentType = Literal["payroll", "providers", "other"]
KeyKind = Literal["", "alphanumeric", "mail", "phone", "identification", "establishment_code"]


@dataclass(frozen=True, slots=True)
class PayoutBank:
    """A bank that can be paid into. `id` is what a payout names, `code` what people know."""

    id: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class FundingAccount:
    """An account of ours that pays. `number` is masked; `balance` is None when it is not told."""

    id: str
    number: str
    balance: int | None
    status: str
    type: str = ""
    bank: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be paid in a day, in cents; None for what is not told."""

    daily: int | None
    consumed: int | None
    available: int | None


@dataclass(frozen=True, slots=True, repr=False)
class Payee:
    """Who is paid: a bank account with its holder's document, or a Bre-B `key` with an email.

    `bank_id` is the id of a `PayoutBank`; `document_type` ours (CC, CE, NIT, PA...).
    """

    name: str
    amount: int
    email: str = ""
    reference: str = ""
    key: str = ""
    bank_id: str = ""
    account_type: AccountType = "savings"
    account_number: str = ""
    document_type: str = ""
    document: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class NewPayout:
    """A batch to be paid at once. `outcome` decides how it ends, in the sandbox only."""

    reference: str
    account_id: str
    payees: tuple[Payee, ...]
    payment_type: PaymentType = "other"
    outcome: Literal["", "APPROVED", "FAILED"] = ""

    @property
    def keyed(self) -> bool:
        """Whether a payee is named by a Bre-B key: such a batch lives in version 2 of the API."""
        return any(payee.key for payee in self.payees)


@dataclass(frozen=True, slots=True)
class MadePayout:
    """What was taken: how many payees, how many of them well and badly formed."""

    id: str
    payees: int | None = None
    taken: int | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """A batch as Wompi tells it.

    `status` is PENDING, PENDING_APPROVAL, NOT_APPROVED, TOTAL_PAYMENT, PARTIAL_PAYMENT, REJECTED,
    AFE_ON_HOLD, AFE_REJECTED or one unknown to us.
    """

    id: str
    status: str
    reference: str
    amount: int
    currency: str
    payees: int | None = None
    status_message: str = ""
    created_at: str = ""

    @property
    def final(self) -> bool:
        return self.status in _FINAL


_FINAL = frozenset({"TOTAL_PAYMENT", "PARTIAL_PAYMENT", "REJECTED", "NOT_APPROVED", "AFE_REJECTED"})


@dataclass(frozen=True, slots=True)
class Paid:
    """One payee of a batch.

    `status` is PENDING, PROCESSING, READY_TO_FILE, ADDED_TO_FILE, APPROVED, FAILED, REJECTED,
    CANCELLED or one unknown to us; `fee` is what it cost, in cents, None when it is not told.
    """

    id: str
    status: str
    amount: int
    reference: str = ""
    failure: str = ""
    fee: int | None = None
    applied_at: str = ""

    @property
    def final(self) -> bool:
        return self.status in ("APPROVED", "FAILED", "REJECTED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """Whose a Bre-B key is, as far as it is shown: the holder's name is masked by Wompi."""

    holder: str
    bank: str
    bank_code: str
    kind: str
