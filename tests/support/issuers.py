"""Outside issuers: their keys, their key sets and their tokens."""

import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

HOUSE = "https://house.example.com"
IDP = "https://idp.example.com"
EC256 = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
EC521 = ec.generate_private_key(ec.SECP521R1())
K1 = ec.generate_private_key(ec.SECP256K1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)


def jwk(key, kid="k1", **more) -> dict:
    kinds = {
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
        rsa.RSAPrivateKey: RSAAlgorithm,
    }
    (kind,) = [algorithm for base, algorithm in kinds.items() if isinstance(key, base)]
    found = {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}
    found.pop("key_ops", None) if "key_ops" not in more else None
    return {name: value for name, value in found.items() if value is not None}


def key_set(*keys) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


class Source:
    """Stands for the issuer's key set: what it answers, and how often it was asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(**changes) -> dict:
    now = int(time.time())
    good = {"iss": IDP, "sub": "ana", "aud": f"{HOUSE}/mcp", "iat": now, "exp": now + 600}
    good |= {"tenant": "acme", "roles": ["viewer"]}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key=EC256, alg="ES256", kid="k1", headers=None, **changes) -> str:
    payload = json.dumps(claims(**changes)).encode()
    return jwt.PyJWS().encode(payload, key, alg, headers={"kid": kid, **(headers or {})})
