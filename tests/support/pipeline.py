"""The steps of the pipeline in memory, each writing down what it was asked, in one list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tause_mcp.capability import Consent, Tool
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Conflict, IdempotencyConflict, Unavailable, Unconfigured
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.pipeline import Approval, Invocation, Pipeline, Result, refuse
from tause_mcp.supervision import Aside
from tause_mcp.tenancy import Caller, Scopes, TenantId, no_such_tenant

TA = TenantId("ta")


class Shelf:
    """A service: its database, and what was put on it."""

    def __init__(self, database: TenantDatabase) -> None:
        self.database = database

    async def put(self, name: str) -> None:
        async def work(tx: Any) -> None:
            await tx.run(f"row:{name}")

        await self.database.write(work)


KNOWN: frozenset[type[Any]] = frozenset({Shelf})


def operation(fn: Callable[..., Any], scope: str = "shelf:write", **declared: Any) -> Operation:
    return compile_operation(Tool(fn, "Put", scope, **declared), "shelf", KNOWN)


class _Rows:
    """A transaction: its statements are the rows themselves."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def run(self, statement: str, **values: str) -> int:
        self.told.append(statement)
        return 1


@dataclass
class Ledger:
    """What was committed, and every step that was taken."""

    steps: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    down: bool = False
    slow_commit: Callable[[], Awaitable[None]] | None = None

    dialect = "memory"

    async def write(self, tenant: TenantId | None, work: Any, *, house: bool = False) -> Any:
        rows = _Rows()
        result = await work(rows)
        if self.down:
            raise Unavailable("down")
        self.committed += rows.told
        if self.slow_commit is not None:
            await self.slow_commit()
        return result

    def rows(self) -> list[str]:
        return [row for row in self.committed if row.startswith("row:")]


@dataclass
class House:
    """Every Protocol of the pipeline."""

    ledger: Ledger = field(default_factory=Ledger)
    granted: set[str] = field(default_factory=set)
    """Digests that a person approved."""
    active: set[str] = field(default_factory=lambda: {"ta"})
    lacking: set[str] = field(default_factory=set)
    limit: Exception | None = None
    answered: str = ""
    kept: dict[str, tuple[str, bytes | None]] = field(default_factory=dict)
    claimed: dict[str, str] = field(default_factory=dict)
    counted: list[tuple[str, str, bool, int]] = field(default_factory=list)
    spilled: list[bytes] = field(default_factory=list)
    deadline: float = 5.0
    undo_fails: bool = False
    before_undo: Callable[[], Awaitable[Any]] | None = None
    before_keep: Callable[[], Awaitable[Any]] | None = None
    aside: Aside = field(default_factory=Aside)

    def step(self, name: str) -> None:
        self.ledger.steps.append(name)

    def pipeline(self) -> Pipeline:
        return Pipeline(
            self, self, self, _Keys(self), self, self, self, self.deadline, aside=self.aside
        )

    async def run(
        self,
        what: Operation,
        arguments: dict[str, Any] | None = None,
        *scopes: str,
        **call: Any,
    ) -> Result:
        caller = Caller("key:k", TA, Scopes(frozenset(scopes or ("*:*",))))
        return await self.pipeline().run(what, Invocation(caller, arguments or {}, **call))

    # Tenants, Limits, Meter

    async def require_active(self, tenant: TenantId) -> None:
        self.step("tenant")
        if tenant not in self.active:
            raise no_such_tenant()

    def require_configured(self, tenant: TenantId, capability: str) -> None:
        if capability in self.lacking:
            raise Unconfigured(f"{capability} lacks a key")

    async def admit(self, caller: Caller, operation: Operation) -> None:
        self.step("limits")
        if self.limit is not None:
            raise self.limit

    async def collect(self, caller: Caller) -> None:
        self.step("collect")

    def count(
        self, tenant: TenantId, operation: Operation, seconds: float, ok: bool, size: int
    ) -> None:
        assert seconds >= 0
        self.counted.append((tenant, operation.name, ok, size))

    # Approvals

    async def settle(
        self, call: Invocation, operation: Operation, digest: str, consent: Consent
    ) -> Approval:
        self.step("consent")
        if self.answered == "no":
            raise refuse(consent.summary)
        status = "pending"
        if digest in self.granted:
            self.granted.remove(digest)
            status = "granted"
        return Approval(f"ap:{digest}", status, consent.summary, "2026-01-01", "https://h/a")

    def spend(self, approval_id: str) -> Any:
        async def spent(tx: Any) -> None:
            await tx.run(f"spent:{approval_id}")

        return spent

    async def release(self, tenant: TenantId, approval_id: str) -> None:
        self.step("release")
        if self.undo_fails:
            raise Unavailable("the undoing fails")
        if f"spent:{approval_id}" not in self.ledger.committed:
            self.granted.add(approval_id.removeprefix("ap:"))

    # AuditTrail

    def entry(self, call: Invocation, operation: Operation, digest: str) -> Any:
        async def written(tx: Any) -> None:
            await tx.run(f"audit:{operation.name}")

        return written

    # Binder

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.ledger, tenant)

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]:
        self.step("bind")
        return {name: Shelf(database) for name, _ in operation.wants}

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        self.step("spill")
        self.spilled.append(text)
        return {"preview": text[:10].decode(), "key": "results/1", "size": len(text), "url": "u"}


class _Keys:
    """`Idempotency`."""

    def __init__(self, house: House) -> None:
        self._house = house

    def _found(self, key: str, digest: str) -> dict[str, Any] | None:
        import orjson

        if key in self._house.kept:
            first, text = self._house.kept[key]
            if first != digest:
                raise IdempotencyConflict("other arguments", field="idempotency_key")
            if text is None:
                raise Conflict("its answer cannot be repeated", field="idempotency_key")
            found: dict[str, Any] = orjson.loads(text)
            return found
        return None

    async def recall(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        self._house.step("recall")
        return self._found(key, digest)

    async def claim(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        self._house.step("claim")
        self._house.claimed[key] = digest
        return self._found(key, digest)

    def mark(self, caller: Caller, key: str) -> Any:
        async def marked(tx: Any) -> None:
            await tx.run(f"mark:{key}")

        return marked

    async def keep(self, caller: Caller, key: str, result: bytes | None) -> None:
        if self._house.before_keep is not None:
            await self._house.before_keep()
        self._house.step("keep")
        if self._house.undo_fails:
            raise Unavailable("the keeping fails")
        self._house.kept[key] = (self._house.claimed.pop(key), result)

    async def drop(self, caller: Caller, key: str) -> None:
        if self._house.before_undo is not None:
            await self._house.before_undo()
        self._house.step("drop")
        if self._house.undo_fails:
            raise Unavailable("the undoing fails")
        digest = self._house.claimed.pop(key, None)
        if f"mark:{key}" in self._house.ledger.committed and digest is not None:
            self._house.kept[key] = (digest, None)
