"""A change of a tenant's configuration: checked against what it inherits, stored as one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tause_mcp import times
from tause_mcp.database import Transaction
from tause_mcp.errors import Invalid, PreconditionFailed
from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.directory import Line
from tause_mcp.services.tenants.history import LIMITS, NAME, PLAN, Ledger, json
from tause_mcp.services.tenants.values import (
    MAX_VALUES,
    Keys,
    Kind,
    Value,
    check_limits,
    origins,
    told,
    typed,
)
from tause_mcp.tenancy import Caller, TenantId, no_such_tenant


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
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """A change as it was asked for. `plan` empty: none any more. `version`: what it must be at."""

    values: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Kind] = field(default_factory=dict)
    remove: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    unlimited: Sequence[str] = ()
    name: str | None = None
    plan: str | None = None
    version: int | None = None
    environment: str = ""
    """Where the values hold; empty is everywhere."""

    @property
    def privileged(self) -> bool:
        """Whether only a tenant above may ask for it."""
        return bool(self.limits or self.unlimited) or self.plan is not None

    def checked(self, line: Line, keys: Keys) -> Stored:
        """The change with every value of its type; `keys` are those that somebody reads.

        Raises:
            Invalid: a value is not of the type that the key has, here or where it is inherited from.
        """
        check_limits(self.limits)
        check_limits(dict.fromkeys(self.unlimited, 0), "unlimited")
        if extra := set(self.types) - set(self.values):
            raise Invalid(f"types: {min(extra)} has no value here", field="types")
        if both := set(self.remove) & set(self.values):
            raise Invalid(f"remove: {min(both)} is set in the same call", field="remove")
        values = {k: typed(k, v, self._kind(line, k), keys) for k, v in self.values.items()}
        return Stored(
            values,
            self.remove,
            self.limits,
            self.unlimited,
            self.name,
            self.plan,
            self.version,
            self.environment,
        )

    def _kind(self, line: Line, key: str) -> Kind | None:
        """The type stated now, else the one that the key has already."""
        known = next(origins(line, key), None)
        return self.types.get(key) or (known.value.kind if known else None)


async def store(tx: Transaction, target: TenantId, change: Stored, caller: Caller) -> None:
    """Write a change of one tenant as its next version, and into its history."""
    row = await tx.first(tables.LOCK, child=target)
    if row is None:
        raise no_such_tenant()
    version: int = row[1]
    if change.version is not None and change.version != version:
        raise PreconditionFailed(f"the configuration is at version {version}", field="if_version")
    now = times.now()
    ledger = Ledger(tx, target, caller, version + 1, now)
    await _describe(tx, target, change, now, ledger)
    for key in change.remove:
        await _put_value(tx, target, key, None, change.environment, ledger)
    for key, value in change.values.items():
        stamped = replace(value, version=version + 1, updated_at=now)
        await _put_value(tx, target, key, stamped, change.environment, ledger)
    amounts: dict[str, int | None] = {**dict.fromkeys(change.unlimited), **change.limits}
    for name, amount in amounts.items():
        await put_limit(tx, target, name, amount, ledger)
    await ledger.trim()
    count = await tx.first(tables.COUNT_VALUES, child=target)
    if count is not None and count[0] > MAX_VALUES:
        raise Invalid(f"values: a tenant has at most {MAX_VALUES}", field="values")


async def _put_value(
    tx: Transaction,
    target: TenantId,
    key: str,
    value: Value | None,
    environment: str,
    ledger: Ledger,
) -> None:
    at = {"child": target, "of_key": key, "of_environment": environment}
    row = await tx.first(tables.OLD_VALUE, **at)
    became = None if value is None else told(key, value.value)
    await ledger.note(key, row[0] if row else None, became, environment)
    if value is None:
        await tx.run(tables.DROP_VALUE, **at)
        return
    stamp = {"of_version": value.version, "of_updated_at": value.updated_at}
    await tx.run(tables.PUT_VALUE, of_kind=value.kind, of_value=became, **at, **stamp)


async def put_limit(
    tx: Transaction, target: TenantId, name: str, amount: int | None, ledger: Ledger
) -> None:
    """Set a limit of a tenant; None lifts it."""
    row = await tx.first(tables.OLD_LIMIT, child=target, of_name=name)
    await ledger.note(f"{LIMITS}{name}", json(row[0] if row else None), json(amount))
    if amount is None:
        await tx.run(tables.DROP_LIMIT, child=target, of_name=name)
    else:
        await tx.run(tables.PUT_LIMIT, child=target, of_name=name, of_amount=amount)


async def _describe(
    tx: Transaction, target: TenantId, change: Stored, now: int, ledger: Ledger
) -> None:
    row = await tx.first(tables.ONE, child=target)
    assert row is not None  # it is locked
    name = row[2] if change.name is None else change.name
    plan = row[4] if change.plan is None else change.plan or None
    await ledger.note(NAME, json(row[2]), json(name))
    await ledger.note(PLAN, json(row[4]), json(plan))
    await tx.run(tables.CONFIGURE, child=target, named=name, plan=plan, more=1, now=now)
