"""Tenants: the caller's own and those below it. Every other one is absent."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, cast

import orjson
from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12

from tause_mcp import times
from tause_mcp.capability import CREATE, READ, REMOVE, REPLACE, SET, Consent, Pages, tool
from tause_mcp.services.tenants import Changes, TenantInfo, Tenants, TenantUsage, UsageReader
from tause_mcp.services.tenants.directory import Line
from tause_mcp.services.tenants.history import Change
from tause_mcp.services.tenants.usage import HOUR, Figures
from tause_mcp.services.tenants.values import KEY_PATTERN, Kind, Origin, in_force
from tause_mcp.tenancy import TENANT_ID_PATTERN

Id = Annotated[str, Field(pattern=TENANT_ID_PATTERN)]
OwnOrBelow = Annotated[
    str | None, Field(pattern=TENANT_ID_PATTERN, description="Default: your own tenant.")
]
Name = Annotated[str | None, Field(min_length=1, max_length=200, description="For people to read.")]
Plan = Annotated[str | None, Field(max_length=64, description="Only for tenants below yours.")]
Key = Annotated[str, Field(pattern=KEY_PATTERN)]
Amount = Annotated[int, Field(ge=0, le=2**53 - 1)]
Limits = Annotated[
    dict[str, Amount] | None,
    Field(
        max_length=32,
        description="storage, rows, calls_per_hour, cache_memory, connections, ai_spend, "
        "messages, tools, resources, tenants. Only for tenants below yours.",
    ),
]
Status = Literal["active", "suspended"]
Environment = Literal["development", "staging", "production"]
_CHANGES = 50
"""Changes of a key that are told at most."""


class Tenant(TypedDict):
    tenant_id: str
    name: str
    status: Status
    parent: NotRequired[str]
    plan: NotRequired[str]
    created_at: str
    updated_at: str


class TenantDetails(Tenant):
    children: int
    limits: dict[str, int]
    config_version: int
    config: NotRequired[dict[str, Any]]


class TenantPage(TypedDict):
    items: list[Tenant]
    next_cursor: NotRequired[str]


class ValueSource(TypedDict):
    source: Literal["tenant", "parent", "plan", "default"]
    tenant_id: NotRequired[str]
    environment: NotRequired[str]
    type: Kind
    value: Any
    version: NotRequired[int]


class ValueChange(TypedDict):
    version: int
    at: str
    by: NotRequired[str]
    environment: NotRequired[str]
    before: NotRequired[Any]
    after: NotRequired[Any]


class Explanation(TypedDict):
    key: str
    found: bool
    environment: str
    source: Literal["tenant", "parent", "plan", "default", "none"]
    value: NotRequired[Any]
    levels: list[ValueSource]
    changes: NotRequired[list[ValueChange]]


class UsageFigures(TypedDict):
    calls: int
    errors: int
    bytes: int
    p50_ms: NotRequired[float]
    p95_ms: NotRequired[float]


class CapabilityUsage(UsageFigures):
    capability: str


class HourUsage(UsageFigures):
    hour: str


class LimitUsage(TypedDict):
    name: str
    limit: int
    used: NotRequired[int]
    left: NotRequired[int]


class UsageReport(UsageFigures):
    tenant_id: str
    since: str
    until: str
    by_capability: list[CapabilityUsage]
    by_hour: list[HourUsage]
    limits: list[LimitUsage]


class Deleted(TypedDict):
    tenant_id: str
    status: Literal["deleted", "deleting"]


@tool("Create a tenant", scope="tenants:admin", hints=CREATE, cost=5)
async def tenants_create(
    tenants: Tenants,
    tenant_id: Annotated[str, Field(pattern=TENANT_ID_PATTERN, description="The new id.")],
    name: Name = None,
    parent: Annotated[
        str | None, Field(pattern=TENANT_ID_PATTERN, description="Default: your own tenant.")
    ] = None,
    plan: Plan = None,
    limits: Limits = None,
) -> TenantDetails:
    """Create a tenant below yours. Use to give a customer or team a backend of its own."""
    info = await tenants.create(tenant_id, name or "", parent, plan, limits or {})
    return _details(info)


@tool("List tenants", scope="tenants:read", hints=READ)
async def tenants_list(
    tenants: Tenants,
    pages: Pages,
    parent: Annotated[
        str | None, Field(pattern=TENANT_ID_PATTERN, description="Only its children.")
    ] = None,
    status: Annotated[Status | None, Field(description="Only those.")] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Field(max_length=1024)] = None,
) -> TenantPage:
    """List your tenant and all below it, by id. Use to find a tenant."""
    after = pages.position(cursor, parent, status) or ""
    found = await tenants.tree(parent, status or "", after, limit + 1)
    items = [shown(info) for info in found]
    page = pages.page(items, limit, lambda item: item["tenant_id"], parent, status)
    return cast(TenantPage, page)


@tool("Read a tenant", scope="tenants:read", hints=READ, flagship=True, open_result=True)
async def tenants_get(tenants: Tenants, tenant_id: OwnOrBelow = None) -> TenantDetails:
    """Read a tenant: status, limits and configuration. Use to see what holds for it."""
    info, line = await tenants.get(tenant_id)
    return {**_details(info), "config": {k: o.value.value for k, o in in_force(line).items()}}


@tool("Configure a tenant", scope="tenants:write", hints=SET, cost=2)
async def tenants_configure(
    tenants: Tenants,
    tenant_id: OwnOrBelow = None,
    name: Name = None,
    values: Annotated[
        dict[str, Any] | None,
        Field(max_length=100, description="Values by key; a key keeps its type."),
    ] = None,
    types: Annotated[
        dict[str, Kind] | None, Field(max_length=100, description="Types to state or change.")
    ] = None,
    remove: Annotated[
        list[Key] | None, Field(max_length=100, description="Keys to inherit again.")
    ] = None,
    limits: Limits = None,
    unlimited: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(max_length=32, description="Limits to lift."),
    ] = None,
    plan: Annotated[
        str | None, Field(max_length=64, description="Only for tenants below yours; empty: none.")
    ] = None,
    environment: Annotated[
        Environment | None, Field(description="Set or remove the values for this one alone.")
    ] = None,
    if_version: Annotated[
        int | None, Field(ge=0, le=2**53 - 1, description="Refuse unless config_version is this.")
    ] = None,
) -> TenantDetails:
    """Change a tenant's name, configuration, limits or plan. Tenants below inherit the values.

    Never put secrets here: a value of type `secret` names one, as `secret://name`.
    """
    changes = Changes(
        values=values or {},
        types=types or {},
        remove=remove or (),
        limits=limits or {},
        unlimited=unlimited or (),
        name=name,
        plan=plan,
        version=if_version,
        environment=environment or "",
    )
    return _details(await tenants.configure(tenant_id, changes))


@tool("Explain a value", scope="tenants:read", hints=READ)
async def tenants_explain(
    tenants: Tenants,
    key: Annotated[
        str,
        Field(pattern=KEY_PATTERN, description="Also `limits.<name>`; of changes `plan`, `name`."),
    ],
    tenant_id: OwnOrBelow = None,
    environment: Annotated[
        Environment | None, Field(description="As it holds there; default: here.")
    ] = None,
    history: Annotated[
        bool, Field(description="Also who changed it for this tenant, when, from and to what.")
    ] = False,
) -> Explanation:
    """Say where a configuration value or limit comes from. Use when one surprises you."""
    found, line = await tenants.explain(tenant_id, key, environment or "")
    reach = line.ids[: line.ids.index(tenants.own) + 1]
    told: Explanation = {
        "key": key,
        "found": bool(found),
        "environment": environment or tenants.environment,
        "source": found[0].source if found else "none",
        "levels": [_level(origin, reach) for origin in found],
    }
    if found:
        told["value"] = found[0].value.value
    if history:
        told["changes"] = _fitting(await tenants.history(line, key, _CHANGES), told)
    return told


def _fitting(changes: list[Change], told: Explanation) -> list[ValueChange]:
    """The newest changes, as many as one answer takes."""
    size, shown = len(orjson.dumps(told)), []
    for change in changes:
        item = _changed(change)
        size += len(orjson.dumps(item)) + 1
        if size > Pages.budget:
            break
        shown.append(item)
    return shown


def _changed(change: Change) -> ValueChange:
    told: dict[str, Any] = {"version": change.version, "at": times.iso(change.at)}
    named = {"by": change.actor, "environment": change.environment}
    told |= {name: text for name, text in named.items() if text}
    stated = {"before": change.was, "after": change.became}
    told |= {name: orjson.loads(text) for name, text in stated.items() if text is not None}
    return cast(ValueChange, told)


@tool("Read usage", scope="tenants:read", hints=READ)
async def tenants_get_usage(
    usage: UsageReader,
    tenant_id: OwnOrBelow = None,
    hours: Annotated[int, Field(ge=1, le=168, description="The last hours.")] = 24,
    capability: Annotated[str | None, Field(max_length=64, description="Only this one.")] = None,
) -> UsageReport:
    """Read calls, errors, latencies, bytes and limits left. Use to see who uses what."""
    return report(await usage.read(tenant_id, hours, capability))


@tool("Suspend a tenant", scope="tenants:admin", hints=REPLACE)
async def tenants_suspend(tenants: Tenants, tenant_id: Id) -> TenantDetails:
    """Close a tenant below yours, and all below it, within seconds; nothing is removed."""
    return _details(await tenants.suspend(tenant_id))


@tool("Resume a tenant", scope="tenants:admin", hints=SET)
async def tenants_resume(tenants: Tenants, tenant_id: Id) -> TenantDetails:
    """Open a suspended tenant again. Use after `tenants_suspend`."""
    return _details(await tenants.resume(tenant_id))


def _asks(arguments: Mapping[str, Any]) -> Consent:
    return Consent(f"Delete the tenant {arguments['tenant_id']} and everything it holds, for good")


@tool("Delete a tenant", scope="tenants:admin", hints=REMOVE, cost=10, consent=_asks)
async def tenants_delete(tenants: Tenants, tenant_id: Id) -> Deleted:
    """Delete a tenant below yours and everything it holds, once a person approves."""
    done = await tenants.delete(tenant_id)
    return {"tenant_id": tenant_id, "status": "deleted" if done else "deleting"}


def shown(info: TenantInfo) -> Tenant:
    """A tenant as callers see it."""
    told = {
        "tenant_id": info.id,
        "name": info.name,
        "status": info.status,
        "parent": info.parent,
        "plan": info.plan,
        "created_at": times.iso(info.created_at),
        "updated_at": times.iso(info.updated_at),
    }
    return cast(Tenant, {k: v for k, v in told.items() if v is not None})


def _details(info: TenantInfo) -> TenantDetails:
    more = {
        "children": info.children,
        "limits": dict(info.limits),
        "config_version": info.config_version,
    }
    return cast(TenantDetails, {**shown(info), **more})


def _level(origin: Origin, reach: tuple[str, ...]) -> ValueSource:
    """One level of an explanation; tenants above the caller's own stay nameless."""
    value = origin.value
    told: dict[str, Any] = {"source": origin.source, "type": value.kind, "value": value.value}
    if 0 <= origin.depth < len(reach):
        told["tenant_id"] = reach[origin.depth]
    if value.version:
        told["version"] = value.version
    if value.environment:
        told["environment"] = value.environment
    return cast(ValueSource, told)


def report(usage: TenantUsage) -> UsageReport:
    """Usage as callers see it."""
    told = {
        "tenant_id": usage.tenant,
        "since": _hour(usage.first),
        "until": _hour(usage.last + 1),
        **usage.report.total.told(),
        "by_capability": _rows("capability", usage.report.by_capability),
        "by_hour": [
            {**row, "hour": _hour(row["hour"])} for row in _rows("hour", usage.report.by_hour)
        ],
        "limits": [
            {k: v for k, v in limit._asdict().items() if v is not None} for limit in usage.limits
        ],
    }
    return cast(UsageReport, told)


def _rows(name: str, figures: Mapping[Any, Figures]) -> list[dict[str, Any]]:
    return [{name: key, **figures[key].told()} for key in sorted(figures)]


def _hour(hour: int) -> str:
    return times.iso(hour * HOUR * times.SECOND)


def config(line: Line) -> dict[str, Any]:
    """A tenant's configuration in force, each value with its type and source."""
    values = {
        key: {"value": o.value.value, "type": o.value.kind, "source": o.source}
        for key, o in in_force(line).items()
    }
    return {"tenant_id": line.ids[0], "values": values}
