"""Health and identity documents: open, and with nothing of any tenant."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tause_mcp.errors import Invalid
from tause_mcp.platform import Platform
from tause_mcp.tenancy import tenant_id

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def _json(value: object, status: int = 200, cache: str = "no-store") -> Response:
    return Response(
        orjson.dumps(value), status, {"cache-control": cache}, media_type="application/json"
    )


def metadata_url(public_url: str, resource: str) -> str:
    """Where RFC 9728 puts the metadata of `resource`, which lies under `public_url`."""
    return f"{public_url}{WELL_KNOWN}{resource.removeprefix(public_url)}"


def documents(platform: Platform) -> list[Route]:
    """`/healthz`, `/readyz`, the key set, and each door's protected-resource metadata (RFC 9728)."""

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_: Request) -> Response:
        failing = await platform.ready()
        if failing:
            return _json({"status": "unready", "failing": failing}, 503)
        return _json({"status": "ready"})

    async def jwks(_: Request) -> Response:
        return _json(platform.verifier.jwks(), cache="public, max-age=300")

    async def resource(request: Request) -> Response:
        named = request.path_params.get("tenant")
        try:
            door = platform.door(None if named is None else tenant_id(named))
        except Invalid:
            return _json({"error": "not_found"}, 404)
        return _json(
            {
                "resource": door.audience,
                "authorization_servers": platform.verifier.issuers(),
                "jwks_uri": f"{platform.public_url}/.well-known/jwks.json",
                "bearer_methods_supported": ["header"],
                "resource_name": "TauseStack",
            },
            cache="public, max-age=300",
        )

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/.well-known/jwks.json", jwks),
        Route(WELL_KNOWN, resource),
        Route(f"{WELL_KNOWN}/mcp", resource),
        Route(f"{WELL_KNOWN}/sse", resource),
        Route(f"{WELL_KNOWN}/t/{{tenant}}/mcp", resource),
    ]
