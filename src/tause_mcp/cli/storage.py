"""Care of the object store."""

import sys

import click

from tause_mcp.cli import house
from tause_mcp.platform import Platform
from tause_mcp.services.storage import Reconciler, Report


@click.group()
def storage() -> None:
    """The object store."""


@storage.command("reconcile")
@click.option("--repair", is_flag=True, help="Put right what is found; else only look.")
@click.option(
    "--grace",
    type=click.IntRange(min=60),
    default=3600,
    show_default=True,
    help="Seconds for which a blob that nothing refers to is left alone.",
)
def reconcile(repair: bool, grace: int) -> None:
    """Compare rows and store: stray blobs, lost objects, counters, abandoned uploads."""

    async def work(platform: Platform) -> Report:
        reconciler = Reconciler(platform.database, platform.backends["storage"])
        return await reconciler.run(repair=repair, grace=grace, everything=True)

    report = house.in_house(work)
    for line in report.lines():
        click.echo(line)
    if not report.good:
        sys.exit(1)
