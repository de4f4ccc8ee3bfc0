"""What a refusal of the payouts API means: `{code, message, type, data, meta}`.

`message` is a sentence, or a list of problems that begin with Wompi's own field
(docs.wompi.co, "Pagos a Terceros").
"""

import re
from collections.abc import Mapping
from typing import Any

from tause_mcp.errors import TauseError, Unavailable
from tause_mcp.outbound.wompi.api import Dialect
from tause_mcp.outbound.wompi.errors import KeysRefused, ReferenceUsed, Refused, Rejected
from tause_mcp.outbound.wompi.quoting import quoted

_MOST = 8
_KEYS = (
    "Wompi does not accept the keys of payouts: check the tenant's payouts.wompi.api_key, "
    "payouts.wompi.user_principal_id and payouts.wompi.environment"
)
_REPEATED = frozenset({"EXC_022", "EXC_032"})
_LATER = frozenset({"EXC_036", "EXC_037"})
_CODES = {
    "EXC_008": ("amount", "the account that pays lacks the money: fund it, or pay less"),
    "EXC_017": ("amount", "this is above the day's limit of payouts: pay less, or tomorrow"),
    "LIMIT_EXCEEDED": ("amount", "this is above the day's limit of payouts: pay less, or tomorrow"),
    "EXC_033": (
        "beneficiary.key",
        "this is no Bre-B key: write @name, an email, a phone, a document or a shop's code",
    ),
    "EXC_034": (
        "beneficiary.key",
        "no account has this Bre-B key: ask the beneficiary for the right one",
    ),
    "EXC_035": ("beneficiary.key", "this Bre-B key is not active: ask the beneficiary for another"),
}
_FIELDS = {
    "bankId": ("beneficiary.bank_code", "the bank cannot be paid: take a code from Wompi's list"),
    "accountType": ("beneficiary.account_type", "say savings, checking or deposit"),
    "accountNumber": ("beneficiary.account_number", "the account's number is not accepted"),
    "legalIdType": ("beneficiary.document_type", "the beneficiary's document type is not accepted"),
    "legalId": ("beneficiary.document", "the beneficiary's document is not accepted"),
    "name": ("beneficiary.name", "the beneficiary's name is not accepted"),
    "email": ("beneficiary.email", "the beneficiary's address is not accepted"),
    "key": ("beneficiary.key", "the Bre-B key is not accepted"),
    "amount": ("amount", "the amount is not accepted"),
    "reference": ("reference", "the reference is not accepted"),
    "description": ("description", "the description is not accepted"),
    "keyType": ("key_type", "the kind of the Bre-B key is not accepted"),
}
_FIELD = re.compile(r"(?:\w+(?:\.|\[)\d+(?:\.|\]\.))?(\w+)\b")


def refusal(status: int, told: Any) -> TauseError:
    """What a status of 400 to 499 with this JSON (None: none) is raised as."""
    told = told if isinstance(told, dict) else {}
    code, texts = quoted(told.get("code")), _texts(told.get("message"))
    said = " ".join(texts)
    of: Mapping[str, Any] = {"kind": code, "reason": quoted(said)}
    if code in _REPEATED:
        return ReferenceUsed("Wompi has a payout of this key already: look it up", **of)
    if status in (401, 403):
        return KeysRefused(_KEYS)
    if code in _LATER:
        return Unavailable("Bre-B cannot be asked now; try again shortly", retry_after=5.0)
    found = _CODES.get(code) or _by_field(texts)
    if found is None:
        return Refused(_with("Wompi refused the payout", said or code), **of)
    field, text = found
    return Rejected(_with(text, said), field=field, **of)


def _texts(message: Any) -> list[str]:
    told = message if isinstance(message, list) else [message]
    return [text for text in map(quoted, told[:_MOST]) if text]


def _by_field(texts: list[str]) -> tuple[str, str] | None:
    """Our argument, and what to do, for the first problem that begins with a field we know."""
    for text in texts:
        named = _FIELD.match(text)
        if named is not None and named[1] in _FIELDS:
            return _FIELDS[named[1]]
    return None


def _with(text: str, said: str) -> str:
    said = quoted(said).rstrip(".")
    return f"{text}. Wompi: {said!r}" if said else text


def _absent(told: Any) -> bool:
    return isinstance(told, dict) and isinstance(told.get("code"), str)


DIALECT = Dialect(refusal, _absent)
