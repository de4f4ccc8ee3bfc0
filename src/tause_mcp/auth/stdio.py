"""Identity without HTTP: the person at the terminal, or the API key they were given."""

from collections.abc import Awaitable, Callable

from tause_mcp.auth.identities import Door
from tause_mcp.errors import Misconfigured, Unauthenticated
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId


def local_caller(tenant: TenantId, role: str = "agent") -> Caller:
    """The person at the terminal in a built-in role: no more than the session was started with."""
    if role not in ROLES:
        raise Misconfigured(f"--role: {role!r} is not one of {', '.join(ROLES)}")
    return Caller(subject=f"local:{role}", tenant=tenant, scopes=Scopes(ROLES[role]))


async def key_caller(
    api_key: str, verify: Callable[[str, Door], Awaitable[Caller]], at: Door
) -> Caller:
    """Whom `TAUSE_API_KEY` stands for, asked once at start; ask `verify` again at each call.

    Raises:
        Misconfigured: the key does not hold.
    """
    try:
        return await verify(api_key, at)
    except Unauthenticated:
        raise Misconfigured("TAUSE_API_KEY: this key does not hold here; mint another") from None
