"""`vault://host/mount`: Vault's key-value engine, version 2; each secret as `tenant/name`.

The token comes from `VAULT_TOKEN`. A secret's data are `value`, and `description`, `expires_at` and
`previous_until` where there are any; what was put there by other hands needs a `value` alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tause_mcp.errors import Conflict, Unavailable
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.hashivault import Vault
from tause_mcp.services.secrets.sources import Ground
from tause_mcp.services.secrets.values import MOST, Change, Held, Secret
from tause_mcp.tenancy import TenantId
from tause_mcp.times import SECOND, iso, micros, now

_DEEPEST = 8
Found = tuple[int, dict[str, Any]]
"""The version of a secret and its data."""


class Engine:
    """The secrets of one tenant."""

    def __init__(self, source: "VaultSource", tenant: TenantId) -> None:
        self._source = source
        self._tenant = tenant

    async def put(self, name: str, change: Change) -> Secret:
        return await self._write(name, await self._read(name), change, 0)

    async def rotate(self, name: str, change: Change, grace: int) -> Secret | None:
        old = await self._read(name)
        if old is None:
            return None
        return await self._write(name, old, change, now() + grace * SECOND if grace else 0)

    async def _write(self, name: str, old: Found | None, change: Change, until: int) -> Secret:
        """Check and set: a version that came in between is a conflict."""
        version, before = old or (await self._ended(name), {})
        about = before.get("description", "") if change.description is None else change.description
        data = {"value": change.value, "description": about}
        data |= {"expires_at": iso(change.expires_at)} if change.expires_at else {}
        data |= {"previous_until": iso(until)} if until else {}
        body = {"data": data, "options": {"cas": version}}
        status, told = await self._source.ask("POST", f"data/{self._tenant}/{name}", body)
        if status != 200:
            raise _conflict() if "check-and-set" in str(told.get("errors")) else _refused()
        return _secret(name, told["data"]["version"], data, told["data"].get("created_time"))

    async def _ended(self, name: str) -> int:
        """The version to start from: of a secret whose last version was deleted, else 0."""
        status, told = await self._source.ask("GET", f"metadata/{self._tenant}/{name}")
        return int(told["data"]["current_version"]) if status == 200 else 0

    async def remove(self, name: str) -> bool:
        if await self._read(name) is None:
            return False
        await self._source.ask("DELETE", f"metadata/{self._tenant}/{name}")
        return True

    async def list(self, after: str, count: int) -> list[Secret]:
        names = sorted([name async for name in self.names() if name > after])
        found = []
        for name in names:
            if (held := await self._read(name)) is not None:
                found.append(_secret(name, *held))
            if len(found) == count:
                break
        return found

    async def names(self, folder: str = "", depth: int = 0) -> AsyncIterator[str]:
        """Every name, folder by folder."""
        path = f"metadata/{self._tenant}/{folder}"
        status, told = await self._source.ask("GET", path, query="?list=true")
        keys = told["data"]["keys"] if status == 200 else []
        for key in keys[:MOST]:
            if not key.endswith("/"):
                yield folder + key
            elif depth < _DEEPEST:
                async for name in self.names(folder + key, depth + 1):
                    yield name

    async def read(self, name: str) -> Held | None:
        found = await self._read(name)
        if found is None or not isinstance(value := found[1].get("value"), str):
            return None
        version, data = found
        until, previous = _moment(data.get("previous_until")), None
        if until is not None and until > now():
            before = await self._read(name, version - 1)
            previous = None if before is None else before[1].get("value")
        return Held(value, previous, _moment(data.get("expires_at")))

    async def _read(self, name: str, version: int = 0) -> Found | None:
        query = f"?version={version}" if version else ""
        status, told = await self._source.ask("GET", f"data/{self._tenant}/{name}", query=query)
        data = told.get("data") or {}
        if status != 200 or data.get("data") is None:  # never there, or deleted
            return None
        return int(data["metadata"]["version"]), dict(data["data"])


def _secret(name: str, version: int, data: dict[str, Any], made: str | None = None) -> Secret:
    until = _moment(data.get("previous_until"))
    return Secret(
        name,
        str(version),
        str(data.get("description", "")),
        updated_at=_moment(made),
        expires_at=_moment(data.get("expires_at")),
        previous_until=until if until is not None and until > now() else None,
    )


def _moment(text: Any) -> int | None:
    try:
        return micros(text) if isinstance(text, str) else None
    except (ValueError, TypeError):
        return None


def _conflict() -> Conflict:
    return Conflict("another call changed this secret just now: call again", field="name")


def _refused() -> Unavailable:
    return Unavailable("Vault refuses this secret: the operator has to look at its mount")


class VaultSource:
    """`Source` over one mount."""

    def __init__(self, vault: Vault, client: Outbound) -> None:
        self._vault = vault
        self._client = client

    async def ask(
        self, method: str, path: str, body: Any = None, *, query: str = ""
    ) -> tuple[int, Any]:
        """See `Vault.ask`; `path` is below the mount."""
        below = f"{self._vault.path}/{path}"
        return await self._vault.ask(self._client, method, below, body, query=query)

    def of(self, ground: Ground) -> Engine:
        return self.shelf(ground.tenant)

    def shelf(self, tenant: TenantId) -> Engine:
        """The secrets of a tenant: an id holds no slash, so none begins another's."""
        return Engine(self, tenant)

    async def end(self, tenant: TenantId) -> None:
        for name in [name async for name in self.shelf(tenant).names()]:
            await self.ask("DELETE", f"metadata/{tenant}/{name}")


@asynccontextmanager
async def open_vault(url: str) -> AsyncIterator[VaultSource]:
    """`vault://host/mount`."""
    vault = Vault.of(url, "TAUSE_SECRETS_URL")
    async with Outbound(trusted=True) as client:
        yield VaultSource(vault, client)
