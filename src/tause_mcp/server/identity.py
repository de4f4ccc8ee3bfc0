"""Who speaks on this message: put there by the door, read by every handler."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext

from tause_mcp.steps import Invocation
from tause_mcp.tenancy import Caller

SCOPE_KEY = "tause.identity"

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class View:
    """What of the catalogue a door shows: toolsets (None: the default list) and reading only."""

    toolsets: tuple[str, ...] | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller at a door."""

    caller: Caller
    view: View
    tenant_door: bool = False
    """The door itself names the tenant: `tenant_id` is no argument here."""
    holds: Callable[[], Awaitable[bool]] | None = None
    """Whether the credential still holds; asked every few seconds while a stream is open."""
    local: bool = False
    """On stdio, beside the person's own files."""
    waited: float = 0.0
    """Seconds that proving it took: of the deadline of what is called."""

    def invocation(self, caller: Caller, arguments: Mapping[str, Any]) -> Invocation:
        """A call of it, as `caller`: itself, or acting for another tenant."""
        return Invocation(caller, arguments, local=self.local, waited=self.waited)

    @property
    def toolsets(self) -> tuple[str, ...] | None:
        """The key's own toolsets bound what the door asks for."""
        own, asked = self.caller.toolsets, self.view.toolsets
        if own is None or asked is None:
            return asked if own is None else own
        return own if "all" in asked else tuple(t for t in asked if t in own or "all" in own)


Identify = Callable[[Context], Identity]


def of_request(ctx: Context) -> Identity:
    """The identity that the HTTP door verified for this very message; fails closed."""
    identity = ctx.request.scope[SCOPE_KEY] if ctx.request is not None else None
    if not isinstance(identity, Identity):
        raise PermissionError("a message reached a handler without an identity")
    return identity


def principal_of(identify: Identify) -> Callable[[Context], str]:
    """What sealed request state is bound to: issuer, tenants and subject."""
    return lambda ctx: identify(ctx).caller.principal
