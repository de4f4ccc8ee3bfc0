"""DIVIPOLA: departments and municipalities, by code and by name. Codes are text."""

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from tause_mcp.errors import NotFound
from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Unreadable, Verdict, because, cleaned, digits

REPLACED: Mapping[str, str] = {"27086": "27493"}
"""Old code -> the one in force."""
RETIRED: Mapping[str, str] = {"94663": "MAPIRIPANA"}
"""Codes that left the list; older tables still have them."""


class Department(NamedTuple):
    """One of the 33, and how many entities it has."""

    code: str
    name: str
    municipalities: int


class Municipality(NamedTuple):
    """A row of the packaged data, names as DANE writes them."""

    code: str
    name: str
    department_code: str
    department_name: str
    type: str
    """`municipio`, `area_no_municipalizada` or `isla`."""


@cache
def municipalities() -> Mapping[str, Municipality]:
    """All 1,122, by code, in the order of their codes."""
    text = files(__package__).joinpath("data", "divipola.csv").read_text(encoding="utf-8")
    return {row["code"]: Municipality(**row) for row in csv.DictReader(text.splitlines())}


@cache
def departments() -> Mapping[str, Department]:
    """All 33, by code, in the order of their codes."""
    rows = municipalities().values()
    counts = Counter(row.department_code for row in rows)
    names = {row.department_code: row.department_name for row in rows}
    return {code: Department(code, names[code], counts[code]) for code in names}


@cache
def municipalities_of(
    department_code: str, *, language: Language = "es"
) -> tuple[Municipality, ...]:
    """Those of one department.

    Raises:
        Invalid: not two digits as text. NotFound: no such department.
    """
    if not isinstance(department_code, str) or not re.fullmatch(r"[0-9]{2}", department_code):
        raise refused("department_code", "department_code", language)
    if department_code not in departments():
        raise refused("no_department", "department_code", language, NotFound, given=department_code)
    rows = municipalities().values()
    return tuple(row for row in rows if row.department_code == department_code)


def folded(text: str) -> str:
    """A name for comparing: upper case, no accents, words between single spaces."""
    plain = unicodedata.normalize("NFKD", text.upper())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"[A-Z0-9]+", plain))


_ARTICLE = re.compile(r"(?:EL|LA|LOS|LAS) (?=.)")


def unarticled(name: str) -> str:
    """A folded name without the article before it: people drop and add it."""
    return _ARTICLE.sub("", name, count=1) if _ARTICLE.match(name) else name


ALIASES: Mapping[str, str] = {
    "BOGOTA": "11001",
    "SANTA FE DE BOGOTA": "11001",
    "SANTAFE DE BOGOTA": "11001",
    "BOGOTA DISTRITO CAPITAL": "11001",
    "CARTAGENA": "13001",
    "MOMPOX": "13468",
    "MOMPOS": "13468",
    "SANTA CRUZ DE MOMPOS": "13468",
    "VILLA DE LEIVA": "15407",
    "PIENDAMO": "19548",
    "SOTARA": "19760",
    "SANTA CRUZ DE LORICA": "23417",
    "UBATE": "25843",
    "BELEN DE BAJIRA": "27493",
    "BAJIRA": "27493",
    "SAN JUAN DE PASTO": "52001",
    "TUMACO": "52835",
    "CUCUTA": "54001",
    "TOLU": "70820",
    "MARIQUITA": "73443",
    "SANTIAGO DE CALI": "76001",
    "BUGA": "76111",
    "SAN ANDRES ISLA": "88001",
    "SAN ANDRES ISLAS": "88001",
    "MIRITI": "91460",
    "PUERTO INIRIDA": "94001",
}
"""What people say -> the code."""

DEPARTMENT_ALIASES: Mapping[str, str] = {
    "BOGOTA": "11",
    "BOGOTA DISTRITO CAPITAL": "11",
    "GUAJIRA": "44",
    "NORTE SANTANDER": "54",
    "N DE SANTANDER": "54",
    "VALLE": "76",
    "SAN ANDRES": "88",
    "SAN ANDRES Y PROVIDENCIA": "88",
    "SAN ANDRES PROVIDENCIA Y SANTA CATALINA": "88",
}


@cache
def _by_name() -> Mapping[str, tuple[str, ...]]:
    """folded name or alias -> codes."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in municipalities().values():
        found[folded(row.name)].add(row.code)
    for alias, code in ALIASES.items():
        found[alias].add(code)
    return {name: tuple(sorted(codes)) for name, codes in found.items()}


@cache
def _by_short_name() -> Mapping[str, tuple[str, ...]]:
    """The same without articles."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, codes in _by_name().items():
        found[unarticled(name)].update(codes)
    return {name: tuple(sorted(codes)) for name, codes in found.items()}


def named(name: str) -> tuple[str, ...]:
    """Codes of what is called so, exactly but for case, accents and punctuation."""
    return _by_name().get(name, ())


def nearly_named(name: str) -> tuple[str, ...]:
    """The same, the article before it put aside."""
    return _by_short_name().get(unarticled(name), ())


def names() -> Iterable[str]:
    """Every folded name and alias."""
    return _by_name()


@cache
def _departments_by_name() -> Mapping[str, str]:
    named_so = {folded(row.name): row.code for row in departments().values()}
    return {**DEPARTMENT_ALIASES, **named_so, **{code: code for code in departments()}}


def department_named(written: str) -> str | None:
    """The code of a department written as code or name."""
    return _departments_by_name().get(folded(written))


def validate_postal_code(code: object, *, language: Language = "es") -> Verdict:
    """Whether it has the shape of a postal code: six digits, the first two a department's."""
    try:
        found = digits(cleaned(code))
        if len(found) != 6:
            raise Unreadable("postal_code_length", has=len(found))
        department = departments().get(found[:2])
        if department is None:
            raise Unreadable("postal_code_department", department=found[:2])
    except Unreadable as wrong:
        return wrong.verdict(language)
    reason = because(language, "postal_code", department=department.name)
    return Verdict("plausible", found, (reason,))
