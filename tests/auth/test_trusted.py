"""Tokens of outside issuers: what was stated for each."""

import json

import pytest
from jwt.algorithms import ECAlgorithm
from tests.support.issuers import (
    EC256,
    EC384,
    EC521,
    ED,
    HOUSE,
    IDP,
    RSA,
    Source,
    claims,
    jwk,
    key_set,
    signed,
)

from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Misconfigured, Unauthenticated

pytestmark = pytest.mark.anyio


@pytest.fixture
def trusting(make_house):
    def make(*keys, setting=f"{IDP}={IDP}/keys", **values):
        source = Source(key_set(*(keys or (jwk(EC256),))))
        return make_house(fetch=source, trusted_issuers=setting, **values)

    return make


async def refused(house, token, security, reason):
    with pytest.raises(Unauthenticated) as told:
        await house.verifier.verify(token, house.plain)
    assert str(told.value) == REFUSAL
    assert [reason in entry["reason"] for entry in security] == [True]


@pytest.mark.parametrize(
    ("key", "alg"),
    [(EC256, "ES256"), (EC384, "ES384"), (EC521, "ES512"), (ED, "EdDSA"), (RSA, "RS256")],
)
async def test_a_token_of_a_trusted_issuer_is_its_subject_in_the_tenant_it_states(
    trusting, key, alg
) -> None:
    house = trusting(jwk(key))
    caller = await house.verifier.verify(signed(key, alg), house.plain)
    assert (caller.subject, caller.tenant, caller.issuer) == ("ana", "acme", IDP)
    assert caller.scopes.granted == {"*:read"} and caller.credential == ""


async def test_headers_that_change_nothing_are_left_alone(trusting) -> None:
    house = trusting()
    token = signed(headers={"x5t": "abc", "typ": "JWT"})
    assert (await house.verifier.verify(token, house.plain)).subject == "ana"


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc"])
async def test_a_header_that_names_its_own_key_is_refused(trusting, security, member) -> None:
    house = trusting()
    head = {"alg": "ES256", "kid": "k1", member: ["https://evil.example.com"]}
    token = house.forge(header=head, claims=claims())
    await refused(house, token, security, "not allowed")


BAD = [
    ("lacks sub", {"sub": None}),
    ("lacks aud", {"aud": None}),
    ("lacks exp", {"exp": None}),
    ("lacks iat", {"iat": None}),
    ("another audience", {"aud": "authenticated"}),
    ("another audience", {"aud": [f"{HOUSE}/mcp", "other"]}),
    ("names no tenant", {"tenant": None}),
    ("names no tenant", {"tenant": ["acme"]}),
    ("absent or suspended", {"tenant": "gone"}),
    ("lives too long", {"exp": 2_999_999_999}),
    ("not trusted", {"iss": IDP + "/"}),
    ("not valid yet", {"nbf": 2_999_999_999}),
]


@pytest.mark.parametrize(("reason", "changes"), BAD)
async def test_a_token_that_misses_what_was_stated_is_refused(
    trusting, security, reason, changes
) -> None:
    await refused(trusting(), signed(**changes), security, reason)


async def test_one_issuer_cannot_speak_as_another(trusting, security) -> None:
    house = trusting(setting=f"{IDP}={IDP}/keys,https://b.example.com=https://b.example.com/keys")
    house.verifier._authorities["https://b.example.com"].keys._fetch = Source(
        key_set(jwk(EC384, "k1"))
    )
    token = signed(EC384, "ES384", iss=IDP)
    await refused(house, token, security, "another algorithm")
    assert (
        await house.verifier.verify(
            signed(EC384, "ES384", iss="https://b.example.com"), house.plain
        )
    ).issuer == "https://b.example.com"


async def test_an_issuers_key_never_signs_as_this_installation(trusting, security) -> None:
    house = trusting(jwk(EC256))
    good = house.claims()
    token = house.forge(
        header={"alg": "ES256", "kid": "k1", "typ": "at+jwt"},
        claims=good,
        sign=lambda data: ECAlgorithm(ECAlgorithm.SHA256).sign(data, EC256),
    )
    await refused(house, token, security, "unknown key")


@pytest.mark.parametrize(
    ("stated", "granted"),
    [
        (None, {"*:read"}),
        ("openid profile email", {"*:read"}),
        ("openid storage:read", {"storage:read"}),
        (["storage:*"], {"storage:read"}),
        ("*:*", {"*:read"}),
        ("storage:write", set()),
        ("", set()),
    ],
)
async def test_a_scope_only_narrows_what_roles_give(trusting, stated, granted) -> None:
    house = trusting()
    caller = await house.verifier.verify(signed(scope=stated), house.plain)
    assert caller.scopes.granted == granted


async def test_a_scope_alone_gives_nothing(trusting) -> None:
    house = trusting()
    caller = await house.verifier.verify(signed(scope="*:*", roles=None), house.plain)
    assert caller.scopes.granted == set()


async def test_stored_roles_belong_to_issuer_and_subject_together(trusting) -> None:
    house = trusting()
    house.store.roles["acme", "https://other.example.com", "ana"] = frozenset({"*:*"})
    caller = await house.verifier.verify(signed(roles=None), house.plain)
    assert caller.scopes.granted == set()
    house.store.roles["acme", IDP, "eva"] = frozenset({"cache:read"})
    caller = await house.verifier.verify(signed(roles=None, sub="eva"), house.plain)
    assert caller.scopes.granted == {"cache:read"}


async def test_a_supabase_token_is_checked_by_its_own_profile(trusting, security) -> None:
    house = trusting(setting="supabase:abcd")
    stated = {
        "iss": "https://abcd.supabase.co/auth/v1",
        "aud": "authenticated",
        "app_metadata": {"tenant_id": "acme", "roles": ["viewer"]},
        "user_metadata": {"tenant_id": "beta", "roles": ["owner"]},
        "role": "authenticated",
        "tenant": "beta",
        "scope": "*:*",
    }
    caller = await house.verifier.verify(signed(**stated), house.plain)
    assert (caller.tenant, caller.scopes.granted) == ("acme", {"*:read"})
    stated["app_metadata"] = "acme"
    await refused(house, signed(**stated), security, "names no tenant")


async def test_a_firebase_token_is_checked_by_its_own_profile(trusting, security) -> None:
    house = trusting(jwk(RSA, alg="RS256"), setting="firebase:proj")
    stated = {"iss": "https://securetoken.google.com/proj", "aud": "proj", "tenant_id": "acme"}
    token = signed(RSA, "RS256", auth_time=1, **stated)
    assert (await house.verifier.verify(token, house.plain)).tenant == "acme"
    await refused(house, signed(RSA, "RS256", **stated), security, "lacks auth_time")


async def test_an_issuer_by_the_shared_secret_and_for_some_tenants_only(
    make_house, tmp_path, security
) -> None:
    secret = "q7Zx-92kd_Lw0Vt5RbYn3Gm8Hs1Pc6Fj4Ue"
    path = tmp_path / "issuers.json"
    stated = {"preset": "supabase", "project": "abcd", "jwks": "secret", "tenants": ["ac*"]}
    one = {"issuer": IDP, "jwks": "secret", "always": "acme", "roles": None, "scopes": None}
    path.write_text(json.dumps([stated, one]))
    with pytest.raises(Misconfigured, match="needs MCP_JWT_SECRET"):
        make_house(trusted_issuers=str(path))
    house = make_house(trusted_issuers=str(path), MCP_JWT_SECRET=secret)
    iss, aud = "https://abcd.supabase.co/auth/v1", "authenticated"
    base = {"iss": iss, "aud": aud, "app_metadata": {"tenant_id": "acme"}}
    caller = await house.verifier.verify(signed(secret, "HS256", **base), house.plain)
    assert (caller.tenant, caller.issuer) == ("acme", iss)
    fixed = await house.verifier.verify(signed(secret, "HS256", tenant="beta"), house.plain)
    assert (fixed.tenant, fixed.scopes.granted) == ("acme", set())
    base["app_metadata"] = {"tenant_id": "beta"}
    await refused(house, signed(secret, "HS256", **base), security, "may not speak for")


def test_this_installation_is_no_outside_issuer(make_house) -> None:
    with pytest.raises(Misconfigured, match="is this installation itself"):
        make_house(trusted_issuers=f"{HOUSE}/={HOUSE}/keys")


def test_a_caller_is_sent_to_the_issuers_that_there_are(house, trusting) -> None:
    assert house.verifier.issuers() == [HOUSE]
    assert trusting().verifier.issuers() == [IDP]
