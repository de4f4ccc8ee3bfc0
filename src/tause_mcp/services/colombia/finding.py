"""Find a municipality by what people write: found, or candidates; never a guess."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tause_mcp.services.colombia.places import (
    REPLACED,
    RETIRED,
    Municipality,
    department_named,
    folded,
    municipalities,
    named,
    names,
    nearly_named,
)
from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Reason, Unreadable, because, cleaned

Status = Literal["found", "ambiguous", "similar", "not_found"]
MOST = 10
"""Candidates at most."""
_CODE = re.compile(r"[0-9][0-9.]*")
_CLOSE = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """`municipality` only when the name, or name and department, mean one; else candidates."""

    status: Status
    municipality: Municipality | None = None
    candidates: tuple[Municipality, ...] = ()
    reasons: tuple[Reason, ...] = ()


def find_municipality(
    name: object, department: str | None = None, *, language: Language = "es"
) -> Finding:
    """What is called `name`, accents, case and punctuation aside; a code is taken too.

    `department` is a name or code; so is what follows a comma or stands in brackets in `name`.
    """
    try:
        text = cleaned(name)
        if _CODE.fullmatch(text):
            return _of_code(text, language)
        within = _department(department)
    except Unreadable as wrong:
        return _nothing(because(language, wrong.code, **wrong.told))
    return _of_name(text, within, language)


def _department(written: str | None) -> str | None:
    if written is None or (isinstance(written, str) and not written.strip()):
        return None
    code = department_named(cleaned(written))
    if code is None:
        raise Unreadable("unknown_department")
    return code


def _nothing(*reasons: Reason) -> Finding:
    return Finding("not_found", reasons=reasons)


def _of_code(text: str, language: Language) -> Finding:
    known = municipalities()
    if len(text) == 5 and text in known:
        return Finding("found", known[text])
    if (new := REPLACED.get(text)) is not None:
        told = because(language, "replaced_code", old=text, new=new)
        return Finding("found", known[new], reasons=(told,))
    if text in RETIRED:
        return _nothing(because(language, "retired", old=text, name=RETIRED[text]))
    meant = text.replace(".", "").zfill(5)
    if meant != text and meant in known:
        told = because(language, "code_length", meant=meant)
        return Finding("similar", candidates=(known[meant],), reasons=(told,))
    return _nothing(because(language, "unknown_code"))


def _of_name(text: str, within: str | None, language: Language) -> Finding:
    finding = _exact(folded(text), within, language)
    if finding is None and within is None and (parts := _parted(text)) is not None:
        finding = _exact(folded(parts[0]), parts[1], language)
        text, within = (text, within) if finding is None else parts
    if finding is not None:
        return finding
    if retired := [code for code, name in RETIRED.items() if folded(text) == name]:
        return _nothing(because(language, "retired", old=retired[0], name=RETIRED[retired[0]]))
    close = _rows(_similar(folded(text)), within)[:MOST]
    if close:
        return Finding("similar", None, close, (because(language, "similar_names"),))
    return _nothing(because(language, "unknown_place"))


_PARTED = re.compile(r"(.+?) *(?:,|\(|\s-\s) *([^,()]+?) *\)?")


def _parted(text: str) -> tuple[str, str] | None:
    """`Villanueva, Casanare` and `Villanueva (Casanare)` name their department."""
    found = _PARTED.fullmatch(text)
    if found is None or (code := department_named(found[2])) is None:
        return None
    return found[1], code


def _exact(name: str, within: str | None, language: Language) -> Finding | None:
    """Of that very name; None when there is none anywhere."""
    codes = named(name)
    twins = nearly_named(name)
    if not codes or (within and not _rows(codes, within)):
        codes = twins
    if not codes:
        return None
    rows = _rows(codes, within)
    if not rows:
        told = because(language, "elsewhere")
        return Finding("similar", candidates=_rows(codes, None)[:MOST], reasons=(told,))
    if len(rows) > 1:
        told = because(language, "ambiguous_name", count=len(rows))
        return Finding("ambiguous", candidates=rows[:MOST], reasons=(told,))
    others = tuple(row for row in _rows(twins, within) if row != rows[0])
    return Finding("found", rows[0], others[:MOST])


def _rows(codes: Iterable[str], within: str | None) -> tuple[Municipality, ...]:
    known = municipalities()
    rows = (known[code] for code in codes)
    return tuple(row for row in rows if within in (None, row.department_code))


def _similar(name: str) -> list[str]:
    """Codes of names that hold all the words, or that are spelt nearly so."""
    words = name.split()
    if not words:
        return []
    holding = [n for n in names() if all(f" {word}" in f" {n}" for word in words)]
    spelt = get_close_matches(name, list(names()), n=MOST, cutoff=_CLOSE)
    return list(dict.fromkeys(code for n in (*spelt, *holding) for code in named(n)))
