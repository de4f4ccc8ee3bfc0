"""Who walks: tenant A, whose things are looked for, and everyone who must not find them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tause_mcp.auth import local_caller
from tause_mcp.pipeline import Invocation
from tause_mcp.platform import Platform
from tause_mcp.tenancy import ROOT, Scopes, TenantId


@dataclass(frozen=True, slots=True)
class Actor:
    """One identity: a tenant's key or token."""

    name: str
    tenant: TenantId
    token: str = field(repr=False)
    above: bool = False
    """An ancestor of A: it administers A as a tenant, and still reads nothing that A keeps."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone, and the tenants that were made for them."""

    owner: Actor
    """Of A."""
    child: TenantId
    """A tenant below A."""
    others: tuple[Actor, ...]
    """B first: its owner has things of its own."""
    tenants: tuple[TenantId, ...]
    """All that were made, children first."""


async def cast(platform: Platform, stem: str = "acme", root: TenantId = ROOT) -> Cast:
    """Make the tenants and their keys below `root`, as the local person would.

    A is `stem`. B is a stranger; then come B's child, the root above A, and a trap for each way of
    comparing ids by prefix or pattern: longer, shorter, and with the wildcards of LIKE.
    """
    child, b_child, a, b, *traps = names(stem)
    for tenant, parent in ((a, root), (b, root), (child, a), (b_child, b)):
        await _made(platform, tenant, parent)
    for tenant in traps:
        await _made(platform, tenant, root)
    others = [
        *[await _holder(platform, b, role) for role in ("owner", "agent", "viewer")],
        _token_holder(platform, b),
        await _holder(platform, b_child, "owner"),
        *[await _holder(platform, trap, "owner") for trap in traps],
        await _holder(platform, root, "owner", above=True),
    ]
    owner = await _holder(platform, a, "owner")
    return Cast(owner, child, tuple(others), names(stem))


def names(stem: str) -> tuple[TenantId, ...]:
    """The tenants that `cast` makes: A's child, B's child, A, B, the traps; children first."""
    made = (f"{stem}-child", f"z{stem}-below", stem, f"z{stem}")
    traps = (f"{stem}2", stem[:-1], f"{stem}_x", f"{stem}-x")
    return tuple(map(TenantId, (*made, *traps)))


async def _made(platform: Platform, tenant: TenantId, parent: TenantId) -> None:
    await run(platform, ROOT, "tenants_create", {"tenant_id": tenant, "parent": parent})


async def _holder(platform: Platform, tenant: TenantId, role: str, *, above: bool = False) -> Actor:
    """An API key in a role; the person who runs the walk approves it."""
    made = await run(platform, tenant, "access_create_key", {"role": role, "name": "walk"})
    return Actor(f"{tenant} {role}", tenant, made["key"], above)


def _token_holder(platform: Platform, tenant: TenantId) -> Actor:
    scopes = Scopes(frozenset({"*:read", "*:write"}))
    return Actor(f"{tenant} token", tenant, platform.issue(tenant, "walk", scopes, 3600))


async def run(
    platform: Platform, tenant: TenantId, tool: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Run a tool as the local owner, who approves what has to be approved."""
    operation = platform.catalog.tools[tool]
    call = Invocation(local_caller(tenant, "owner"), arguments, door="cli")
    result = await platform.pipeline.run(operation, call)
    if result.approval is not None:
        await platform.answer(result.approval.id, True, by="local:owner", means="cli")
        result = await platform.pipeline.run(operation, call)
    value: dict[str, Any] = result.value
    return value


async def dismissed(platform: Platform, made: Cast) -> None:
    """Remove what `cast` made, children first."""
    for tenant in made.tenants:
        await run(platform, ROOT, "tenants_delete", {"tenant_id": tenant})
