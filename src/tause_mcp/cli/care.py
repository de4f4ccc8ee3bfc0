"""Care of an installation: schema, self-check, and the offline audit verifier."""

import asyncio
import sys
from pathlib import Path

import click

from tause_mcp.cli import house
from tause_mcp.errors import Misconfigured


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date; on a server also its role, privileges and walls."""
    from tause_mcp.migrations import HEAD, migrated

    asyncio.run(migrated(house.settings(), again=True))
    click.echo(f"the schema is at {HEAD}")


@click.command()
def doctor() -> None:
    """Check the installation and say what to do."""
    from tause_mcp.cli.examination import examine

    findings = asyncio.run(examine(house.settings()))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'FAIL'}  {finding.what}: {finding.advice}")
    if not all(f.good for f in findings):
        raise Misconfigured("some checks failed: see above")


@click.group()
def audit() -> None:
    """The audit chain."""


@audit.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Verify an export offline: no server, no key."""
    from tause_mcp.services.audit.verify import verify_lines

    with file.open(encoding="utf-8") as lines:
        verdict = verify_lines(lines)
    click.echo(verdict.text)
    if not verdict.intact:
        sys.exit(1)
