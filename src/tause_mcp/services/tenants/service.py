"""The tree of tenants as one caller reaches it: its own tenant and the ones below.

Everything else is absent. What changes another tenant's row runs in the caller's own transaction,
beside the caller's audit entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from tause_mcp import log, times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict, Forbidden, Invalid, QuotaExceeded
from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.changes import Changes, put_limit, store
from tause_mcp.services.tenants.directory import Line, TenantDirectory
from tause_mcp.services.tenants.history import LIMITS, Change, Ledger, changes_of
from tause_mcp.services.tenants.info import TenantInfo
from tause_mcp.services.tenants.removal import purge
from tause_mcp.services.tenants.values import (
    Origin,
    check_limits,
    limit_origins,
    origins,
    stated_limits,
)
from tause_mcp.tenancy import ROOT, Caller, TenantId, no_such_tenant, tenant_id

_log = log.get("tenants")


@dataclass(frozen=True, slots=True)
class Announce:
    """Whom a change concerns beyond the rows: this process's caches, and listeners."""

    configured: Callable[[TenantId], None]
    offered: Callable[[TenantId], None]
    """What the tenant is offered may have changed with its configuration."""
    closed: Callable[[TenantId], None]
    """The tenant is suspended or deleted: its callers are to be checked anew."""
    deleted: Callable[[TenantId], None]


class Tenants:
    """`caller.tenant` and its descendants."""

    def __init__(
        self,
        caller: Caller,
        database: TenantDatabase,
        directory: TenantDirectory,
        announce: Announce,
    ) -> None:
        self._caller = caller
        self._database = database
        self._directory = directory
        self._announce = announce

    @property
    def own(self) -> TenantId:
        return self._caller.tenant

    @property
    def environment(self) -> str:
        """The one of this installation."""
        return self._directory.environment

    async def reach(self, named: str | None, environment: str = "") -> Line:
        """The line of the tenant named (None: one's own).

        Raises:
            NotFound: absent, or neither one's own nor below.
        """
        if named is None:
            return await self._directory.line(self.own, environment)
        return await self._directory.reach(self.own, tenant_id(named), environment)

    async def get(self, named: str | None) -> tuple[TenantInfo, Line]:
        """One tenant, and what is stored along its line."""
        line = await self.reach(named)
        row, children = await self._directory.row(line.ids[0])
        return TenantInfo.of(row, self.own, line, children), line

    async def tree(
        self, parent: str | None, status: str, after: str, count: int
    ) -> list[TenantInfo]:
        """One's own tenant and those below, in the order of their ids."""
        if parent is not None:
            await self.reach(parent)
        rows = await self._directory.below(self.own, after, count, parent or "", status)
        return [TenantInfo.of(row, self.own) for row in rows]

    async def create(
        self, named: str, name: str, parent: str | None, plan: str | None, limits: Mapping[str, int]
    ) -> TenantInfo:
        """Make a child of one's own tenant, or of one below.

        Raises:
            Conflict: the id is taken, or kept (`retry_after`) after a deletion. NotFound: the parent. QuotaExceeded: too many tenants.
        """
        child = tenant_id(named)
        above = await self.reach(parent)
        check_limits(limits)
        _check_plan_name(plan)
        if not above.active:
            raise Conflict("the parent tenant is suspended: resume it first", field="parent")
        if len(above.ids) >= tables.DEEPEST:
            raise Conflict(f"the tree is {tables.DEEPEST} tenants deep at most", field="parent")
        await self._clear(child)

        async def work(tx: Transaction) -> None:
            await _hold_parent(tx, above)
            fresh = {"parent": above.ids[0], "named": name or named, "plan": plan}
            if not await tx.run(tables.INSERT, child=child, now=times.now(), **fresh):
                raise _not_available()
            ledger = Ledger(tx, child, self._caller, 0, times.now())
            for limit, amount in limits.items():
                await put_limit(tx, child, limit, amount, ledger)

        await self._database.write(work, house=True)
        return (await self.get(child))[0]

    async def _clear(self, child: TenantId) -> None:
        """Leave nothing of a former tenant of this id; a living one is left alone.

        Raises:
            Conflict: the former one's id is kept.
        """
        database = self._directory.database
        row = await TenantDatabase(database, child).first(tables.IS_LEAVING)
        if row is None:
            await purge(database, child)
        elif row[0] == tables.DELETED and not await self._directory.free(child, row[1]):
            if not await self._directory.stands_below(self.own, child):
                raise _not_available()
            raise _kept(max(1.0, self._directory.kept(row[1])))

    async def configure(self, named: str | None, changes: Changes) -> TenantInfo:
        """Change a tenant's name, values, limits or plan.

        Raises:
            Forbidden: limits and plan of one's own tenant. PreconditionFailed: the version moved on.
        """
        line = await self.reach(named)
        target = line.ids[0]
        if changes.privileged:
            self._require_above(target)
        touched = (*changes.values, *changes.remove)
        for key in touched:
            if known := self._directory.keys.get(key):
                self._caller.require(known.scope)
        _check_plan_name(changes.plan or None)
        stored = changes.checked(line, self._directory.keys)
        await self._database.write(lambda tx: store(tx, target, stored, self._caller), house=True)
        self._directory.forget(target)
        for row in await self._directory.below(target):
            self._announce.configured(TenantId(row[0]))
            if changes.plan is not None or self._directory.declares(touched):
                self._announce.offered(TenantId(row[0]))
        return (await self.get(target))[0]

    def _require_above(self, target: TenantId) -> None:
        """Limits and plan are an ancestor's to set; the root's, its owner's: the operator."""
        self._caller.require("tenants:admin")
        operator = target == ROOT and self._caller.scopes.cover("*:*")
        if target == self.own and not operator:
            raise Forbidden(
                "limits and plan are set by a tenant above this one or on the command line"
            )

    async def explain(
        self, named: str | None, key: str, environment: str = ""
    ) -> tuple[list[Origin], Line]:
        """Every level that states a value (`limits.<name>`: a limit), the one in force first."""
        line = await self.reach(named, environment)
        if key.startswith(LIMITS):
            return list(limit_origins(line, key.removeprefix(LIMITS))), line
        return list(origins(line, key)), line

    async def history(self, line: Line, key: str, count: int) -> list[Change]:
        """The changes of a value (`limits.<name>`, `plan`, `name`) of a tenant in reach.

        Who acted for a tenant beyond one's own reach stays unnamed.
        """
        found = await changes_of(TenantDatabase(self._directory.database, line.ids[0]), key, count)
        reach = line.ids[: line.ids.index(self.own) + 1]
        return [c if c.home in reach else c._replace(actor="", home="") for c in found]

    async def suspend(self, named: str) -> TenantInfo:
        """Close a tenant below, and everyone below it, until it is resumed."""
        return await self._turn(named, tables.ACTIVE, tables.SUSPENDED)

    async def resume(self, named: str) -> TenantInfo:
        """Open a suspended tenant again."""
        return await self._turn(named, tables.SUSPENDED, tables.ACTIVE)

    async def _turn(self, named: str, before: str, after: str) -> TenantInfo:
        target = await self._below(named)
        state = {"state_before": before, "state_after": after}

        async def work(tx: Transaction) -> int:
            return await tx.run(tables.SET_STATE, child=target, now=times.now(), **state)

        await self._database.write(work, house=True)
        self._directory.forget(target)
        self._announce.closed(target)
        return (await self.get(target))[0]

    async def _below(self, named: str) -> TenantId:
        """A tenant below one's own: nobody closes the branch that it sits on."""
        target = (await self.reach(named)).ids[0]
        if target == self.own:
            raise Forbidden("a tenant is suspended, resumed and deleted by one above it")
        return target

    async def delete(self, named: str) -> bool:
        """Delete a tenant below and all it holds; False: gone, but remains are still removed.

        Raises:
            Conflict: it has children: delete them first.
        """
        target = await self._below(named)

        async def work(tx: Transaction) -> None:
            if not await tx.run(tables.MARK_DELETED, child=target, now=times.now()):
                raise no_such_tenant()
            row = await tx.first(tables.CHILDREN, child=target)
            if row is not None and row[0]:
                raise Conflict("the tenant has tenants below it: delete those first")

        await self._database.write(work, house=True)
        self._announce.deleted(target)
        try:
            await self._directory.remove(target)
        except Exception as error:  # the tenant is gone for everyone; the sweep removes the rest
            _log.error("deletion_waits", tenant=target, error=type(error).__name__)
            return False
        return True


def _not_available() -> Conflict:
    """The one answer for an id that lives, or lived, anywhere in the tree."""
    return Conflict("this tenant id is not available: choose another", field="tenant_id")


def _kept(seconds: float) -> Conflict:
    return Conflict(
        "a tenant of this id was deleted a moment ago, and its id is kept until nothing of it is "
        f"remembered anywhere: try again in {ceil(seconds)} s, or choose another id",
        field="tenant_id",
        retry_after=seconds,
    )


async def _hold_parent(tx: Transaction, above: Line) -> None:
    """The parent stays while its child is made, and no tenant above has more than its limit."""
    row = await tx.first(tables.LOCK, child=above.ids[0])
    if row is None:
        raise no_such_tenant()
    for depth, ancestor in reversed(list(enumerate(above.ids))):
        own = stated_limits(above, depth).get("tenants")
        if own is None:
            continue
        await tx.first(tables.LOCK, child=ancestor)
        count = await tx.first(tables.DESCENDANTS, top=ancestor)
        if count is not None and count[0] >= own:
            raise QuotaExceeded(f"the limit of {own} tenants is reached: ask a tenant above")


def _check_plan_name(plan: str | None) -> None:
    if plan is not None and not plan.replace("-", "").replace("_", "").isalnum():
        raise Invalid("a plan's name is letters, digits, - and _", field="plan")
