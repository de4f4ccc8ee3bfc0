"""The open house: settings, backends and services of one process, and the pipeline over them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tause_mcp import log, urls
from tause_mcp.auth import Door, door, key_caller, local_caller
from tause_mcp.binding import Bound
from tause_mcp.capability import Capability
from tause_mcp.catalog import Catalog, load
from tause_mcp.database import Database, Options, TenantDatabase, open_database
from tause_mcp.encryption import Masters, TenantKeys, open_masters, shared_secrets
from tause_mcp.errors import Misconfigured, NotFound, Unavailable
from tause_mcp.events import EventBus
from tause_mcp.idempotency import PATIENCE, StoredIdempotency
from tause_mcp.limits import TenantLimits
from tause_mcp.migrations import database_url, migrated
from tause_mcp.news import News
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation, Pipeline
from tause_mcp.sealing import Seal, secret_file
from tause_mcp.services.access import StoredIdentities
from tause_mcp.services.approvals import ApprovalGate, Approvals, Means, Record, tenant_of
from tause_mcp.services.audit import ChainedTrail
from tause_mcp.services.catalog.search import Entry, Index
from tause_mcp.services.storage import Storage
from tause_mcp.services.tenants import Connections, TenantDirectory, UsageMeter
from tause_mcp.settings import Settings, names
from tause_mcp.shared import SharedState, open_shared_state
from tause_mcp.supervision import Aside, beside
from tause_mcp.telemetry.counts import Counts
from tause_mcp.telemetry.traces import wanted
from tause_mcp.tenancy import Caller, Scopes, TenantId, tenant_id

if TYPE_CHECKING:
    from tause_mcp.auth import Verifier

_log = log.get("platform")
_STATEMENT_SECONDS = 30.0
_CHECK_SECONDS = 2.0


class _Credentials:
    """`capability.Credentials` over the verifier of this process."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def mint(self, tenant: TenantId) -> tuple[str, str, bytes]:
        from tause_mcp.auth import mint

        minted = mint(tenant, self._platform.verifier.pepper)
        return minted.id, minted.text, minted.digest

    def changed(self, tenant: TenantId, credential: str | None = None) -> None:
        self._platform.news.credentials_changed(tenant)


@dataclass
class Platform:
    """One process's open house. Made by `open_platform`; closed with it."""

    settings: Settings
    catalog: Catalog
    database: Database
    shared_state: SharedState
    backends: Mapping[str, Any]
    seal: Seal
    events: EventBus
    directory: TenantDirectory
    usage: UsageMeter
    audit: ChainedTrail
    identities: StoredIdentities
    keys: TenantKeys
    public_url: str
    local_paths: tuple[Path, ...] = ()
    draining: bool = False
    """It is about to end: what runs is finished, and balancers are to look elsewhere."""
    counts: Counts = field(default_factory=Counts)
    aside: Aside = field(default_factory=Aside)
    house_secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What replicas share instead of files of the home, by the files' names."""

    def __post_init__(self) -> None:
        tools = self.catalog.tools.values()
        words = {c.name: f"{c.words} {c.about}" for c in self.catalog.capabilities}
        self.index = Index(
            Entry(o.name, o.title, o.description, words[o.capability]) for o in tools
        )
        self.credentials = _Credentials(self)
        gate = ApprovalGate(
            self.database, self.settings, self.approval_url, self._ceiling, self.keys
        )
        limits = TenantLimits(
            self.directory, self.shared_state.rates, carried=self.shared_state.kind == "redis"
        )
        self.news = News(
            self.shared_state.signals,
            self.events,
            forget_logins=self._forget_logins,
            forget_tenant=self.directory.drop,
            bury=self._bury,
        )
        self.directory.announce = self.news.tenant_changed
        # the keys before anything that may have to wait
        self.directory.farewells += [self.keys.destroy, self._leave]
        self.shared: Mapping[type[Any], Any] = {
            TenantDirectory: self.directory,
            UsageMeter: self.usage,
            TenantLimits: limits,
            Connections: Connections(self.directory),
            Aside: self.aside,
        }
        for capability in self.catalog.capabilities:
            self.directory.gauges.update(capability.gauges)
            self.directory.keys.update(capability.keys)
            if capability.lacks is not None:
                self.directory.needs[capability.name] = partial(capability.lacks, self.settings)
            for name, measure in capability.measures.items():
                self.directory.gauges[name] = measure(self)
            if capability.on_delete is not None:
                self.directory.farewells.append(partial(capability.on_delete, self))
        self.pipeline = Pipeline(
            tenants=self.directory,
            limits=limits,
            approvals=gate,
            idempotency=StoredIdempotency(
                self.database,
                self.keys,
                lease=self.settings.deadline + 30,
                patience=min(PATIENCE, self.settings.deadline / 2),
            ),
            audit=self.audit,
            meter=self.usage,
            binder=self,
            aside=self.aside,
            deadline=self.settings.deadline,
            digest_key=self.seal.derive("digest"),
            watch=self.counts,
        )

    def drain(self) -> None:
        """Not ready any more, and still serving."""
        self.draining = True

    def _forget_logins(self) -> None:
        if "verifier" in vars(self):  # what was never opened remembers nobody
            self.verifier.forget()

    def _bury(self, tenant: TenantId) -> None:
        """Drop what this process remembers of a deleted tenant."""
        self.usage.forget(tenant)
        self.keys.forget(tenant)

    async def _leave(self, tenant: TenantId) -> None:
        """A deleted tenant's part of what the processes share and remember."""
        await self.shared[TenantLimits].forget(tenant)
        self.news.tenant_gone(tenant)

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

    async def _ceiling(self, tenant: TenantId, currency: str) -> int | None:
        return await self.directory.limit(tenant, f"approval_ceiling_{currency.lower()}")

    def approval_url(self, tenant: TenantId, approval_id: str) -> str:
        return f"{self.public_url}/approvals/{approval_id}"

    @cached_property
    def verifier(self) -> "Verifier":
        """Opened when it is first needed: a local session needs no key, token or cryptography."""
        from tause_mcp.auth import open_verifier

        return open_verifier(
            self.settings, self.identities, issuer=self.public_url, shared=self.house_secrets
        )

    async def verify(
        self, token: str, door_tenant: TenantId | None = None, *, anew: bool = False
    ) -> Caller:
        """Who holds this token, at the plain door or a tenant's; `anew`: whatever is remembered.

        Raises:
            Unauthenticated: in one text, whatever the reason.
            Unavailable: what it takes to tell does not answer within a call's deadline.
        """
        try:
            async with asyncio.timeout(self.settings.deadline):
                return await self.verifier.verify(token, self.door(door_tenant), anew=anew)
        except TimeoutError:
            raise Unavailable("identities cannot be checked now: try again") from None

    def door(self, tenant: TenantId | None) -> Door:
        """The plain door, or a tenant's: each is its own protected resource."""
        path = "/mcp" if tenant is None else f"/t/{tenant}/mcp"
        return door(f"{self.public_url}{path}", tenant)

    async def local(self, tenant: str | None, role: str) -> Caller:
        """The person on stdio: whom `TAUSE_API_KEY` stands for, else a role of the local tenant."""
        if self.settings.api_key:
            anew = partial(self.verifier.verify, anew=True)
            return await key_caller(self.settings.api_key, anew, self.door(None))
        named = tenant_id(tenant or self.settings.tenant)
        try:
            await self.directory.require_active(named)
        except NotFound:
            raise Misconfigured(
                f"no tenant {named!r}: make it with `tause-mcp tenants create {named}`"
            ) from None
        return local_caller(named, role)

    def issue(
        self, tenant: TenantId, subject: str, scopes: Scopes, ttl: float, *, own_door: bool = False
    ) -> str:
        """A token of this installation for the plain door, or for the tenant's own."""
        audience = self.door(tenant if own_door else None).audience
        return self.verifier.keyring.issue(tenant, subject, sorted(scopes.granted), audience, ttl)

    async def answer(
        self, approval_id: str, approve: bool, by: Caller | str, means: Means
    ) -> Record:
        """Record a person's answer to an approval, in the tenant's audit chain too."""
        tenant = tenant_of(approval_id)
        if tenant is None:
            raise NotFound("no such approval")
        database = self.database_of(tenant)
        database.trailers.append(self.audit.answered(tenant, approval_id, approve, by, means))
        return await self.approvals_of(database).answer(approval_id, approve, by, means)

    def approvals_of(self, database: TenantDatabase) -> Approvals:
        """The approvals of the tenant that `database` is bound to."""
        return Approvals(database, partial(self.keys.cipher, database.tenant))

    async def ready(self) -> list[str]:
        """What is failing now; empty when this process can serve. All are asked at once."""
        parts = {"database": self.database, **self.backends, "cache": self.shared_state}
        fine = await asyncio.gather(*(_answers(name, part) for name, part in parts.items()))
        leaving = ["draining"] if self.draining else []
        return leaving + [name for name, good in zip(parts, fine, strict=True) if not good]


async def _answers(name: str, part: Any) -> bool:
    check = getattr(part, "check", None)
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            if check is not None:
                await check()
    except Exception as error:  # any failure of a part is the same news
        _log.warning("not_ready", part=name, error=type(error).__name__)
        return False
    return True


@asynccontextmanager
async def open_platform(
    settings: Settings, *, public_url: str = "", catalog: Catalog | None = None, workers: int = 1
) -> AsyncIterator[Platform]:
    """Open every backend, migrate when that is safe, and start the background work.

    `workers` is how many processes of this installation serve beside each other.
    """
    catalog = load() if catalog is None else catalog
    for problem in catalog.problems:
        _log.warning("plugin_left_out", problem=problem)
    await migrated(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(_rows(settings))
        state = await stack.enter_async_context(
            open_shared_state(settings, database, workers=workers)
        )
        backends = {
            c.name: await stack.enter_async_context(_backend(c, settings, catalog))
            for c in catalog.capabilities
            if c.backends is not None
        }
        backends |= {c.name: c.keeps(state) for c in catalog.capabilities if c.keeps is not None}
        platform = await _assembled(settings, catalog, database, state, backends, public_url)
        if settings.jwt_secret or settings.trusted_issuers:
            _ = platform.verifier  # a weak secret or a wrong issuer refuses to start
        await platform.directory.ensure_root()
        stack.push_async_callback(platform.usage.flush)
        stack.push_async_callback(platform.aside.settled)
        works: list[Callable[[Platform], Awaitable[None]]] = [_flush_usage, _renew_streams]
        works += [c.background for c in catalog.capabilities if c.background]
        await stack.enter_async_context(beside(platform, works))
        yield platform


def _rows(settings: Settings) -> AbstractAsyncContextManager[Database]:
    """The database that the settings name. No statement outlasts a call's deadline."""
    options = Options(
        pool_size=settings.database_pool_size,
        pooled=settings.database_pooler == "transaction",
        timeout=min(settings.deadline, _STATEMENT_SECONDS),
    )
    return open_database(database_url(settings), options)


def last_served(settings: Settings) -> str:
    """Where this home was served last: what links and tokens made beside the server name."""
    try:
        return settings.at_home("url").read_text().strip()
    except OSError:
        return "http://127.0.0.1:8765"


async def _assembled(
    settings: Settings,
    catalog: Catalog,
    database: Database,
    state: SharedState,
    backends: Mapping[str, Any],
    public_url: str,
) -> Platform:
    masters = await open_masters(settings, database)
    shared = await _house_secrets(settings, database, masters)
    secret = shared.get("secret") or secret_file(settings.at_home("secret"))
    url = (settings.public_url or public_url or last_served(settings)).rstrip("/")
    directory = TenantDirectory(database, settings.environment, settings.deadline)
    identities = StoredIdentities(database, directory, state.once)
    return Platform(
        settings=settings,
        catalog=catalog,
        database=database,
        shared_state=state,
        backends=backends,
        seal=Seal(secret),
        events=EventBus(),
        directory=directory,
        usage=UsageMeter(database),
        audit=ChainedTrail(database.dialect),
        identities=identities,
        keys=TenantKeys(database, masters, directory.cached_born),
        public_url=url,
        counts=Counts(names_tenants=settings.trace_tenant and wanted()),
        house_secrets=shared,
    )


async def _house_secrets(
    settings: Settings, database: Database, masters: Masters
) -> dict[str, bytes]:
    """What replicas on several machines have in common; nothing beside an embedded database."""
    if database.dialect == "sqlite":
        return {}
    from tause_mcp.auth.apikeys import new_pepper
    from tause_mcp.auth.signing import new_pem

    makers = {"secret": lambda: urandom(32), "pepper": new_pepper, "signing.pem": new_pem}
    return await shared_secrets(database, masters, settings.at_home(""), makers)


def _backend(capability: Capability, settings: Settings, catalog: Catalog) -> Any:
    assert capability.backends is not None
    plugged = catalog.plugins.get("tause_mcp.backends", {})
    prefix = f"{capability.name}."
    added = {n.removeprefix(prefix): f for n, f in plugged.items() if n.startswith(prefix)}
    added |= catalog.plugins.get(capability.backends.group, {})
    url = capability.backends.default(settings)
    setting = f"TAUSE_{capability.name.upper()}_URL"
    known = {**capability.backends.factories, **added}
    return urls.choose(url, known, capability.name, setting if setting in names() else "")(url)


async def _renew_streams(platform: Platform) -> None:
    await platform.shared[Connections].run()


async def _flush_usage(platform: Platform) -> None:
    while True:
        await asyncio.sleep(2)
        await platform.usage.flush()
