"""A change of a tenant's configuration: checked against what it inherits, stored as one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tause_mcp import times
from tause_mcp.database import Transaction
from tause_mcp.errors import Invalid, PreconditionFailed
from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.directory import Line
from tause_mcp.services.tenants.values import (
    MAX_VALUES,
    Kind,
    Value,
    check_limits,
    origins,
    told,
    typed,
)
from tause_mcp.tenancy import TenantId, no_such_tenant


@dataclass(frozen=True, slots=True)
class Stored:
    """What a checked change writes."""

    values: Mapping[str, Value]
    remove: Sequence[str]
    limits: Mapping[str, int]
    unlimited: Sequence[str]
    name: str | None
    plan: str | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Changes:
    """A change as it was asked for. `plan` empty: none any more. `version`: what it expects."""

    values: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Kind] = field(default_factory=dict)
    remove: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    unlimited: Sequence[str] = ()
    name: str | None = None
    plan: str | None = None
    version: int | None = None

    @property
    def privileged(self) -> bool:
        """Whether only a tenant above may ask for it."""
        return bool(self.limits or self.unlimited) or self.plan is not None

    def checked(self, line: Line) -> Stored:
        """The change with every value of its type.

        Raises:
            Invalid: a value is not of the type that the key has, here or where it is inherited from.
        """
        check_limits(self.limits)
        check_limits(dict.fromkeys(self.unlimited, 0), "unlimited")
        if extra := set(self.types) - set(self.values):
            raise Invalid(f"types: {min(extra)} has no value here", field="types")
        if both := set(self.remove) & set(self.values):
            raise Invalid(f"remove: {min(both)} is set in the same call", field="remove")
        values = {k: typed(k, v, self._kind(line, k)) for k, v in self.values.items()}
        return Stored(
            values, self.remove, self.limits, self.unlimited, self.name, self.plan, self.version
        )

    def _kind(self, line: Line, key: str) -> Kind | None:
        """The type stated now, else the one that the key has already."""
        known = next(origins(line, key), None)
        return self.types.get(key) or (known.value.kind if known else None)


async def store(tx: Transaction, target: TenantId, change: Stored) -> None:
    """Write a change of one tenant as its next version."""
    row = await tx.first(tables.LOCK, child=target)
    if row is None:
        raise no_such_tenant()
    version: int = row[1]
    if change.version is not None and change.version != version:
        raise PreconditionFailed(f"the configuration is at version {version}", field="version")
    now, valued = times.now(), bool(change.values or change.remove)
    await _describe(tx, target, change, now, int(valued))
    for key in change.remove:
        await tx.run(tables.DROP_VALUE, child=target, of_key=key)
    for key, value in change.values.items():
        written = {"of_kind": value.kind, "of_value": told(key, value.value)}
        stamp = {"of_version": version + 1, "of_updated_at": now}
        await tx.run(tables.PUT_VALUE, child=target, of_key=key, **written, **stamp)
    for name in change.unlimited:
        await tx.run(tables.DROP_LIMIT, child=target, of_name=name)
    for name, amount in change.limits.items():
        await tx.run(tables.PUT_LIMIT, child=target, of_name=name, of_amount=amount)
    count = await tx.first(tables.COUNT_VALUES, child=target)
    if count is not None and count[0] > MAX_VALUES:
        raise Invalid(f"values: a tenant has at most {MAX_VALUES}", field="values")


async def _describe(tx: Transaction, target: TenantId, change: Stored, now: int, more: int) -> None:
    row = await tx.first(tables.ONE, child=target)
    assert row is not None  # it is locked
    name = row[2] if change.name is None else change.name
    plan = row[4] if change.plan is None else change.plan or None
    await tx.run(tables.CONFIGURE, child=target, named=name, plan=plan, more=more, now=now)
