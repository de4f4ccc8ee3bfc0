"""The orchestrator's shared secret: strong or not at all, and checked where it says something."""

import secrets
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.auth.shared import shared_key
from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Misconfigured, Unauthenticated

pytestmark = pytest.mark.anyio

HOUSE = "https://house.example.com"
SECRET = "q7Zx-92kd_Lw0Vt5RbYn3Gm8Hs1Pc6Fj4Ue"
PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

WEAK = [
    "short",
    SECRET[:31],
    "secret",
    "changeme",
    "changemechangemechangemechangeme",
    "CHANGE-ME-change-me-please-12345678",
    "your-256-bit-secret",
    "your-256-bit-secret-for-signing-tokens!!",
    "a-string-secret-at-least-256-bits-long",
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "dummy_secret",
    "dummy_secret_dummy_secret_dummy_secret_",
    "my-secret-key-that-is-long-enough-0000",
    "x" * 64,
    "0" * 32,
    "ab" * 20,
    "correct horse" * 3,
    "kX9-qLm2Zp7w" * 3,
    "aaaaaaaabbbbbbbbccccccccdddddddd1234",
    "01234567890123456789012345678901",
    "abcdefghijklmnopqrstuvwxyz123456",
    "MyVerySecurePassword1234567890!!",
    "é" * 16,
    PEM,
]


@pytest.mark.parametrize("secret", WEAK)
def test_a_weak_or_known_secret_refuses_to_start_in_one_line(make_house, secret) -> None:
    with pytest.raises(Misconfigured) as refused:
        make_house(MCP_JWT_SECRET=secret)
    said = str(refused.value)
    assert said.startswith("MCP_JWT_SECRET") and "\n" not in said and secret not in said


@given(st.integers(32, 64))
def test_random_bytes_are_strong(size) -> None:
    for text in (secrets.token_urlsafe(size), secrets.token_hex(size)):
        assert shared_key(text, "HS256").only.alg == "HS256"


@pytest.fixture
def shared(make_house):
    return make_house(MCP_JWT_SECRET=SECRET)


def token(alg="HS256", secret=SECRET, headers=None, **changes) -> str:
    good = {"iss": "orchestrator", "exp": int(time.time()) + 300} | changes
    claims = {name: value for name, value in good.items() if value is not None}
    return jwt.encode(claims, secret, alg, headers=headers)


async def test_issuer_and_expiry_are_enough_for_the_root_tenant(shared) -> None:
    shared.store.tenants["default"] = 0.0
    caller = await shared.verifier.verify(token(), shared.plain)
    assert (caller.tenant, caller.subject) == ("default", "orchestrator")
    assert caller.issuer == "shared:orchestrator" and not caller.scopes.granted


@pytest.mark.parametrize("claim", ["tenant", "tenant_id"])
async def test_tenant_subject_and_scopes_are_taken_when_present(shared, claim) -> None:
    stated = {claim: "acme", "sub": "ana", "scope": "storage:read cache:read openid"}
    caller = await shared.verifier.verify(token(**stated), shared.plain)
    assert (caller.tenant, caller.subject) == ("acme", "ana")
    assert caller.scopes.granted == {"storage:read", "cache:read"}


async def test_roles_count_when_no_scope_is_stated(shared) -> None:
    stated = {"tenant": "acme", "roles": ["viewer", "unknown"]}
    caller = await shared.verifier.verify(token(**stated), shared.plain)
    assert caller.scopes.granted == {"*:read"}


async def test_an_agreeing_audience_may_be_a_list(shared) -> None:
    stated = {"tenant": "acme", "aud": [f"{HOUSE}/mcp/"]}
    assert (await shared.verifier.verify(token(**stated), shared.plain)).tenant == "acme"


BAD = [
    ("lacks exp", {"exp": None}),
    ("not trusted", {"iss": HOUSE + "/evil", "secret_key": "other"}),
    ("expired", {"exp": 1}),
    ("lives too long", {"exp": lambda now: now + 8 * 86_400}),
    ("lives too long", {"exp": lambda now: now + 60, "iat": lambda now: now - 8 * 86_400}),
    ("not valid yet", {"nbf": lambda now: now + 600}),
    ("another audience", {"aud": "authenticated"}),
    ("another audience", {"aud": [f"{HOUSE}/mcp", "other"]}),
    ("another audience", {"aud": [7]}),
    ("no readable audience", {"aud": []}),
    ("no readable audience", {"aud": 7}),
    ("sub is not a short text", {"sub": ""}),
    ("names no tenant", {"tenant": "A B"}),
    ("names two tenants", {"tenant": "acme", "tenant_id": "beta"}),
    ("unreadable roles", {"roles": {"a": 1}}),
    ("absent or suspended", {"tenant": "gone"}),
]


@pytest.mark.parametrize(("reason", "changes"), BAD)
async def test_what_is_stated_has_to_hold(shared, security, reason, changes) -> None:
    now = int(time.time())
    changes = {"tenant": "acme", **changes}
    other = changes.pop("secret_key", None)
    stated = {name: value(now) if callable(value) else value for name, value in changes.items()}
    if other is not None:
        reason, secret = "signature does not match", SECRET[::-1]
    else:
        secret = SECRET
    made = _encode(stated, secret)
    with pytest.raises(Unauthenticated) as told:
        await shared.verifier.verify(made, shared.plain)
    assert str(told.value) == REFUSAL
    assert [reason in entry["reason"] for entry in security] == [True]


def _encode(stated, secret) -> str:
    """By PyJWS, as PyJWT refuses to encode some of these claims."""
    import json

    claims = {"iss": "orchestrator", "exp": int(time.time()) + 300} | stated
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.PyJWS().encode(json.dumps(kept).encode(), secret, "HS256")


async def test_only_the_configured_algorithm_counts(shared, make_house) -> None:
    with pytest.raises(Unauthenticated):
        await shared.verifier.verify(token("HS512", SECRET * 2, tenant="acme"), shared.plain)
    stronger = make_house(MCP_JWT_SECRET=SECRET + SECRET[::-1], MCP_JWT_ALGORITHM="HS512")
    made = token("HS512", SECRET + SECRET[::-1], tenant="acme")
    assert (await stronger.verifier.verify(made, stronger.plain)).tenant == "acme"


async def test_whoever_holds_the_secret_is_still_not_this_installation(shared, security) -> None:
    for stated in ({}, shared.claims()):
        made = token(headers={"kid": shared.keyring.kid}, **{**stated, "iss": HOUSE})
        with pytest.raises(Unauthenticated):
            await shared.verifier.verify(made, shared.plain)


async def test_no_issuer_of_the_secret_is_the_person_at_the_terminal(shared) -> None:
    stated = {"iss": "local", "sub": "local:owner", "tenant": "acme"}
    caller = await shared.verifier.verify(token(**stated), shared.plain)
    assert caller.issuer == "shared:local"


async def test_without_a_secret_nothing_symmetric_is_believed(house, security) -> None:
    with pytest.raises(Unauthenticated):
        await house.verifier.verify(token(tenant="acme"), house.plain)
    assert security[0]["reason"] == "the issuer is not trusted"
