"""The master key: what it wraps, and its change."""

import click

from tause_mcp.cli.house import in_house
from tause_mcp.encryption.rotation import Standing
from tause_mcp.errors import Misconfigured
from tause_mcp.platform import Platform


@click.group()
def encryption() -> None:
    """The master key that wraps every tenant's data key."""


@encryption.command("status")
def status() -> None:
    """One line per master key: its id, how many keys it wraps, whether it encrypts."""
    _told(in_house(_standing))


async def _standing(platform: Platform) -> Standing:
    from tause_mcp.encryption.rotation import standing

    return await standing(platform.database, platform.keys.masters)


def _told(found: Standing) -> None:
    for name in sorted({found.first, *found.wrapped}):
        mark = "encrypts" if name == found.first else "opens only"
        click.echo(f"{name}  {found.wrapped.get(name, 0):8}  {mark}")


@encryption.command("rotate")
def rotate() -> None:
    """Wrap every key under the first master key; again after an interruption goes on.

    With a key file, a new master key is made first. With TAUSE_ENCRYPTION_KEY, put the new one in
    front of the old one everywhere, then run this, then remove the old one.
    """
    done, found = in_house(_rotated)
    click.echo(f"{done} keys were wrapped anew")
    _told(found)
    if found.waiting:
        raise Misconfigured(f"{found.waiting} keys changed meanwhile: run it again")


async def _rotated(platform: Platform) -> tuple[int, Standing]:
    from tause_mcp.encryption.masters import FILE
    from tause_mcp.encryption.rotation import renew_file, rewrap

    if not platform.settings.encryption_key and not (await _standing(platform)).waiting:
        renew_file(platform.settings.at_home(FILE))
    platform.keys.masters.reread()
    done = await rewrap(platform.database, platform.keys.masters)
    return done, await _standing(platform)
