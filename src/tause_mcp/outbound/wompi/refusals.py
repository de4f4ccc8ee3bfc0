"""What a refusal of the payments API means for the caller: which argument, and what to do next.

Wompi tells one problem at a time, as `error.reason` or as `error.messages` by its own field
(docs.wompi.co, "Errores"); both may nest, and types come that no page lists.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tause_mcp.errors import TauseError
from tause_mcp.outbound.wompi.api import Dialect
from tause_mcp.outbound.wompi.errors import (
    KeysRefused,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
)
from tause_mcp.outbound.wompi.quoting import quoted
from tause_mcp.outbound.wompi.values import Charge

_MOST = 8
_ABSENT = frozenset({"NOT_FOUND_ERROR", "NOT_FOUND"})


class _Cure(NamedTuple):
    """For the last step of Wompi's field: our argument, and what is wrong and to do."""

    field: str
    text: str


_BANK = "the bank is not one that PSE knows: take a code from payments_list_banks"
_CURES = {
    "valid_amount_in_cents": _Cure("amount", "the amount is outside what Wompi takes"),
    "amount_in_cents": _Cure("amount", "the amount is outside what Wompi takes"),
    "currency": _Cure("amount.currency", "Wompi takes Colombian pesos only: use COP"),
    "financial_institution_code": _Cure("method.bank_code", _BANK),
    "user_type": _Cure("method.person_type", "say natural or juridica"),
    "user_legal_id_type": _Cure("customer.document_type", "this method takes no such document"),
    "user_legal_id": _Cure("customer.document", "the payer's document is not accepted"),
    "legal_id_type": _Cure("customer.document_type", "Wompi takes no such document"),
    "legal_id": _Cure("customer.document", "the payer's document is not accepted"),
    "phone_number": _Cure("method.phone", "the phone is not accepted: ten digits, starting with 3"),
    "token": _Cure(
        "method.token",
        "the token is used, expired or of another account: ask the payer for a new one",
    ),
    "installments": _Cure("method.installments", "say in how many installments: 1 to 36"),
    "payment_description": _Cure("description", "the description is not accepted: make it plainer"),
    "customer_email": _Cure("customer.email", "the payer's address is not accepted"),
    "email": _Cure("customer.email", "the payer's address is not accepted"),
    "full_name": _Cure("customer.full_name", "the payer's full name is not accepted"),
    "payment_source_id": _Cure(
        "source_id", "the saved source cannot be charged: save another with payments_save_source"
    ),
    "payment_method": _Cure("method", "the method is not accepted"),
    "expires_at": _Cure("expires_at", "the link has to expire in the future"),
    "redirect_url": _Cure("redirect_url", "the address to return to is not accepted"),
}
_TERMS = frozenset({"acceptance_token", "accept_personal_auth"})
_CUSTOMER = {"phone_number": "customer.phone", "legal_id": "customer.document"}
_CHECK = "check the {0} (WOMPI_{1} or the tenant's payments.wompi.{2})"
_INTEGRITY = (
    "Wompi does not accept our signature: "
    + _CHECK.format("integrity secret", "INTEGRITY_SECRET", "integrity_secret")
    + "; the events secret is another one"
)
NO_MERCHANT = "Wompi knows no such merchant: " + _CHECK.format(
    "public key", "PUBLIC_KEY", "public_key"
)
_KEYS = (
    "Wompi does not accept our keys: check that WOMPI_PUBLIC_KEY and WOMPI_PRIVATE_KEY, or the "
    "tenant's payments.wompi.public_key and private_key, are copied whole and of one environment"
)
_USED = re.compile(r"(?i)ya (?:ha sido|fue) usad")
_DECLINED = re.compile(r"(?i)fuente de pago")
_NO_METHOD = re.compile(r"(?i)no se especific[oó]")


def refusal(status: int, told: Any) -> TauseError:
    """What a status of 400 to 499 with this JSON (None: none) is raised as."""
    error = told.get("error") if isinstance(told, dict) else None
    error = error if isinstance(error, dict) else {}
    kind, reason = quoted(error.get("type")), quoted(error.get("reason"))
    messages = dict(list(_messages(error.get("messages")))[:_MOST])
    if status in (401, 403) or kind == "INVALID_ACCESS_TOKEN":
        return KeysRefused(_KEYS)
    if error.get("code") == "MERCHANT_NOT_FOUND":
        return KeysRefused(NO_MERCHANT)
    told_of = {"kind": kind, "reason": reason, "messages": messages}
    for at, texts in messages.items():
        return _of_field(at, " ".join(texts), told_of)
    return _of_reason(status, kind, reason, told_of)


def _of_field(at: str, said: str, told: Mapping[str, Any]) -> TauseError:
    *above, last = at.split(".")
    if last == "signature":
        return KeysRefused(_INTEGRITY)
    if last == "public_key":
        return KeysRefused(NO_MERCHANT)
    if last in _TERMS:
        return StaleTerms(
            _with("the acceptance of Wompi's terms is used or out of date: fetch them anew", said),
            **told,
        )
    if last == "reference" and _USED.search(said):
        return ReferenceUsed(
            "Wompi has a transaction of this reference already: look it up", **told
        )
    cure = _CURES.get(last)
    if cure is None:
        return Refused(_with(f"Wompi refused it for {quoted(at)!r}", said), **told)
    ours = _CUSTOMER.get(last, cure.field) if "customer_data" in above else cure.field
    return Rejected(_with(cure.text, said), field=ours, **told)


def _of_reason(status: int, kind: str, reason: str, told: Mapping[str, Any]) -> TauseError:
    if _DECLINED.search(reason) and not _NO_METHOD.search(reason):
        return Rejected(_with(_CURES["payment_source_id"].text, reason), field="source_id", **told)
    if _NO_METHOD.search(reason):
        installments = "installments" in reason
        cure = _CURES["installments" if installments else "payment_method"]
        return Rejected(_with(cure.text, reason), field=cure.field, **told)
    if status == 404:
        return Refused(_with("Wompi does not know what was asked for", reason), **told)
    return Refused(_with("Wompi refused the request", reason or kind), **told)


def _absent(told: Any) -> bool:
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict) or error.get("code") == "MERCHANT_NOT_FOUND":
        return False
    return error.get("type") in _ABSENT


DIALECT = Dialect(refusal, _absent)


def not_known(refused: Refused) -> bool:
    """Whether Wompi refused because something that the request names does not exist."""
    return refused.kind in _ABSENT


def absent_part(refused: Refused, charge: Charge) -> Refused:
    """A 404 to a new transaction: the method is not enabled (then Wompi names it), or the token or
    source does not exist."""
    kind = "" if charge.method is None else charge.method.type
    if kind and (kind.upper() in refused.reason.upper() or "habilit" in refused.reason):
        text = (
            f"Wompi has not enabled {kind} for this merchant: choose another method, or ask Wompi "
            "to enable it"
        )
        field = "method.type"
    elif charge.source_id is not None or (charge.method is not None and charge.method.token):
        field, text = _CURES["token" if charge.source_id is None else "payment_source_id"]
    else:
        return refused
    return Rejected(
        _with(text, refused.reason),
        field=field,
        kind=refused.kind,
        reason=refused.reason,
        messages=refused.messages,
    )


def _with(text: str, said: str) -> str:
    """`text`, and what Wompi said about it."""
    said = quoted(said).rstrip(".")
    return f"{text}. Wompi: {said!r}" if said else text


def _messages(told: Any, at: str = "", left: int = 6) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every `(dotted field, texts)`, however deep; what is neither is left out."""
    if isinstance(told, dict) and left:
        for name, inner in told.items():
            yield from _messages(inner, f"{at}.{name}" if at else str(name), left - 1)
    elif isinstance(told, list) and any(isinstance(inner, dict) for inner in told):
        for inner in told:
            yield from _messages(inner, at, left - 1 if left else 0)
    elif isinstance(told, (str, list)):
        texts = told if isinstance(told, list) else [told]
        said = tuple(text for text in map(quoted, texts[:_MOST]) if text)
        if said and at:
            yield at, said
