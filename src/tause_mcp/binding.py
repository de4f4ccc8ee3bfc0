"""What services are made of for one call, and the catalogue as its caller may see it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tause_mcp.capability import Call, Cipher, Credentials, Events, Pages
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import NotFound
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation
from tause_mcp.sealing import Seal
from tause_mcp.settings import Settings
from tause_mcp.tenancy import Caller, TenantId

if TYPE_CHECKING:
    from tause_mcp.platform import Platform

T = TypeVar("T")
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
        tools, scopes = self._platform.catalog.tools, self._caller.scopes
        missing = self._platform.directory.cached_lacking(self._caller.tenant)
        allowed = [
            name for name, o in tools.items() if o.opens_to(scopes) and o.capability not in missing
        ]
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
        if operation is None or not operation.opens_to(self._caller.scopes):
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
    def public_url(self) -> str:
        return self._platform.public_url

    @property
    def local_paths(self) -> tuple[Path, ...]:
        """Folders whose files this call may name; empty over HTTP."""
        return self._platform.local_paths if self.call.local else ()

    @property
    def credentials(self) -> Credentials:
        return self._platform.credentials

    async def cipher(self) -> Cipher:
        return await self._platform.keys.cipher(self.tenant)

    async def ancestors(self) -> tuple[TenantId, ...]:
        return await self._platform.directory.ancestors(self.tenant)

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

    def value(self, name: str) -> Any:
        return self._platform.directory.cached_value(self.tenant, name)

    def shared(self, wanted: type[T]) -> T:
        found: T = self._platform.shared[wanted]
        return found

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
