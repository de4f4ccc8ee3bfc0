"""The guarded client against real sockets and an injected resolver."""

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import DeadlineExceeded, Invalid, ProviderError, TauseError, Unavailable
from tause_mcp.outbound import Answer, Credential, Outbound, Policy, expand
from tause_mcp.outbound import addresses as guard
from tause_mcp.outbound.addresses import REFUSED, is_public, resolve_host
from tause_mcp.outbound.answer import bounded
from tause_mcp.outbound.transport import PinnedNetwork

pytestmark = pytest.mark.anyio

QUICK = Policy(deadline=5.0, pause=0.001)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request with the next of `answers` (the last one again) and keeps what came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://api.example.com:{self.port}"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                sizes = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                body = await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b""
                self.requests.append(head + body)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                writer.write(answer)
                await writer.drain()
                if b"content-length" not in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(*answers)
    listener = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


def names(*found: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that answers `found` for every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return found

    return resolve


def trusting(*found: str) -> Outbound:
    return Outbound(trusted=True, resolve=names(*(found or ("127.0.0.1",))))


# -- the guard -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808:0:0:3f57:fefe",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "5f00::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "168.63.129.17",
        "100.128.0.1",
        "2606:4700::1111",
        "64:ff9b::808:808",
        "::ffff:1.1.1.1",
    ],
)
def test_a_public_address_passes(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_makes_it_public(inner: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF_0000_0000 | int(inner))
    nat64 = IPv6Address((0x64FF9B << 96) | int(inner))
    assert is_public(mapped) == is_public(nat64) == is_public(inner)
    assert not is_public(IPv6Address((0x2002 << 112) | (int(inner) << 80)))


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_never_public(
    address: IPv4Address | IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved:
        inside = isinstance(address, IPv6Address) and guard._wrapped(address) is not None
        assert inside or not is_public(address)


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fec0::1"])
async def test_one_private_address_among_public_ones_refuses_all(bad: str) -> None:
    async with Outbound(resolve=names("8.8.8.8", bad)) as client:
        with pytest.raises(Invalid, match=REFUSED):
            await client.request("GET", "https://rebinding.example.com/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "0",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "127。0。0。1",
    ],
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    async with serving(OK) as server, Outbound(allow_http=True) as client:
        with pytest.raises(TauseError):
            await client.request("GET", f"http://{host}:{server.port}/", policy=QUICK)
        assert server.requests == []


async def test_an_absent_host_and_a_private_one_look_the_same() -> None:
    async def absent(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    texts = []
    for resolve in (absent, names("10.0.0.1"), names()):
        async with Outbound(resolve=resolve) as client:
            with pytest.raises(Invalid) as refused:
                await client.request("GET", "https://a.example.com/")
            texts.append((str(refused.value), refused.value.field))
    assert len(set(texts)) == 1


async def test_a_resolver_that_is_down_is_unavailable_and_not_invalid() -> None:
    async def down(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async with Outbound(resolve=down) as client:
        with pytest.raises(Unavailable):
            await client.request("GET", "https://a.example.com/")


async def test_a_label_that_cannot_be_a_name_is_refused() -> None:
    async def strange(host: str, port: int) -> Sequence[str]:
        raise UnicodeError("label too long")

    async with Outbound(resolve=strange) as client:
        with pytest.raises(Invalid):
            await client.request("GET", "https://a.example.com/")


async def test_the_name_is_resolved_once_and_that_address_is_connected_to() -> None:
    asked: list[tuple[str, int]] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    async with serving(OK) as server, Outbound(trusted=True, resolve=rebinding) as client:
        for _ in range(3):
            assert (await client.request("GET", server.url)).content == b"ok"
        assert asked == [("api.example.com", server.port)]
        assert f"host: api.example.com:{server.port}".encode() in server.requests[0].lower()


async def test_the_next_checked_address_is_tried_when_one_does_not_answer() -> None:
    async with serving(OK) as server, trusting("127.0.0.2", "::1", "127.0.0.1") as client:
        assert (await client.request("GET", server.url, policy=QUICK)).status == 200


async def test_at_most_four_addresses_are_tried() -> None:
    many = ["127.0.0.2"] * 4 + ["127.0.0.1"]
    async with serving(OK) as server, trusting(*many) as client:
        with pytest.raises(Unavailable):
            await client.request("GET", server.url, policy=QUICK)


async def test_a_unix_socket_is_never_opened() -> None:
    with pytest.raises(NotImplementedError):
        await PinnedNetwork(names("8.8.8.8"), trusted=True).connect_unix_socket("/run/x.sock")


async def test_the_system_resolver_names_each_address_once() -> None:
    assert list(await resolve_host("127.0.0.1", 80)) == ["127.0.0.1"]


# -- TLS -------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server and client contexts for a self-signed certificate of `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    tmp_path: Path,
) -> None:
    for_server, for_client = certificate(tmp_path, "api.example.com")
    asked: list[str | None] = []
    for_server.sni_callback = lambda sock, name, context: asked.append(name)
    async with serving(OK, tls=for_server) as server:
        client = Outbound(trusted=True, resolve=names("127.0.0.1"), tls=for_client)
        async with client:
            at = f"https://api.example.com:{server.port}/"
            assert (await client.request("GET", at)).content == b"ok"
            assert asked == ["api.example.com"]
            with pytest.raises(Unavailable):
                wrong = f"https://other.example.com:{server.port}/"
                await client.request("GET", wrong, policy=QUICK)


async def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    for_server, _ = certificate(tmp_path, "api.example.com")
    async with serving(OK, tls=for_server) as server, trusting() as client:
        with pytest.raises(Unavailable):
            at = f"https://api.example.com:{server.port}/"
            await client.request("GET", at, policy=QUICK)
        assert server.requests == []


# -- what may be asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "/relative",
        "",
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exa\x00mple.com/",
        "https://[::1/",
    ],
)
async def test_a_tenants_url_has_to_be_https_without_credentials(url: str) -> None:
    async with Outbound(resolve=names("8.8.8.8")) as client:
        with pytest.raises(Invalid) as refused:
            await client.request("GET", url)
        assert refused.value.field == "url"


async def test_plain_http_is_for_those_who_are_allowed_and_still_guarded() -> None:
    async with serving(OK) as server:
        async with Outbound(allow_http=True, resolve=names("127.0.0.1")) as client:
            with pytest.raises(Invalid, match=REFUSED):
                await client.request("GET", server.url)
        assert server.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"cookie": "a=b"},
        {"X-Api-Key": "k"},
        {"Host": "inside"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "0"},
        {"x-name": "caf\xe9"},
        {"x-split": "a\r\nx-evil: b"},
        {"bad name": "a"},
    ],
)
async def test_a_header_that_is_not_the_callers_to_set_is_refused(headers: dict[str, str]) -> None:
    async with serving(OK) as server, trusting() as client:
        with pytest.raises(Invalid) as refused:
            await client.request("GET", server.url, headers=headers, policy=QUICK)
        assert refused.value.field == "headers"
        assert server.requests == []


async def test_an_unknown_method_is_refused() -> None:
    async with trusting() as client:
        with pytest.raises(Invalid):
            await client.request("CONNECT", "https://example.com/")


async def test_a_credential_goes_only_to_its_origin_and_is_never_shown() -> None:
    async with serving(OK) as server, trusting() as client:
        bound = Credential(server.url, {"Authorization": "Bearer canary"})
        assert "canary" not in repr(bound)
        await client.request("GET", f"{server.url}/x", credential=bound)
        assert b"authorization: bearer canary" in server.requests[0].lower()
        for elsewhere in (
            f"http://evil.example.com:{server.port}/",
            f"https://api.example.com:{server.port}/",
            "http://api.example.com/",
        ):
            with pytest.raises(Invalid, match="belongs to another host"):
                await client.request("GET", elsewhere, credential=bound)
        assert len(server.requests) == 1


async def test_the_environment_names_no_proxy_and_no_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.example.com login a password canary\n")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(OK) as server, trusting() as client:
        assert (await client.request("GET", server.url)).status == 200
        assert b"authorization" not in server.requests[0].lower()


async def test_no_cookie_is_kept_between_requests() -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=canary\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as server, trusting() as client:
        await client.request("GET", server.url)
        await client.request("GET", server.url)
        assert b"canary" not in server.requests[1]


# -- what comes back -------------------------------------------------------------------------------


async def test_a_redirect_is_returned_and_never_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nlocation: /inside\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as server, trusting() as client:
        found = await client.request("GET", server.url)
        assert found.status == 302
        assert len(server.requests) == 1
        with pytest.raises(ProviderError, match="redirect"):
            found.required()


def reply(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_gzip_answer_is_decoded() -> None:
    async with (
        serving(reply(gzip.compress(b'{"a": 1}'), "content-encoding: gzip")) as server,
        trusting() as client,
    ):
        assert (await client.request("GET", server.url)).json() == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * 2001),
        reply(gzip.compress(b"\0" * 50_000_000), "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 10_000,
    ],
    ids=["plain", "bomb", "unannounced"],
)
async def test_an_answer_over_the_limit_is_refused_while_it_arrives(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        with pytest.raises(ProviderError, match="larger than 2000 bytes"):
            await client.request("GET", server.url, policy=Policy(max_bytes=2000))


async def test_a_bomb_never_unfolds_in_memory() -> None:
    async def one_chunk() -> AsyncIterator[bytes]:
        yield bomb

    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError):
            await bounded(one_chunk(), "gzip", 2000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


async def test_an_answer_of_exactly_the_limit_passes() -> None:
    for answer in (
        reply(b"x" * 2000),
        reply(gzip.compress(b"x" * 2000), "content-encoding: gzip"),
    ):
        async with serving(answer) as server, trusting() as client:
            found = await client.request("GET", server.url, policy=Policy(max_bytes=2000))
            assert found.content == b"x" * 2000


@pytest.mark.parametrize(
    "answer",
    [
        reply(zlib.compress(b"x"), "content-encoding: deflate"),
        reply(b"x", "content-encoding: br"),
        reply(b"not gzip", "content-encoding: gzip"),
        reply(gzip.compress(b"x" * 100)[:-9], "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"SMTP ready\r\n\r\n",
    ],
    ids=["deflate", "brotli", "garbage", "cut", "short", "not http"],
)
async def test_an_answer_that_cannot_be_read_is_the_providers_error(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        with pytest.raises((ProviderError, DeadlineExceeded)):
            await client.request("GET", server.url, policy=Policy(deadline=0.5, attempts=1))


async def test_the_answer_to_head_has_no_body_to_decode() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as server, trusting() as client:
        assert (await client.request("HEAD", server.url)).content == b""


def test_a_success_is_given_back_as_it_is() -> None:
    answer = Answer(204, {}, b"")
    assert answer.required() is answer


async def test_what_is_not_json_is_the_providers_error() -> None:
    for body in (b"<html>", b"[" * 100_000, b"\xff"):
        with pytest.raises(ProviderError, match="not JSON"):
            Answer(200, {}, body).json()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ProviderError), (404, ProviderError), (429, Unavailable)]
)
def test_a_status_that_is_no_success_is_a_failure_on_demand(
    status: int, kind: type[TauseError]
) -> None:
    with pytest.raises(kind, match=str(status)) as failed:
        Answer(status, {"retry-after": "7"}, b"").required()
    assert failed.value.retry_after == (7.0 if kind is Unavailable else None)


# -- patience --------------------------------------------------------------------------------------


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", "content-length: 0", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def test_an_idempotent_request_is_tried_again() -> None:
    async with serving(status(503), b"garbage\r\n\r\n", OK) as server, trusting() as client:
        assert (await client.request("GET", server.url, policy=QUICK)).content == b"ok"
        assert len(server.requests) == 3


async def test_the_last_failure_is_returned_when_patience_ends() -> None:
    async with serving(status(503)) as server, trusting() as client:
        assert (await client.request("PUT", server.url, policy=QUICK)).status == 503
        assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [status(503), b""], ids=["503", "hang-up"])
async def test_a_post_that_may_have_arrived_is_sent_once(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        try:
            found = await client.request("POST", server.url, content=b"{}", policy=QUICK)
            assert found.status == 503
        except ProviderError:
            pass
        assert len(server.requests) == 1


async def test_a_post_with_an_idempotency_key_is_tried_again_with_the_same_body() -> None:
    async with serving(status(502), OK) as server, trusting() as client:
        await client.request("POST", server.url, content=b"hi", policy=QUICK, idempotent=True)
        assert [r[-2:] for r in server.requests] == [b"hi", b"hi"]


async def test_a_post_that_never_left_is_tried_again() -> None:
    lookups = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal lookups
        lookups += 1
        return ["127.0.0.1" if lookups > 1 else "127.0.0.2"]

    async with serving(OK) as server, Outbound(trusted=True, resolve=resolve) as client:
        found = await client.request("POST", server.url, content=b"x", policy=QUICK)
        assert (found.status, lookups, len(server.requests)) == (200, 2, 1)


async def test_retry_after_is_waited_for_when_it_fits_the_deadline() -> None:
    async with serving(status(429, "retry-after: 0.3"), OK) as server, trusting() as client:
        began = asyncio.get_running_loop().time()
        assert (await client.request("GET", server.url, policy=QUICK)).status == 200
        assert asyncio.get_running_loop().time() - began >= 0.3


async def test_a_retry_after_beyond_the_deadline_is_given_back_at_once() -> None:
    async with serving(status(429, "retry-after: 600"), OK) as server, trusting() as client:
        found = await client.request("GET", server.url, policy=QUICK)
        assert (found.status, found.retry_after(), len(server.requests)) == (429, 600.0, 1)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("", None),
        ("5", 5.0),
        ("-5", 0.0),
        ("999999999", 3600.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_bounded(stated: str, seconds: float | None) -> None:
    assert Answer(503, {"retry-after": stated}, b"").retry_after() == seconds


def test_retry_after_reads_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    waited = Answer(503, {"retry-after": date}, b"").retry_after()
    assert waited is not None and 50 < waited <= 60


async def test_a_host_that_drips_is_cut_off_at_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            for _ in range(100):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with listener, trusting() as client:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(DeadlineExceeded):
            await client.request("GET", f"http://slow.example.com:{port}/", policy=Policy(0.2))


async def test_a_connection_that_breaks_is_unavailable() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()

    listener = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with listener, trusting() as client:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await client.request("GET", f"http://x.example.com:{port}/", policy=QUICK)


async def test_a_host_that_refuses_is_unavailable_without_naming_an_address() -> None:
    async with trusting() as client:
        with pytest.raises(Unavailable) as failed:
            await client.request("GET", "http://api.example.com:1/", policy=QUICK)
        assert "127.0.0.1" not in str(failed.value)


# -- templates -------------------------------------------------------------------------------------


def test_a_path_parameter_cannot_leave_its_segment() -> None:
    made = expand("https://a.example.com/v1/{id}/x", id="../a?b#c/%2e%2e\\é")
    assert made == "https://a.example.com/v1/..%2Fa%3Fb%23c%2F%252e%252e%5C%C3%A9/x"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_dot_segment_is_refused_as_a_parameter(value: str) -> None:
    with pytest.raises(Invalid) as refused:
        expand("https://a.example.com/{id}", id=value)
    assert refused.value.field == "id"


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_a_parameter_is_one_segment_whatever_it_holds(value: str) -> None:
    made = expand("{id}", id=value)
    assert made.isascii() and not set(made) & set("/?#\\@: ")
