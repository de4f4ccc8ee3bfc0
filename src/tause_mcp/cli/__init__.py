"""The command line. Each command's module is imported when it is used: starting is quick."""

import gc
import sys
from importlib import import_module
from typing import Any

import click

from tause_mcp import __version__
from tause_mcp.errors import Misconfigured, TauseError

COMMANDS = {
    "serve": "serve:serve",
    "install": "hosts:install",
    "demo": "demo:demo",
    "migrate": "care:migrate",
    "doctor": "care:doctor",
    "audit": "care:audit",
    "prove": "prove:prove",
    "tenants": "admin:tenants",
    "keys": "admin:keys",
    "tokens": "admin:tokens",
    "encryption": "encryption:encryption",
    "secrets": "secrets:secrets",
    "storage": "storage:storage",
    "tools": "calls:tools",
    "approvals": "calls:approvals",
    "collections": "collections:collections",
    "sandbox": "sandbox:sandbox",
}
"""name -> `module:command`; one line per command."""


class Lazy(click.Group):
    """A group that imports a command's module only to run it or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        command: click.Command = getattr(_loaded(f"tause_mcp.cli.{module}"), name)
        return command


def _loaded(module: str) -> Any:
    """The module. What it brings stays: collecting in between would take a fifth of a start."""
    if module in sys.modules:
        return sys.modules[module]
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tause-mcp")
def app() -> None:
    """One MCP server that is a whole multi-tenant platform."""


def main() -> None:
    """Run a command; an anticipated failure is one line and exit code 1 (2: cannot start)."""
    try:
        app(prog_name="tause-mcp")
    except Misconfigured as error:
        click.echo(f"tause-mcp: {error}", err=True)
        sys.exit(2)
    except TauseError as error:
        click.echo(f"tause-mcp: {error.code}: {error}", err=True)
        sys.exit(1)
