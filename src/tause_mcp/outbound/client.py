"""The one guarded, retrying HTTP client for everything that a tenant can point somewhere."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import httpx2

from tause_mcp.errors import DeadlineExceeded, Invalid, ProviderError, Unavailable
from tause_mcp.outbound.addresses import Resolve, Unreached, resolve_host
from tause_mcp.outbound.answer import RETRYABLE, Answer, bounded

if TYPE_CHECKING:
    from tause_mcp.outbound.transport import GuardedTransport

Origin = tuple[str, str, int]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHODS = _IDEMPOTENT | {"POST", "PATCH"}
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "api-key"})
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive"}
) | {"te", "trailer", "upgrade", "accept-encoding", "expect", "proxy-connection"}
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_chance = SystemRandom()


@dataclass(frozen=True, slots=True)
class Credential:
    """Secret headers, and the only origin (`https://host[:port]`) that may ever see them."""

    origin: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a request is: seconds in all, decoded bytes at most, tries, first pause."""

    deadline: float = 10.0
    max_bytes: int = 1_048_576
    attempts: int = 3
    pause: float = 0.2


DEFAULT = Policy()


class Outbound:
    """Requests to where a tenant (or, `trusted`, the operator) points.

    Not `trusted`: https (plain http only with `allow_http`) to public addresses. No redirects, no
    cookies, nothing from the environment but the trust roots (`SSL_CERT_FILE`).
    """

    def __init__(
        self,
        *,
        trusted: bool = False,
        allow_http: bool = False,
        resolve: Resolve = resolve_host,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._schemes = ("https", "http") if trusted or allow_http else ("https",)
        self._trusted = trusted
        self._resolve = resolve
        self._tls = tls
        self._transport: GuardedTransport | None = None

    @property
    def transport(self) -> "GuardedTransport":
        """The guarded transport, opened at first use: loading trust roots costs milliseconds."""
        if self._transport is None:
            from tause_mcp.outbound.transport import GuardedTransport

            tls = self._tls or _trust_roots()
            self._transport = GuardedTransport(self._resolve, trusted=self._trusted, tls=tls)
        return self._transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close idle connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        credential: Credential | None = None,
        policy: Policy = DEFAULT,
        idempotent: bool | None = None,
    ) -> Answer:
        """Send and read the whole answer, whatever its status; see `Answer.required`.

        `idempotent` overrides what the method says (a POST that carries an idempotency key).

        Raises:
            Invalid: the URL, a header or the address is refused. Nothing was sent.
            Unreached: there was no connection, so nothing was sent.
            Unavailable, ProviderError, DeadlineExceeded: what went wrong out there.
        """
        request = self._request(method, url, headers or {}, content, credential)
        patience = httpx2.Timeout(policy.deadline, connect=min(policy.deadline, 5.0))
        request.extensions["timeout"] = patience.as_dict()
        repeat = method in _IDEMPOTENT if idempotent is None else idempotent
        try:
            with anyio.fail_after(policy.deadline):
                return await self._persist(request, policy, repeat=repeat)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {policy.deadline:g} seconds") from None

    async def _persist(self, request: httpx2.Request, policy: Policy, *, repeat: bool) -> Answer:
        attempt = 1
        while True:
            last = attempt >= policy.attempts
            pause = _chance.uniform(0.0, policy.pause * 2**attempt)
            try:
                answer = await self._once(request, policy)
            except httpx2.TransportError as error:
                if last or not _worth_repeating(error, repeat=repeat):
                    raise _meaning(error) from None
            else:
                if last or not repeat or answer.status not in RETRYABLE:
                    return answer
                pause = max(pause, answer.retry_after() or 0.0)
                if pause >= anyio.current_effective_deadline() - anyio.current_time():
                    return answer
            await anyio.sleep(pause)
            attempt += 1

    async def _once(self, request: httpx2.Request, policy: Policy) -> Answer:
        response = await self.transport.handle_async_request(request)
        try:
            coding = response.headers.get("content-encoding", "").strip().lower()
            coding = "" if request.method == "HEAD" else coding
            content = await bounded(response.aiter_raw(), coding, policy.max_bytes)
            return Answer(response.status_code, dict(response.headers), content)
        finally:
            await response.aclose()

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        credential: Credential | None,
    ) -> httpx2.Request:
        if method not in _METHODS:
            raise Invalid("the method is not one of " + ", ".join(sorted(_METHODS)), field="method")
        target = self._target(url)
        sent = {"accept-encoding": "gzip", "user-agent": "tause-mcp", **_allowed(headers)}
        if credential is not None:
            if origin_of(self._target(credential.origin)) != origin_of(target):
                raise Invalid("the credential belongs to another host", field="url")
            sent.update({name.lower(): value for name, value in credential.headers.items()})
        try:
            return httpx2.Request(method, target, headers=sent, content=content)
        except UnicodeError:
            raise Invalid("a header may hold only ASCII characters", field="headers") from None

    def _target(self, url: str) -> httpx2.URL:
        try:
            target = httpx2.URL(url)
        except (httpx2.InvalidURL, UnicodeError):
            raise Invalid("the URL cannot be read", field="url") from None
        if target.scheme not in self._schemes or not target.host:
            raise Invalid(f"the URL has to start with {self._schemes[0]}://", field="url")
        if target.userinfo:
            raise Invalid("the URL may not hold a user name or password", field="url")
        if target.port is not None and not 0 < target.port < 65_536:
            raise Invalid("the URL's port has to be between 1 and 65535", field="url")
        return target


@lru_cache(maxsize=1)
def _trust_roots() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def origin_of(url: httpx2.URL) -> Origin:
    """Scheme, host and port, normalised."""
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}[url.scheme]


def _allowed(headers: Mapping[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    for name in lowered:
        if name in _SECRET:
            raise Invalid(f"{name!r} needs a credential that is bound to a host", field="headers")
        if name in _FRAMING:
            raise Invalid(f"{name!r} is set by the client itself", field="headers")
    return lowered


def _worth_repeating(error: httpx2.TransportError, *, repeat: bool) -> bool:
    if isinstance(error, httpx2.LocalProtocolError):
        return False
    return repeat or isinstance(error, _NEVER_SENT)


def _meaning(error: httpx2.TransportError) -> Invalid | ProviderError | Unavailable:
    """The failure that a transport's error stands for; its own text may name addresses."""
    if isinstance(error, httpx2.LocalProtocolError):
        return Invalid("the request holds characters that HTTP does not allow", field="headers")
    if isinstance(error, _NEVER_SENT):
        return Unreached("the host cannot be reached; try again later")
    if isinstance(error, httpx2.RemoteProtocolError):
        return ProviderError("the answer is not valid HTTP, or ended early")
    return Unavailable("the connection broke; try again later")
