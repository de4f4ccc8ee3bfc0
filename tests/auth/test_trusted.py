"""Outside issuers: what was stated for each, and key sets fetched from a pinned URL."""

import asyncio
import json
import time

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tause_mcp.auth.identities import Refused
from tause_mcp.auth.jwks import RemoteKeys, keys_in
from tause_mcp.auth.keys import key_of
from tause_mcp.auth.opening import fetched
from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Misconfigured, ProviderError, TauseError, Unauthenticated, Unavailable

pytestmark = pytest.mark.anyio

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


# -- whom a token stands for -----------------------------------------------------------------------


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


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"},
        {"kty": "RSA", "kid": "k1"},
        {"kty": ["EC"], "crv": "P-256"},
        {"kty": "EC", "crv": ["P-256"]},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": 2},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        jwk(K1),
        jwk(EC256, use="enc"),
        jwk(EC256, alg="HS256"),
        jwk(EC256, alg="ES384"),
        jwk(EC256, d="AAAA"),
        jwk(EC256, k="AAAA"),
        jwk(EC256, key_ops=["sign"]),
        jwk(EC256, key_ops=["sign", "verify"]),
        jwk(EC256, y=jwk(EC256)["x"]),
        jwk(RSA, alg="HS256"),
        jwk(RSA, alg="none"),
        jwk(RSA, alg=["RS256"]),
        jwk(RSA, n="AQAB"),
    ],
    ids=lambda bad: " ".join(sorted(bad)) if isinstance(bad, dict) else str(bad)[:20],
)
def test_a_jwk_that_is_no_public_signature_key_is_left_out(bad) -> None:
    assert key_of(bad) is None


def test_a_short_rsa_key_is_left_out() -> None:
    assert key_of(jwk(rsa.generate_private_key(65537, 1024))) is None


def test_an_rsa_key_may_choose_its_algorithm_and_others_may_not() -> None:
    assert key_of(jwk(RSA, alg="PS256")).alg == "PS256"
    assert key_of(jwk(RSA)).alg == "RS256"
    assert key_of(jwk(EC256, alg="ES256", use="sig", key_ops=["verify"])).alg == "ES256"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, "x"]}',
        b'{"keys": [], "keys": []}',
        key_set(jwk(EC256, kid=None)),
        key_set(jwk(EC256, kid="")),
        key_set(jwk(EC256, kid=7)),
        key_set(jwk(EC256), jwk(EC384)),
        key_set(*(jwk(EC256, str(n)) for n in range(11))),
        key_set(jwk(EC256), "x" * 65_536),
    ],
    ids=range(13),
)
def test_a_key_set_out_of_bounds_is_refused_whole(document) -> None:
    with pytest.raises(Refused):
        keys_in(document)


def test_ten_keys_are_a_key_set_and_those_of_no_use_are_passed_over() -> None:
    ten = [jwk(EC256, str(n)) for n in range(9)] + [jwk(K1, "k")]
    assert set(keys_in(key_set(*ten))) == {str(n) for n in range(9)}


# -- when the set is fetched -----------------------------------------------------------------------


def remote(*answers):
    source, clock = Source(*answers), Clock()
    return RemoteKeys(f"{IDP}/keys", source, clock), source, clock


async def test_unknown_kids_refetch_at_most_once_a_minute() -> None:
    keys, source, clock = remote(key_set(jwk(EC256)))
    assert await keys.key("k1") is not None
    for n in range(50):
        assert await keys.key(f"random-{n}") is None
    assert len(source.asked) == 1
    clock.now += 60
    for n in range(50):
        assert await keys.key(f"random-{n}") is None
    assert source.asked == [f"{IDP}/keys"] * 2


async def test_a_new_key_is_found_within_a_minute_of_its_publication() -> None:
    keys, _, clock = remote(key_set(jwk(EC256)), key_set(jwk(EC256), jwk(EC384, "k2")))
    assert await keys.key("k2") is None
    clock.now += 61
    assert (await keys.key("k2")).alg == "ES384"


@pytest.mark.parametrize(
    "failure",
    [Unavailable("down"), ProviderError("redirect"), b"<html>", key_set(), b"x" * 70_000],
    ids=["down", "redirect", "html", "empty", "large"],
)
async def test_the_last_good_set_stays_on_failure(failure) -> None:
    keys, source, clock = remote(key_set(jwk(EC256)), failure)
    assert await keys.key("k1") is not None
    clock.now += 4000
    assert await keys.key("k1") is not None
    assert await keys.key("k1") is not None
    assert len(source.asked) == 2


async def test_a_withdrawn_key_is_forgotten_within_the_hour() -> None:
    keys, _, clock = remote(key_set(jwk(EC256)), key_set(jwk(EC384, "k2")))
    assert await keys.key("k1") is not None
    clock.now += 3601
    assert await keys.key("k1") is None


async def test_without_a_first_set_nobody_is_judged_and_it_is_asked_again_soon() -> None:
    keys, source, clock = remote(Unavailable("starting"), key_set(jwk(EC256)))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await keys.key("k1")
    assert len(source.asked) == 1
    clock.now += 5
    assert await keys.key("k1") is not None


async def test_an_issuer_that_is_down_is_unavailable_and_no_failed_login(
    make_house, security
) -> None:
    house = make_house(fetch=Source(Unavailable("down")), trusted_issuers=f"{IDP}={IDP}/keys")
    with pytest.raises(Unavailable):
        await house.verifier.verify(signed(), house.plain)
    assert [entry["event"] for entry in security] == ["issuer keys not fetched"]


async def test_callers_at_once_share_one_fetch() -> None:
    release = asyncio.Event()
    asked = 0

    async def slow(url: str) -> bytes:
        nonlocal asked
        asked += 1
        await release.wait()
        return key_set(jwk(EC256))

    keys = RemoteKeys("u", slow)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(keys.key, "k1")
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert asked == 1 and await keys.key("k1") is not None


async def test_a_known_key_does_not_wait_while_the_set_is_renewed() -> None:
    release, clock = asyncio.Event(), Clock()
    sets = [key_set(jwk(EC256))]

    async def slow(url: str) -> bytes:
        if len(sets) > 1:
            await release.wait()
        return sets[-1]

    keys = RemoteKeys("u", slow, clock)
    await keys.key("k1")
    sets.append(key_set(jwk(EC256), jwk(EC384, "k2")))
    clock.now += 4000
    async with anyio.create_task_group() as group:
        group.start_soon(keys.key, "k1")
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(1):
            assert await keys.key("k1") is not None
        clock.now += 61
        with anyio.fail_after(1):
            assert await keys.key("k1") is not None
        release.set()
    assert await keys.key("k2") is not None


async def test_a_caller_who_hangs_up_does_not_end_the_fetch() -> None:
    release = asyncio.Event()

    async def slow(url: str) -> bytes:
        await release.wait()
        return key_set(jwk(EC256))

    keys = RemoteKeys("u", slow)
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(5) as gone:
            group.start_soon(_cancel_then_release, gone, release)
            await keys.key("nobody")
    assert gone.cancelled_caught or gone.cancel_called
    assert await keys.key("k1") is not None


async def _cancel_then_release(scope: anyio.CancelScope, release: asyncio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()
    await anyio.wait_all_tasks_blocked()
    release.set()


async def serve(answer: bytes):
    asked = []

    async def handle(reader, writer) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], asked


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def test_the_operators_loopback_issuer_is_fetched_over_a_real_socket(make_house) -> None:
    server, port, asked = await serve(http("200 OK", key_set(jwk(EC256))))
    async with server:
        house = make_house(trusted_issuers=f"{IDP}=http://127.0.0.1:{port}/keys")
        assert (await house.verifier.verify(signed(), house.plain)).subject == "ana"
        other = signed(kid="https://evil.example.com/keys")
        with pytest.raises(Unauthenticated):
            await house.verifier.verify(other, house.plain)
        assert len(asked) == 1 and asked[0].startswith(b"GET /keys HTTP/1.1")


@pytest.mark.parametrize(
    "answer",
    [
        http("302 Found", b"", "location: /other"),
        http("500 Oops"),
        http("404 Not Found"),
        http("200 OK", b"x" * 65_537),
    ],
    ids=["redirect", "500", "404", "large"],
)
async def test_anything_but_a_small_200_is_no_key_set_and_is_asked_once(answer) -> None:
    server, port, asked = await serve(answer)
    async with server:
        with pytest.raises(TauseError):
            await fetched(f"http://127.0.0.1:{port}/keys")
        assert len(asked) == 1
