"""`tause-mcp install`: put this server into a host's configuration."""

import difflib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import click
import orjson

from tause_mcp import __version__
from tause_mcp.cli.hostfiles import Change, Refused, change
from tause_mcp.errors import Invalid
from tause_mcp.tenancy import ROLES, tenant_id

Host = Literal["claude-desktop", "claude-code"]
Scope = Literal["project", "user"]

NAME = re.compile(r"[A-Za-z0-9_-]{1,17}", re.ASCII)
"""Hosts cut `mcp__<name>__<tool>` at 64 characters, and our tools take up to 40 of them."""
_TOOLSETS = re.compile(r"[a-z0-9_]+(,[a-z0-9_]+)*", re.ASCII)
_EPHEMERAL = re.compile(r"(archive|environments|builds)-v\d+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the host shall start the server."""

    tenant: str | None = None
    toolsets: str | None = None
    role: str | None = None
    read_only: bool = False
    allowed: tuple[Path, ...] = ()


def config_path(
    host: Host,
    scope: Scope = "project",
    *,
    platform: str = sys.platform,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Path:
    """Where the host keeps its configuration on this system."""
    environ = os.environ if environ is None else environ
    home = Path.home() if home is None else home
    if host == "claude-code":
        if scope == "project":
            return Path.cwd() / ".mcp.json"
        return Path(environ.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
    if platform == "darwin":
        folder = home / "Library" / "Application Support"
    elif platform == "win32":
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "Claude" / "claude_desktop_config.json"


def launcher() -> list[str]:
    """The absolute command that starts this very installation.

    An environment that uvx made for one run may vanish: there the command is uvx itself.
    `-P` keeps a project's folder out of Python's path, so that its files cannot stand in for ours.
    """
    if any(_EPHEMERAL.fullmatch(part) for part in Path(sys.prefix).parts):
        uvx = shutil.which("uvx")
        if uvx is not None:
            return [str(Path(uvx).absolute()), "--from", _source(), "tause-mcp"]
    name = "tause-mcp.exe" if sys.platform == "win32" else "tause-mcp"
    script = Path(sys.executable).absolute().parent / name
    if script.is_file():
        return [str(script)]
    return [str(Path(sys.executable).absolute()), "-P", "-m", "tause_mcp"]


def _source() -> str:
    """What uvx installs: the wheel or folder that this came from, else this release."""
    try:
        told = distribution("tause-mcp").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    url = urlsplit(orjson.loads(told)["url"]) if told else None
    if url is not None and url.scheme == "file":
        return unquote(url.path)
    return f"tause-mcp=={__version__}"


def server_entry(
    host: Host, wanted: Wanted, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The server's entry in the host's configuration. No secret is ever part of it."""
    environ = os.environ if environ is None else environ
    command, *arguments = launcher()
    # Some Claude Code releases ask server/discover on stdio and then handshake.
    protocol = "legacy" if host == "claude-code" else "auto"
    arguments += ["serve", "--protocol", protocol]
    toolsets = wanted.toolsets or ("all" if host == "claude-code" else None)
    for flag, value in (
        ("--tenant", wanted.tenant),
        ("--role", wanted.role),
        ("--toolsets", toolsets),
    ):
        arguments += [flag, value] if value else []
    arguments += ["--read-only"] if wanted.read_only else []
    for folder in wanted.allowed:
        arguments += ["--allow-path", str(folder)]
    entry: dict[str, Any] = {"type": "stdio"} if host == "claude-code" else {}
    entry |= {"command": command, "args": arguments}
    if home := environ.get("TAUSE_HOME"):
        entry["env"] = {"TAUSE_HOME": str(Path(home).expanduser().absolute())}
    return entry


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if NAME.fullmatch(value) is None:
        raise click.BadParameter("1 to 17 letters, digits, '_' or '-'")
    return value


def _tenant(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return value and tenant_id(value)
    except Invalid as error:
        raise click.BadParameter(str(error)) from None


def _toolsets(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TOOLSETS.fullmatch(value) is None:
        raise click.BadParameter("names with commas between them, or all")
    return value


@click.command("install")
@click.argument("host", type=click.Choice(["claude-desktop", "claude-code"]))
@click.option("--name", default="tause", show_default=True, callback=_name, help="Server name.")
@click.option("--tenant", callback=_tenant, help="Tenant to serve.  [default: default]")
@click.option("--toolsets", callback=_toolsets, help="What is listed: a,b or all.")
@click.option("--role", type=click.Choice(list(ROLES)), help="Role of the local person.")
@click.option("--read-only", is_flag=True, help="List only tools that read.")
@click.option(
    "--allow-path",
    "allowed",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Folder whose files the tools may read and write. May be repeated.",
)
@click.option(
    "--scope",
    type=click.Choice(["project", "user"]),
    default="project",
    show_default=True,
    help="Claude Code: .mcp.json here, or the person's own settings.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Another configuration file.")
@click.option("--dry-run", is_flag=True, help="Show the change and write nothing.")
@click.option("--remove", is_flag=True, help="Take the server out again.")
def install(
    host: Host,
    name: str,
    tenant: str | None,
    toolsets: str | None,
    role: str | None,
    read_only: bool,
    allowed: tuple[Path, ...],
    scope: Scope,
    config: Path | None,
    dry_run: bool,
    remove: bool,
) -> None:
    """Put this server into a host's configuration; what is there already stays."""
    path = config_path(host, scope) if config is None else config
    entry = None
    if not remove:
        entry = server_entry(host, Wanted(tenant, toolsets, role, read_only, allowed))
    shared = host == "claude-code" and scope == "project"
    try:
        done = change(path, name, entry, dry_run=dry_run, new_mode=0o644 if shared else 0o600)
    except Refused as reason:
        raise click.ClickException(str(reason)) from None
    if dry_run:
        click.echo(_diff(done), nl=False)
        return
    _tell(done, host, name)


def _diff(done: Change) -> str:
    """Only the lines that change: what stands around them may be somebody's secret."""
    before, after = done.before.splitlines(True), done.after.splitlines(True)
    lines = difflib.unified_diff(before, after, str(done.path), str(done.path), n=0)
    told = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return told or f"{done.path}: {done.outcome}, nothing to change\n"


_TOLD = {
    "added": "added to",
    "updated": "updated in",
    "removed": "removed from",
    "unchanged": "already as wanted in",
    "absent": "not in",
}


def _tell(done: Change, host: Host, name: str) -> None:
    click.echo(f"{name}: {_TOLD[done.outcome]} {done.path}")
    if done.backup is not None:
        click.echo(f"The file as it was: {done.backup}")
    if done.outcome in ("added", "updated"):
        again = "Restart Claude Desktop" if host == "claude-desktop" else "Start claude again"
        click.echo(f"{again} to use it.")
        left = [n for n in os.environ if n.startswith("TAUSE_") and n != "TAUSE_HOME"]
        if left:
            click.echo(
                f"Not copied, it may hold secrets: {', '.join(sorted(left))}. "
                "Set it in the host's environment or in a TAUSE_SETTINGS file.",
                err=True,
            )
