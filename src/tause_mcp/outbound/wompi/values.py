"""What is told to Wompi about a payment, and what it tells. Money is an int in cents of COP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

MethodType = Literal["card", "pse", "nequi", "bancolombia_transfer", "bancolombia_qr", "daviplata"]
PersonType = Literal["natural", "juridica"]
SourceType = Literal["card", "nequi"]
MINIMUM = 150_000
"""The least a transaction may be: COP 1,500.00, taxes included."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank of PSE. The list changes, so it is asked for (at most daily)."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Terms:
    """A text that the payer accepts: `token` states it once, `permalink` shows it."""

    token: str = field(repr=False)
    permalink: str


@dataclass(frozen=True, slots=True)
class Merchant:
    """The account's merchant, with fresh single-use acceptance tokens. `methods` are Wompi's
    names (`CARD`, `PSE`...)."""

    id: str
    name: str
    public_key: str
    terms: Terms
    personal: Terms
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Customer:
    """The payer. `document_type` is ours (CC, CE, NIT, PA...), `phone` ten digits."""

    email: str
    full_name: str = ""
    phone: str = ""
    document_type: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """How it is paid. What a type needs is for the caller to have checked."""

    type: MethodType
    bank_code: str = ""
    person_type: PersonType = "natural"
    phone: str = ""
    token: str = field(default="", repr=False)
    installments: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One transaction to be made. Either `method`, or `source_id` of a saved source.

    `terms` and `personal` are the tokens that the payer's acceptance used up.
    """

    reference: str
    amount: int
    customer: Customer
    terms: str = field(repr=False)
    personal: str = field(repr=False)
    method: Method | None = None
    source_id: int | None = None
    installments: int | None = None
    currency: str = "COP"
    description: str = ""
    redirect_url: str = ""
    expires: datetime | None = None
    recurrent: bool | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as Wompi tells it.

    `status` is PENDING, APPROVED, DECLINED, ERROR, VOIDED or one unknown to us; `method` Wompi's
    name of its kind. `redirect_url` is where the payer goes next, "" while there is none:
    ask again. `merchant_key` is "" when the answer does not name the merchant; the merchant's id
    leads `id`. `details` are the marks a person asks a bank for.
    """

    id: str
    status: str
    reference: str
    amount: int
    currency: str
    method: str = ""
    status_message: str = ""
    redirect_url: str = ""
    merchant_key: str = ""
    merchant_id: str = ""
    source_id: int | None = None
    link_id: str = ""
    email: str = field(default="", repr=False)
    created_at: str = ""
    finalized_at: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)
    qr_image: str = field(default="", repr=False)

    @property
    def final(self) -> bool:
        """Whether it stays so (but for a void)."""
        return self.status in ("APPROVED", "DECLINED", "ERROR", "VOIDED")


@dataclass(frozen=True, slots=True)
class Source:
    """A saved way to pay. `status` is AVAILABLE, PENDING, VOIDED or one unknown to us."""

    id: int
    status: str
    type: str
    email: str = ""
    label: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewLink:
    """A payment link to be made. `sku` (36 characters at most) is the only mark of ours on it."""

    name: str
    description: str
    sku: str
    amount: int | None = None
    currency: str = "COP"
    single_use: bool = True
    expires: datetime | None = None
    redirect_url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A payment link. `url` is what is given to the payer."""

    id: str
    url: str
    active: bool
    sku: str = ""
    name: str = ""
    amount: int | None = None
    currency: str = ""
    expires_at: str = ""
