"""Administration from the shell, through the same tools as everyone, as the local owner."""

import json
from typing import Any

import click

from tause_mcp.cli.calls import _call, tenant_option
from tause_mcp.cli.house import in_house
from tause_mcp.errors import Invalid
from tause_mcp.platform import Platform
from tause_mcp.tenancy import Scopes, tenant_id


def _show(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _run(tool: str, arguments: dict[str, Any], tenant: str = "default") -> Any:
    given = {k: v for k, v in arguments.items() if v not in (None, (), "")}
    return in_house(lambda platform: _call(platform, tenant, tool, given))


@click.group()
def tenants() -> None:
    """Create, list, show, configure and delete tenants."""


@tenants.command("create")
@click.argument("new_tenant")
@click.option("--name", default="")
@click.option("--parent", default="default", show_default=True)
def create_tenant(new_tenant: str, name: str, parent: str) -> None:
    """Create a tenant below another."""
    _show(_run("tenants_create", {"tenant_id": new_tenant, "name": name, "parent": parent}))


@tenants.command("list")
def list_tenants() -> None:
    """One line per tenant: id, status, name."""
    for item in _run("tenants_list", {"limit": 100})["items"]:
        click.echo(f"{item['tenant_id']:24} {item['status']:10} {item.get('name', '')}")


@tenants.command("show")
@click.argument("tenant")
def show_tenant(tenant: str) -> None:
    """Show one tenant."""
    _show(_run("tenants_get", {"tenant_id": tenant}))


@tenants.command("configure")
@click.argument("tenant")
@click.option("--set", "values", multiple=True, metavar="KEY=JSON", help="A configuration value.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=N", help="A limit; empty lifts it.")
def configure_tenant(tenant: str, values: tuple[str, ...], limits: tuple[str, ...]) -> None:
    """Set configuration values and limits."""
    stated = _pairs(limits) or {}
    changes = {
        "values": _pairs(values),
        "limits": {name: amount for name, amount in stated.items() if amount != ""} or None,
        "unlimited": [name for name, amount in stated.items() if amount == ""] or None,
    }
    _show(_run("tenants_configure", {"tenant_id": tenant, **changes}))


def _pairs(given: tuple[str, ...]) -> dict[str, Any] | None:
    pairs = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise Invalid(f"{text!r}: write it as NAME=VALUE")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs or None


@tenants.command("delete")
@click.argument("tenant")
@click.confirmation_option(prompt="Delete the tenant and everything in it?")
def delete_tenant(tenant: str) -> None:
    """Delete a tenant and everything in it."""
    in_house(lambda platform: _delete(platform, tenant))
    click.echo("deleted")


async def _delete(platform: Platform, tenant: str) -> None:
    """The shell's prompt was the approval: the same record, answered here."""
    first = await _call(platform, "default", "tenants_delete", {"tenant_id": tenant})
    if first.get("status") == "approval_required":
        await platform.answer(first["id"], True, by="local:owner", means="cli")
        await _call(platform, "default", "tenants_delete", {"tenant_id": tenant})


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.option("--tenant", required=True)
@click.option("--name", default="")
@click.option("--role", default="")
@click.option("--scopes", default="", help="Comma separated; instead of a role.")
@click.option("--toolsets", default="", help="What the key's holder is shown.")
@click.option("--expires-in", type=int, default=None, help="Seconds.")
def create_key(tenant: str, scopes: str, toolsets: str, role: str, **asked: Any) -> None:
    """Print a new key: only the key and a newline."""
    arguments = {
        **asked,
        "role": role or (None if scopes else "developer"),
        "scopes": scopes.split(",") if scopes else None,
        "toolsets": toolsets.split(",") if toolsets else None,
    }
    given = {k: v for k, v in arguments.items() if v not in (None, "")}
    click.echo(in_house(lambda platform: _create_key(platform, tenant, given)))


async def _create_key(platform: Platform, tenant: str, arguments: dict[str, Any]) -> str:
    """The person at the shell is the one who would approve a key with admin scopes."""
    made = await _call(platform, tenant, "access_create_key", arguments)
    if made.get("status") == "approval_required":
        await platform.answer(made["id"], True, by="local:owner", means="cli")
        made = await _call(platform, tenant, "access_create_key", arguments)
    return str(made["key"])


@keys.command("list")
@tenant_option
def list_keys(tenant: str) -> None:
    """One line per key: id, state, name, scopes."""
    for item in _run("access_list_keys", {"limit": 100}, tenant)["items"]:
        state = "revoked" if item.get("revoked_at") else "active"
        click.echo(f"{item['id']}  {state:8} {item.get('name', ''):20} {' '.join(item['scopes'])}")


@keys.command("revoke")
@click.argument("key_id")
@tenant_option
def revoke_key(key_id: str, tenant: str) -> None:
    """Revoke a key; it stops working within 5 seconds."""
    _run("access_revoke_key", {"id": key_id}, tenant)
    click.echo("revoked")


@click.group()
def tokens() -> None:
    """Tokens signed by this installation's key."""


@tokens.command("create")
@click.option("--tenant", required=True)
@click.option("--scopes", default="*:read,*:write", show_default=True)
@click.option("--ttl", default=3600, show_default=True, type=click.IntRange(60, 86400))
@click.option("--subject", default="local:owner", show_default=True)
@click.option("--own-door", is_flag=True, help="For /t/TENANT/mcp instead of /mcp.")
def create_token(tenant: str, scopes: str, ttl: int, subject: str, own_door: bool) -> None:
    """Print a JWT signed by this installation's key."""

    async def work(platform: Platform) -> str:
        named = tenant_id(tenant)
        await platform.directory.require_active(named)
        granted = Scopes(frozenset(scopes.split(",")))
        return platform.issue(named, subject, granted, ttl, own_door=own_door)

    click.echo(in_house(work))
