"""Number plates, by their shape."""

import re

from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Unreadable, Verdict, because, cleaned

SHAPES = (
    (re.compile(r"[A-Z]{3}[0-9]{3}"), ("carro", "a car")),
    (re.compile(r"[A-Z]{3}[0-9]{2}[A-Z]?"), ("motocicleta", "a motorcycle")),
    (re.compile(r"[CDMOA][A-Z][0-9]{4}"), ("vehículo diplomático u oficial", "a diplomatic car")),
    (re.compile(r"[RS][0-9]{5}"), ("remolque", "a trailer")),
    (re.compile(r"[0-9]{3}[A-Z]{3}"), ("motocarro", "a three-wheeler")),
)
_MARKS = re.compile(r"[ .-]")
_ALNUM = re.compile(r"[0-9A-Z]+")


def validate_plate(plate: object, *, language: Language = "es") -> Verdict:
    """Whether a plate has one of the shapes in use; upper case, without hyphen or space.

    A shape is all there is to see offline: `plausible` is the best verdict.
    """
    try:
        text = cleaned(plate)
        if text[0] in "+-":
            raise Unreadable("sign")
        found = _MARKS.sub("", text).upper()
        kind = _kind(found)
    except Unreadable as wrong:
        return wrong.verdict(language)
    reason = because(language, "plate", kind=kind[language == "en"])
    return Verdict("plausible", found, (reason,))


def _kind(found: str) -> tuple[str, str]:
    if not _ALNUM.fullmatch(found):
        letters = any(c.isalpha() and not c.isascii() for c in found)
        raise Unreadable("plate_letters" if letters else "characters")
    for shape, kind in SHAPES:
        if shape.fullmatch(found):
            return kind
    raise Unreadable("not_a_plate")
