"""A house with a verifier over an in-memory store, and a workbench for forging tokens."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from structlog.testing import capture_logs

from tause_mcp.auth import KeyRecord, mint, open_verifier
from tause_mcp.auth.identities import Door
from tause_mcp.settings import Settings
from tause_mcp.tenancy import Scopes, TenantId

ISSUER = "https://house.example.com"
ACME = TenantId("acme")
BETA = TenantId("beta")


@dataclass
class Store:
    """`Identities` in memory, counting what it is asked."""

    keys: dict[tuple[str, str], KeyRecord] = field(default_factory=dict)
    tenants: dict[str, float] = field(default_factory=lambda: {"acme": 0.0, "beta": 0.0})
    roles: dict[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)
    grants: dict[tuple[str, str, str], dict[TenantId, Scopes]] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def key(self, tenant: TenantId, key_id: str) -> KeyRecord | None:
        self.asked.append("key")
        return self.keys.get((tenant, key_id))

    async def active_since(self, tenant: TenantId) -> float | None:
        self.asked.append("active_since")
        return self.tenants.get(tenant)

    async def scopes_of(
        self, tenant: TenantId, issuer: str, subject: str, roles: tuple[str, ...]
    ) -> Scopes:
        self.asked.append("scopes_of")
        named = {"viewer": frozenset({"*:read"}), "writer": frozenset({"storage:write"})}
        given = [named.get(role, frozenset()) for role in roles]
        stored = self.roles.get((tenant, issuer, subject), frozenset())
        return Scopes(frozenset().union(stored, *given))

    async def grants_of(
        self, tenant: TenantId, issuer: str, subject: str
    ) -> Mapping[TenantId, Scopes]:
        self.asked.append("grants_of")
        return self.grants.get((tenant, issuer, subject), {})

    async def spend(self, assertion: str, *, issued: float, until: float) -> bool:
        self.asked.append("spend")
        fresh = assertion not in self.spent
        self.spent.add(assertion)
        return fresh


def b64(data: bytes | Mapping[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es256(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda signed: ECAlgorithm(ECAlgorithm.SHA256).sign(signed, key)


@dataclass
class House:
    """One installation at `ISSUER`, its store, and forged tokens that differ in what is named."""

    home: Path
    settings: Settings
    store: Store = field(default_factory=Store)
    fetch: Any = None

    def __post_init__(self) -> None:
        self.verifier = open_verifier(self.settings, self.store, issuer=ISSUER, fetch=self.fetch)
        self.keyring = self.verifier.keyring

    @property
    def plain(self) -> Door:
        return Door(f"{ISSUER}/mcp")

    def door(self, tenant: str) -> Door:
        return Door(f"{ISSUER}/t/{tenant}/mcp", TenantId(tenant))

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good token; a change to `None` takes the member away."""
        now = time.time()
        good = {
            "iss": ISSUER,
            "sub": "ana",
            "aud": f"{ISSUER}/mcp",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": "one",
            "tenant": "acme",
            "scope": "storage:read",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        good = {"alg": "ES256", "kid": self.keyring.kid, "typ": "at+jwt"}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def forge(
        self,
        header: Mapping[str, Any] | bytes | None = None,
        claims: Mapping[str, Any] | bytes | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """A token with this exact header and claims, signed by our key unless `sign` is given."""
        head = b64(self.header() if header is None else header)
        signed = f"{head}.{b64(self.claims() if claims is None else claims)}"
        signature = (sign or es256(self.keyring._signing))(signed.encode())
        return f"{signed}.{b64(signature)}"

    def key(self, tenant: TenantId = ACME, **changes: Any) -> tuple[str, str]:
        """A stored API key: its text and id."""
        made = mint(tenant, self.verifier.pepper)
        values = {"digest": made.digest, "scopes": frozenset({"*:read"})} | changes
        self.store.keys[tenant, made.id] = KeyRecord(**values)
        return made.text, made.id


@pytest.fixture
def make_house(tmp_path: Path) -> Callable[..., House]:
    def make(fetch: Any = None, **values: Any) -> House:
        home = tmp_path / "home"
        return House(home, Settings.model_validate({"home": home, **values}), fetch=fetch)

    return make


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


@pytest.fixture
def security() -> Any:
    """What reached the security log during the test."""
    with capture_logs() as records:
        yield records
