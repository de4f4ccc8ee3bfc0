"""`/webhooks/wompi/{tenant_id}`: what Wompi tells by itself.

A genuine event says "look again", and nothing of it is believed: each payment it is about is read
anew with the tenant's own keys. The checksum is the identity: until it holds nothing is counted, and
an unknown tenant, one without keys and a wrong checksum are answered alike.
"""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from tause_mcp import log
from tause_mcp.errors import NotFound, TauseError, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import Event, read_event
from tause_mcp.pipeline import Crash
from tause_mcp.routes._pay_doors import Operations, Visit, provider
from tause_mcp.services.payments import Events
from tause_mcp.tenancy import TenantId, tenant_id

MOST_BYTES = 64 * 1024
READ_SECONDS = 8.0
"""What is not read anew by then is due anyway; Wompi is not kept waiting."""
_NOBODY = ("no such secret",)
_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_log = log.get("webhooks")


class WompiEvents:
    """The ASGI endpoint."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._operations = Operations(platform)

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
        try:
            tenant, known = await self._secrets(request.path_params["tenant_id"])
            event = read_event(body, known)
            if event is None or tenant is None:
                log.security.warning("event_refused", provider="wompi")
                return _told(401, "unauthenticated")
            await self._heard(tenant, event)
        except (Unavailable, Crash):  # nothing was written down: it has to be sent again
            return _told(503, "unavailable")
        return _told(200, None)

    async def _secrets(self, name: str) -> tuple[TenantId | None, tuple[str, ...]]:
        """The tenant and what its events are checked by; a secret of nobody's for one that has none,
        so that it takes as long."""
        try:
            tenant = tenant_id(name)
            await self._platform.directory.require_active(tenant)
            self._platform.directory.require_configured(tenant, "payments")
            bound = self._platform.binding(provider(tenant), self._operations.hear)
            return tenant, await bound.service(Events).secrets()
        except Unavailable:
            raise
        except (NotFound, Unconfigured, TauseError):
            return None, _NOBODY

    async def _heard(self, tenant: TenantId, event: Event) -> None:
        """Write down that they are due; then read them anew, as far as that goes now."""
        visit = Visit(self._platform, self._operations, provider(tenant), "", "webhook")
        about = {
            "reference": event.text("transaction", "reference")[:200],
            "transaction": event.text("transaction", "id")[:200],
        }
        if not any(about.values()):
            return
        try:
            ids = await visit.hear(**about)
        except Unavailable:
            raise
        except TauseError as error:  # over its limits, say: the payment's own due row stands
            _log.warning("event_put_off", tenant=tenant, code=error.code)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_SECONDS):
                for id_ in ids:
                    await self._read(tenant, id_)

    async def _read(self, tenant: TenantId, id_: str) -> None:
        visit = Visit(self._platform, self._operations, provider(tenant), id_, "webhook")
        try:
            await visit.run(self._operations.reconcile)
        except (TauseError, Crash) as error:  # it is due: the sweeper goes on
            _log.warning("event_put_off", tenant=tenant, why=type(error).__name__)


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
