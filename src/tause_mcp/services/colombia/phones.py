"""Phone numbers of Colombia: ten digits since September 2021 (Res. CRC 5826 of 2019).

Which ranges are assigned comes from `phonenumbers`' data; its parser, 30 times as slow, is not run.
"""

import re
from functools import cache
from typing import Any, NamedTuple

from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import (
    Level,
    Unreadable,
    Verdict,
    because,
    cleaned,
)

_SHAPE = re.compile(r"\+?[0-9]+")
_MARKS = re.compile(r"[ ().-]")
_COUNTRY = "57"


class Plan(NamedTuple):
    """The ranges in use, as patterns over national numbers."""

    mobile: re.Pattern[str]
    fixed: re.Pattern[str]
    toll_free: re.Pattern[str]


@cache
def plan() -> Plan:
    """Loaded when the first number is asked about."""
    from phonenumbers.phonemetadata import PhoneMetadata

    known: Any = PhoneMetadata.metadata_for_region("CO")
    kinds = (known.mobile, known.fixed_line, known.toll_free)
    return Plan(*(re.compile(kind.national_number_pattern, re.ASCII) for kind in kinds))


def validate_phone(number: object, *, language: Language = "es") -> Verdict:
    """Whether it is a Colombian phone number in a range that is assigned; `normalized` is E.164.

    A mobile number outside the assigned ranges is `plausible`: ranges are opened over time, and
    test numbers of payment providers lie there.
    """
    try:
        national = _national(number)
        level, code = _judged(national)
    except Unreadable as wrong:
        return wrong.verdict(language)
    return Verdict(level, f"+{_COUNTRY}{national}", (because(language, code),))


def _national(number: object) -> str:
    """The national number: no country code, no 0 before a toll-free or mobile one."""
    text = cleaned(number)
    if text[0] == "-":
        raise Unreadable("sign")
    if any(map(str.isalpha, text)):
        raise Unreadable("letters")
    found = _MARKS.sub("", text)
    if not _SHAPE.fullmatch(found):
        raise Unreadable("characters")
    if found.startswith(("+", "00")):
        found = found.lstrip("+").removeprefix("00")
        if not found.startswith(_COUNTRY):
            raise Unreadable("other_country")
        return found.removeprefix(_COUNTRY)
    if len(found) in (12, 13) and found.startswith((f"{_COUNTRY}3", f"{_COUNTRY}60", "571800")):
        return found.removeprefix(_COUNTRY)
    if len(found) == 12 and found.startswith("033"):  # as mobiles were dialled before 2021
        return found[2:]
    return found.removeprefix("0") if found.startswith(("01800", "03", "060")) else found


def _judged(national: str) -> tuple[Level, str]:
    known = plan()
    if known.toll_free.fullmatch(national):
        return "valid", "toll_free"
    if len(national) in (7, 8) and national[0] != "3":
        raise Unreadable("old_numbering")
    if len(national) != 10:
        raise Unreadable("phone_length", has=len(national))
    if national[0] == "3":
        assigned = known.mobile.fullmatch(national)
        return ("valid", "mobile") if assigned else ("plausible", "unassigned_range")
    if not national.startswith("60"):
        raise Unreadable("not_a_phone")
    if not known.fixed.fullmatch(national):
        raise Unreadable("unknown_area")
    return "valid", "fixed_line"
