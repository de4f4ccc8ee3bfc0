"""API keys: `tk_{tenant}.{id}.{secret}`, 256 random bits, stored as an HMAC with a pepper."""

import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes, token_hex, token_urlsafe

from tause_mcp.auth.files import once
from tause_mcp.auth.identities import KeyRecord, Refused
from tause_mcp.errors import Misconfigured
from tause_mcp.tenancy import TenantId

PREFIX = "tk_"
_GRAMMAR = re.compile(
    r"tk_(?P<tenant>[a-z0-9][a-z0-9_-]{1,62})\.(?P<id>[0-9a-f]{16})\.[A-Za-z0-9_-]{43}", re.ASCII
)
_NO_KEY = bytes(32)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key: `text` is shown once, `digest` is what is stored under (`tenant`, `id`)."""

    tenant: TenantId
    id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


def mint(tenant: TenantId, pepper: bytes) -> Minted:
    """A new key of `tenant`."""
    key_id = token_hex(8)
    text = f"{PREFIX}{tenant}.{key_id}.{token_urlsafe(32)}"
    return Minted(tenant, key_id, text, digest(text, pepper))


def parse(text: str) -> tuple[TenantId, str]:
    """The tenant and id that a key names; `Refused` when it is not shaped like a key."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise Refused("not shaped like an API key")
    return TenantId(found["tenant"]), found["id"]


def digest(text: str, pepper: bytes) -> bytes:
    """What is stored: it binds tenant, id and secret, so that rows cannot be exchanged."""
    return hmac.digest(pepper, text.encode("ascii"), "sha256")


def matching(text: str, record: KeyRecord | None, pepper: bytes) -> KeyRecord:
    """`record` when `text` is its key; an unknown id costs what a wrong secret costs."""
    stored = _NO_KEY if record is None else record.digest
    same = hmac.compare_digest(digest(text, pepper), stored)
    if record is None or not same:
        raise Refused("no such API key")
    return record


def new_pepper() -> bytes:
    """A new pepper, as it is kept."""
    return token_bytes(32).hex().encode("ascii")


def open_pepper(home: Path, shared: bytes | None = None) -> bytes:
    """The server's pepper: `shared` by every replica, else `pepper` in the home; 32 bytes."""
    stored = once(home / "pepper", new_pepper) if shared is None else shared
    try:
        pepper = bytes.fromhex(stored.decode("ascii").strip())
    except ValueError:
        pepper = b""
    if len(pepper) < 32:
        raise Misconfigured("pepper in TAUSE_HOME is not at least 64 hexadecimal digits")
    return pepper
