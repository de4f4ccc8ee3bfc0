"""Verification keys: the algorithm belongs to the key, never to the token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt
from jwt.algorithms import Algorithm

_BY_CURVE = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_RSA_BITS = range(2048, 8193)
_algorithms = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class Key:
    """Key material and the one algorithm it is for."""

    alg: str
    material: Any = field(repr=False)

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `signed`."""
        return algorithm(self.alg).verify(signed, self.material, signature)


class KeySource(Protocol):
    """Where the keys of one issuer are."""

    async def key(self, kid: str | None) -> Key | None:
        """The key named `kid`, a mere name in a dictionary."""
        ...


def algorithm(name: str) -> Algorithm:
    """PyJWT's implementation of a JWA algorithm."""
    return _algorithms.get_algorithm_by_name(name)


def key_of(jwk: Mapping[str, Any]) -> Key | None:
    """The public signature key that `jwk` (RFC 7517) holds, or `None` when it is not one."""
    if not _is_for_verifying(jwk):
        return None
    alg = _algorithm_of(jwk)
    if alg is None:
        return None
    try:
        material = algorithm(alg).from_jwk(dict(jwk))
    except (jwt.InvalidKeyError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if alg in _RSA and material.key_size not in _RSA_BITS:
        return None
    return Key(alg, material)


def _is_for_verifying(jwk: Mapping[str, Any]) -> bool:
    if "d" in jwk or "k" in jwk or jwk.get("use", "sig") != "sig":
        return False
    return "key_ops" not in jwk or jwk["key_ops"] == ["verify"]


def _algorithm_of(jwk: Mapping[str, Any]) -> str | None:
    """What the key's type allows; an `alg` member may choose among RSA's and contradict nothing."""
    kind, stated = jwk.get("kty"), jwk.get("alg")
    if kind == "RSA":
        chosen = "RS256" if stated is None else stated
        return chosen if isinstance(chosen, str) and chosen in _RSA else None
    curve = jwk.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str):
        return None
    found = _BY_CURVE.get((kind, curve))
    return found if stated is None or stated == found else None
