"""The open house: settings, backends and services of one process, and the pipeline over them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tause_mcp import log, urls
from tause_mcp.auth import Door, Verifier, open_verifier
from tause_mcp.capability import Call, Capability, Events, Pages
from tause_mcp.catalog import Catalog, load
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.errors import NotFound
from tause_mcp.events import EventBus
from tause_mcp.idempotency import StoredIdempotency
from tause_mcp.limits import TenantLimits
from tause_mcp.migrations import database_url, migrated
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation, Pipeline
from tause_mcp.sealing import Seal, secret_file
from tause_mcp.services.access import StoredIdentities
from tause_mcp.services.approvals import ApprovalGate
from tause_mcp.services.audit import ChainedTrail
from tause_mcp.services.catalog.search import Entry, Index
from tause_mcp.services.storage import Storage
from tause_mcp.services.tenants import TenantDirectory, UsageMeter
from tause_mcp.settings import Settings
from tause_mcp.tenancy import Caller, TenantId

T = TypeVar("T")
_log = log.get("platform")
_MAX_DEPTH = 4


class _Progress:
    """`Call` over whatever the door offers; silent where it offers nothing."""

    def __init__(self, call: Invocation) -> None:
        self._call = call

    async def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        if self._call.progress is not None:
            await self._call.progress(done, total, message)


class Described:
    """The catalogue as one caller may see it. What it may not use looks absent."""

    def __init__(self, platform: "Platform", caller: Caller) -> None:
        self._platform = platform
        self._caller = caller

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        tools = self._platform.catalog.tools
        allow = self._caller.scopes.allow
        allowed = [name for name, o in tools.items() if allow(o.scope)]
        return [_brief(tools[n]) for n in self._platform.index.search(query, allowed, limit)]

    def describe(self, name: str) -> dict[str, Any]:
        operation = self.find(name)
        told = _brief(operation) | {
            "description": operation.description,
            "scope": operation.scope,
            "cost": operation.cost,
            "input_schema": operation.inputs.schema,
        }
        return told | ({"output_schema": operation.outputs.schema} if operation.outputs else {})

    def is_read(self, name: str) -> bool:
        return not self.find(name).writes

    def find(self, name: str) -> Operation:
        operation = self._platform.catalog.tools.get(name)
        if operation is None or not self._caller.scopes.allow(operation.scope):
            raise NotFound("no such tool: find one with catalog_search", field="name")
        return operation


def _brief(operation: Operation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "read_only": not operation.writes,
    }


class Bound:
    """What services are made of for one call (`capability.Binding`)."""

    __slots__ = ("_made", "_platform", "call", "database", "operation")

    def __init__(
        self,
        platform: "Platform",
        call: Invocation,
        operation: Operation,
        database: TenantDatabase,
    ) -> None:
        self._platform = platform
        self._made: dict[type[Any], Any] = {}
        self.call = call
        self.operation = operation
        self.database = database

    @property
    def caller(self) -> Caller:
        return self.call.caller

    @property
    def tenant(self) -> TenantId:
        return self.call.caller.tenant

    @property
    def seal(self) -> Seal:
        return self._platform.seal

    @property
    def settings(self) -> Settings:
        return self._platform.settings

    @property
    def events(self) -> Events:
        return self._platform.events

    @property
    def described(self) -> Described:
        return Described(self._platform, self.call.caller)

    async def dispatch(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run another tool as the same caller, through the whole pipeline."""
        operation = self.described.find(name)
        if self.call.depth >= _MAX_DEPTH:
            raise NotFound("no such tool: calls are nested too deeply", field="name")
        nested = replace(self.call, arguments=arguments, depth=self.call.depth + 1)
        result = await self._platform.pipeline.run(operation, nested)
        return result.value  # type: ignore[no-any-return]  # a tool's value is a JSON object

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return self._platform.database_of(tenant)

    def backend(self, capability: str) -> Any:
        return self._platform.backends[capability]

    def limit(self, name: str) -> int | None:
        return self._platform.directory.cached_limit(self.tenant, name)

    def service(self, wanted: type[T]) -> T:
        made: T | None = self._made.get(wanted)
        if made is None:
            made = self._made[wanted] = self._make(wanted)
        return made

    def _make(self, wanted: type[Any]) -> Any:
        if wanted is Call:
            return _Progress(self.call)
        if wanted is Pages:
            return Pages(self.seal, self.tenant, self.operation.name)
        if wanted is Caller:
            return self.call.caller
        return self._platform.catalog.services[wanted][1](self)


@dataclass
class Platform:
    """One process's open house. Made by `open_platform`; closed with it."""

    settings: Settings
    catalog: Catalog
    database: Database
    backends: Mapping[str, Any]
    seal: Seal
    events: EventBus
    directory: TenantDirectory
    usage: UsageMeter
    audit: ChainedTrail
    identities: StoredIdentities
    verifier: Verifier
    public_url: str

    def __post_init__(self) -> None:
        tools = self.catalog.tools.values()
        words = {c.name: f"{c.words} {c.about}" for c in self.catalog.capabilities}
        self.index = Index(
            Entry(o.name, o.title, o.description, words[o.capability]) for o in tools
        )
        self.approvals = ApprovalGate(
            self.database, self.settings, self.approval_url, self.directory.limit
        )
        self.pipeline = Pipeline(
            tenants=self.directory,
            limits=TenantLimits(self.directory),
            approvals=self.approvals,
            idempotency=StoredIdempotency(self.database),
            audit=self.audit,
            meter=self.usage,
            binder=self,
            deadline=self.settings.deadline,
        )

    # pipeline.Binder

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]:
        """The injected parameters of one call."""
        if not operation.wants:
            return {}
        bound = Bound(self, call, operation, database)
        return {name: bound.service(kind) for name, kind in operation.wants}

    def binding(self, caller: Caller, operation: Operation) -> Bound:
        """A binding outside a call of its own: for spilling a result and for routes."""
        return Bound(self, Invocation(caller, {}), operation, self.database_of(caller.tenant))

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        """Keep a large result as an object of the tenant."""
        bound = self.binding(call.caller, operation)
        return await bound.service(Storage).keep_result(operation.name, text)

    def approval_url(self, tenant: TenantId, approval_id: str) -> str:
        return f"{self.public_url}/approvals/{approval_id}"

    async def verify(self, token: str, door_tenant: TenantId | None = None) -> Caller:
        """Who holds this token, at the plain door or a tenant's.

        Raises:
            Unauthenticated: in one text, whatever the reason.
        """
        return await self.verifier.verify(token, self.door(door_tenant))

    def door(self, tenant: TenantId | None) -> Door:
        path = "/mcp" if tenant is None else f"/t/{tenant}/mcp"
        return Door(f"{self.public_url}{path}", tenant)

    async def ready(self) -> list[str]:
        """What is failing now; empty when this process can serve."""
        failing = []
        parts = {"database": self.database, **self.backends}
        for name, part in parts.items():
            check = getattr(part, "check", None)
            try:
                async with asyncio.timeout(2):
                    if check is not None:
                        await check()
            except Exception as error:  # any failure of a part is the same news
                _log.warning("not_ready", part=name, error=type(error).__name__)
                failing.append(name)
        return failing


@asynccontextmanager
async def open_platform(
    settings: Settings, *, public_url: str = "", catalog: Catalog | None = None
) -> AsyncIterator[Platform]:
    """Open every backend, migrate when that is safe, and start the background work."""
    catalog = load() if catalog is None else catalog
    for problem in catalog.problems:
        _log.warning("plugin_left_out", problem=problem)
    await migrated(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(database_url(settings)))
        backends = {
            c.name: await stack.enter_async_context(_backend(c, settings, catalog))
            for c in catalog.capabilities
            if c.backends is not None
        }
        platform = await _assembled(settings, catalog, database, backends, public_url)
        await platform.directory.ensure_root()
        stack.push_async_callback(platform.usage.flush)
        await stack.enter_async_context(_background(platform))
        yield platform


async def _assembled(
    settings: Settings,
    catalog: Catalog,
    database: Database,
    backends: Mapping[str, Any],
    public_url: str,
) -> Platform:
    home = settings.at_home("")
    url = (settings.public_url or public_url or "http://127.0.0.1:8765").rstrip("/")
    directory = TenantDirectory(database)
    identities = StoredIdentities(database)
    return Platform(
        settings=settings,
        catalog=catalog,
        database=database,
        backends=backends,
        seal=Seal(secret_file(home / "secret")),
        events=EventBus(),
        directory=directory,
        usage=UsageMeter(database),
        audit=ChainedTrail(),
        identities=identities,
        verifier=open_verifier(settings, identities, issuer=url),
        public_url=url,
    )


def _backend(capability: Capability, settings: Settings, catalog: Catalog) -> Any:
    assert capability.backends is not None
    plugged = catalog.plugins.get("tause_mcp.backends", {})
    prefix = f"{capability.name}."
    added = {n.removeprefix(prefix): f for n, f in plugged.items() if n.startswith(prefix)}
    url = capability.backends.default(settings)
    return urls.choose(url, {**capability.backends.factories, **added}, capability.name)(url)


@asynccontextmanager
async def _background(platform: Platform) -> AsyncIterator[None]:
    """Supervised work beside the calls: usage, and what capabilities declare."""
    works: list[Callable[[Any], Awaitable[None]]] = [_flush_usage]
    works += [c.background for c in platform.catalog.capabilities if c.background]
    tasks = [asyncio.create_task(_supervised(work, platform)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(work: Callable[[Any], Awaitable[None]], platform: Platform) -> None:
    """Run it again a moment after it fails; its failure never ends the server."""
    while True:
        try:
            await work(platform)
            return
        except Exception:  # whatever it was: log it, wait, go on
            _log.exception("background_failed", work=getattr(work, "__qualname__", "?"))
            await asyncio.sleep(5)


async def _flush_usage(platform: Platform) -> None:
    while True:
        await asyncio.sleep(2)
        await platform.usage.flush()
