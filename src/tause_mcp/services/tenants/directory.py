"""The tree of tenants as the whole process sees it: who is active, who stands above whom."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tause_mcp import log, times
from tause_mcp.capability import Key
from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.errors import NotFound, Unconfigured
from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.removal import purge
from tause_mcp.services.tenants.values import (
    DEFAULTS,
    KNOWN,
    Value,
    effective_limits,
    standing_values,
    value_of,
)
from tause_mcp.tenancy import BELIEVED, ROOT, TenantId, no_such_tenant

_MOST = 10_000

Farewell = Callable[[TenantId], Awaitable[None]]
"""Removes what a deleted tenant keeps outside the database. May run again after a crash."""

Need = Callable[[Mapping[str, Any]], str | None]
"""From a tenant's values in force: what it lacks for a capability and what to do, or None."""

Gauge = Callable[[TenantDatabase], Awaitable[int]]
"""How much of a limit a tenant uses now."""

_log = log.get("tenants")


@dataclass(frozen=True, slots=True)
class Standing:
    """One tenant's place: itself and its ancestors, nearest first, and its limits in force."""

    line: tuple[TenantId, ...]
    active: bool
    since: float
    """When it was created, in epoch seconds."""
    limits: Mapping[str, int]
    values: Mapping[str, Any]
    """In force, of the keys that somebody reads: they are asked for in every call."""
    lacking: Mapping[str, str]
    """Capability -> what the tenant lacks for it, and what to do."""
    until: float


@dataclass(frozen=True, slots=True)
class Line:
    """What is stored along a tenant's line: rows, limits and values, nearest first."""

    ids: tuple[TenantId, ...]
    states: tuple[str, ...]
    plans: tuple[str | None, ...]
    created_at: int
    limits: tuple[Mapping[str, int], ...]
    values: tuple[Mapping[str, Value], ...]
    general: tuple[Mapping[str, Value], ...]
    """What holds in every environment, where `values` has one for this environment alone."""

    @property
    def active(self) -> bool:
        return all(state == tables.ACTIVE for state in self.states)

    @property
    def present(self) -> bool:
        return bool(self.states) and self.states[0] != tables.DELETED


@dataclass
class TenantDirectory:
    """`pipeline.Tenants`. Its reads are the house's own: callers prove their reach first."""

    database: Database
    environment: str = ""
    """Which values of one environment count here."""
    deadline: float = 60.0
    """Seconds that a call lasts at most."""
    farewells: list[Farewell] = field(default_factory=list)
    gauges: dict[str, Gauge] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=lambda: dict(KNOWN))
    """What tenants configure that somebody reads."""
    needs: dict[str, Need] = field(default_factory=dict)
    """By capability, where it may lack something."""
    announce: Callable[[TenantId], None] = lambda _: None
    """Tells the other processes that a tenant changed."""
    _known: dict[TenantId, Standing] = field(default_factory=dict)

    async def require_active(self, tenant: TenantId) -> None:
        """Raise as for an absent tenant unless it and every tenant above it is active."""
        if not (await self._fresh(tenant)).active:
            raise no_such_tenant()

    def require_configured(self, tenant: TenantId, capability: str) -> None:
        """Raise `Unconfigured`, with what to do, while it lacks something for a capability."""
        if (text := self.cached_lacking(tenant).get(capability)) is not None:
            raise Unconfigured(text)

    async def active_since(self, tenant: TenantId) -> float | None:
        """When an active tenant was created (epoch seconds); None when absent or suspended.

        What was issued before it belonged to a former tenant of the same id. Read anew each
        time: identity remembers on its own, and two memories would add up to 8 s.
        """
        try:
            known = await self._stand(tenant)
        except NotFound:
            return None
        return known.since if known.active else None

    async def _fresh(self, tenant: TenantId) -> Standing:
        known = self._known.get(tenant)
        if known is None or known.until <= monotonic():
            known = await self._stand(tenant)
        return known

    async def _stand(self, tenant: TenantId) -> Standing:
        asked = monotonic()
        line = await self.line(tenant)
        if len(self._known) >= _MOST:
            self._known.clear()
        values = standing_values(line, self.keys)
        known = self._known[tenant] = Standing(
            line.ids,
            line.active,
            line.created_at / times.SECOND,
            effective_limits(line),
            values,
            self._lacking(values),
            asked + BELIEVED,
        )
        return known

    def _lacking(self, values: Mapping[str, Any]) -> dict[str, str]:
        found = {capability: need(values) for capability, need in self.needs.items()}
        return {capability: text for capability, text in found.items() if text is not None}

    async def lacking(self, tenant: TenantId) -> Mapping[str, str]:
        """Capability -> what the tenant lacks for it and what to do."""
        return (await self._fresh(tenant)).lacking

    def cached_lacking(self, tenant: TenantId) -> Mapping[str, str]:
        """The same without waiting, once `require_active` has passed."""
        known = self._known.get(tenant)
        return {} if known is None else known.lacking

    def declares(self, touched: Iterable[str]) -> bool:
        """Whether a capability reads one of these keys."""
        return any(key in self.keys and key not in KNOWN for key in touched)

    def forget(self, tenant: TenantId) -> None:
        """Read anew, in every process, what stands about a tenant and everyone below it."""
        self.drop(tenant)
        self.announce(tenant)

    def drop(self, tenant: TenantId | None) -> None:
        """The same in this process alone; None: of every tenant."""
        if tenant is None:
            self._known.clear()
            return
        for known in [t for t, s in self._known.items() if tenant in s.line]:
            del self._known[known]

    async def limit(self, tenant: TenantId, name: str) -> int | None:
        """The limit in force; None is unlimited."""
        return (await self.limits(tenant)).get(name)

    async def limits(self, tenant: TenantId) -> Mapping[str, int]:
        """Every limit in force, by name."""
        return (await self._fresh(tenant)).limits

    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        """The same without waiting, once `require_active` has passed."""
        known = self._known.get(tenant)
        return None if known is None else known.limits.get(name)

    def cached_value(self, tenant: TenantId, name: str) -> Any:
        """The value in force of one of `keys`, without waiting; None where nobody states one."""
        known = self._known.get(tenant)
        if known is not None:
            return known.values[name]
        return DEFAULTS[name].value if name in DEFAULTS else None

    def cached_born(self, tenant: TenantId) -> int:
        """When it was made (epoch microseconds), once `require_active` has passed; else 0."""
        known = self._known.get(tenant)
        return 0 if known is None else round(known.since * times.SECOND)

    async def born(self, tenant: TenantId) -> int:
        """The same from the rows, of a tenant that is being deleted too; 0 when there is none."""
        row = await self.database.first(tenant, tables.BORN, child=tenant)
        return row[0] if row else 0

    async def ancestors(self, tenant: TenantId) -> tuple[TenantId, ...]:
        """The tenants above, nearest first.

        Raises:
            NotFound: no such tenant.
        """
        return (await self._fresh(tenant)).line[1:]

    async def reach(self, top: TenantId, tenant: TenantId, environment: str = "") -> Line:
        """The line of `tenant`, which is `top` or stands below it.

        Raises:
            NotFound: absent, deleted or elsewhere in the tree: all alike.
        """
        line = await self.line(tenant, environment)
        if top not in line.ids:
            raise no_such_tenant()
        return line

    async def line(self, tenant: TenantId, environment: str = "") -> Line:
        """What is stored along a tenant's line, in this environment or the one named."""
        named = environment or self.environment

        async def work(tx: Transaction) -> tuple[list[Any], list[Any], list[Any]]:
            return (
                await tx.all(tables.LINEAGE, child=tenant),
                await tx.all(tables.LINE_LIMITS, child=tenant),
                await tx.all(tables.LINE_VALUES, child=tenant, environment=named),
            )

        rows, limits, values = await self.database.read(None, work, house=True)
        line = _line(rows, limits, values)
        if not line.present:
            self._known.pop(tenant, None)
            raise no_such_tenant()
        return line

    async def stands_below(self, top: TenantId, tenant: TenantId) -> bool:
        """Whether a tenant, of which no more than the mark may be left, stands below another."""
        rows = await self.database.read(
            None, lambda tx: tx.all(tables.LINEAGE, child=tenant), house=True
        )
        return any(row[0] == top for row in rows[1:])

    async def below(
        self, top: TenantId, after: str = "", count: int = 1000, parent: str = "", status: str = ""
    ) -> list[tuple[Any, ...]]:
        """Rows of `top` and its descendants in the order of their ids."""
        told = {"top": top, "after": after, "count": count, "parent": parent, "status": status}
        return await self.database.read(None, lambda tx: tx.all(tables.SUBTREE, **told), house=True)

    async def descendants(self, top: TenantId) -> int:
        """How many tenants stand below one."""
        found = await self.database.read(
            None, lambda tx: tx.first(tables.DESCENDANTS, top=top), house=True
        )
        return int(found[0]) if found else 0

    async def row(self, tenant: TenantId) -> tuple[tuple[Any, ...], int]:
        """One tenant's row and how many children it has.

        Raises:
            NotFound: no such tenant.
        """

        async def work(tx: Transaction) -> tuple[Any, Any]:
            return (
                await tx.first(tables.ONE, child=tenant),
                await tx.first(tables.CHILDREN, child=tenant),
            )

        found, children = await self.database.read(None, work, house=True)
        if found is None:
            raise no_such_tenant()
        return found, children[0]

    async def ensure_root(self) -> None:
        """Make the installation's own tenant when it is absent; any number may race."""
        root = TenantDatabase(self.database, ROOT)
        if await root.first(tables.ONE, child=ROOT) is None:
            fresh = {"parent": None, "named": "Default", "plan": None, "now": times.now()}
            await root.write(lambda tx: tx.run(tables.INSERT, child=ROOT, **fresh))

    async def remove(self, tenant: TenantId) -> None:
        """Remove all remains of a tenant that is marked deleted, or that never was; the mark stays.

        Raises:
            Exception: of a farewell; `finish_deletions` tries again.
        """
        self.forget(tenant)
        for farewell in self.farewells:
            await farewell(tenant)
        await purge(self.database, tenant)

    def kept(self, marked: int) -> float:
        """Seconds for which the id of a tenant that was marked deleted then (epoch microseconds)
        is still nobody's: until no login, standing or key of it is believed and no call of it runs
        anywhere, and once more what is believed for clocks that differ."""
        return self.deadline + 2 * BELIEVED - (times.now() - marked) / times.SECOND

    async def free(self, tenant: TenantId, marked: int) -> bool:
        """Remove what came late and give the id back; False while it is kept, or when another
        process is at it.

        The mark is renewed first: the id stays kept until what removes here is done or given up.

        Raises:
            Exception: of a farewell, or it took too long.
        """
        now = times.now()
        seen = {"child": tenant, "seen": marked, "now": now}
        if self.kept(marked) > 0 or not await self.database.write(
            None, lambda tx: tx.run(tables.RENEW_MARK, **seen), house=True
        ):
            return False
        await self._remove(tenant, now)
        database = TenantDatabase(self.database, tenant)
        return bool(await database.write(lambda tx: tx.run(tables.FORGET, seen=now)))

    async def _remove(self, tenant: TenantId, marked: int) -> None:
        """The same, given up in good time before the id may be another's."""
        async with asyncio.timeout(self.kept(marked) - BELIEVED):
            await self.remove(tenant)

    async def finish_deletions(self) -> None:
        """Go on with deletions that a crash or an outage interrupted, and give back ids."""
        for tenant, marked in await self.database.read(
            None, lambda tx: tx.all(tables.LEAVING), house=True
        ):
            try:
                if self.kept(marked) > BELIEVED:
                    await self._remove(TenantId(tenant), marked)
                else:
                    await self.free(TenantId(tenant), marked)
            except Exception as error:  # whatever holds it up: the others go on
                _log.error("deletion_waits", tenant=tenant, error=type(error).__name__)


def _line(rows: list[Any], limits: list[Any], values: list[Any]) -> Line:
    own_limits: list[dict[str, int]] = [{} for _ in rows]
    own_values: list[dict[str, Value]] = [{} for _ in rows]
    general: list[dict[str, Value]] = [{} for _ in rows]
    for depth, name, amount in limits:
        own_limits[depth][name] = amount
    for depth, key, *stored in values:
        if (everywhere := own_values[depth].get(key)) is not None:
            general[depth][key] = everywhere
        own_values[depth][key] = value_of(*stored)
    return Line(
        ids=tuple(TenantId(row[0]) for row in rows),
        states=tuple(row[2] for row in rows),
        plans=tuple(row[3] for row in rows),
        created_at=rows[0][4] if rows else 0,
        limits=tuple(own_limits),
        values=tuple(own_values),
        general=tuple(general),
    )
