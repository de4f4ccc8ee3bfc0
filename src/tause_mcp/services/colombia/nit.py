"""NIT: the tax number and its check digit (DIAN, Orden Administrativa 4 of 1989)."""

import re
from operator import mul

from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Unreadable, Verdict, because, cleaned, digits

WEIGHTS = (3, 7, 13, 17, 19, 23, 29, 37, 41, 43, 47, 53, 59, 67, 71)
"""From the rightmost digit of the body to the left."""
FINAL_CONSUMER = "222222222222"
"""The buyer of an invoice without a name."""
_LEAST, _USUAL, _MOST = 3, 10, 15
_KIND = "un NIT", "a NIT"
_PREFIX = re.compile(r"(?:N\.? ?I\.? ?T\.?|CO)[ :.#-]*(?=[0-9])", re.IGNORECASE)
_ENDING = re.compile(r"(.*[^ -]) *- *([^ -]?)")


def nit_check_digit(body: str) -> str:
    """The check digit of a body of 1 to 15 digits.

    Raises:
        ValueError: not 1 to 15 ASCII digits.
    """
    if not (body.isascii() and body.isdigit() and len(body) <= _MOST):
        raise ValueError("the body of a NIT is 1 to 15 digits")
    rest = sum(map(mul, map(int, reversed(body)), WEIGHTS)) % 11
    return str(rest if rest < 2 else 11 - rest)


def format_nit(body: str, digit: str | None = None) -> str:
    """`800197268` as printed: `800.197.268-4`; the digit is computed unless given."""
    return f"{int(body):,}".replace(",", ".") + f"-{digit or nit_check_digit(body)}"


def validate_nit(
    number: object, check_digit: object = None, *, language: Language = "es"
) -> Verdict:
    """Whether a NIT holds. `check_digit` is one written apart from the number.

    One is read only after a hyphen or from there: ten digits in a row may be nine and their check
    digit, or a person's cédula of ten. `normalized` is the body alone.
    """
    try:
        body, found = _split(number, check_digit)
        _measure(body)
    except Unreadable as wrong:
        return wrong.verdict(language)
    return _judged(body, found, language)


def _split(number: object, given: object) -> tuple[str, str | None]:
    """The body, and the check digit if one was written as such."""
    text = _PREFIX.sub("", cleaned(number), count=1)
    found: str | None = None
    ending = _ENDING.fullmatch(text) if "-" in text else None
    if ending is not None:
        text, found = ending[1], _digit(ending[2])
    body = digits(text)
    if given is None or (isinstance(given, str) and not given.strip()):
        return body, found
    apart = _digit(cleaned(given))
    if found not in (None, apart):
        raise Unreadable("check_digit_conflict")
    return body, apart


def _digit(text: str) -> str:
    if len(text) != 1 or not (text.isascii() and text.isdigit()):
        raise Unreadable("check_digit_format")
    return text


def _measure(body: str) -> None:
    if body[0] == "0":
        raise Unreadable("leading_zero")
    if not _LEAST <= len(body) <= _MOST:
        raise Unreadable("length", has=len(body), kind="NIT", least=_LEAST, most=_MOST)


def _judged(body: str, found: str | None, language: Language) -> Verdict:
    if found is None and len(body) == _USUAL:
        return Verdict("plausible", body, (because(language, "check_digit_ambiguous"),))
    right = nit_check_digit(body)
    if found is None:
        reasons = (because(language, "check_digit_absent", right=right),)
        return Verdict("plausible", body, reasons, right)
    if found != right:
        wrong = because(language, "check_digit_mismatch", body=body, right=right, given=found)
        return Verdict("invalid", body, (wrong,), right)
    holds = because(language, "check_digit_ok")
    if len(body) <= _USUAL:
        return Verdict("valid", body, (holds,), right)
    told = {"has": len(body), "kind": _KIND[language == "en"]}
    odd = because(language, "unusual_length", **told)
    if body == FINAL_CONSUMER:
        odd = because(language, "final_consumer")
    return Verdict("plausible", body, (holds, odd), right)
