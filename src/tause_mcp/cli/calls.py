"""A person's way to any tool, and to answer approvals, from the shell."""

import json
from typing import Any

import click

from tause_mcp.cli.house import in_house, owner_of
from tause_mcp.errors import Invalid, NotFound
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation
from tause_mcp.platform import Platform

tenant_option = click.option("--tenant", default="default", show_default=True)


@click.group()
def tools() -> None:
    """List the tools, or call one as the owner."""


@tools.command("list")
@click.option("--toolsets", default="all", show_default=True)
@tenant_option
def list_tools(toolsets: str, tenant: str) -> None:
    """One line per tool that the tenant is offered: its name and title."""
    names = None if toolsets == "default" else toolsets.split(",")
    owner = owner_of(tenant)

    async def listed(platform: Platform) -> list[Operation]:
        lacking = await platform.directory.lacking(owner.tenant)
        return platform.catalog.listed(owner.scopes, names, lacking=lacking)

    for operation in in_house(listed):
        click.echo(f"{operation.name:32} {operation.title}")


@tools.command("call")
@click.argument("name")
@click.option("--args", "arguments", default="{}", help="The arguments, as a JSON object.")
@tenant_option
def call_tool(name: str, arguments: str, tenant: str) -> None:
    """Call a tool and print its result as JSON."""
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise Invalid(f"--args is not JSON: {error}", field="args") from None
    if not isinstance(given, dict):
        raise Invalid("--args is a JSON object", field="args")
    click.echo(
        json.dumps(in_house(lambda p: _call(p, tenant, name, given)), indent=2, ensure_ascii=False)
    )


async def _call(platform: Platform, tenant: str, name: str, arguments: dict[str, Any]) -> Any:
    operation = platform.catalog.tools.get(name)
    if operation is None:
        raise NotFound(f"no tool {name!r}: see `tause-mcp tools list`")
    call = Invocation(owner_of(tenant), arguments, door="cli", local=True)
    return (await platform.pipeline.run(operation, call)).value


@click.group()
def approvals() -> None:
    """What waits for a person, and the answer."""


@approvals.command("list")
@click.option("--status", default="pending", show_default=True)
@tenant_option
def list_approvals(status: str, tenant: str) -> None:
    """One line per approval: id, tool, what would happen."""
    found = in_house(lambda p: _call(p, tenant, "approvals_list", {"status": status}))
    for item in found["items"]:
        click.echo(f"{item['id']}  {item['tool']}  {item['summary']}")


@approvals.command("approve")
@click.argument("approval_id")
def approve(approval_id: str) -> None:
    """Let this exact call happen, once."""
    _answer(approval_id, True)


@approvals.command("deny")
@click.argument("approval_id")
def deny(approval_id: str) -> None:
    """Refuse this exact call."""
    _answer(approval_id, False)


def _answer(approval_id: str, approved: bool) -> None:
    in_house(lambda p: p.answer(approval_id, approved, by="local:owner", means="cli"))
    click.echo("approved: make the same call again" if approved else "denied")
