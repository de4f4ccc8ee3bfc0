"""This installation's own key: ES256, made at first start, named by its RFC 7638 thumbprint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from pathlib import Path
from secrets import token_urlsafe
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import ECAlgorithm

from tause_mcp.auth.audience import normalised
from tause_mcp.auth.compact import LONGEST, encoded
from tause_mcp.auth.files import once, read_secret
from tause_mcp.auth.keys import Key
from tause_mcp.auth.terms import ASSERTION_LIFETIME, DAY
from tause_mcp.errors import Invalid, Misconfigured
from tause_mcp.tenancy import TenantId

ALGORITHM = "ES256"
ACCESS = "at+jwt"
MOST_KEYS = 10


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that signs, and every key of ours that still verifies, by kid."""

    issuer: str
    kid: str
    verifying: Mapping[str, Key]
    _signing: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def open(cls, home: Path, issuer: str, shared: bytes | None = None) -> "Keyring":
        """`signing.pem` of the home, made when absent, and its `signing-previous*.pem`.

        `shared` is the one that every replica of the installation signs with, instead.

        Raises:
            Misconfigured: a file is unreadable, open to others or not a P-256 key.
        """
        pem = once(home / "signing.pem", new_pem) if shared is None else shared
        signing = _private(pem, "signing.pem")
        publics = [
            signing.public_key(),
            *map(_previous, sorted(home.glob("signing-previous*.pem"))),
        ]
        if len(publics) > MOST_KEYS:
            raise Misconfigured(f"more than {MOST_KEYS - 1} signing-previous*.pem in TAUSE_HOME")
        verifying = {thumbprint(public): Key(ALGORITHM, public) for public in publics}
        return cls(issuer, next(iter(verifying)), verifying, signing)

    async def key(self, kid: str | None) -> Key | None:
        """One of our own keys."""
        return self.verifying.get(kid or "")

    def jwks(self) -> dict[str, Any]:
        """The JWKS document (RFC 7517) that others verify our tokens with."""
        return {
            "keys": [
                {**_members(key.material), "kid": kid, "use": "sig", "alg": ALGORITHM}
                for kid, key in self.verifying.items()
            ]
        }

    def issue(
        self,
        tenant: TenantId,
        subject: str,
        scopes: Iterable[str] | None,
        audience: str,
        ttl: float,
        *,
        claims: Mapping[str, Any] | None = None,
        now: float | None = None,
    ) -> str:
        """An access token for one door, `ttl` seconds long.

        `scopes` are the grant; `None` leaves it to the roles stored for (our issuer, subject).

        Raises:
            Invalid: the lifetime, the subject or a scope is out of bounds.
        """
        if not 0 < ttl <= DAY:
            raise Invalid(f"a token lives at most {DAY:.0f} seconds", field="ttl")
        stated = {} if scopes is None else {"scope": _scope(scopes)}
        more = {**(claims or {}), **stated, "tenant": tenant}
        return self._signed(subject, audience, ttl, now, more, ACCESS)

    def assertion(self, audience: str, *, now: float | None = None) -> str:
        """A single-use login (RFC 7523) of this installation at another, one minute long."""
        return self._signed(self.issuer, audience, ASSERTION_LIFETIME, now, {}, "JWT")

    def sign(self, content: bytes) -> bytes:
        """The bare ES256 signature of `content`, by the key that signs now."""
        return ECAlgorithm(ECAlgorithm.SHA256).sign(content, self._signing)

    def _signed(
        self,
        subject: str,
        audience: str,
        ttl: float,
        now: float | None,
        claims: Mapping[str, Any],
        kind: str,
    ) -> str:
        if not 0 < len(subject) <= 255 or not subject.isprintable():
            raise Invalid("a subject is 1 to 255 printable characters", field="subject")
        issued = round(time() if now is None else now, 6)
        stated = {"iss": self.issuer, "sub": subject, "aud": normalised(audience), "iat": issued}
        life = {"nbf": issued, "exp": issued + ttl, "jti": token_urlsafe(16)}
        header = {"kid": self.kid, "typ": kind}
        token = jwt.encode({**claims, **stated, **life}, self._signing, ALGORITHM, headers=header)
        if len(token) > LONGEST:
            raise Invalid("the token would be longer than 8 KiB: give it fewer scopes")
        return token


def thumbprint(public: EllipticCurvePublicKey) -> str:
    """The RFC 7638 thumbprint: SHA-256 of the required members in their canonical form."""
    canonical = dumps(_members(public), separators=(",", ":"), sort_keys=True)
    return encoded(sha256(canonical.encode("ascii")).digest())


def _members(public: EllipticCurvePublicKey) -> dict[str, str]:
    numbers = public.public_numbers()
    x, y = (encoded(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _scope(scopes: Iterable[str]) -> str:
    listed = sorted(set(scopes))
    if any(not scope.isprintable() or " " in scope or not scope for scope in listed):
        raise Invalid("a scope has no spaces", field="scopes")
    return " ".join(listed)


def new_pem() -> bytes:
    """A new signing key."""
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private(pem: bytes, name: str) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise Misconfigured(f"{name} in TAUSE_HOME is not an unencrypted private key") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise Misconfigured(f"{name} in TAUSE_HOME is not a P-256 key")
    return key


def _previous(path: Path) -> EllipticCurvePublicKey:
    """A key that signed earlier: its private or its public half."""
    pem = read_secret(path)
    if b"PRIVATE KEY" in pem:
        return _private(pem, path.name).public_key()
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise Misconfigured(f"{path.name} in TAUSE_HOME is not a PEM key") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Misconfigured(f"{path.name} in TAUSE_HOME is not a P-256 key")
    return key
