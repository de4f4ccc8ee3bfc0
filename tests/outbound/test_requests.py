"""What the guarded client may be asked: TLS, URLs, headers, credentials, templates."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.outbound import OK, QUICK, names, serving, trusting

from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.outbound import Credential, Outbound, expand
from tause_mcp.outbound.addresses import REFUSED

pytestmark = pytest.mark.anyio


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
