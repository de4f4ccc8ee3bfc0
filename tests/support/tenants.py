"""Tenants and audit in a small house: real rows, chains, limits, idempotency and pipeline."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.support import backends
from tests.support.ciphers import ciphers
from tests.support.rows import make_file

import tause_mcp.prompts.tenants
import tause_mcp.resources.audit
import tause_mcp.resources.tenants
import tause_mcp.services.audit
import tause_mcp.services.tenants
import tause_mcp.tools.audit
import tause_mcp.tools.tenants
from tause_mcp.binding import Bound
from tause_mcp.catalog import Catalog
from tause_mcp.database import (
    Database,
    Statement,
    TenantDatabase,
    Transaction,
    Work,
    open_database,
)
from tause_mcp.events import EventBus
from tause_mcp.idempotency import StoredIdempotency
from tause_mcp.limits import TenantLimits
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Approval, Invocation, Pipeline
from tause_mcp.sealing import Seal
from tause_mcp.services.audit import AuditRecords, ChainedTrail
from tause_mcp.services.tenants import TenantDirectory, UsageMeter, tables
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROLES, ROOT, Caller, Scopes, TenantId

_LONG_AGO = Statement(
    sa.update(tables.tenants)
    .where(
        tables.tenants.c.tenant_id == sa.bindparam("of", type_=sa.Text),
        tables.tenants.c.state == sa.bindparam("deleted", type_=sa.Text),
    )
    .values(updated_at=0)
)

CATALOG = Catalog(
    (
        replace(
            tause_mcp.services.tenants.CAPABILITY,
            modules=(
                tause_mcp.tools.tenants,
                tause_mcp.resources.tenants,
                tause_mcp.prompts.tenants,
            ),
        ),
        replace(
            tause_mcp.services.audit.CAPABILITY,
            modules=(tause_mcp.tools.audit, tause_mcp.resources.audit),
        ),
    )
)


def who(tenant: str = ROOT, role: str = "owner", **told: Any) -> Caller:
    """Someone of a tenant, by role."""
    return Caller(f"key:{tenant}", TenantId(tenant), Scopes(ROLES[role]), **told)


@dataclass
class House:
    """Run any tool of tenants and audit as anyone. A person approves everything."""

    database: Database
    catalog: Catalog = CATALOG
    seal: Seal = field(default_factory=lambda: Seal(b"k" * 32))
    settings: Settings = field(default_factory=Settings)
    events: EventBus = field(default_factory=EventBus)
    changes: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory = TenantDirectory(
            self.database, self.settings.environment, self.settings.deadline
        )
        self.usage = UsageMeter(self.database)
        self.limits = TenantLimits(self.directory)
        self.directory.farewells.append(self.limits.forget)
        self.audit = ChainedTrail(self.database.dialect)
        self.idempotency = StoredIdempotency(self.database, ciphers())
        self.shared: dict[type[Any], Any] = {
            TenantDirectory: self.directory,
            UsageMeter: self.usage,
            TenantLimits: self.limits,
        }
        self.pipeline = Pipeline(
            tenants=self.directory,
            limits=self.limits,
            approvals=self,
            idempotency=self.idempotency,
            audit=self.audit,
            meter=self.usage,
            binder=self,
        )

    # what a binding asks of the platform

    @property
    def credentials(self) -> "House":
        return self

    def changed(self, tenant: TenantId, credential: str | None = None) -> None:
        self.changes.append(tenant)

    # the pipeline's parts that are not under test

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    def bind(self, call: Invocation, operation: Operation, database: TenantDatabase) -> Any:
        bound = Bound(self, call, operation, database)  # type: ignore[arg-type]  # the part of a platform that is asked here
        return {name: bound.service(kind) for name, kind in operation.wants}

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        return {"key": "results/1", "size": len(text)}

    async def settle(self, *call: Any) -> Approval:
        self.asked.append(call[3].summary)
        return Approval("ap_1", "granted", "", "", "")

    def spend(self, approval_id: str) -> Work[None]:
        async def spent(tx: Transaction) -> None: ...

        return spent

    async def release(self, tenant: TenantId, approval_id: str) -> None: ...

    # what tests ask

    async def call(self, name: str, caller: Caller | None = None, /, **arguments: Any) -> Any:
        return (await self.run(name, caller or who(), arguments)).value

    async def run(self, name: str, caller: Caller, arguments: dict[str, Any], **call: Any) -> Any:
        operations = {**self.catalog.tools, **self.catalog.resources, **self.catalog.prompts}
        return await self.pipeline.run(operations[name], Invocation(caller, arguments, **call))

    async def grow(self, *ids: str) -> None:
        """Make tenants, each below the one before: `grow("a", "b")` makes default > a > b."""
        for parent, child in zip((ROOT, *ids), ids, strict=False):
            await self.call("tenants_create", tenant_id=child, parent=parent)

    async def change(self, tenant: str, times: int = 1) -> None:
        """Change something of a tenant, so that its chain grows."""
        for number in range(times):
            await self.call("tenants_configure", who(tenant), values={"n": number})

    async def delete(self, tenant: str, *, again: bool = False) -> None:
        """Delete a tenant below the root; `again`: wait until its id is free, and make it anew."""
        await self.call("tenants_delete", tenant_id=tenant)
        if again:
            await long_ago(self.database, tenant)
            await self.grow(tenant)

    def records(self, tenant: str) -> AuditRecords:
        async def keep(body: AsyncIterator[bytes]) -> dict[str, Any]:
            self.kept.append(b"".join([piece async for piece in body]))
            return {"key": f"results/{len(self.kept)}"}

        return AuditRecords(self.database_of(TenantId(tenant)), keep)


@asynccontextmanager
async def open_house(path: Path | str) -> AsyncIterator[House]:
    """A house over a database file, made when absent, or over the database of a URL."""
    url = make_file(path) if isinstance(path, Path) else path
    async with open_database(url) as database:
        house = House(database)
        await house.directory.ensure_root()
        yield house


async def long_ago(database: Database, tenant: str) -> None:
    """Let the time pass for which the id of a deleted tenant is kept."""
    told = {"of": tenant, "deleted": tables.DELETED}
    assert await database.write(None, lambda tx: tx.run(_LONG_AGO, **told), house=True) == 1


def rows_of(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What someone with the file and no platform sees or does."""
    if backends.on_servers():
        return backends.rows_of(path, sql, *values)
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        found = connection.execute(sql, values).fetchall()
        connection.commit()
    return found


def rows_at(home: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The same of the house of a home."""
    return rows_of(home if backends.on_servers() else home / "tause.db", sql, *values)


def at_once(code: str, *arguments: object, count: int) -> list[str]:
    """Run `code` in as many Python processes at once; what each printed. None may fail.

    A path among the arguments is told as the URL of its database.
    """
    given = [make_file(a) if isinstance(a, Path) else str(a) for a in arguments]
    command = [sys.executable, "-c", code, *given]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    told = [process.communicate(timeout=90) for process in running]
    for process, (_, wrong) in zip(running, told, strict=True):
        assert process.returncode == 0, wrong
    return [out for out, _ in told]
