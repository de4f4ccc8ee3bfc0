"""Where secrets are kept, chosen by URL. Every source puts the tenant into each secret's path."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Unconfigured
from tause_mcp.services.secrets.values import Change, Held, Secret
from tause_mcp.tenancy import TenantId


@dataclass(frozen=True, slots=True)
class Ground:
    """What a source may use for one call: the tenant, its rows and its cipher."""

    tenant: TenantId
    database: TenantDatabase
    cipher: Callable[[], Awaitable[Cipher]]


class Shelf(Protocol):
    """The secrets of one tenant in a source. Names and values are checked before.

    A source that is down or refuses raises `Unavailable`, within seconds.
    """

    async def put(self, name: str, change: Change) -> Secret:
        """Store a value, replacing what was there."""
        ...

    async def rotate(self, name: str, change: Change, grace: int) -> Secret | None:
        """A new value of a secret that is there (else None, or `NotFound`).

        The one before is accepted for `grace` seconds more.
        """
        ...

    async def remove(self, name: str) -> bool:
        """Remove a secret and every version of it; whether it was there (or `NotFound`)."""
        ...

    async def list(self, after: str, count: int) -> list[Secret]:
        """Up to `count` secrets, by name, behind `after`."""
        ...

    async def read(self, name: str) -> Held | None:
        """The value."""
        ...


class Source(Protocol):
    """An open source. A plugin adds one under the entry point group `tause_mcp.secret_sources`:
    its name is the URL's scheme, and it gives an `async with factory(url) as source`."""

    def of(self, ground: Ground) -> Shelf:
        """The secrets of one tenant."""
        ...

    async def end(self, tenant: TenantId) -> None:
        """Remove what a deleted tenant keeps outside the rows. May run again after a crash."""
        ...


FACTORIES: Mapping[str, str | Callable[..., Any]] = {
    "database": "tause_mcp.services.secrets.sources.rows:open_rows",
    "env": "tause_mcp.services.secrets.sources.environment:open_environment",
    "aws": "tause_mcp.services.secrets.sources.aws:open_aws",
    "vault": "tause_mcp.services.secrets.sources.vault:open_vault",
}


def read_only() -> Unconfigured:
    """What a change gets of a source that its operator fills."""
    return Unconfigured("secrets are kept by the operator here, and cannot be changed by a call")
