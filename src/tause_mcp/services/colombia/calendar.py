"""Holidays (Ley 51 of 1983, Ley 2578 of 2026) and business days. The rules are vendored: forty
lines that equal the package `holidays` for 1985 to 2060."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.colombia.texts import Language

FIRST, LAST = 1985, 2100
"""Years that are known."""
MOST_DAYS = 2000
_SATURDAY, _SUNDAY = 5, 6
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHIQUINQUIRA_SINCE = 2026


class Rule(NamedTuple):
    """A day of each year: month and day, or days from Easter (month 0)."""

    month: int
    day: int
    es: str
    en: str
    moved: bool = False
    """To the Monday on or after it."""
    since: int = FIRST


RULES = (
    Rule(1, 1, "Año Nuevo", "New Year's Day"),
    Rule(1, 6, "Reyes Magos", "Epiphany", moved=True),
    Rule(3, 19, "San José", "Saint Joseph's Day", moved=True),
    Rule(0, -3, "Jueves Santo", "Maundy Thursday"),
    Rule(0, -2, "Viernes Santo", "Good Friday"),
    Rule(5, 1, "Día del Trabajo", "Labour Day"),
    Rule(0, 43, "Ascensión del Señor", "Ascension Day"),
    Rule(0, 64, "Corpus Christi", "Corpus Christi"),
    Rule(0, 71, "Sagrado Corazón de Jesús", "Sacred Heart"),
    Rule(6, 29, "San Pedro y San Pablo", "Saint Peter and Saint Paul", moved=True),
    Rule(
        7,
        9,
        "Virgen de Chiquinquirá",
        "Our Lady of Chiquinquirá",
        moved=True,
        since=_CHIQUINQUIRA_SINCE,
    ),
    Rule(7, 20, "Día de la Independencia", "Independence Day"),
    Rule(8, 7, "Batalla de Boyacá", "Battle of Boyacá"),
    Rule(8, 15, "Asunción de la Virgen", "Assumption Day", moved=True),
    Rule(10, 12, "Día de la Raza", "Columbus Day", moved=True),
    Rule(11, 1, "Todos los Santos", "All Saints' Day", moved=True),
    Rule(11, 11, "Independencia de Cartagena", "Independence of Cartagena", moved=True),
    Rule(12, 8, "Inmaculada Concepción", "Immaculate Conception"),
    Rule(12, 25, "Navidad", "Christmas Day"),
)


class BusinessDate(NamedTuple):
    """Where counting ended, and the holidays on weekdays that were not counted."""

    day: date
    skipped: tuple[tuple[date, str], ...]


def easter(year: int) -> date:
    """Easter Sunday (Gregorian; Meeus, Jones, Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


@cache
def _of(year: int, language: Language) -> Mapping[date, str]:
    sunday = easter(year)
    found: dict[date, list[str]] = {}
    for rule in RULES:
        if year < rule.since:
            continue
        on = date(year, rule.month, rule.day) if rule.month else sunday + timedelta(rule.day)
        if rule.moved:
            on += timedelta(-on.weekday() % 7)
        found.setdefault(on, []).append(rule.en if language == "en" else rule.es)
    return {on: "; ".join(found[on]) for on in sorted(found)}


def holidays(year: int, *, language: Language = "es") -> Mapping[date, str]:
    """The holidays of a year in order; two on one day are one entry with both names.

    Raises:
        Invalid: a year outside 1985 to 2100.
    """
    if isinstance(year, bool) or not isinstance(year, int) or not FIRST <= year <= LAST:
        raise refused("year", "year", language, first=FIRST, last=LAST)
    return _of(year, language)


def is_business_day(day: date, *, saturdays: bool = False) -> bool:
    """Whether it is no holiday, no Sunday and (unless `saturdays`) no Saturday."""
    closed = (_SUNDAY,) if saturdays else (_SATURDAY, _SUNDAY)
    return day.weekday() not in closed and day not in holidays(day.year)


def add_business_days(
    start: date, days: int, *, saturdays: bool = False, language: Language = "es"
) -> BusinessDate:
    """The day `days` business days after `start` (before, when negative), which is not counted.

    With 0, `start` itself or the first business day after it.

    Raises:
        Invalid: over 2000 days, or a year outside 1985 to 2100.
    """
    if isinstance(days, bool) or not isinstance(days, int) or abs(days) > MOST_DAYS:
        raise refused("days", "days", language, most=MOST_DAYS)
    step = timedelta(-1 if days < 0 else 1)
    day, left, skipped = start, abs(days), []
    if not left and not is_business_day(_known(day, language), saturdays=saturdays):
        left = 1
    while left:
        day = _known(_known(day, language) + step, language)
        if is_business_day(day, saturdays=saturdays):
            left -= 1
        elif (name := holidays(day.year, language=language).get(day)) and day.weekday() < _SATURDAY:
            skipped.append((day, name))
    return BusinessDate(day, tuple(skipped))


def _known(day: date, language: Language) -> date:
    if not FIRST <= day.year <= LAST:
        raise refused("no_holidays", "date", language, first=FIRST, last=LAST)
    return day


def day_of(text: object, field: str = "date", *, language: Language = "es") -> date:
    """A day written as YYYY-MM-DD.

    Raises:
        Invalid: it is not one.
    """
    try:
        if isinstance(text, str) and _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise refused("day", field, language)
