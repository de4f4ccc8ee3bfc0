"""The shared secret of an orchestrator (`MCP_JWT_SECRET`): whoever holds it speaks as anyone."""

import re
from dataclasses import dataclass

import jwt

from tause_mcp.auth.keys import Key, algorithm
from tause_mcp.errors import Misconfigured

SHORTEST = 32
_FEWEST_CHARACTERS = 10
_DEFAULTS = re.compile(
    "changeme|changethis|replaceme|yoursecret|your256bit|secretkey|supersecret|dummysecret|"
    "mysecret|stringsecret|asecret|jwtsecret|placeholder|insecure|donotuse|example|password|"
    "atleast32|atleast256|0123456789|abcdefgh|qwerty|tausestack|letmein"
)


@dataclass(frozen=True, slots=True)
class SharedKey:
    """One symmetric key, whatever name a token gives it."""

    only: Key

    async def key(self, kid: str | None) -> Key | None:
        """The shared key."""
        return self.only


def shared_key(secret: str, alg: str) -> SharedKey:
    """The key of `MCP_JWT_SECRET` for `MCP_JWT_ALGORITHM`.

    Raises:
        Misconfigured: it is short, repeats itself, is a known default or a public key.
    """
    data = secret.encode("utf-8", "surrogatepass")
    weakness = _weakness(secret, data)
    if weakness:
        raise Misconfigured(f"MCP_JWT_SECRET {weakness}: use 32 random bytes or more")
    try:
        material = algorithm(alg).prepare_key(data)
    except jwt.InvalidKeyError:
        raise Misconfigured("MCP_JWT_SECRET is a public key: use 32 random bytes or more") from None
    return SharedKey(Key(alg, material))


def _weakness(secret: str, data: bytes) -> str | None:
    if len(data) < SHORTEST:
        return f"is under {SHORTEST} bytes"
    if _DEFAULTS.search(re.sub(r"[^a-z0-9]", "", secret.lower())):
        return "is a known default"
    if len(set(data)) < _FEWEST_CHARACTERS or data in (data + data)[1:-1]:
        return "repeats itself"
    return None
