"""A verdict with its reasons, and the reading of what people type."""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tause_mcp.services.colombia.texts import Language, say

Level = Literal["valid", "plausible", "invalid"]
MOST = 80
"""Characters of a number, plate or code as typed."""


class Reason(NamedTuple):
    """Why: a stable code, and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`valid`: what can be computed holds. `plausible`: the shape is right, or something is left
    open. `invalid`: it cannot be one. True in a condition unless invalid.

    `normalized` is empty when nothing could be read. Fields are read as `v.verdict` or
    `v["verdict"]`.
    """

    verdict: Level
    normalized: str
    reasons: tuple[Reason, ...]
    check_digit: str | None = None

    def __bool__(self) -> bool:
        return self.verdict != "invalid"

    def __getitem__(self, name: str) -> Any:
        return self.told()[name]

    def told(self) -> dict[str, Any]:
        """`{verdict, normalized, check_digit?, reasons: [{code, text}]}`."""
        told: dict[str, Any] = {"verdict": self.verdict, "normalized": self.normalized}
        if self.check_digit is not None:
            told["check_digit"] = self.check_digit
        told["reasons"] = [{"code": code, "text": text} for code, text in self.reasons]
        return told


class Unreadable(Exception):
    """What was typed cannot be what it should be; `code` is one of `TEXTS`."""

    def __init__(self, code: str, **told: object) -> None:
        super().__init__(code)
        self.code = code
        self.told = told

    def verdict(self, language: Language) -> Verdict:
        return Verdict("invalid", "", (Reason(self.code, say(self.code, language, **self.told)),))


def because(language: Language, code: str, **told: object) -> Reason:
    """A reason in words."""
    return Reason(code, say(code, language, **told))


_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣-"), "-")
_SPACES = dict.fromkeys(map(ord, "\t\u00a0\u2007\u2009\u202f"), " ")
_ALIKE = _DASHES | _SPACES


def cleaned(given: object) -> str:
    """Text with plain dashes and spaces, none at the ends.

    Raises:
        Unreadable: not text, empty, too long, or with digits other than 0 to 9.
    """
    if not isinstance(given, str):
        raise Unreadable("not_text")
    text = given.strip()
    if not text:
        raise Unreadable("empty")
    if len(text) > MOST:
        raise Unreadable("too_long", most=MOST)
    if not text.isascii():
        text = text.translate(_ALIKE).strip()
        if any(c.isdigit() and not c.isascii() for c in text):
            raise Unreadable("foreign_digits")
    return text


_DIGITS = re.compile(r"[0-9]+")
_GROUPED = re.compile(r"[0-9]{1,3}(?:[. -][0-9]{3})+")
_BETWEEN = re.compile(r"[. -]")


def digits(text: str) -> str:
    """The digits of a cleaned number, plain or grouped by threes.

    Raises:
        Unreadable: a sign, letters, or separators elsewhere.
    """
    if _DIGITS.fullmatch(text):
        return text
    if _GROUPED.fullmatch(text):
        return _BETWEEN.sub("", text)
    if text[:1] in ("+", "-"):
        raise Unreadable("sign")
    raise Unreadable("letters" if any(map(str.isalpha, text)) else "separators")
