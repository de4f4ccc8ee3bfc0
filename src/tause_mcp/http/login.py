"""Identity at an HTTP door: a bearer JWT or API key, or 401 with where to learn more."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from tause_mcp.errors import TauseError, Unauthenticated
from tause_mcp.http.documents import metadata_url
from tause_mcp.http.guard import Send, answer
from tause_mcp.platform import Platform
from tause_mcp.tenancy import Caller, TenantId


def bearer(headers: Any) -> str | None:
    """The bearer token of raw ASGI headers; None when there is not exactly one."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1 or given[0][:7].lower() != b"bearer ":
        return None
    return str(given[0][7:].decode("latin-1").strip())


async def logged_in(
    platform: Platform, headers: Any, send: Send, tenant: TenantId | None = None
) -> Caller | None:
    """The caller, or None after the refusal has been sent."""
    token = bearer(headers)
    try:
        if not token:
            raise Unauthenticated("a bearer token is required")
        return await platform.verify(token, tenant)
    except Unauthenticated as error:
        await refuse(platform, send, tenant, error, missing=not token)
    except TauseError as error:
        await answer(
            send, error.status, orjson.dumps({"error": error.code, "error_description": str(error)})
        )
    return None


def still_holds(
    platform: Platform, headers: Any, caller: Caller, tenant: TenantId | None = None
) -> Callable[[], Awaitable[bool]]:
    """Asks again whether the credential of an open stream holds, and gives what it gave."""

    async def holds() -> bool:
        try:
            now = await platform.verify(bearer(headers) or "", tenant, anew=True)
        except TauseError:  # refused, or nobody can tell
            return False
        return (now.tenant, now.scopes) == (caller.tenant, caller.scopes)

    return holds


async def refuse(
    platform: Platform,
    send: Send,
    tenant: TenantId | None,
    error: Unauthenticated,
    *,
    missing: bool = False,
) -> None:
    """401 as RFC 6750 and RFC 9728 say."""
    told = challenge(platform, tenant, error, missing=missing).encode("latin-1")
    body = orjson.dumps({"error": "invalid_token", "error_description": str(error)})
    await answer(send, 401, body, headers=((b"www-authenticate", told),))


def challenge(
    platform: Platform, tenant: TenantId | None, error: Unauthenticated, *, missing: bool = False
) -> str:
    """`WWW-Authenticate`: no `error` where no token came."""
    where = metadata_url(platform.public_url, platform.door(tenant).audience)
    parts = [] if missing else ['error="invalid_token"', f'error_description="{error}"']
    return "Bearer " + ", ".join([*parts, f'resource_metadata="{where}"'])
