"""Wompi's JSON as our values. What is missing or of another type is left out, or nothing at all.

A value whose identity (id, status, reference, amount) cannot be read is None: the caller knows
whether that means "look again" or "it may have happened".
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tause_mcp.outbound.wompi.quoting import quoted
from tause_mcp.outbound.wompi.values import Bank, Link, Merchant, Source, Terms, Transaction

_DETAILS = (
    "external_identifier",
    "traceability_code",
    "ticket_id",
    "return_code",
    "processor_response_code",
    "transaction_cycle",
    "bank_processing_date",
    "business_agreement_code",
    "payment_intention_identifier",
)
_LABEL = ("brand", "bin", "last_four", "exp_month", "exp_year", "phone_number")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST = 256
_LONGEST_URL = 4096
_LONGEST_IMAGE = 200_000


def text(told: Mapping[str, Any], name: str, most: int = _LONGEST) -> str:
    """A printable text of at most `most` characters, or ""."""
    value = told.get(name)
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        return ""
    return value


def whole(told: Mapping[str, Any], name: str) -> int | None:
    """An int, and no float or bool in its place."""
    value = told.get(name)
    return value if type(value) is int else None


def inner(told: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object at a path, or an empty one."""
    for name in names:
        found = told.get(name)
        told = found if isinstance(found, dict) else {}
    return told


def data(told: Any) -> Mapping[str, Any]:
    """What is under `data`, or an empty object."""
    return inner(told, "data") if isinstance(told, dict) else {}


def objects(told: Any, name: str = "data") -> list[Mapping[str, Any]] | None:
    """The objects of a list; None when there is no list, or it holds anything else."""
    found = told.get(name) if isinstance(told, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return None
    return found


def url(told: Mapping[str, Any], *names: str) -> str:
    """The first absolute http(s) address among `names`, or ""."""
    for name in names:
        value = text(told, name, _LONGEST_URL)
        try:
            parts = urlsplit(value)
        except ValueError:
            continue
        if parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc:
            return value
    return ""


def merchant(told: Any) -> Merchant | None:
    found = data(told)
    terms = _terms(inner(found, "presigned_acceptance"))
    personal = _terms(inner(found, "presigned_personal_data_auth"))
    number = whole(found, "id")
    if terms is None or personal is None or number is None:
        return None
    methods = found.get("accepted_payment_methods")
    return Merchant(
        id=str(number),
        name=text(found, "name"),
        public_key=text(found, "public_key"),
        terms=terms,
        personal=personal,
        methods=tuple(m for m in methods if isinstance(m, str))
        if isinstance(methods, list)
        else (),
    )


def _terms(told: Mapping[str, Any]) -> Terms | None:
    token, permalink = text(told, "acceptance_token", _LONGEST_URL), url(told, "permalink")
    return Terms(token, permalink) if token and permalink else None


def banks(told: Any) -> list[Bank] | None:
    found = objects(told)
    if found is None:
        return None
    code, name = "financial_institution_code", "financial_institution_name"
    # PSE's own list begins with "choose your bank", as number 0.
    return [
        Bank(text(one, code), text(one, name)) for one in found if text(one, code) not in ("", "0")
    ]


def transaction(found: Mapping[str, Any]) -> Transaction | None:
    own, status, reference = (text(found, name) for name in ("id", "status", "reference"))
    amount, currency = whole(found, "amount_in_cents"), text(found, "currency")
    if not own or not status or not reference or amount is None or not currency:
        return None
    extra = inner(found, "payment_method", "extra")
    method = inner(found, "payment_method")
    return Transaction(
        id=own,
        status=status,
        reference=reference,
        amount=amount,
        currency=currency,
        method=text(found, "payment_method_type") or text(method, "type"),
        status_message=quoted(found.get("status_message")),
        redirect_url=url(extra, "async_payment_url", "url"),
        merchant_key=text(inner(found, "merchant"), "public_key"),
        merchant_id=str(inner(found, "merchant").get("id") or own.partition("-")[0])[:_LONGEST],
        source_id=whole(found, "payment_source_id"),
        link_id=text(found, "payment_link_id"),
        email=text(found, "customer_email"),
        created_at=text(found, "created_at"),
        finalized_at=text(found, "finalized_at"),
        details=_details(extra),
        qr_image=text(extra, "qr_image", _LONGEST_IMAGE),
    )


def _details(extra: Mapping[str, Any]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name in _DETAILS:
        told = whole(extra, name)
        said = quoted(extra.get(name)) if told is None else told
        if said != "":
            found[name] = said
    return found


def source(found: Mapping[str, Any]) -> Source | None:
    own, status = whole(found, "id"), text(found, "status")
    if own is None or not status:
        return None
    public = inner(found, "public_data")
    return Source(
        id=own,
        status=status,
        type=text(found, "type") or text(public, "type"),
        email=text(found, "customer_email"),
        label={name: text(public, name) for name in _LABEL if text(public, name)},
    )


def link(found: Mapping[str, Any], checkout_url: str) -> Link | None:
    own = text(found, "id", 64)
    if not _ID.fullmatch(own):
        return None
    return Link(
        id=own,
        url=f"{checkout_url}/l/{own}",
        active=found.get("active") is not False,
        sku=text(found, "sku"),
        name=text(found, "name"),
        amount=whole(found, "amount_in_cents"),
        currency=text(found, "currency"),
        expires_at=text(found, "expires_at"),
    )
