"""What a capability is: services, and the tools, resources, prompts and routes that show them.

Values and Protocols only. Nothing here registers itself, opens anything or imports `mcp`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from tause_mcp.database import TenantDatabase
from tause_mcp.pages import Page as Page
from tause_mcp.pages import Pages as Pages
from tause_mcp.sealing import Seal
from tause_mcp.settings import Settings
from tause_mcp.tenancy import Caller, TenantId

T = TypeVar("T")
Function = Callable[..., Awaitable[Any]]


# --- what a lower room needs from above -----------------------------------------------------


class Call(Protocol):
    """The conversation a running tool may hold with its caller. A tool that takes it is long."""

    async def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None: ...


class Dispatch(Protocol):
    """Call any tool as this caller, through the whole pipeline."""

    async def __call__(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...


class Events(Protocol):
    """Tell the listeners of one tenant what changed. Paths are relative to `tause://{tenant}/`."""

    def resource_updated(self, tenant: TenantId, path: str) -> None: ...

    def resources_changed(self, tenant: TenantId) -> None: ...

    def tools_changed(self, tenant: TenantId) -> None: ...


class Described(Protocol):
    """The catalogue as one caller may see it."""

    def search(self, query: str, limit: int) -> list[dict[str, Any]]: ...

    def describe(self, name: str) -> dict[str, Any]: ...

    def is_read(self, name: str) -> bool: ...


class Credentials(Protocol):
    """What keys need from identity: a fresh secret, and a verifier that forgets."""

    def mint(self, tenant: TenantId) -> tuple[str, str, bytes]:
        """A new API key: its id, the text shown once, and the digest that is stored."""
        ...

    def changed(self, tenant: TenantId, credential: str | None = None) -> None:
        """What a credential (None: any of the tenant's principals) may do has changed.

        The verifier of this process forgets it at once and its open streams end.
        """
        ...


class Cipher(Protocol):
    """Authenticated encryption under one tenant's data key. Neither method waits for anything.

    `place` says where the bytes are kept (`objects/<blob>`, `documents/<collection>/<id>/<field>`):
    bytes moved to another place, or to another tenant, do not open.
    """

    def seal(self, place: str, plain: bytes) -> bytes: ...

    def open(self, place: str, sealed: bytes) -> bytes:
        """The plain bytes; `Unavailable` when they are not what was sealed at this place."""


class Ciphers(Protocol):
    """Where a tenant's cipher comes from: `NotFound` when there is no such tenant."""

    async def cipher(self, tenant: TenantId) -> Cipher: ...


class Binding(Protocol):
    """What a service is made of for one call: its tenant, and the house's means for that tenant."""

    @property
    def caller(self) -> Caller: ...

    @property
    def tenant(self) -> TenantId: ...

    @property
    def database(self) -> TenantDatabase: ...

    @property
    def seal(self) -> Seal: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def events(self) -> Events: ...

    @property
    def dispatch(self) -> Dispatch: ...

    @property
    def described(self) -> Described: ...

    @property
    def credentials(self) -> Credentials: ...

    async def cipher(self) -> Cipher:
        """Encryption under the tenant's data key. Await it before a transaction, not inside."""
        ...

    async def ancestors(self) -> tuple[TenantId, ...]:
        """The tenants above this one in the tree, nearest first."""
        ...

    @property
    def public_url(self) -> str:
        """What the links that callers get begin with."""
        ...

    @property
    def local_paths(self) -> tuple[Path, ...]:
        """Folders that a local person opened to this call; none at any other door."""
        ...

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        """Another tenant's rows. The service first proves that the caller may reach it."""
        ...

    def backend(self, capability: str) -> Any:
        """The open backend of a capability."""
        ...

    def shared(self, wanted: type[T]) -> T:
        """What the process has one of (the directory, the meter, the limits), by its class."""
        ...

    def service(self, wanted: type[T]) -> T:
        """Another service, bound to the same tenant and call."""
        ...

    def limit(self, name: str) -> int | None:
        """The tenant's limit of that name; None is unlimited."""
        ...

    def value(self, name: str) -> Any:
        """The tenant's value in force of a key of the house (`currency`, `locale`, `timezone`) or
        of one that a capability declares; None where nobody states one. A secret stays its name."""
        ...


# --- what a capability declares ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hints:
    """The four MCP tool hints."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = False


READ = Hints(read_only=True, destructive=False, idempotent=True)
REPLACE = Hints(idempotent=True)
REMOVE = Hints(idempotent=True)
CREATE = Hints(destructive=False)
SET = Hints(destructive=False, idempotent=True)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person is asked before the work. `amount` (integer minor units) meets the ceiling."""

    summary: str
    amount: int | None = None
    currency: str | None = None


Ask = Callable[[Mapping[str, Any]], Consent | None]
"""From the validated arguments: what to approve, or None when this call needs nobody."""

Guard = Callable[[Caller, Mapping[str, Any]], None]
"""Raises what would be refused anyway, before a person is asked to approve it."""

PartOf = str | Callable[[Mapping[str, Any]], str | None] | None
"""The argument (or a function of the arguments) that names the part of the scope."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, and what surrounds its call."""

    fn: Function
    title: str
    scope: str
    cost: int = 1
    hints: Hints = field(default_factory=Hints)
    part: PartOf = None
    consent: Ask | None = None
    guard: Guard | None = None
    asks: Function | None = None
    """`async def(services..., arguments...) -> Consent | None`, its parameters named as the tool's:
    looks before a person is asked, where `consent` says that one is. Raises what would be refused
    anyway. What it answers is asked instead; None: what the call is for stands already. The approval
    holds only as long as it answers the same."""
    flagship: bool = False
    secret: bool = False
    """The result holds a secret: shown once, never stored for a repeated idempotency key."""
    secret_input: bool = False
    """An argument holds a secret: the recorded digest of the arguments cannot be found by trying."""
    open_result: bool = False
    """The result has no fixed shape, or may be stored and previewed when over 24 KiB."""
    everyone: bool = False
    """Whoever is identified may call it, whatever it holds: it tells only of the caller itself."""
    carries_limit: bool = False
    """A reading tool that takes the tenant's rate in its own question to the shared state."""
    forwards: bool = False
    """It runs another tool through the pipeline: consent, idempotency and audit are the target's."""
    since: str = "2024-11-05"
    """The oldest protocol revision it serves."""
    stable: bool = True
    local_only: tuple[str, ...] = ()
    """Parameters that exist only on stdio (file paths)."""

    @property
    def name(self) -> str:
        return self.fn.__name__


@dataclass(frozen=True, slots=True)
class Resource:
    """What can be read at `tause://{tenant_id}/<path>`; `path` is an RFC 6570 template."""

    fn: Function
    path: str
    title: str
    scope: str
    mime_type: str = "application/json"
    part: PartOf = None
    complete: Mapping[str, Function] = field(default_factory=dict)
    """Argument -> `async def(service, typed: str, ...) -> list[str]`."""

    @property
    def name(self) -> str:
        return self.fn.__name__


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a person can pick in a host: a function of strings to the text of a user message."""

    fn: Callable[..., str]
    title: str
    scope: str
    complete: Mapping[str, Function] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.fn.__name__


Exempt = Literal["identity", "health", "signed", "webhook", "static"]


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP door of a capability. It names the tool it calls, or why it needs none.

    `fn` is an ASGI endpoint factory: `fn(platform) -> ASGI app`; it calls the pipeline itself.
    """

    fn: Callable[[Any], Any]
    path: str
    methods: tuple[str, ...]
    tool: str | None = None
    exempt: Exempt | None = None


def tool(title: str, *, scope: str, **declared: Any) -> Callable[[Function], Tool]:
    """Declare a tool; the keywords are the fields of `Tool`."""
    return lambda fn: Tool(fn, title, scope, **declared)


def resource(
    path: str, title: str, *, scope: str, **declared: Any
) -> Callable[[Function], Resource]:
    """Declare a resource; the keywords are the fields of `Resource`."""
    return lambda fn: Resource(fn, path, title, scope, **declared)


def prompt(
    title: str, *, scope: str, complete: Mapping[str, Function] | None = None
) -> Callable[[Callable[..., str]], Prompt]:
    """Declare a prompt."""
    return lambda fn: Prompt(fn, title, scope, complete or {})


@dataclass(frozen=True, slots=True)
class Backends:
    """Where a capability keeps its data: a URL setting, its schemes, and the default."""

    default: Callable[[Settings], str]
    factories: Mapping[str, str | Callable[..., Any]]
    """scheme -> `package.module:factory`, imported when used; `async with factory(url)`."""
    group: str = ""
    """A further group of entry points, beside `tause_mcp.backends`, whose names are schemes."""


ValueKind = Literal["string", "integer", "float", "boolean", "json", "secret"]


@dataclass(frozen=True, slots=True)
class Key:
    """A configuration key that the house or a capability reads: how `tenants_configure` checks it."""

    kind: ValueKind
    pattern: str = ""
    """What the whole of a string has to match."""
    low: int = 0
    high: int = 2**53
    scope: str = "tenants:write"
    """What a writer must hold besides."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """One line of the catalogue. A plugin exports exactly the same value."""

    name: str
    about: str
    """What it is for, in a few words of English: goes into the server's instructions."""
    words: str
    """Search words in Spanish and English that its tools do not already say."""
    services: Mapping[type[Any], Callable[[Binding], Any]]
    modules: tuple[ModuleType, ...]
    backends: Backends | None = None
    keeps: Callable[[Any], Any] | None = None
    """From the `SharedState` to this capability's backend: what it keeps has no URL of its own."""
    background: Callable[[Any], Awaitable[None]] | None = None
    """Work that runs beside the server: `await background(platform)` until cancelled."""
    on_delete: Callable[[Any, TenantId], Awaitable[None]] | None = None
    """`await on_delete(platform, tenant)` removes what a deleted tenant keeps outside the rows.

    It runs before the rows go, and again after a crash: it must be able to."""
    gauges: Mapping[str, Callable[[TenantDatabase], Awaitable[int]]] = field(default_factory=dict)
    """limit name -> how much of it a tenant uses now, for `tenants_get_usage`."""
    measures: Mapping[str, Callable[[Any], Callable[[TenantDatabase], Awaitable[int]]]] = field(
        default_factory=dict
    )
    """limit name -> from the platform to such a gauge, for what is kept outside the rows."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    """What a tenant configures for it, by `<capability>.<name>`."""
    lacks: Callable[[Settings, Mapping[str, Any]], str | None] | None = None
    """From the settings and the tenant's values in force of `keys` (None where nobody states one):
    what this tenant lacks for it and what to do, or None. While it lacks something nothing of the
    capability is listed, and every call of it is `Unconfigured` with that text."""
    screen: Callable[[Mapping[str, Any]], None] | None = None
    """Looks at the raw arguments of each of its operations before anything else does, and raises
    what may be neither kept nor logged nor digested (`cards.without_cards`)."""

    def declared(self, kind: type[T]) -> list[T]:
        """The values of one kind that its modules declare, in the order of the source."""
        return [v for m in self.modules for v in vars(m).values() if isinstance(v, kind)]
