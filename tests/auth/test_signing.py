"""The installation's own key: made once, shared by racing processes, published, rotated."""

import json
import os
import subprocess
import sys
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from tause_mcp.auth import files
from tause_mcp.auth.apikeys import open_pepper
from tause_mcp.auth.compact import dissect
from tause_mcp.auth.signing import Keyring, thumbprint
from tause_mcp.errors import Invalid, Misconfigured, Unauthenticated
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

HOUSE = "https://house.example.com"
ACME = TenantId("acme")


def private_pem(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def put(path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch(0o600)
    path.write_bytes(content)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path) -> None:
    home = tmp_path / "home"
    first, second = Keyring.open(home, HOUSE), Keyring.open(home, HOUSE)
    assert first.kid == second.kid
    assert (home / "signing.pem").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.iterdir()] == ["signing.pem"]
    assert "_signing" not in repr(first)


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.torture)])
def test_racing_processes_agree_on_key_and_pepper(tmp_path, count) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tause_mcp.auth.signing import Keyring\n"
        "from tause_mcp.auth.apikeys import open_pepper\n"
        "home = Path(sys.argv[1]); sys.stdin.readline()\n"
        "print(Keyring.open(home, 'https://h').kid, open_pepper(home).hex())\n"
    )
    home = tmp_path / "home"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for _ in range(count)
    ]
    said = {racer.communicate("go\n", timeout=60)[0] for racer in racers}
    assert len(said) == 1 and len(said.pop().split()) == 2
    assert sorted(path.name for path in home.iterdir()) == ["pepper", "signing.pem"]


def test_the_one_who_loses_the_race_takes_the_winners_secret(tmp_path) -> None:
    path = tmp_path / "home" / "pepper"

    def make() -> bytes:
        put(path, b"winner")
        return b"loser"

    assert files.once(path, make) == b"winner"
    assert [found.name for found in path.parent.iterdir()] == ["pepper"]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o601])
def test_a_secret_that_is_open_to_others_refuses_to_start(tmp_path, mode) -> None:
    put(tmp_path / "pepper", b"ab" * 32)
    (tmp_path / "pepper").chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600") as refused:
        open_pepper(tmp_path)
    assert str(tmp_path) not in str(refused.value) and "\n" not in str(refused.value)


def test_a_mounted_secret_may_be_readable_by_its_group(tmp_path) -> None:
    put(tmp_path / "pepper", b"ab" * 32)
    (tmp_path / "pepper").chmod(0o440)
    assert open_pepper(tmp_path) == b"\xab" * 32


def test_an_empty_secret_refuses_to_start(tmp_path) -> None:
    put(tmp_path / "pepper", b"")
    with pytest.raises(Misconfigured, match="is empty"):
        open_pepper(tmp_path)


@pytest.mark.parametrize("content", [b"ab" * 31, b"zz" * 32, b"\xff" * 64])
def test_a_pepper_that_is_none_refuses_to_start(tmp_path, content) -> None:
    put(tmp_path / "pepper", content)
    with pytest.raises(Misconfigured, match="64 hexadecimal digits"):
        open_pepper(tmp_path)


def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(Misconfigured, match=r"TAUSE_HOME: cannot keep signing\.pem"):
        Keyring.open(tmp_path / "home", HOUSE)


def test_windows_has_no_mode_bits_to_check(tmp_path, monkeypatch) -> None:
    put(tmp_path / "pepper", b"ab" * 32)
    (tmp_path / "pepper").chmod(0o644)
    monkeypatch.setattr(files.os, "name", "nt")
    assert files.read_secret(tmp_path / "pepper") == b"ab" * 32


EC, OTHER_CURVE = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("name", ["signing.pem", "signing-previous.pem"])
@pytest.mark.parametrize(
    "content",
    [
        b"no key",
        private_pem(OTHER_CURVE),
        private_pem(RSA),
        private_pem(EC, BestAvailableEncryption(b"password")),
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        public_pem(RSA),
        public_pem(OTHER_CURVE),
    ],
    ids=["text", "P-384", "RSA", "encrypted", "cut", "public RSA", "public P-384"],
)
def test_a_file_that_is_no_p256_key_refuses_to_start(tmp_path, name, content) -> None:
    put(tmp_path / name, content)
    with pytest.raises(Misconfigured, match=rf"{name} in TAUSE_HOME is not") as refused:
        Keyring.open(tmp_path, HOUSE)
    assert "\n" not in str(refused.value)


def test_the_kid_is_the_rfc_7638_thumbprint() -> None:
    numbers = {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }
    public = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(numbers)
    # SHA-256 of '{"crv":"P-256","kty":"EC","x":"...","y":"..."}', computed apart with hashlib.
    assert thumbprint(public) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_the_key_set_verifies_what_was_issued_and_holds_nothing_private(house) -> None:
    document = json.loads(json.dumps(house.verifier.jwks()))
    (published,) = document["keys"]
    assert set(published) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    token = house.keyring.issue(ACME, "ana", ["storage:read"], f"{HOUSE}/mcp", 60)
    claims = jwt.decode(
        token,
        jwt.PyJWK(published),
        algorithms=["ES256"],
        audience=f"{HOUSE}/mcp",
        issuer=HOUSE,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"]},
    )
    assert claims["tenant"] == "acme" and claims["scope"] == "storage:read"
    assert jwt.get_unverified_header(token) == {
        "alg": "ES256",
        "kid": published["kid"],
        "typ": "at+jwt",
    }


async def test_an_issued_token_meets_our_own_profile(house) -> None:
    token = house.keyring.issue(ACME, "ana", {"storage:read", "*:write:a*"}, f"{HOUSE}/mcp/", 60)
    caller = await house.verifier.verify(token, house.plain)
    assert caller.scopes.granted == {"storage:read", "*:write:a*"}
    assert caller.expires_at == pytest.approx(time.time() + 60, abs=5)
    other = house.keyring.issue(ACME, "ana", (), f"{HOUSE}/mcp", 60)
    assert (await house.verifier.verify(other, house.plain)).credential != caller.credential


async def test_a_token_without_scopes_has_what_its_subject_was_assigned(house) -> None:
    house.store.roles["acme", HOUSE, "ana"] = frozenset({"cache:read"})
    token = house.keyring.issue(ACME, "ana", None, f"{HOUSE}/mcp", 60)
    caller = await house.verifier.verify(token, house.plain)
    assert caller.scopes.granted == {"cache:read"}
    nothing = house.keyring.issue(ACME, "ana", (), f"{HOUSE}/mcp", 60)
    assert not (await house.verifier.verify(nothing, house.plain)).scopes.granted


def test_extra_claims_never_replace_those_of_the_profile(house) -> None:
    more = {"iss": "evil", "tenant": "beta", "scope": "*:*", "exp": 9e9, "peer": "x"}
    token = house.keyring.issue(ACME, "ana", ["a:read"], f"{HOUSE}/mcp", 60, claims=more)
    claims = dissect(token).claims
    assert (claims["iss"], claims["tenant"], claims["scope"]) == (HOUSE, "acme", "a:read")
    assert claims["exp"] < 9e9 and claims["peer"] == "x"


@pytest.mark.parametrize(
    ("subject", "scopes", "ttl", "field"),
    [
        ("ana", (), 0, "ttl"),
        ("ana", (), 86_401, "ttl"),
        ("ana", (), float("nan"), "ttl"),
        ("", (), 60, "subject"),
        ("a\nb", (), 60, "subject"),
        ("x" * 256, (), 60, "subject"),
        ("ana", ["a:read *:*"], 60, "scopes"),
        ("ana", [""], 60, "scopes"),
        ("ana", ["a\tb"], 60, "scopes"),
        ("ana", [f"storage:read:{n:0>60}" for n in range(200)], 60, None),
    ],
)
def test_a_token_that_could_not_be_verified_is_never_issued(
    house, subject, scopes, ttl, field
) -> None:
    with pytest.raises(Invalid) as refused:
        house.keyring.issue(ACME, subject, scopes, f"{HOUSE}/mcp", ttl)
    assert refused.value.field == field


@pytest.mark.parametrize("half", [private_pem, public_pem])
async def test_a_previous_key_verifies_but_does_not_sign(make_house, half) -> None:
    before = make_house()
    token = before.keyring.issue(ACME, "ana", ["a:read"], f"{HOUSE}/mcp", 600)
    path = before.home / "signing.pem"
    old = load_pem_private_key(path.read_bytes(), None)
    path.unlink()
    with pytest.raises(Unauthenticated):
        await make_house().verifier.verify(token, before.plain)
    put(before.home / "signing-previous-1.pem", half(old))
    after = make_house()
    assert (await after.verifier.verify(token, after.plain)).subject == "ana"
    assert [key["kid"] for key in after.keyring.jwks()["keys"]] == [
        after.keyring.kid,
        before.keyring.kid,
    ]
    assert jwt.get_unverified_header(after.keyring.assertion(HOUSE))["kid"] == after.keyring.kid


def test_more_previous_keys_than_a_key_set_may_hold_refuse_to_start(tmp_path) -> None:
    for number in range(10):
        put(tmp_path / f"signing-previous-{number}.pem", public_pem(EC))
    with pytest.raises(Misconfigured, match="more than 9"):
        Keyring.open(tmp_path, HOUSE)
