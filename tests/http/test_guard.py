"""A page on another host reaches nothing here, whatever the path, the spelling and the door."""

import asyncio
from typing import Any

import pytest

from tause_mcp.http.guard import Guard
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio

PATHS = ["/", "/mcp", "/t/ta/mcp", "/sse", "/messages/", "/healthz", "/readyz", "/metrics",
         "/objects/x", "/approvals/ap_x", "/.well-known/jwks.json", "/webhooks/x/ta", "/nothing",
         "//mcp", "/mcp?x=http://localhost"]  # fmt: skip


class House:
    """A guard before an application that answers 200, and what it was called with."""

    def __init__(self, public_url: str = "http://127.0.0.1:8000", **settings: str) -> None:
        self.reached: list[dict[str, Any]] = []
        self.guard = Guard(self._app, Settings(**settings), public_url)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope)
        if scope["type"] == "lifespan":
            return
        headers = [(b"content-type", b"text/plain"), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def call(
        self, *headers: tuple[str, str], method: str = "POST", path: str = "/mcp"
    ) -> tuple[int, dict[str, str], bytes]:
        """Raw headers as a server gives them: names in lower case, values as they came."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers],
        }
        await self.guard(scope, self._receive, send)
        start, *bodies = sent
        told = {n.decode(): v.decode("latin-1") for n, v in start["headers"]}
        return start["status"], told, b"".join(b["body"] for b in bodies)

    async def _receive(self) -> Any:
        await asyncio.sleep(30)

    async def status(self, host: str | None, origin: str | None = None, **told: Any) -> int:
        headers = [(n, v) for n, v in (("host", host), ("origin", origin)) if v is not None]
        return (await self.call(*headers, **told))[0]


# --- the host -----------------------------------------------------------------------------------

LOOPBACK = ["127.0.0.1", "127.0.0.1:8000", "127.0.0.1:1", "localhost", "localhost:65535",
            "LOCALHOST:8000", "LocalHost", "[::1]", "[::1]:8000", " localhost ", "localhost\t"]  # fmt: skip

FOREIGN = [
    "evil.com",
    "127.0.0.1.evil.com",
    "127.0.0.1.evil.com:8000",
    "localhost.evil.com",
    "localhost:80evil",
    "localhost:80.evil.com",
    "localhost:80@evil.com",
    "evil.com:localhost",
    "evil.com#localhost",
    "localhost:",
    "localhost:-1",
    "localhost:+1",
    "localhost:8 0",
    "localhost:\xb2",
    "localhost,evil.com",
    "localhost evil.com",
    "xlocalhost:80",
    "127.0.0.1:*",
    "localhost.",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0.0.0.0:8000",
    "::1",
    "[::1",
    "[::1]evil.com",
    "[::1]:80evil",
    "[::ffff:127.0.0.1]",
    "*",
    "",
    " ",
    "user@localhost",
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_names_are_served_on_any_port(host: str) -> None:
    assert await House().status(host) == 200


@pytest.mark.parametrize("host", [None, *FOREIGN])
async def test_any_other_host_is_refused(host: str | None) -> None:
    house = House()
    assert await house.status(host) == 421
    assert house.reached == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "PATCH"])
async def test_every_path_and_method_is_guarded(path: str, method: str) -> None:
    house = House()
    assert await house.status("evil.com", method=method, path=path) == 421
    assert await house.status("localhost", "http://evil.com", method=method, path=path) == 403
    assert house.reached == []


@pytest.mark.parametrize(
    "hosts", [("localhost", "evil.com"), ("evil.com", "localhost"), ("localhost", "localhost")]
)
async def test_two_hosts_are_none(hosts: tuple[str, str]) -> None:
    house = House()
    status, _, _ = await house.call(*(("host", host) for host in hosts))
    assert status == 421
    assert house.reached == []


async def test_the_public_host_is_served_with_its_own_port_only() -> None:
    house = House("https://tause.example")
    for host in ("tause.example", "TAUSE.example", "tause.example:443"):
        assert await house.status(host) == 200
    for host in ("tause.example:444", "x.tause.example", "tause.example.evil.com", "tause.exampl"):
        assert await house.status(host) == 421


async def test_a_public_url_with_a_port_or_a_path_names_its_host() -> None:
    house = House("http://tause.example:8080/base")
    assert await house.status("tause.example:8080") == 200
    assert await house.status("tause.example") == 421
    assert await house.status("tause.example:8080", "http://tause.example:8080") == 200
    assert await house.status("tause.example:8080", "http://tause.example:8080/base") == 403


async def test_without_a_public_url_an_empty_name_is_still_no_name() -> None:
    house = House("")
    assert await house.status("") == 421
    assert await house.status("localhost", "") == 403
    assert await house.status("localhost", "://") == 403
    assert await house.status("localhost") == 200


async def test_a_further_host_is_exact_or_of_any_port() -> None:
    house = House(allowed_hosts=" a.example , B.example:* ,,[fd00::1]:*")
    for host in ("a.example", "b.example:1", "b.example:65535", "[fd00::1]:80"):
        assert await house.status(host) == 200
    for host in ("a.example:80", "b.example", "b.example:", "b.example:1x", "c.b.example:1"):
        assert await house.status(host) == 421


# --- the origin ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:5173", "http://127.0.0.1:8000", "http://[::1]:3000"],
)
async def test_a_loopback_origin_may_call(origin: str) -> None:
    status, headers, body = await House().call(("host", "localhost"), ("origin", origin))
    assert (status, body) == (200, b"ok")
    assert headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in headers
    assert headers["vary"] == "Origin"
    assert "mcp-session-id" in headers["access-control-expose-headers"]
    assert headers["etag"] == '"1"'


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.com",
        "https://evil.com",
        "http://localhost.evil.com",
        "http://localhost:80evil",
        "http://localhost:80.evil.com",
        "http://localhost@evil.com",
        "http://evil.com/http://localhost",
        "https://localhost",
        "localhost",
        "file://",
        "http://127.0.0.1.evil.com:8000",
        "http://[::1].evil.com",
        "http://localhost:80\xb2",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
async def test_any_other_origin_is_refused(origin: str, method: str) -> None:
    house = House()
    assert await house.status("localhost", origin, method=method) == 403
    assert house.reached == []


async def test_a_refused_origin_gets_no_permission_to_read_the_refusal() -> None:
    _, headers, body = await House().call(("host", "localhost"), ("origin", "http://evil.com"))
    assert not any(name.startswith("access-control") for name in headers)
    assert b"evil" not in body
    assert headers["cache-control"] == "no-store"


async def test_two_origins_are_none() -> None:
    house = House()
    headers = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.com")]
    assert (await house.call(*headers))[0] == 403
    assert (await house.call(*headers[::-1]))[0] == 403
    assert house.reached == []


async def test_a_further_origin_may_call_and_only_it() -> None:
    house = House(allowed_origins="https://app.example, http://dev.example:*")
    for origin in ("https://app.example", "http://dev.example:5173", "HTTPS://APP.example"):
        assert await house.status("localhost", origin) == 200
    for origin in ("http://app.example", "https://app.example:444", "https://dev.example:1"):
        assert await house.status("localhost", origin) == 403


async def test_a_foreign_host_is_refused_also_with_a_good_origin() -> None:
    """Rebinding: the page was loaded from the name that now points here."""
    assert await House().status("evil.com", "http://localhost") == 421


# --- preflight ----------------------------------------------------------------------------------


async def test_a_preflight_is_answered_before_the_application() -> None:
    house = House()
    status, headers, body = await house.call(
        ("host", "localhost"),
        ("origin", "http://localhost:5173"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,mcp-protocol-version"),
        method="OPTIONS",
    )
    assert (status, body, house.reached) == (204, b"", [])
    allowed = headers["access-control-allow-headers"]
    for name in ("authorization", "mcp-protocol-version", "mcp-session-id", "tus-resumable"):
        assert name in allowed
    assert "PATCH" in headers["access-control-allow-methods"]
    assert "*" not in headers["access-control-allow-origin"]


@pytest.mark.parametrize("origin", [None, "http://localhost"])
async def test_options_of_its_own_reaches_the_application(origin: str | None) -> None:
    """TUS asks a server what it can by OPTIONS."""
    house = House()
    assert await house.status("localhost", origin, method="OPTIONS") == 200
    assert len(house.reached) == 1


# --- what else --------------------------------------------------------------------------------


async def test_a_refusal_is_logged_without_what_was_sent() -> None:
    import structlog

    with structlog.testing.capture_logs() as logs:
        await House().status("canary.example")
    assert [(line["event"], line["status"]) for line in logs] == [("request_refused", 421)]
    assert "canary" not in repr(logs)


async def test_blanks_around_a_value_are_not_seen_by_the_application() -> None:
    house = House()
    await house.call(("host", "localhost"), ("authorization", "Bearer x \t"))
    assert dict(house.reached[0]["headers"])[b"authorization"] == b"Bearer x"


async def test_a_websocket_is_closed_and_lifespan_passes() -> None:
    house, sent = House(), []

    async def send(message: Any) -> None:
        sent.append(message)

    await house.guard({"type": "websocket", "headers": []}, house._receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert house.reached == []
    await house.guard({"type": "lifespan"}, house._receive, send)
    assert len(house.reached) == 1
