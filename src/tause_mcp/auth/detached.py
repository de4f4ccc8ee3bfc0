"""A detached signature (RFC 7515 appendix F) of this installation over bytes that travel apart."""

from collections.abc import Mapping
from json import dumps

from tause_mcp.auth.compact import decoded, encoded, strict_object
from tause_mcp.auth.identities import Refused
from tause_mcp.auth.keys import Key
from tause_mcp.auth.signing import ALGORITHM, Keyring


def sign(keyring: Keyring, kind: str, payload: bytes) -> str:
    """`header..signature`. `kind` is its `typ`: what is signed as one thing passes as no other."""
    header = {"alg": ALGORITHM, "kid": keyring.kid, "typ": kind}
    told = encoded(dumps(header, separators=(",", ":")).encode())
    signature = keyring.sign(f"{told}.{encoded(payload)}".encode())
    return f"{told}..{encoded(signature)}"


def verify(keys: Mapping[str, Key], kind: str, payload: bytes, signature: str) -> str:
    """The kid of the key that signed `payload` as `kind`.

    Raises:
        Refused: none of these keys did.
    """
    parts = signature.split(".")
    if len(parts) != 3 or parts[1]:
        raise Refused("not a detached signature")
    header = strict_object(decoded(parts[0]))
    if header.get("typ") != kind or header.get("alg") != ALGORITHM:
        raise Refused("signed as something else")
    kid = str(header.get("kid", ""))
    key = keys.get(kid)
    if key is None or key.alg != ALGORITHM:
        raise Refused("signed by a key that is not among these")
    signed = f"{parts[0]}.{encoded(payload)}".encode()
    if not key.verifies(signed, decoded(parts[2])):
        raise Refused("the signature does not fit: it was changed")
    return kid
