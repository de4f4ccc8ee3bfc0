"""`/webhooks/wompi/{tenant_id}`: what Wompi tells by itself, of payments and of payouts.

A genuine event says "look again", and nothing of it is believed: each thing it is about is read anew
with the tenant's own keys. The checksum is the identity: until it holds nothing is counted, and an
unknown tenant, one without keys and a wrong checksum are answered alike.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from tause_mcp import log
from tause_mcp.errors import NotFound, TauseError, Unavailable, Unconfigured
from tause_mcp.operation import Operation
from tause_mcp.outbound.wompi import Event, read_event
from tause_mcp.pipeline import Crash, Invocation
from tause_mcp.tenancy import Caller, Scopes, TenantId, tenant_id

MOST_BYTES = 64 * 1024
READ_SECONDS = 8.0
"""What is not read anew by then is due anyway; Wompi is not kept waiting."""
_NOBODY = ("no such secret",)
_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_log = log.get("webhooks")


@dataclass(frozen=True, slots=True)
class Ear:
    """What a capability hears events with."""

    capability: str
    events: type[Any]
    """The service whose `secrets()` its events are checked by."""
    about: Callable[[Event], Mapping[str, str]]
    """What of an event names something of the capability's: the arguments of `hear`."""
    hear: Operation
    """Writes down that what an event is about is due, and tells its ids."""
    reconcile: Operation

    def caller(self, tenant: TenantId) -> Caller:
        """The company whose event was genuine."""
        scopes = Scopes(frozenset({f"{self.capability}:write"}))
        return Caller("provider:wompi", tenant, scopes, issuer="webhook")


class WompiEvents:
    """The ASGI endpoint. `ears`: from the platform, what each capability hears with."""

    def __init__(self, platform: Any, *ears: Callable[[Any], Ear]) -> None:
        self._platform = platform
        self._ears = [ear(platform) for ear in ears]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _told(413, "too_large")
        heard = []
        try:
            for ear in self._ears:  # each is asked, whoever believes it: it takes as long
                tenant, known = await self._secrets(ear, request.path_params["tenant_id"])
                event = read_event(body, known)
                if event is not None and tenant is not None:
                    heard.append((ear, tenant, event))
            if not heard:
                log.security.warning("event_refused", provider="wompi")
                return _told(401, "unauthenticated")
            for ear, tenant, event in heard:
                await self._heard(ear, tenant, event)
        except (Unavailable, Crash):  # nothing was written down: it has to be sent again
            return _told(503, "unavailable")
        return _told(200, None)

    async def _secrets(self, ear: Ear, name: str) -> tuple[TenantId | None, tuple[str, ...]]:
        """The tenant and what its events are checked by; a secret of nobody's for one that has none,
        so that it takes as long."""
        try:
            tenant = tenant_id(name)
            await self._platform.directory.require_active(tenant)
            self._platform.directory.require_configured(tenant, ear.capability)
            bound = self._platform.binding(ear.caller(tenant), ear.hear)
            return tenant, await bound.service(ear.events).secrets() or _NOBODY
        except Unavailable:
            raise
        except (NotFound, Unconfigured, TauseError):
            return None, _NOBODY

    async def _heard(self, ear: Ear, tenant: TenantId, event: Event) -> None:
        """Write down that they are due; then read them anew, as far as that goes now."""
        about = {name: text[:200] for name, text in ear.about(event).items()}
        if not any(about.values()):
            return
        try:
            ids = (await self._run(ear, tenant, ear.hear, about)).value
        except Unavailable:
            raise
        except TauseError as error:  # over its limits, say: its own due row stands
            _log.warning("event_put_off", tenant=tenant, code=error.code)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_SECONDS):
                for id_ in ids:
                    await self._read(ear, tenant, id_)

    async def _read(self, ear: Ear, tenant: TenantId, id_: str) -> None:
        try:
            await self._run(ear, tenant, ear.reconcile, {"id": id_})
        except (TauseError, Crash) as error:  # it is due: the sweeper goes on
            _log.warning("event_put_off", tenant=tenant, why=type(error).__name__)

    async def _run(
        self, ear: Ear, tenant: TenantId, operation: Operation, arguments: Mapping[str, str]
    ) -> Any:
        call = Invocation(ear.caller(tenant), arguments, door="webhook")
        return await self._platform.pipeline.run(operation, call)


async def _body(request: Request) -> bytes | None:
    """The whole body; None when it is larger than any event."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return body


def _told(status: int, error: str | None) -> Response:
    told = {"status": "ok"} if error is None else {"error": error}
    return JSONResponse(told, status, _NO_STORE)
