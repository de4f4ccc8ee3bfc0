"""`tause-mcp demo`: a scripted tour by a real MCP client over stdio, in a home that is thrown away."""

import asyncio
import os
import sys
import tempfile
from typing import Any

import click
from mcp import Client, MCPError, StdioServerParameters


@click.command()
def demo() -> None:
    """Show what this is, in ten calls by a real client."""
    with tempfile.TemporaryDirectory(prefix="tause-demo-") as home:
        asyncio.run(_tour(home))


def _server(home: str, *options: str) -> StdioServerParameters:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TAUSE_")}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "tause_mcp", "serve", *options],
        env=environ | {"TAUSE_HOME": home, "TAUSE_LOG_LEVEL": "error"},
    )


async def _tour(home: str) -> None:
    async with Client(_server(home, "--role", "owner")) as client:
        listed = await client.list_tools()
        click.echo(f"{len(listed.tools)} tools are listed; any other is one search away\n")
        await _show(client, "access_whoami")
        await _show(client, "storage_put", key="notes/hola.md", content="# Hola\n¡Todo bien!")
        await _show(client, "storage_get", key="notes/hola.md")
        await _show(client, "storage_list", prefix="notes/")
        await _show(client, "catalog_search", query="guardar un archivo")
        await _show(client, "tenants_create", tenant_id="acme", name="Acme SAS")
        await _show(client, "tenants_delete", tenant_id="acme")
        await _show(client, "catalog_read", name="audit_verify")
    async with Client(_server(home, "--tenant", "acme", "--role", "owner")) as other:
        click.echo("the same door, as another tenant:\n")
        await _show(other, "storage_get", key="notes/hola.md")
        await _show(other, "storage_list")
        await _read(other, "tause://default/storage/notes/hola.md")


async def _show(client: Client, name: str, /, **arguments: Any) -> None:
    click.secho(f"> {name} {arguments or ''}", fg="cyan")
    result = await client.call_tool(name, arguments)
    text = "".join(getattr(block, "text", "") for block in result.content)
    click.echo(f"  {'refused: ' if result.is_error else ''}{text[:400]}\n")


async def _read(client: Client, uri: str) -> None:
    click.secho(f"> read {uri}", fg="cyan")
    try:
        click.echo(f"  {await client.read_resource(uri)}\n")
    except MCPError as error:
        click.echo(f"  refused: {error}\n")
