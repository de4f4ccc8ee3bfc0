"""What a payout is made of: whom to pay and how much, and what each has to look like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tause_mcp.errors import Invalid
from tause_mcp.services.colombia.documents import document_type, validate_document

LEAST, MOST = 100, 1_000_000_000_000
"""Cents of COP: a peso at least."""
CURRENCY = "COP"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$"

Status = Literal["processing", "pending", "approved", "declined", "error", "expired", "cancelled"]
"""How callers see a state: `ready` and `sending` are `processing`."""
AccountType = Literal["savings", "checking", "deposit"]
KeyType = Literal["alphanumeric", "mail", "phone", "identification", "establishment_code"]
PaymentType = Literal["payroll", "providers", "other"]

_NAME = re.compile(NAME_PATTERN[1:-1], re.ASCII)
_EMAIL = re.compile(r"[^\s@<>\"',;:\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_ACCOUNT = re.compile(r"(?=.*[1-9])[0-9]{6,20}", re.ASCII)
_KEYS: Mapping[str, re.Pattern[str]] = {
    "alphanumeric": re.compile(r"@[A-Za-z0-9]{5,20}", re.ASCII),
    "mail": _EMAIL,
    "phone": re.compile(r"3[0-9]{9}", re.ASCII),
    "identification": re.compile(r"[A-Za-z0-9]{1,18}", re.ASCII),
    "establishment_code": re.compile(r"[0-9]{8}", re.ASCII),
}
"""Forms of Bre-B keys (Banco de la República, as Wompi's API takes them)."""
_DOCUMENTS = ("CC", "CE", "NIT", "PA", "TI")
"""Documents that Wompi takes of whom is paid."""
_OF_ACCOUNT = ("bank_code", "account_type", "account_number")
_NEEDED = ("name", "document_type", "document", *_OF_ACCOUNT)


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """Who is paid: the holder of a bank account, or of a Bre-B `key`. Never both."""

    name: str | None = None
    document_type: str | None = None
    document: str | None = None
    email: str | None = None
    bank_code: str | None = None
    account_type: AccountType | None = None
    account_number: str | None = None
    key: str | None = None
    key_type: KeyType | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A beneficiary as it is told: enough to be recognised, not enough to be paid."""

    name: str | None = None
    document: str | None = None
    bank: str | None = None
    account_type: str | None = None
    account: str | None = None
    key: str | None = None
    key_type: str | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """An attempt at a payout, as its tenant sees it. `amount` in cents of `currency`; times in
    epoch microseconds; `account_id` is the account that pays."""

    id: str
    payout_id: str
    attempt: int
    status: Status
    amount: int
    currency: str
    reference: str
    environment: str
    account_id: str
    payment_type: str
    created_at: int
    updated_at: int
    beneficiary: Shown | None = None
    description: str | None = None
    provider_id: str | None = None
    provider_status: str | None = None
    status_message: str | None = None
    problem: str | None = None
    expires_at: int | None = None
    finalized_at: int | None = None

    @property
    def final(self) -> bool:
        return self.status not in ("processing", "pending")


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for: `amount` in cents of COP to one beneficiary."""

    payout_id: str
    amount: int
    beneficiary: Beneficiary
    description: str | None = None
    payment_type: PaymentType = "other"
    account_id: str | None = None


# --- what each has to look like ---------------------------------------------------------------


def checked(order: Order) -> Order:
    """The order with every part in its shape.

    Raises:
        Invalid: naming the argument, and the member that is wrong, missing or one too many.
    """
    if _NAME.fullmatch(order.payout_id) is None:
        raise Invalid(f"payout_id: has to match {NAME_PATTERN}", field="payout_id")
    if not LEAST <= order.amount <= MOST:
        raise Invalid(f"amount: from {LEAST} to {MOST} cents", field="amount")
    payee = order.beneficiary
    whole = _keyed(payee) if payee.key is not None else _banked(payee)
    return replace(order, beneficiary=whole)


def check_key(key: str, kind: str | None, field: str = "key") -> None:
    """A Bre-B key in the form of its kind, or of any."""
    forms = _KEYS.values() if kind is None else (_KEYS[kind],)
    if not any(form.fullmatch(key) for form in forms):
        of = f" of the kind {kind}" if kind else ""
        raise Invalid(
            f"{field}: is no Bre-B key{of}: write @name, an email, a phone of ten digits, a "
            "document or a shop's code of eight digits",
            field=field.partition(".")[0],
        )


def _keyed(payee: Beneficiary) -> Beneficiary:
    for member in _OF_ACCOUNT:
        if getattr(payee, member) is not None:
            raise _wrong(member, "is not given beside a Bre-B key: pay the one or the other")
    key = payee.key or ""
    check_key(key, payee.key_type, "beneficiary.key")
    if payee.email is None and _EMAIL.fullmatch(key):
        payee = replace(payee, email=key)
    if payee.email is None:
        raise _wrong("email", "is needed for a Bre-B key: Wompi tells the holder by mail")
    return _person(payee)


def _banked(payee: Beneficiary) -> Beneficiary:
    for member in _NEEDED:
        if getattr(payee, member) is None:
            raise _wrong(member, "is needed to pay a bank account (or give a Bre-B key)")
    if payee.key_type is not None:
        raise _wrong("key_type", "is of a Bre-B key, and there is none")
    if _ACCOUNT.fullmatch(payee.account_number or "") is None:
        raise _wrong("account_number", "has 6 to 20 digits, not all of them 0")
    return _person(payee)


def _person(payee: Beneficiary) -> Beneficiary:
    name, email = payee.name, payee.email
    if name is not None and not (2 <= len(name.strip()) <= 100 and name.isprintable()):
        raise _wrong("name", "has 2 to 100 printable characters")
    if email is not None and (len(email) > 254 or _EMAIL.fullmatch(email) is None):
        raise _wrong("email", "is not an address like ana@example.com")
    if (payee.document_type is None) != (payee.document is None):
        lacking = "document_type" if payee.document_type is None else "document"
        raise _wrong(lacking, "has to come with the other: a document and its type")
    if payee.document_type is None:
        return payee
    code, number = _document(payee.document_type, payee.document)
    return replace(payee, document_type=code, document=number)


def _document(kind: str, number: str | None) -> tuple[str, str]:
    try:
        code = document_type(kind)
    except Invalid as wrong:
        raise _wrong("document_type", str(wrong).partition(": ")[2]) from None
    if code not in _DOCUMENTS:
        raise _wrong("document_type", f"is one of {', '.join(_DOCUMENTS)} for Wompi")
    verdict = validate_document(code, number, language="en")
    if verdict.verdict == "invalid":
        reasons = "; ".join(reason.text for reason in verdict.reasons)
        raise _wrong("document", reasons or "cannot be a document of this type")
    return code, verdict.normalized or str(number)


def _wrong(member: str, why: str) -> Invalid:
    return Invalid(f"beneficiary.{member}: {why}", field="beneficiary")


def plain(value: Any) -> dict[str, Any]:
    """The members of a frozen value by name, absent ones left out."""
    told = {name: getattr(value, name) for name in value.__slots__}
    return {name: given for name, given in told.items() if given is not None}


# --- what is told of it -----------------------------------------------------------------------


def masked(text: str) -> str:
    """The end of a number: of a short one less."""
    return f"****{text[-4:] if len(text) >= 8 else text[-2:]}"


def masked_key(key: str) -> str:
    """A Bre-B key, so that its owner knows it."""
    if "@" in key[1:]:
        name, _, domain = key.partition("@")
        return f"{name[:3]}***@{domain}"
    return f"{key[:4]}***" if key.startswith("@") else masked(key)
