"""Urban addresses, normalised to DIAN's abbreviations: `CL 100 8A 55 AP 302`."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Reason, because

MOST = 200
"""Characters of an address as typed."""

_ROADS: Mapping[str, str] = {
    "AK": "AK AVENIDA_CARRERA AV_CARRERA AV_CRA AV_CR AV_KR AVENIDA_CRA AVDA_CARRERA AVDA_CRA",
    "AC": "AC AVENIDA_CALLE AV_CALLE AV_CLL AV_CL AVENIDA_CLL AVDA_CALLE AVDA_CLL",
    "CL": "CL CALLE CLL CLLE CALL C",
    "CR": "CR CARRERA CRA KRA KR CARR K",
    "AV": "AV AVENIDA AVDA AVE",
    "DG": "DG DIAGONAL DIAG DGL",
    "TV": "TV TRANSVERSAL TRANSV TRANS TRV TVL TR",
    "CRV": "CRV CIRCUNVALAR CIRCV",
    "CIR": "CIR CIRCULAR CIRC",
    "AUT": "AUT AUTOPISTA AUTOP",
    "KM": "KM KILOMETRO",
}
_COMPLEMENTS: Mapping[str, str] = {
    "AP": "AP APTO APARTAMENTO APT APART",
    "TO": "TO TORRE",
    "LC": "LC LOCAL LOC",
    "OF": "OF OFICINA OFC OFI",
    "ED": "ED EDIFICIO EDIF",
}
_QUADRANTS = "SUR|ESTE|NORTE|OESTE"


@cache
def _road() -> re.Pattern[str]:
    """Compiled when first used, as the next: they cost milliseconds."""
    kinds = "|".join(sorted(map(re.escape, ROADS), key=len, reverse=True))
    return re.compile(rf"({kinds})(?![A-Z]) *(.*)")


@cache
def _rest() -> re.Pattern[str]:
    plate = rf"([0-9]{{1,4}})(?![0-9A-Z]) ?((?:{_QUADRANTS})?) ?(.*)"
    return re.compile(rf" ?#? ?{_NUMBER}(?: ?- ?| ){plate}")


def _table(kinds: Mapping[str, str]) -> dict[str, str]:
    return {word.replace("_", " "): code for code, words in kinds.items() for word in words.split()}


ROADS = _table(_ROADS)
COMPLEMENTS = _table(_COMPLEMENTS)
_NUMBER = (
    r"([0-9]{1,4}(?![0-9])) ?((?:[A-Z]{1,2}(?![A-Z0-9]))?) ?((?:BIS(?![A-Z]))?)"
    rf" ?((?:[A-Z](?![A-Z0-9]))?) ?((?:(?:{_QUADRANTS})(?![A-Z]))?)"
)
_MAIN = re.compile(_NUMBER)
_NAME = re.compile(r"([A-Z][A-Z .]*?) (?=#|[0-9])")
_SIGN = re.compile(r"(?:\b(?:NUMERO|NRO|NUM|NO)\b[ .-]*)+(?=[0-9#])|#")
_ORDINAL = re.compile(r"\bN[O.]?[º°]|[º°ª#№]")
"""A bare N is left alone: it may be north."""


@dataclass(frozen=True, slots=True)
class Address:
    """Normalised as far as it was understood; `complete` with road, number and plate (a rural
    `KM 5 VIA ...` has none). What is not understood is kept, never dropped."""

    normalized: str
    complete: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)
    """`road`, `main`, `cross`, `plate`, `quadrant`, `complement`: those that were found."""
    reasons: tuple[Reason, ...] = ()


def normalize_address(address: object, *, language: Language = "es") -> Address:
    """`Calle 100 # 8A - 55 Apto 302` as `CL 100 8A 55 AP 302`: upper case, no accents, no marks.

    `normalized` is empty when there is nothing to read; that an address exists is not proved.
    """
    if not isinstance(address, str):
        return _told("", "not_text", language)
    if len(address) > MOST:
        return _told("", "too_long", language)
    if not address.isascii() and any(c.isnumeric() and not c.isascii() for c in address):
        return _told("", "foreign_digits", language)
    text = _plain(address)
    if not _unsigned(text):
        return _told("", "empty", language)
    road = _road().fullmatch(text)
    if road is None or not road[2]:
        return _told(_unsigned(text), "no_road", language)
    return _parsed(ROADS[road[1]], road[2], language)


def _told(normalized: str, code: str, language: Language) -> Address:
    return Address(normalized, reasons=(because(language, code, most=MOST),))


def _plain(address: str) -> str:
    """Upper case, ASCII, one kind of number sign; commas and odd marks are spaces."""
    text = _ORDINAL.sub(" # ", address.upper())
    text = unicodedata.normalize("NFD", text)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"[‐‑‒–—−]", "-", text)
    text = re.sub(r"(?<=[A-Z])\.", " ", text)
    text = " ".join(re.sub(r"[^A-Z0-9#. -]", " ", text).split())
    text = _SIGN.sub(" # ", text)
    return " ".join(re.sub(r"(?:# *)+", "# ", text).split()).lstrip("#-. ")


def _unsigned(text: str) -> str:
    return " ".join(text.replace("#", " ").replace("-", " ").split())


def _parsed(road: str, rest: str, language: Language) -> Address:
    main, tail = _main(rest)
    parts = {"road": road, "main": main}
    found = _rest().fullmatch(f" {tail}") if main else None
    if found is None:
        rural = road == "KM" and main[:1].isdigit()
        reason = because(language, "address" if rural else "address_partial")
        kept = {k: v for k, v in parts.items() if v}
        return Address(f"{road} {_unsigned(rest)}".rstrip(), rural, kept, (reason,))
    parts |= {"cross": _joined(found.groups()[:5]), "plate": found[6]}
    parts |= {k: v for k, v in (("quadrant", found[7]), ("complement", _extra(found[8]))) if v}
    told = " ".join(parts.values())
    return Address(told, True, parts, (because(language, "address"),))


def _main(rest: str) -> tuple[str, str]:
    """Number or name of the road, and what follows."""
    if (number := _MAIN.match(rest)) is not None:
        return _joined(number.groups()), rest[number.end() :].strip()
    if (name := _NAME.match(rest)) is not None:
        return " ".join(name[1].replace(".", " ").split()), rest[name.end() :].strip()
    return "", rest


def _joined(groups: tuple[str, ...]) -> str:
    number, letter, bis, second, quadrant = groups
    return " ".join(part for part in (f"{number}{letter}", bis, second, quadrant) if part)


def _extra(text: str) -> str:
    words = re.sub(r"[#.-]", " ", text).split()
    return " ".join(COMPLEMENTS.get(word, word) for word in words)
