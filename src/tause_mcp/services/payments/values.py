"""What a payment is made of: customers, methods, acceptances, and what each has to look like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tause_mcp.errors import Invalid
from tause_mcp.services.colombia.documents import document_type, validate_document

LEAST, MOST = 150_000, 1_000_000_000_000
"""Cents of COP that Wompi takes: $1,500 at least."""
CURRENCY = "COP"
ORDER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$"

Status = Literal[
    "awaiting_payer",
    "processing",
    "pending",
    "approved",
    "declined",
    "error",
    "voided",
    "expired",
]
"""How callers see a state: `ready` and `sending` are `processing`."""
MethodType = Literal[
    "card", "pse", "nequi", "bancolombia_transfer", "bancolombia_qr", "daviplata", "checkout"
]
PersonType = Literal["natural", "juridica"]

REDIRECTS = frozenset({"pse", "bancolombia_transfer", "daviplata"})
"""Methods whose payer goes on elsewhere: the address is told a moment after the payment is made."""

_ORDER = re.compile(ORDER_PATTERN[1:-1], re.ASCII)
_PHONE = re.compile(r"3[0-9]{9}")
_EMAIL = re.compile(r"[^\s@<>\"',;:\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{6,200}", re.ASCII)
_BANK = re.compile(r"[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays. `document_type` as `colombia_validate_document` takes it."""

    email: str
    full_name: str | None = None
    phone: str | None = None
    document_type: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """How it is paid. `token` stands for a card: a card's number never enters."""

    type: MethodType
    bank_code: str | None = None
    person_type: PersonType | None = None
    phone: str | None = None
    token: str | None = None
    installments: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a payer adds on their own page, where the caller left it out."""

    bank_code: str | None = None
    person_type: PersonType | None = None
    full_name: str | None = None
    phone: str | None = None
    document_type: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The payer's recorded acceptance of both terms: when (ISO 8601), and what shows it."""

    accepted_at: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a payer accepts: the addresses of both texts, as Wompi publishes them."""

    policy_url: str
    personal_data_url: str


@dataclass(frozen=True, slots=True)
class Payment:
    """An attempt at an order, as its tenant sees it. `amount` and `voided` in cents of `currency`;
    times in epoch microseconds. `customer` is for the payer's own page, never for a listing."""

    id: str
    order_id: str
    attempt: int
    status: Status
    amount: int
    currency: str
    method: str
    reference: str
    environment: str
    created_at: int
    updated_at: int
    expires_at: int | None = None
    finalized_at: int | None = None
    description: str | None = None
    pay_url: str | None = None
    checkout_url: str | None = None
    redirect_url: str | None = None
    provider_id: str | None = None
    status_message: str | None = None
    voided: int = 0
    void_status: str | None = None
    source_id: str | None = None
    schedule_id: str | None = None
    link_id: str | None = None
    problem: str | None = None
    customer: Customer | None = None

    @property
    def final(self) -> bool:
        """Whether it ends here (an approved one may still be voided)."""
        return self.status in ("approved", "declined", "error", "voided", "expired")


# --- what each has to look like ---------------------------------------------------------------


def check_order(order_id: str) -> str:
    """An order's name of the tenant's own."""
    if _ORDER.fullmatch(order_id) is None:
        raise Invalid(f"order_id: has to match {ORDER_PATTERN}", field="order_id")
    return order_id


def check_amount(amount: int, currency: str) -> int:
    """Cents of COP within what Wompi takes."""
    if currency != CURRENCY:
        raise Invalid("amount: only COP is collected here", field="amount")
    if not LEAST <= amount <= MOST:
        raise Invalid(
            f"amount: from {LEAST} to {MOST} cents (150000 cents are $1,500 COP, the least that "
            "Wompi takes)",
            field="amount",
        )
    return amount


def check_customer(customer: Customer) -> Customer:
    """A customer whose every field has its shape; the document comes back with its type's code.

    Raises:
        Invalid: naming `customer` and the member that is wrong.
    """
    if len(customer.email) > 254 or _EMAIL.fullmatch(customer.email) is None:
        raise _wrong("customer", "email", "is not an address like ana@example.com")
    name = customer.full_name
    if name is not None and not (2 <= len(name.strip()) <= 100 and name.isprintable()):
        raise _wrong("customer", "full_name", "has 2 to 100 printable characters")
    if customer.phone is not None:
        check_phone(customer.phone, "customer", "phone")
    if (customer.document_type is None) != (customer.document is None):
        lacking = "document_type" if customer.document_type is None else "document"
        raise _wrong("customer", lacking, "has to come with the other: a document and its type")
    if customer.document_type is None:
        return customer
    code, number = _document(customer.document_type, customer.document)
    return Customer(customer.email, name, customer.phone, code, number)


def _document(kind: str, number: str | None) -> tuple[str, str]:
    try:
        code = document_type(kind)
    except Invalid as wrong:
        raise _wrong("customer", "document_type", str(wrong).partition(": ")[2]) from None
    verdict = validate_document(code, number, language="en")
    if verdict.verdict == "invalid":
        reasons = "; ".join(reason.text for reason in verdict.reasons)
        raise _wrong("customer", "document", reasons or "cannot be a document of this type")
    return code, verdict.normalized or str(number)


def check_phone(phone: str, field: str, member: str) -> str:
    """A Colombian mobile number as Nequi and Daviplata have it: ten digits, the first a 3."""
    if _PHONE.fullmatch(phone) is None:
        raise _wrong(field, member, "is a mobile number of ten digits beginning with 3")
    return phone


_NEEDS: Mapping[str, tuple[str, ...]] = {
    "card": ("token",),
    "pse": ("bank_code", "person_type"),
    "nequi": ("phone",),
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "card": ("token", "installments"),
    "pse": ("bank_code", "person_type"),
    "nequi": ("phone",),
}
_NEEDS_OF_CUSTOMER: Mapping[str, tuple[str, ...]] = {
    "pse": ("full_name", "phone", "document_type", "document"),
    "daviplata": ("document_type", "document"),
}


def missing(method: Method, customer: Customer) -> tuple[str, ...]:
    """What the payment still needs to be sent, by the names of a `Completion` (and `token`)."""
    lacking = [m for m in _NEEDS.get(method.type, ()) if getattr(method, m) is None]
    if method.type == "nequi" and customer.phone is not None:
        lacking = []
    wanted = _NEEDS_OF_CUSTOMER.get(method.type, ())
    return (*lacking, *(m for m in wanted if getattr(customer, m) is None))


def completed(
    method: Method, customer: Customer, given: Completion, banks: Mapping[str, str] | None
) -> tuple[Method, Customer]:
    """Both with what a payer adds to them: only what was missing, never what was there.

    Raises:
        Invalid: naming the member that is wrong or still missing.
    """
    wanted = [name for name in missing(method, customer) if name != "token"]
    added = {name: told for name in wanted if (told := getattr(given, name)) is not None}
    own = _NEEDS.get(method.type, ())
    of_method = {name: told for name, told in added.items() if name in own}
    of_customer = {name: told for name, told in added.items() if name not in own}
    customer = check_customer(replace(customer, **of_customer))
    return check_method(replace(method, **of_method), customer, banks), customer


def check_method(
    method: Method,
    customer: Customer,
    banks: Mapping[str, str] | None,
    *,
    attended: bool = False,
) -> Method:
    """A method with all that its type needs, and nothing besides. `banks`: code -> name, for PSE.
    `attended`: the payer is asked for what is missing, but for a token.

    Raises:
        Invalid: naming the member that is wrong, missing or not of this type.
    """
    lacking = missing(method, customer)
    if method.type == "nequi" and method.phone is None and customer.phone is not None:
        method = replace(method, phone=customer.phone)
    for member in ("bank_code", "person_type", "phone", "token", "installments"):
        given = getattr(method, member) is not None
        if given and member not in _TAKES.get(method.type, ()):
            raise _wrong("method", member, f"is not of a payment by {method.type}")
    for member in lacking:
        if member == "token" or not attended:
            field = "method" if member in _NEEDS.get(method.type, ()) else "customer"
            raise _wrong(field, member, f"is needed to pay by {method.type}")
    _shapes(method, banks)
    return method


def _shapes(method: Method, banks: Mapping[str, str] | None) -> None:
    if method.token is not None:
        check_token(method.token, "method")
    if method.phone is not None:
        check_phone(method.phone, "method", "phone")
    if method.installments is not None and not 1 <= method.installments <= 36:
        raise _wrong("method", "installments", "is from 1 to 36")
    if method.bank_code is not None and (
        _BANK.fullmatch(method.bank_code) is None or method.bank_code not in (banks or {})
    ):
        raise _wrong("method", "bank_code", "is no bank of payments_list_banks")


def check_token(token: str, field: str) -> str:
    """The token of a card or account, as Wompi's own form made it."""
    if _TOKEN.fullmatch(token) is None or token.isdigit():
        raise _wrong(field, "token", "is the token that Wompi made, never a card's number")
    return token


def _wrong(field: str, member: str, why: str) -> Invalid:
    return Invalid(f"{field}.{member}: {why}", field=field)


def members(value: Any) -> dict[str, Any]:
    """The members of a frozen value by name."""
    return {name: getattr(value, name) for name in value.__slots__}


def plain(value: Any) -> dict[str, Any]:
    """The same, absent ones left out."""
    return {name: given for name, given in members(value).items() if given is not None}
