"""Identity documents: what each type looks like. Only a NIT has something to compute."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from tause_mcp.services.colombia.nit import validate_nit
from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.colombia.texts import Language
from tause_mcp.services.colombia.verdicts import Reason, Unreadable, Verdict, because, cleaned
from tause_mcp.services.colombia.verdicts import digits as digits_of


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of document. Lengths beyond `least` to `most` are refused, unusual ones told."""

    dian: str
    """The code of the electronic invoice."""
    es: str
    en: str
    least: int
    most: int
    usual: frozenset[int]
    letters: bool = False
    strict_zero: bool = False
    """Never begins with a zero."""
    ended: bool = False

    def named(self, language: Language) -> str:
        return self.en if language == "en" else self.es


def _usual(*lengths: int) -> frozenset[int]:
    return frozenset(lengths)


NIT = "NIT"
KINDS: Mapping[str, Kind] = {
    "CC": Kind(
        "13",
        "una cédula de ciudadanía",
        "a cédula de ciudadanía",
        3,
        10,
        _usual(*range(3, 9), 10),
        strict_zero=True,
    ),
    "NUIP": Kind("91", "un NUIP", "a NUIP", 10, 10, _usual(10), strict_zero=True),
    "RC": Kind("11", "un registro civil", "a registro civil", 3, 20, _usual(10), letters=True),
    "TI": Kind("12", "una tarjeta de identidad", "a tarjeta de identidad", 3, 11, _usual(10, 11)),
    "CE": Kind("22", "una cédula de extranjería", "a cédula de extranjería", 3, 10, _usual(6, 7)),
    "TE": Kind(
        "21",
        "una tarjeta de extranjería",
        "a tarjeta de extranjería",
        1,
        20,
        _usual(*range(1, 21)),
        letters=True,
    ),
    "PPT": Kind(
        "48",
        "un permiso por protección temporal",
        "a temporary protection permit",
        1,
        15,
        _usual(6, 7, 8),
    ),
    "PEP": Kind(
        "47",
        "un permiso especial de permanencia",
        "a special stay permit",
        1,
        15,
        _usual(15),
        ended=True,
    ),
    "PA": Kind("41", "un pasaporte", "a passport", 3, 20, _usual(*range(5, 17)), letters=True),
    "DE": Kind(
        "42",
        "un documento extranjero",
        "a foreign document",
        1,
        20,
        _usual(*range(1, 21)),
        letters=True,
    ),
    "NE": Kind(
        "50",
        "un NIT de otro país",
        "a tax number of another country",
        1,
        20,
        _usual(*range(1, 21)),
        letters=True,
    ),
}
"""Every type but NIT. Lengths follow general knowledge: only what no document has is refused."""

_SAME: Mapping[str, str] = {
    **{kind.dian: code for code, kind in KINDS.items()},
    "31": NIT,
    "RUT": NIT,
    "CEDULA": "CC",
    "CEDULADECIUDADANIA": "CC",
    "CEDULACIUDADANIA": "CC",
    "REGISTROCIVIL": "RC",
    "TARJETADEIDENTIDAD": "TI",
    "TARJETAIDENTIDAD": "TI",
    "CEDULADEEXTRANJERIA": "CE",
    "CEDULAEXTRANJERIA": "CE",
    "TARJETADEEXTRANJERIA": "TE",
    "PASAPORTE": "PA",
    "PASSPORT": "PA",
    "PP": "PA",
    "PAS": "PA",
    "DOCUMENTOEXTRANJERO": "DE",
    "NITEXTRANJERO": "NE",
    "NITDEOTROPAIS": "NE",
}
_NOT_NAME = re.compile(r"[^A-Z0-9]")
_CC = re.compile(r"C\.? ?C\.?[ :.#]*(?=[0-9])", re.IGNORECASE)
_ALNUM = re.compile(r"[0-9A-Z]+")
_MARKS = re.compile(r"[ .-]")


def document_type(written: object, *, language: Language = "es") -> str:
    """The code of a type written as a code, its DIAN number or its name.

    Raises:
        Invalid: no such type.
    """
    text = unicodedata.normalize("NFKD", written.upper()) if isinstance(written, str) else ""
    name = _NOT_NAME.sub("", text)
    name = _SAME.get(name, name)
    if name != NIT and name not in KINDS:
        known = ", ".join((NIT, *KINDS))
        raise refused("document_type", "type", language, known=known)
    return name


def validate_cedula(number: object, *, language: Language = "es") -> Verdict:
    """Whether it has the shape of a cédula de ciudadanía: it has no check digit, so `plausible`
    is the best there is."""
    return validate_document("CC", number, language=language)


def validate_document(
    type: object,  # noqa: A002  # the name that callers write
    number: object,
    check_digit: object = None,
    *,
    language: Language = "es",
) -> Verdict:
    """Whether a number can be a document of a type (`CC`, `NIT`, `13`, `pasaporte`...).

    Raises:
        Invalid: no such type.
    """
    code = document_type(type, language=language)
    if code == NIT:
        return validate_nit(number, check_digit, language=language)
    kind = KINDS[code]
    try:
        found = _read(number, code, kind)
        remarks = _measured(found, kind, language)
    except Unreadable as wrong:
        return wrong.verdict(language)
    if check_digit is not None and check_digit != "":
        named = kind.named(language)
        remarks.append(because(language, "check_digit_unused", kind=named[:1].upper() + named[1:]))
    return Verdict("plausible", found, tuple(remarks))


def _read(number: object, code: str, kind: Kind) -> str:
    text = cleaned(number)
    if not kind.letters:
        return digits_of(_CC.sub("", text, count=1) if code == "CC" else text)
    if text[0] in "+-":
        raise Unreadable("sign")
    found = _MARKS.sub("", text).upper()
    if not _ALNUM.fullmatch(found):
        raise Unreadable("characters")
    return found


def _measured(found: str, kind: Kind, language: Language) -> list[Reason]:
    """What is to be said of a number that can be one."""
    named, has = kind.named(language), len(found)
    if not kind.least <= has <= kind.most:
        raise Unreadable("length", has=has, kind=named, least=kind.least, most=kind.most)
    if kind.strict_zero and found[0] == "0":
        raise Unreadable("leading_zero")
    if not found.strip("0"):
        raise Unreadable("leading_zero")
    remarks = [because(language, "shape_only", kind=named)]
    if found[0] == "0" and not kind.letters:
        remarks.append(because(language, "leading_zero"))
    if has not in kind.usual:
        remarks.append(because(language, "unusual_length", has=has, kind=named))
    if kind.ended:
        told = named[:1].upper() + named[1:]
        remarks.append(because(language, "not_in_use", kind=told))
    return remarks
