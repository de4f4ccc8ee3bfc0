"""Our own tokens: the full profile, one attack a line."""

import hashlib
import hmac
import json
import time
from contextlib import suppress

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tause_mcp.auth.compact import decoded, dissect, encoded, strict_object
from tause_mcp.auth.identities import Refused
from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Unauthenticated

pytestmark = pytest.mark.anyio

HOUSE = "https://house.example.com"


async def refused(house, token, security, reason):
    """Assert that `token` is refused in the one text, with `reason` and no token in the log."""
    with pytest.raises(Unauthenticated) as told:
        await house.verifier.verify(token, house.plain)
    assert str(told.value) == REFUSAL
    assert told.value.describe() == {"code": "unauthenticated"}
    assert len(security) == 1
    said = security[0]["reason"]
    assert security[0]["log_level"] == "warning"
    assert said == reason if reason == "expired" else reason in said
    written = json.dumps(security, default=str)
    assert all(part not in written for part in token.split(".") if len(part) > 16)


async def test_a_good_token_is_its_subject_in_its_tenant_with_its_scopes(house) -> None:
    caller = await house.verifier.verify(house.forge(), house.plain)
    assert (caller.subject, caller.tenant, caller.issuer) == ("ana", "acme", HOUSE)
    assert caller.scopes.granted == {"storage:read"}
    assert caller.credential == "one"
    assert caller.expires_at is not None and caller.expires_at > time.time()


BAD_CLAIMS = [
    ("expired", {"exp": lambda now: now - 31, "iat": lambda now: now - 60}),
    ("expired", {"exp": 0}),
    ("exp is not a date", {"exp": "2999999999"}),
    ("exp is not a date", {"exp": True}),
    ("exp is not a date", {"exp": 10**300}),
    ("exp is not a date", {"exp": -1}),
    ("exp is not a date", {"exp": [1]}),
    ("iat is not a date", {"iat": {}}),
    ("nbf is not a date", {"nbf": "now"}),
    ("lives too long", {"exp": lambda now: now + 86_431}),
    ("lives too long", {"exp": lambda now: now + 10 * 365 * 86_400}),
    ("lives too long", {"iat": lambda now: now - 86_400}),
    ("not valid yet", {"nbf": lambda now: now + 60}),
    ("not valid yet", {"iat": lambda now: now + 60}),
    ("expired before it was issued", {"iat": lambda now: now + 10, "exp": lambda now: now + 5}),
    ("another audience", {"aud": f"{HOUSE}/t/acme/mcp"}),
    ("another audience", {"aud": HOUSE}),
    ("another audience", {"aud": "https://house.example.com.evil.com/mcp"}),
    ("another audience", {"aud": "http://house.example.com/mcp"}),
    ("another audience", {"aud": f"{HOUSE}:8443/mcp"}),
    ("another audience", {"aud": f"{HOUSE}/MCP"}),
    ("another audience", {"aud": f"{HOUSE}/mcp?x"}),
    ("another audience", {"aud": f"{HOUSE}/mcp#x"}),
    ("another audience", {"aud": f"{HOUSE}/x/../mcp"}),
    ("another audience", {"aud": "https://x@house.example.com/mcp"}),
    ("another audience", {"aud": f"{HOUSE}/mcp\n"}),
    ("another audience", {"aud": ""}),
    ("another audience", {"aud": [f"{HOUSE}/mcp"]}),
    ("another audience", {"aud": [f"{HOUSE}/mcp", "https://evil.example.com"]}),
    ("another audience", {"aud": {"0": f"{HOUSE}/mcp"}}),
    ("sub is not a short text", {"sub": 7}),
    ("sub is not a short text", {"sub": ""}),
    ("sub is not a short text", {"sub": ["ana"]}),
    ("sub is not a short text", {"sub": "a\x1fb"}),
    ("sub is not a short text", {"sub": "\ud800"}),
    ("sub is not a short text", {"sub": "x" * 256}),
    ("jti is not a short text", {"jti": 1}),
    ("jti is not a short text", {"jti": ""}),
    ("names no tenant", {"tenant": ""}),
    ("names no tenant", {"tenant": 1}),
    ("names no tenant", {"tenant": ["acme"]}),
    ("names no tenant", {"tenant": "ACME"}),
    ("names no tenant", {"tenant": "../acme"}),
    ("names no tenant", {"tenant": "acme\n"}),
    ("names no tenant", {"tenant": "*"}),
    ("absent or suspended", {"tenant": "gone"}),
    ("unreadable roles or scopes", {"scope": 7}),
    ("unreadable roles or scopes", {"scope": ["a", 7]}),
    ("unreadable roles or scopes", {"scope": ["x"] * 257}),
    ("the issuer is not trusted", {"iss": "https://evil.example.com"}),
    ("the issuer is not trusted", {"iss": "https://house.example.com/"}),
    ("the issuer is not trusted", {"iss": ["https://house.example.com"]}),
    ("the issuer is not trusted", {"iss": {}}),
]


@pytest.mark.parametrize(("reason", "changes"), BAD_CLAIMS)
async def test_a_bad_claim_is_refused(house, security, reason, changes) -> None:
    now = time.time()
    stated = {name: value(now) if callable(value) else value for name, value in changes.items()}
    await refused(house, house.forge(claims=house.claims(**stated)), security, reason)


@pytest.mark.parametrize("name", ["sub", "aud", "exp", "iat", "nbf", "jti", "tenant", "iss"])
async def test_a_missing_claim_is_refused(house, security, name) -> None:
    reason = {"tenant": "names no tenant", "iss": "not trusted"}.get(name, f"lacks {name}")
    await refused(house, house.forge(claims=house.claims(**{name: None})), security, reason)


BAD_HEADERS = [
    ("another algorithm", {"alg": "none"}),
    ("another algorithm", {"alg": "HS256"}),
    ("another algorithm", {"alg": "ES384"}),
    ("another algorithm", {"alg": "es256"}),
    ("names no algorithm", {"alg": None}),
    ("names no algorithm", {"alg": ["ES256"]}),
    ("unknown key", {"kid": None}),
    ("unknown key", {"kid": "other"}),
    ("unknown key", {"kid": "../../dev/null"}),
    ("unknown key", {"kid": "https://evil.example.com/jwks.json"}),
    ("unknown key", {"kid": "' OR 1=1 --"}),
    ("kid is not a short text", {"kid": ""}),
    ("kid is not a short text", {"kid": 0}),
    ("kid is not a short text", {"kid": ["a"]}),
    ("kid is not a short text", {"kid": "k" * 256}),
    ("kid is not a short text", {"kid": "a\0b"}),
    ("not allowed", {"jku": "https://evil.example.com/jwks.json"}),
    ("not allowed", {"x5u": "https://evil.example.com/cert.pem"}),
    ("not allowed", {"jwk": {"kty": "oct", "k": "AA"}}),
    ("not allowed", {"x5c": ["MII"]}),
    ("not allowed", {"crit": ["exp"]}),
    ("not allowed", {"crit": []}),
    ("not allowed", {"b64": False}),
    ("not allowed", {"zip": "DEF"}),
    ("not allowed", {"cty": "JWT"}),
    ("not allowed", {"x5t": "harmless elsewhere"}),
    ("not allowed", {"custom": 1}),
    ("of another type", {"typ": None}),
    ("of another type", {"typ": "JWT"}),
    ("of another type", {"typ": "dpop+jwt"}),
    ("of another type", {"typ": ["at+jwt"]}),
]


@pytest.mark.parametrize(("reason", "changes"), BAD_HEADERS)
async def test_a_bad_header_is_refused(house, security, reason, changes) -> None:
    await refused(house, house.forge(header=house.header(**changes)), security, reason)


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_an_access_token_says_so_in_any_case(house, kind) -> None:
    await house.verifier.verify(house.forge(header=house.header(typ=kind)), house.plain)


async def test_alg_none_without_a_signature_is_refused(house, security) -> None:
    token = house.forge(header=house.header(alg="none")).rpartition(".")[0] + "."
    await refused(house, token, security, "not base64url")


@pytest.mark.parametrize("form", ["pem", "der", "point"])
async def test_an_hmac_with_our_public_key_is_refused(house, security, form) -> None:
    public = house.keyring._signing.public_key()
    data = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "point": public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    }[form]

    def sign(signed: bytes) -> bytes:
        return hmac.digest(data, signed, hashlib.sha256)

    for header in (house.header(alg="HS256"), house.header()):
        with pytest.raises(Unauthenticated):
            await house.verifier.verify(house.forge(header=header, sign=sign), house.plain)
    assert [entry["reason"] for entry in security] == [
        "names another algorithm than its key's",
        "the signature does not match",
    ]


@pytest.mark.parametrize("signature", [b"\0" * 64, b"x", b"\xff" * 64, b"\0" * 63, b"\0" * 4096])
async def test_a_signature_that_is_no_signature_is_refused(house, security, signature) -> None:
    token = house.forge(sign=lambda signed: signature)
    await refused(house, token, security, "the signature does not match")


async def test_a_token_of_another_key_is_refused(house, security) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    header = {"kid": house.keyring.kid, "typ": "at+jwt"}
    token = jwt.encode(house.claims(), other, "ES256", headers=header)
    await refused(house, token, security, "the signature does not match")


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_part_of_another_token_does_not_fit(house, security, place) -> None:
    one, two = house.forge().split("."), house.forge(claims=house.claims(sub="eva")).split(".")
    one[place] = two[place] if place else encoded(json.dumps(house.header(), indent=1).encode())
    await refused(house, ".".join(one), security, "the signature does not match")


SHAPES = [
    ("not three parts", lambda t: ""),
    ("not three parts", lambda t: "."),
    ("not three parts", lambda t: "Bearer"),
    ("not three parts", lambda t: f"{t}.x"),
    ("not three parts", lambda t: f"{t}.x.y"),
    ("not three parts", lambda t: t.rpartition(".")[0]),
    ("not base64url", lambda t: ".."),
    ("not base64url", lambda t: f"{t}="),
    ("not base64url", lambda t: f"{t}\n"),
    ("not base64url", lambda t: f" {t}"),
    ("not base64url", lambda t: t.replace(".", ".é", 1)),
    ("not base64url", lambda t: f"{t}\udcff"),
    ("not base64url", lambda t: f"{t}٣"),
    ("not base64url", lambda t: t[:-1] + "+"),
    ("longer than 8 KiB", lambda t: t + "A" * 8192),
    ("longer than 8 KiB", lambda t: "é" * 8193),
]


@pytest.mark.parametrize(("reason", "change"), SHAPES)
async def test_a_text_that_is_no_compact_token_is_refused(house, security, reason, change) -> None:
    await refused(house, change(house.forge()), security, reason)


async def test_a_token_of_more_than_8_kib_is_refused_even_when_it_is_signed(
    house, security
) -> None:
    token = house.forge(claims=house.claims(more="x" * 8192))
    await refused(house, token, security, "longer than 8 KiB")


async def test_stray_bits_in_the_last_character_are_refused(house, security) -> None:
    token = house.forge()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = letters[letters.index(token[-1]) + 1]
    await refused(house, token[:-1] + stray, security, "stray bits")


def test_a_segment_of_an_impossible_length_is_refused() -> None:
    with pytest.raises(Refused, match="not base64url"):
        decoded("AAAAA")


BAD_JSON = [
    ("comes twice", b'{"tenant": "beta", %s}'),
    ("comes twice", b'{%s, "sub": "root"}'),
    ("comes twice", b'{%s, "more": {"a": 1, "a": 2}}'),
    ("comes twice", b'{%s, "\\u0073ub": "root"}'),
    ("NaN is not JSON", b'{%s, "x": NaN}'),
    ("Infinity is not JSON", b'{%s, "exp2": -Infinity}'),
    ("not JSON", b"{%s, }"),
    ("not JSON", b"{%s}{}"),
    ("not JSON", b"\xef\xbb\xbf{%s}"),
    ("not JSON", b'{%s, "x": "\xff"}'),
    ("not JSON", b'{%s, "x": ' + b"[" * 2000 + b"]" * 2000 + b"}"),
    ("not JSON", b'{%s, "x": ' + b"9" * 5000 + b"}"),
    ("not a JSON object", b"[{%s}]"),
    ("not a JSON object", b"null"),
]


@pytest.mark.parametrize(("reason", "form"), BAD_JSON)
async def test_ambiguous_json_is_refused(house, security, reason, form) -> None:
    inner = json.dumps(house.claims()).encode()[1:-1]
    claims = form % inner if b"%s" in form else form
    await refused(house, house.forge(claims=claims), security, reason)


async def test_a_header_member_that_comes_twice_is_refused(house, security) -> None:
    inner = json.dumps(house.header()).encode()[1:-1]
    await refused(house, house.forge(header=b'{"alg":"none",' + inner + b"}"), security, "twice")


@pytest.mark.parametrize(
    "audience",
    [
        "https://house.example.com/mcp",
        "https://house.example.com/mcp/",
        "https://HOUSE.example.COM/mcp",
        "HTTPS://house.example.com/mcp",
        "https://house.example.com:443/mcp",
    ],
)
async def test_another_spelling_of_our_audience_is_ours(house, audience) -> None:
    token = house.forge(claims=house.claims(aud=audience))
    assert (await house.verifier.verify(token, house.plain)).subject == "ana"


@pytest.mark.parametrize(
    "changes", [{"exp": -29}, {"nbf": 29}, {"iat": 29}, {"exp": 86_400 - 1}], ids=str
)
async def test_clocks_may_differ_by_the_leeway(house, changes) -> None:
    now = time.time()
    stated = {name: now + value for name, value in changes.items()}
    if "exp" in changes and changes["exp"] < 0:
        stated["iat"] = now - 60
    await house.verifier.verify(house.forge(claims=house.claims(**stated)), house.plain)


async def test_a_token_older_than_its_tenant_belongs_to_an_earlier_one(house, security) -> None:
    token = house.forge()
    house.store.tenants["acme"] = time.time() + 0.001
    await refused(house, token, security, "before its tenant was made")


@given(st.binary(max_size=300))
def test_no_bytes_are_read_as_claims_but_an_object(data) -> None:
    with suppress(Refused):
        assert isinstance(strict_object(data), dict)


@given(st.text(max_size=200))
def test_no_text_makes_the_dissection_fail_otherwise_than_by_refusing(text) -> None:
    for token in (text, f"e30.{text}", f"e30.e30.{text}"):
        with suppress(Refused):
            dissect(token)


@given(st.binary(max_size=80))
def test_base64url_has_one_spelling(data) -> None:
    text = encoded(data)
    if data:
        assert decoded(text) == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, 9999), st.sampled_from("ABCDwxyz0189-_.=%é "))
async def test_a_token_with_one_character_changed_is_refused(house, where, letter) -> None:
    token = house.forge()
    place = where % len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(Unauthenticated):
            await house.verifier.verify(changed, house.plain)
