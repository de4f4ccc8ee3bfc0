"""Secrets from the shell: the one place that shows a value."""

import sys

import click

from tause_mcp.cli.admin import _run, _show
from tause_mcp.cli.calls import tenant_option
from tause_mcp.cli.house import in_house, owner_of
from tause_mcp.platform import Platform


@click.group()
def secrets() -> None:
    """Store, list, show, rotate and delete a tenant's secrets."""


def _value() -> str:
    """The value, typed unseen or piped in; one line's end is not part of it."""
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True))
    return sys.stdin.read().removesuffix("\n")


@secrets.command("put")
@click.argument("name")
@click.option("--description", default=None)
@click.option("--expires-in", type=int, default=None, help="Seconds.")
@tenant_option
def put(name: str, description: str | None, expires_in: int | None, tenant: str) -> None:
    """Store a value read from stdin, replacing the one there."""
    told = {"name": name, "value": _value(), "description": description, "expires_in": expires_in}
    _show(_run("secrets_put", told, tenant))


@secrets.command("rotate")
@click.argument("name")
@click.option("--grace", type=int, default=86_400, show_default=True, help="Seconds.")
@tenant_option
def rotate(name: str, grace: int, tenant: str) -> None:
    """Store a new value read from stdin; the one before is accepted for a while."""
    _show(_run("secrets_rotate", {"name": name, "value": _value(), "grace": grace}, tenant))


@secrets.command("list")
@tenant_option
def list_secrets(tenant: str) -> None:
    """One line per secret: name, version, what it is for."""
    cursor: str | None = None
    while True:
        page = _run("secrets_list", {"limit": 100, "cursor": cursor}, tenant)
        for item in page["items"]:
            click.echo(f"{item['name']:40} {item['version']:8} {item.get('description', '')}")
        cursor = page.get("next_cursor")
        if cursor is None:
            return


@secrets.command("delete")
@click.argument("name")
@tenant_option
def delete(name: str, tenant: str) -> None:
    """Delete a secret and every version of it."""
    _run("secrets_delete", {"name": name}, tenant)
    click.echo("deleted")


@secrets.command("show")
@click.argument("name")
@tenant_option
def show(name: str, tenant: str) -> None:
    """Print a secret's value: only the value and a newline."""
    click.echo(in_house(lambda platform: _shown(platform, tenant, name)))


async def _shown(platform: Platform, tenant: str, name: str) -> str:
    from tause_mcp.services.secrets import Secrets

    who = owner_of(tenant)
    await platform.directory.require_active(who.tenant)
    bound = platform.binding(who, platform.catalog.tools["secrets_list"])
    return await bound.service(Secrets).resolve(f"secret://{name}")
