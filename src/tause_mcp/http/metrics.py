"""`/metrics`: counts of the whole installation, for whoever administers its root tenant."""

from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tause_mcp import __version__
from tause_mcp.errors import Misconfigured, TauseError, Unauthenticated
from tause_mcp.http.login import bearer, challenge
from tause_mcp.migrations import HEAD
from tause_mcp.platform import Platform
from tause_mcp.telemetry.metrics import exposition
from tause_mcp.telemetry.workers import total
from tause_mcp.tenancy import ROOT

SCOPE = "tenants:admin"


def metrics(platform: Platform, folder: Path | None = None) -> Route:
    """The route; `folder` is where the workers of this server keep their counts."""

    async def endpoint(request: Request) -> Response:
        try:
            caller = await platform.verify(bearer(request.headers.raw) or "")
        except Unauthenticated as error:
            headers = {"www-authenticate": challenge(platform, None, error)}
            return _told(401, "invalid_token", str(error), headers)
        except TauseError as error:
            return _told(error.status, error.code, str(error))
        if caller.tenant != ROOT or not caller.scopes.allow(SCOPE):
            return _told(403, "forbidden", "metrics need an administrator of the root tenant")
        try:
            text, kind = exposition(total(platform.counts, folder), __version__, HEAD)
        except Misconfigured as error:
            return _told(501, "unconfigured", str(error))
        return Response(text, 200, {"cache-control": "no-store"}, media_type=kind)

    return Route("/metrics", endpoint, methods=["GET"])


def _told(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> Response:
    told = {"error": code, "error_description": text}
    kept = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(told), status, kept, media_type="application/json")
