"""Names that the server alone chooses."""

import hmac
import secrets
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tause_mcp.sealing import Seal
from tause_mcp.tenancy import TenantId


def new_id(prefix: str) -> str:
    """The prefix (`pay`, `pyo`, ...) and 128 random bits."""
    return f"{prefix}_{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Names:
    """References and digests of one tenant, as it was born: a new one of its id has others.

    `room` keeps those of one ledger apart from another's; its references begin with `prefix`.
    """

    seal: Seal
    tenant: TenantId
    born: int
    room: str
    prefix: str

    def reference(self, environment: str, name: str, attempt: int) -> str:
        """What the provider knows an attempt by: the same whenever and wherever it is asked."""
        told = self.mac("reference", environment, name, str(attempt))
        return f"{self.prefix}{b32encode(told[:20]).decode().lower()}"

    def digest(self, *told: str | Mapping[str, Any]) -> str:
        """Of what a call is and its arguments; nobody finds them by trying."""
        return self.mac(
            "digest", *(one if isinstance(one, str) else _text(one) for one in told)
        ).hex()

    def mac(self, purpose: str, *parts: str) -> bytes:
        """32 bytes that nobody else can compute; each part counts with its length."""
        whole = (self.tenant, str(self.born), *parts)
        told = b"".join(len(b := part.encode()).to_bytes(4) + b for part in whole)
        return hmac.digest(self.seal.derive(f"{self.room}-{purpose}"), told, "sha256")


def _text(arguments: Mapping[str, Any]) -> str:
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()
