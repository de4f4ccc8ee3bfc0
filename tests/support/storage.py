"""Storage in a small house: real rows, blobs, services, pipeline and links; no other capability."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.routing import Route as StarletteRoute
from tests.support.ciphers import ciphers
from tests.support.objects import World, opened_world

import tause_mcp.resources.storage
import tause_mcp.tools.storage
from tause_mcp.binding import Bound
from tause_mcp.catalog import Catalog
from tause_mcp.database import TenantDatabase
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation, Pipeline
from tause_mcp.routes.storage import objects
from tause_mcp.sealing import Seal
from tause_mcp.services.storage import CAPABILITY
from tause_mcp.settings import Settings
from tause_mcp.supervision import Aside
from tause_mcp.tenancy import Caller, Scopes, TenantId


class _Passing:
    """Every step of the walk that storage is not about: lets pass, and takes notes."""

    def __init__(self) -> None:
        self.audited: list[tuple[str, str]] = []

    def require_configured(self, tenant: TenantId, capability: str) -> None: ...

    async def require_active(self, tenant: TenantId) -> None:
        return None

    async def admit(self, caller: Caller, operation: Operation) -> None:
        return None

    def entry(self, call: Invocation, operation: Operation, digest: str) -> Any:
        async def work(tx: Any) -> None:
            self.audited.append((operation.name, call.caller.subject))

        return work

    def count(self, *_: Any) -> None:
        return None


@dataclass
class _Key:
    revoked: bool = False
    expires_at: float | None = None


@dataclass
class House:
    """What `open_platform` opens, as far as storage needs it."""

    world: World
    settings: Settings
    seal: Seal
    public_url: str = "http://testserver"
    local_paths: tuple[Path, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    since: dict[str, float | None] = field(default_factory=dict)
    issued: dict[str, _Key] = field(default_factory=lambda: {"k1": _Key()})

    def __post_init__(self) -> None:
        modules = (tause_mcp.tools.storage, tause_mcp.resources.storage)
        self.catalog = Catalog((replace(CAPABILITY, modules=modules),))
        self.database = self.world.database
        self.keys = ciphers()
        self.backends: Mapping[str, Any] = {"storage": self.world.store}
        self.shared: Mapping[type[Any], Any] = {Aside: self.world.aside}
        self.events = self.directory = self.identities = self
        self.notes = passing = _Passing()
        absent: Any = None
        self.pipeline = Pipeline(
            passing, passing, absent, absent, passing, passing, self, deadline=5
        )

    def resource_updated(self, tenant: TenantId, path: str) -> None:
        self.world.changed.append((tenant, path))

    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        return self.limits.get(f"{tenant}/{name}")

    async def active_since(self, tenant: TenantId) -> float | None:
        return self.since.get(tenant, 1.0)

    async def key(self, tenant: TenantId, key_id: str) -> _Key | None:
        return self.issued.get(key_id)

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    def _bound(self, call: Invocation, operation: Operation, database: TenantDatabase) -> Bound:
        platform: Any = self
        return Bound(platform, call, operation, database)

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]:
        bound = self._bound(call, operation, database)
        return {name: bound.service(kind) for name, kind in operation.wants}

    def binding(self, caller: Caller, operation: Operation) -> Bound:
        return self._bound(Invocation(caller, {}), operation, self.database_of(caller.tenant))

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        raise AssertionError("no result of storage is spilled")

    async def call(
        self, name: str, *, caller: Caller | None = None, local: bool = False, **arguments: Any
    ) -> Any:
        """A tool's, resource's or completion's answer."""
        known = {**self.catalog.tools, **self.catalog.resources}
        known |= {f"{n}.{a}": o for (n, a), o in self.catalog.completions.items()}
        call = Invocation(caller or caller_of(), arguments, local=local)
        return (await self.pipeline.run(known[name], call)).value

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of the signed links."""
        app = Starlette(
            routes=[StarletteRoute(objects.path, objects.fn(self), methods=list(objects.methods))]
        )
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
            base_url=self.public_url,
        ) as client:
            yield client


def caller_of(tenant: str = "acme", *scopes: str, subject: str = "key:k1") -> Caller:
    """A caller of a tenant; without scopes, one that may read and write."""
    granted = frozenset(scopes or ("storage:read", "storage:write"))
    return Caller(subject, TenantId(tenant), Scopes(granted), credential=subject)


@asynccontextmanager
async def opened_house(folder: Path, **options: Any) -> AsyncIterator[House]:
    """A house on files in `folder`."""
    async with opened_world(folder) as world:
        settings = Settings(home=folder / "home", max_upload=1 << 28)
        yield House(world, settings, Seal(b"k" * 32), **options)
