"""Outside issuers' keys, and when their sets are fetched from a pinned URL."""

import asyncio

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.clock import BUSY
from tests.support.issuers import (
    EC256,
    EC384,
    IDP,
    K1,
    RSA,
    Clock,
    Source,
    jwk,
    key_set,
    signed,
)

from tause_mcp.auth.identities import Refused
from tause_mcp.auth.jwks import RemoteKeys, keys_in
from tause_mcp.auth.keys import key_of
from tause_mcp.auth.opening import fetched
from tause_mcp.errors import ProviderError, TauseError, Unauthenticated, Unavailable

pytestmark = pytest.mark.anyio


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
        with anyio.fail_after(BUSY):
            assert await keys.key("k1") is not None
        clock.now += 61
        with anyio.fail_after(BUSY):
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
