"""Words of the provider's, made fit to be shown: no keys, no control characters, not long."""

import re
import unicodedata

from tause_mcp.log import hide

LONGEST = 160
_KEYS = re.compile(
    r"(?i)(?:pub|prv)_(?:test|prod)_\w+"
    r"|(?:test|prod)_(?:events|integrity)_\w+"
    r"|tok(?:en)?_(?:test|prod)_\w+|\b(?:tok|nequi|daviplata)_\w+"
    r"|\beyJ[\w-]{8,}(?:\.[\w-]*){1,2}"
    r"|\b\d(?: ?\d){11,18}\b"
)
_SEPARATE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def quoted(text: object) -> str:
    """`text` in one line of at most `LONGEST` characters; what looks like a key, token or card
    number is `***`. Anything but a string is ""."""
    if not isinstance(text, str):
        return ""
    # Masked before it is cut, so that no half of a key stays; and what is far too long, first.
    plain = "".join(
        " " if unicodedata.category(character) in _SEPARATE else character
        for character in text[: 16 * LONGEST]
    )
    told = " ".join(hide(_KEYS.sub("***", plain)).split())
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"
