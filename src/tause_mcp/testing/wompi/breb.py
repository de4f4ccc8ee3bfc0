"""Bre-B keys and what the sandbox makes of them. GET /v2/breb/keys/resolve/{key}?keyType"""

import re
from dataclasses import dataclass
from typing import Any

from tause_mcp.testing.wompi.exchange import EMAIL

FORMATS = {
    "ALPHANUMERIC": r"@[A-Za-z0-9]{5,20}",
    "MAIL": EMAIL,
    "PHONE": r"3\d{9}",
    "IDENTIFICATION": r"[A-Za-z0-9]{1,18}",
    "ESTABLISHMENT_CODE": r"\d{8}",
}

HOLDERS = {
    "@elias123": ("ELI*** CAN***", "ALPHANUMERIC"),
    "ecolon@wompi.com": ("ELI*** COL***", "MAIL"),
    "3001234567": ("JUA*** PER***", "PHONE"),
    "1020304050": ("MAR*** GOM***", "IDENTIFICATION"),
    "900123456": ("COM*** PRU***", "IDENTIFICATION"),
}
"""The keys that resolve."""

REFUSED = {
    "noexiste@test.com": (404, "EXC_034"),
    "12345": (400, "EXC_033"),
    "inactiva@test.com": (400, "EXC_035"),
    "timeout@test.com": (503, "EXC_036"),
    "error@test.com": (503, "EXC_037"),
}

_MESSAGES = {
    "EXC_033": "(Sandbox) El formato de la llave BRE-B no es válido.",
    "EXC_034": "La llave BRE-B no se encuentra activa o no está registrada.",
    "EXC_035": "(Sandbox) La llave BRE-B está inactiva.",
    "EXC_036": "(Sandbox) El directorio de llaves no respondió a tiempo.",
    "EXC_037": "(Sandbox) El directorio de llaves falló.",
}


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why a key leads to nobody."""

    status: int
    code: str

    @property
    def message(self) -> str:
        return _MESSAGES[self.code]

    @property
    def kind(self) -> str:
        return "Technical" if self.status == 503 else "Business"


def resolved(key: str, kind: str) -> dict[str, Any] | Unresolved:
    """The masked holder of a key. `kind` may be ''; a key must have its form."""
    if key in REFUSED:
        return Unresolved(*REFUSED[key])
    formats = [FORMATS[kind]] if kind else list(FORMATS.values())
    if not any(re.fullmatch(f, key, re.ASCII) for f in formats):
        return Unresolved(400, "EXC_033")
    holder, own = HOLDERS.get(key, ("", ""))
    if not holder or (kind and kind != own):
        return Unresolved(404, "EXC_034")
    return {
        "holderName": holder,
        "financialEntity": {"name": "BANCOLOMBIA", "code": "001"},
        "keyType": own,
        "keyValue": f"{key[:4]}***",
    }


def resolves(key: str) -> bool:
    """Whether a payout to this key arrives."""
    return key in HOLDERS


def named(key: str) -> str:
    """The type of a key, '' for one that does not resolve."""
    return HOLDERS.get(key, ("", ""))[1]
