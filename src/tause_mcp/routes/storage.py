"""`/objects/{signed}`: downloads, whole uploads and resumable ones, by a link that is its own login."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tause_mcp import log
from tause_mcp.capability import Route
from tause_mcp.errors import NotFound, TauseError
from tause_mcp.pipeline import Crash
from tause_mcp.routes import _download, _tus, _upload
from tause_mcp.routes._doors import Door, Operations, header_safe
from tause_mcp.services.storage.links import Link, Links, no_such_link

Answer = Callable[[Door, Request], Awaitable[Response]]

_BY_METHOD: Mapping[str, Mapping[str, Answer]] = {
    "GET": {"GET": _download.get, "HEAD": _download.get},
    "PUT": {"PUT": _upload.put, "POST": _tus.create},
    "upload": {"HEAD": _tus.status, "PATCH": _tus.append, "DELETE": _tus.end},
}
"""What a link of each kind answers to."""


class SignedObjects:
    """The ASGI application of signed links."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._links = Links(platform.seal, platform.public_url)
        self._operations = Operations(platform)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answered(request)
        except ClientDisconnect:
            return
        except TauseError as error:
            response = _refused(error)
        except Crash as crash:
            told = {"error": "internal", "error_description": str(crash)}
            response = JSONResponse(told, 500)
        if method_of(request) != "GET":
            response.headers.setdefault("Tus-Resumable", _tus.VERSION)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        with suppress(NotFound):  # the link ended while bytes flowed: the connection is cut
            await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        method = method_of(request)
        if method == "OPTIONS":
            return _tus.options(self._platform.settings.max_upload)
        link = await self._opened(request.path_params["signed"])
        answers = _BY_METHOD["upload" if link.upload else link.method]
        if method not in answers:
            return Response(status_code=405, headers={"Allow": ", ".join((*answers, "OPTIONS"))})
        holds = partial(self._holds, link)
        door = Door(self._platform, self._links, link, self._operations, holds)
        return await answers[method](door, request)

    async def _opened(self, token: str) -> Link:
        """The link, when its maker could make it again: not revoked, the tenant still the same."""
        try:
            link = self._links.open(token)
            if not await self._holds(link):
                raise no_such_link()
        except TauseError as error:
            if error.code == "not_found":
                log.security.warning("link_refused")
            raise
        return link

    async def _holds(self, link: Link) -> bool:
        identities = self._platform.identities
        since = await identities.active_since(link.tenant)
        if since is None or since > link.issued_at:
            return False
        kind, _, key_id = link.subject.partition(":")
        if kind != "key":
            return True
        record = await identities.key(link.home or link.tenant, key_id)
        if record is None or record.revoked:
            return False
        return record.expires_at is None or record.expires_at > time.time()


def method_of(request: Request) -> str:
    """The method, or what a client behind a narrow proxy says it meant (TUS 1.0)."""
    if request.method == "POST":
        return request.headers.get("x-http-method-override", "POST").upper()
    return request.method


def _refused(error: TauseError) -> Response:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    told = {"error": error.code, "error_description": header_safe(str(error))}
    return JSONResponse(told, error.status, headers)


objects = Route(
    SignedObjects,
    "/objects/{signed}",
    ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"),
    exempt="signed",
)
