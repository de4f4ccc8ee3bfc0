"""The whole pipeline around the tools of access and approvals, with what they need and no more."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.ciphers import approvals_of, ciphers
from tests.support.rows import make_file

from tause_mcp.auth.apikeys import mint
from tause_mcp.capability import Pages, Tool
from tause_mcp.database import Database, TenantDatabase, Work, open_database
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.pipeline import Invocation, Pipeline, Result
from tause_mcp.sealing import Seal
from tause_mcp.services.access import Access
from tause_mcp.services.approvals import ApprovalGate, Approvals
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId
from tause_mcp.tools import access, approvals

TOOLS: Mapping[str, Operation] = {
    declared.name: compile_operation(declared, module.__name__.rpartition(".")[2], frozenset(
        {Access, Approvals}
    ))
    for module in (access, approvals)
    for declared in vars(module).values()
    if isinstance(declared, Tool)
}  # fmt: skip


async def _nothing(*_: Any) -> None:
    return None


@dataclass
class Desk:
    """Call tools as anyone: the pipeline's steps that are not under test let everything pass."""

    database: Database
    approval_ttl: int = 60
    seal: Seal = field(default_factory=lambda: Seal(b"k" * 32))
    changes: list[str] = field(default_factory=list)

    def mint(self, tenant: TenantId) -> tuple[str, str, bytes]:
        made = mint(tenant, b"p" * 32)
        return made.id, made.text, made.digest

    def changed(self, tenant: TenantId, credential: str | None = None) -> None:
        self.changes.append(tenant)

    # the pipeline's steps

    require_active = admit = staticmethod(_nothing)

    def require_configured(self, tenant: TenantId, capability: str) -> None: ...

    def entry(self, call: Invocation, operation: Operation, digest: str) -> Work[None]:
        return _nothing

    def count(self, *_: Any) -> None: ...

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]:
        async def above() -> tuple[TenantId, ...]:
            return (TenantId("top"),)

        caller = call.caller
        made: dict[type[Any], Any] = {
            Access: Access(database, caller, self, above),
            Approvals: approvals_of(database),
            Pages: Pages(self.seal, caller.tenant, operation.name),
            Caller: caller,
        }
        return {name: made[kind] for name, kind in operation.wants}

    async def call(
        self, name: str, who: Caller | None = None, /, **arguments: Any
    ) -> dict[str, Any]:
        value: dict[str, Any] = (await self.run(name, who, **arguments)).value
        return value

    async def run(self, name: str, who: Caller | None = None, /, **arguments: Any) -> Result:
        async def ceiling(tenant: TenantId, currency: str) -> int | None:
            return None

        gate = ApprovalGate(
            self.database, self, lambda t, i: f"https://h/approvals/{i}", ceiling, ciphers()
        )
        parts: Any = dict.fromkeys(("tenants", "limits", "audit", "meter", "binder"), self)
        pipeline = Pipeline(approvals=gate, idempotency=self, **parts)  # type: ignore[arg-type]  # no call here has a key
        return await pipeline.run(TOOLS[name], Invocation(who or owner(), arguments))


def owner(tenant: str = "ta") -> Caller:
    return Caller("key:boss", TenantId(tenant), Scopes(ROLES["owner"]), credential="boss")


def holder(*scopes: str, tenant: str = "ta") -> Caller:
    return Caller("key:k1", TenantId(tenant), Scopes(frozenset(scopes)), credential="k1")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        yield Desk(database)
