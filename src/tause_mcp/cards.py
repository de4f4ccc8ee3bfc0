"""Numbers of payment cards in what callers send: found and refused before anything is kept or logged.

A card's number may enter no argument of a capability that moves money (PCI DSS: what never enters
need not be protected). What is looked for: 12 to 19 digits (ISO/IEC 7812) that pass Luhn, in a row
or in groups of at most eight with up to three separators between, in any script's digits.

One number in ten passes Luhn by chance. So what cannot be a card's is let through: numbers that
begin with 0 or with 15 to 20 (a year, a Unix time: no card network has them), Colombian phones with
their 57, UUIDs, the house's own ids, and integers up to the largest amount of money. A name that holds a long number is refused
one time in ten for nothing: put a letter in the middle of it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tause_mcp.errors import Invalid

LEAST, MOST = 12, 19
"""Digits of a card's number."""
MOST_MONEY = 1_000_000_000_000
"""An integer up to this is an amount in minor units."""
_DEPTH = 40

_IDS = re.compile(
    r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[a-z]{3}_[0-9a-f]{32})\b",
    re.IGNORECASE,
)
_RUN = re.compile(r"[0-9]+(?:[ ._/-]{1,3}[0-9]+)*")
_ISSUED = re.compile(
    r"4[0-9]{15}"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
)
_NO_CARD = ("0", "15", "16", "17", "18", "19", "20")
_PHONE = re.compile(r"57[36][0-9]{9}")
_GROUP = 8

Screen = Callable[[Mapping[str, Any]], None]
"""Raises what may not even be looked at more closely."""
Finds = Callable[[str], bool]


def without_cards(*but: str, accounts: Iterable[str] = ()) -> Screen:
    """A screen over the raw arguments of a call. Arguments and members called `but` are let through;
    those called `accounts` hold numbers of accounts or documents (see above).

    Raises:
        Invalid: naming the argument, and nothing of its value.
    """
    finds: dict[str, Finds] = {**dict.fromkeys(but, _nothing), **dict.fromkeys(accounts, issued)}

    def screen(arguments: Mapping[str, Any]) -> None:
        for name, value in arguments.items():
            if isinstance(name, str) and holds_card(name):
                raise Invalid(f"the name of an argument {_TOLD}")
            if _within(value, finds, finds.get(name, holds_card), _DEPTH):
                raise Invalid(f"{str(name)[:80]}: {_TOLD}", field=str(name)[:80])

    return screen


def _nothing(_: str) -> bool:
    return False


_TOLD = (
    "holds 12 to 19 digits that may be a card's number, and none may be sent here: pass the token "
    "that the provider's form gives for a card (if it is another number, put a letter into it)"
)


def _within(value: Any, named: Mapping[str, Finds], finds: Finds, left: int) -> bool:
    """Whether `finds` finds something in a value; in members that are `named`, what is for them."""
    if isinstance(value, str):
        return finds(value)
    if isinstance(value, bool) or value is None or not left:
        return False
    if isinstance(value, int | float):
        return not (isinstance(value, int) and abs(value) <= MOST_MONEY) and finds(str(value))
    if isinstance(value, Mapping):
        return any(
            holds_card(str(key)) or _within(inner, named, named.get(key, finds), left - 1)
            for key, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return any(_within(inner, named, finds, left - 1) for inner in value)
    return False


def holds_card(text: str) -> bool:
    """Whether what may be a card's number is anywhere in `text`."""
    return any(map(_is_card, _long_numbers(text)))


def issued(text: str) -> bool:
    """Whether a number is anywhere in `text` as Visa, Mastercard or American Express issue them."""
    return any(_ISSUED.fullmatch(number) and _is_card(number) for number in _long_numbers(text))


def _long_numbers(text: str) -> Iterator[str]:
    if sum(map(str.isdecimal, text)) >= LEAST:
        plain = _IDS.sub(" # ", _plain(text))
        for run in _RUN.finditer(plain):
            yield from _numbers(plain, run)


def _plain(text: str) -> str:
    """Digits of every script as 0 to 9, dashes and blanks of every kind as one; what hides, gone."""
    if text.isascii():
        return re.sub(r"\s", " ", text)
    return "".join(map(_plain_letter, text))


def _plain_letter(letter: str) -> str:
    kind = unicodedata.category(letter)
    match kind:
        case "Nd":
            return str(unicodedata.decimal(letter))
        case "Pd":
            return "-"
        case "Cf" | "Mn":
            return ""
    return " " if letter.isspace() else "." if letter in "·•∙⋅。．" else letter


def _numbers(text: str, run: re.Match[str]) -> list[str]:
    """What a run of groups of digits may be read as: each group, and neighbours taken together."""
    groups = re.findall(r"[0-9]+", run[0])
    if len(groups) == 1 and _in_a_word(text, run):
        return []
    found = [group for group in groups if LEAST <= len(group) <= MOST]
    for start in range(len(groups)):
        number = ""
        for group in groups[start : start + MOST]:
            number += group
            if len(group) > _GROUP or len(number) > MOST:
                break
            if len(number) >= LEAST and number != group:
                found.append(number)
    return found


def _in_a_word(text: str, run: re.Match[str]) -> bool:
    """Whether letters stand in more than one place of the word around a run: a random id, in hex."""
    before = re.search(r"[^\W_]*$", text[max(0, run.start() - 64) : run.start()])
    after = re.match(r"[^\W_]*", text[run.end() : run.end() + 64])
    around = f"{before[0] if before else ''}0{after[0] if after else ''}"
    return len(re.findall(r"[^\W\d_]+", around)) > 1


def _is_card(digits: str) -> bool:
    if digits.startswith(_NO_CARD) or _PHONE.fullmatch(digits) or len(set(digits)) == 1:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[::-1][::2]))) % 10 == 0
