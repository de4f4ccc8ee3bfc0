"""`env://PREFIX`: variables of the process's environment, named PREFIX__TENANT__NAME. Read only.

Tenant and name are written in upper case with each character that is no letter or digit as `_` and
its two hexadecimal digits (`stripe-key` is `STRIPE_2DKEY`): no two secrets share a variable.
"""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tause_mcp.errors import Misconfigured
from tause_mcp.services.secrets.sources import Ground, read_only
from tause_mcp.services.secrets.values import Change, Held, Secret
from tause_mcp.tenancy import TenantId

_PREFIX = re.compile(r"[A-Z][A-Z0-9]{0,62}(_[A-Z0-9]{1,62})*", re.ASCII)
_ESCAPED = re.compile(r"_([0-9A-F]{2})")
_PLAIN = re.compile(r"[A-Z0-9]*(_[0-9A-F]{2}[A-Z0-9]*)*", re.ASCII)


def written(text: str) -> str:
    """A tenant or a name as a part of a variable's name."""
    return "".join(c.upper() if c.isalnum() else f"_{ord(c):02X}" for c in text)


def _read(part: str) -> str | None:
    """What `written` was given; None when it never wrote this."""
    if _PLAIN.fullmatch(part) is None:
        return None
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), part).lower()
    return text if written(text) == part else None


class Variables:
    """The variables of one tenant."""

    def __init__(self, start: str, environ: Mapping[str, str]) -> None:
        self._start = start
        self._environ = environ

    async def put(self, name: str, change: Change) -> Secret:
        raise read_only()

    async def rotate(self, name: str, change: Change, grace: int) -> Secret | None:
        raise read_only()

    async def remove(self, name: str) -> bool:
        raise read_only()

    async def list(self, after: str, count: int) -> list[Secret]:
        found = (
            _read(variable.removeprefix(self._start))
            for variable, value in self._environ.items()
            if value and variable.startswith(self._start)
        )
        names = sorted(name for name in found if name and name > after)
        return [Secret(name, "1") for name in names[:count]]

    async def read(self, name: str) -> Held | None:
        value = self._environ.get(self._start + written(name))
        return Held(value) if value else None


class Environment:
    """`Source` over an environment."""

    def __init__(self, prefix: str, environ: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._environ = environ

    def of(self, ground: Ground) -> Variables:
        return self.shelf(ground.tenant)

    async def end(self, tenant: TenantId) -> None:
        """The operator's variables stay the operator's."""

    def shelf(self, tenant: TenantId) -> Variables:
        """The variables of a tenant."""
        return Variables(f"{self._prefix}__{written(tenant)}__", self._environ)


@asynccontextmanager
async def open_environment(url: str) -> AsyncIterator[Environment]:
    """`env://PREFIX`; what `TAUSE_` begins are settings."""
    prefix = url.partition("://")[2]
    if _PREFIX.fullmatch(prefix) is None or prefix.startswith("TAUSE"):
        raise Misconfigured("TAUSE_SECRETS_URL: write env://PREFIX in capitals, not TAUSE itself")
    yield Environment(prefix, os.environ)
