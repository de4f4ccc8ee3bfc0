"""CUFE and CUDE: what DIAN's electronic documents are identified by (Anexo Técnico FEV 1.9, 11.2
and 11.4)."""

import hashlib
import re
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Literal

from tause_mcp.services.colombia.calendar import day_of
from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.colombia.texts import Language

Environment = Literal["production", "test"]
Amount = str | int | Decimal
_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]-05:00")
_NUMBER = re.compile(r"[A-Za-z0-9]{1,32}")
_DIGITS = re.compile(r"[0-9]{1,15}")
_KEY = re.compile(r"[!-~]{1,128}")
_HOSTS = {"production": "catalogo-vpfe", "test": "catalogo-vpfe-hab"}


def compute_cufe(
    *,
    number: str,
    issue_date: str,
    issue_time: str,
    amount: Amount,
    total: Amount,
    issuer_nit: str,
    customer_id: str,
    key: str,
    iva: Amount = "0",
    inc: Amount = "0",
    ica: Amount = "0",
    environment: Environment = "production",
    language: Language = "es",
) -> str:
    """The CUFE of an invoice, or with the software's PIN as `key` the CUDE of a note: SHA-384 as
    96 hex digits.

    `number` has its prefix and no separator; `issue_time` is `HH:MM:SS-05:00`; `amount` is before
    taxes and `total` with them, in pesos, cut (not rounded) to two decimals; `issuer_nit` is
    without check digit. `key` is the technical key of the numbering range.

    Raises:
        Invalid: naming the field that is wrong.
    """
    day_of(issue_date, "issue_date", language=language)
    if environment not in _HOSTS:
        raise refused("environment", "environment", language)
    fit = partial(_fit, language)
    money = partial(_money, language)
    seed = (
        fit(_NUMBER, number, "number", "invoice_number"),
        issue_date,
        fit(_TIME, issue_time, "issue_time"),
        *(money(amount, "amount"), "01", money(iva, "iva"), "04", money(inc, "inc")),
        *("03", money(ica, "ica"), money(total, "total")),
        fit(_DIGITS, issuer_nit, "issuer_nit", "digits"),
        fit(_NUMBER, customer_id, "customer_id", "alphanumeric"),
        fit(_KEY, key, "key", "technical_key"),
        "1" if environment == "production" else "2",
    )
    return _sha384(*seed)


compute_cude = compute_cufe
"""The same concatenation: only what `key` is differs."""


def event_cude(
    *,
    number: str,
    issue_date: str,
    issue_time: str,
    issuer_nit: str,
    receiver: str,
    response_code: str,
    reference: str,
    reference_type: str,
    pin: str,
    language: Language = "es",
) -> str:
    """The CUDE of an ApplicationResponse (an event about an invoice).

    Raises:
        Invalid: naming the field that is wrong.
    """
    day_of(issue_date, "issue_date", language=language)
    fit = partial(_fit, language)
    seed = (
        fit(_NUMBER, number, "number", "alphanumeric"),
        issue_date,
        fit(_TIME, issue_time, "issue_time"),
        fit(_DIGITS, issuer_nit, "issuer_nit", "digits"),
        fit(_NUMBER, receiver, "receiver", "alphanumeric"),
        fit(_NUMBER, response_code, "response_code", "alphanumeric"),
        fit(_NUMBER, reference, "reference", "alphanumeric"),
        fit(_NUMBER, reference_type, "reference_type", "alphanumeric"),
        fit(_KEY, pin, "pin", "technical_key"),
    )
    return _sha384(*seed)


def software_security_code(software_id: str, pin: str, number: str) -> str:
    """What proves that the invoice comes from registered software."""
    return _sha384(software_id, pin, number)


def search_url(uuid: str, environment: Environment = "production") -> str:
    """Where the QR code of a document leads."""
    host = _HOSTS[environment]
    return f"https://{host}.dian.gov.co/document/searchqr?documentkey={uuid}"


def _sha384(*parts: str) -> str:
    return hashlib.sha384("".join(parts).encode()).hexdigest()


def _fit(
    language: Language, shape: re.Pattern[str], text: object, field: str, code: str = ""
) -> str:
    if not isinstance(text, str) or shape.fullmatch(text) is None:
        raise refused(code or field, field, language)
    return text


def _money(language: Language, amount: object, field: str) -> str:
    """Cut to two decimals, as the annex says."""
    text = format(amount, "f") if isinstance(amount, Decimal) else str(amount)
    if isinstance(amount, float | bool) or not _AMOUNT.fullmatch(text):
        raise refused("pesos", field, language)
    return format(Decimal(text).quantize(Decimal("0.01"), rounding=ROUND_DOWN), "f")
