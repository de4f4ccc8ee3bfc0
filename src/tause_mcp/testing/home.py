"""A whole house in a folder of its own: the real platform, reached by a real client in memory."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from mcp import Client

from tause_mcp.capability import Capability
from tause_mcp.catalog import Catalog, load
from tause_mcp.migrations import migrated
from tause_mcp.pipeline import Invocation
from tause_mcp.platform import Platform, open_platform
from tause_mcp.server.build import build
from tause_mcp.server.identity import Identity, View
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROLES, ROOT, Caller, Scopes, TenantId

Plugin = Capability | EntryPoint
Mode = Literal["auto", "legacy", "2026-07-28"]

surroundings: Callable[[Path], Mapping[str, str]] = lambda home: {}  # noqa: E731  # a default to replace
"""Settings of every house that does not state them, by its home: a suite that runs on other
backends replaces it once, in its conftest."""


@dataclass(frozen=True, slots=True)
class House:
    """An open platform, and ways in for any identity."""

    platform: Platform

    def caller(
        self, tenant: str = ROOT, role: str = "owner", *, scopes: Iterable[str] | None = None
    ) -> Caller:
        """A caller of a tenant with a role, or with exactly these scopes."""
        granted = ROLES[role] if scopes is None else frozenset(scopes)
        return Caller(f"local:{role}", TenantId(tenant), Scopes(granted), credential="test")

    async def tenant(self, name: str, *, parent: str = ROOT) -> TenantId:
        """Make a tenant through its own tool."""
        told = {"tenant_id": name, "name": name, "parent": parent}
        await self.call("tenants_create", told)
        return TenantId(name)

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        caller: Caller | str = ROOT,
        *,
        key: str | None = None,
    ) -> Any:
        """Run a tool through the pipeline and no door; a tenant's name is its owner."""
        who = self.caller(caller) if isinstance(caller, str) else caller
        call = Invocation(who, arguments or {}, door="test", idempotency_key=key)
        return (await self.platform.pipeline.run(self.platform.catalog.tools[tool], call)).value

    @asynccontextmanager
    async def client(
        self,
        caller: Caller | str = ROOT,
        *,
        mode: Mode = "auto",
        toolsets: tuple[str, ...] | None = None,
        read_only: bool = False,
        tenant_door: bool = False,
        local: bool = False,
        **options: Any,
    ) -> AsyncIterator[Client]:
        """An MCP client for one identity; a tenant's name is its owner.

        `mode` chooses the protocol era; `options` go to `mcp.Client` (callbacks, say).
        """
        who = self.caller(caller) if isinstance(caller, str) else caller
        identity = Identity(who, View(toolsets, read_only), tenant_door=tenant_door, local=local)
        server = build(self.platform, lambda _: identity)
        async with Client(server, **{"mode": mode, "cache": None, **options}) as client:
            yield client


@asynccontextmanager
async def house(
    home: Path,
    *,
    plugins: Iterable[Plugin] = (),
    backends: Mapping[str, Callable[..., Any]] | None = None,
    catalog: Catalog | None = None,
    **settings: str,
) -> AsyncIterator[House]:
    """Open a house in the folder `home`: SQLite there, objects in memory, unless `surroundings`
    or `settings` say otherwise.

    `plugins` are the capabilities (or entry points) that this house has beside the built-in ones:
    what happens to be installed is not loaded. `backends` are further ones, by
    `<capability>.<scheme>`. `settings` are environment names: `TAUSE_DEADLINE="5"`.

    Raises:
        AssertionError: a plugin could not be taken.
    """
    environ = {"TAUSE_HOME": str(home), "TAUSE_STORAGE_URL": "memory://"}
    environ |= {**surroundings(home), **settings}
    read = Settings.read(environ)
    if catalog is None:
        catalog = assembled(plugins, backends or {})
        assert not catalog.problems, "\n".join(catalog.problems)
    await _furnished(read)
    async with open_platform(read, catalog=catalog) as platform:
        yield House(platform)


_migrated: list[bytes] = []
"""A migrated empty database: migrating takes most of a second, copying nothing."""


async def _furnished(settings: Settings) -> None:
    """Put the migrated database into a new home."""
    path = settings.at_home("tause.db")
    if settings.database_url or path.exists():
        return
    if not _migrated:
        with TemporaryDirectory() as folder:
            await migrated(Settings.read({"TAUSE_HOME": folder}))
            _migrated.append((Path(folder) / path.name).read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(_migrated[0])


def assembled(
    plugins: Iterable[Plugin], backends: Mapping[str, Callable[..., Any]] | None = None
) -> Catalog:
    """The built-in capabilities and exactly these plugins, judged as installed ones are."""
    given = [p if isinstance(p, EntryPoint) else _Given(p) for p in plugins]
    if not given and not backends:
        return _built_in()
    catalog = load(given)  # type: ignore[arg-type]  # a capability in hand loads like an entry point
    if not backends:
        return catalog
    known = dict(catalog.plugins)
    known["tause_mcp.backends"] = {**known.get("tause_mcp.backends", {}), **backends}
    return replace(catalog, plugins=known)


@cache
def _built_in() -> Catalog:
    """Compiled once: it is frozen, and compiling is most of opening a house."""
    return load(())


class _Given:
    """A capability in hand, in the shape of the entry point that would name it."""

    group = "tause_mcp.capabilities"

    def __init__(self, capability: Capability) -> None:
        self.name = self.value = capability.name
        self._capability = capability

    def load(self) -> Capability:
        return self._capability
