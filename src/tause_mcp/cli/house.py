"""What the commands share: settings, the open platform, and the local person as a caller."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from tause_mcp import log
from tause_mcp.auth import local_caller
from tause_mcp.errors import Misconfigured
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings, superseded
from tause_mcp.tenancy import Caller, tenant_id

T = TypeVar("T")
KEY_FILE = "key"


def settings() -> Settings:
    """The settings, with logs on stderr and a line for each older name that is set."""
    read = Settings.read()
    log.configure(read.log_level)
    for line in superseded():
        click.echo(f"tause-mcp: {line}", err=True)
    _make_home(read.at_home(""))
    return read


def _make_home(home: Path) -> None:
    """The home, private and writable."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        if not os.access(home, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise Misconfigured(f"TAUSE_HOME: the folder cannot be used: {error.strerror}") from None


def in_house(work: Callable[[Platform], Awaitable[T]]) -> T:
    """Open the platform, do the work, close it."""
    read = settings()

    async def whole() -> T:
        async with open_platform(read) as platform:
            return await work(platform)

    return asyncio.run(whole())


def owner_of(tenant: str) -> Caller:
    """The local person, as the owner of a tenant."""
    return local_caller(tenant_id(tenant), "owner")


async def first_key(platform: Platform) -> Path:
    """The file that keeps the first key (tenant `default`, role owner), made when absent."""
    path = platform.settings.at_home(KEY_FILE)
    if not path.exists():
        from tause_mcp.services.access import first_key as mint

        minted = await mint(platform)
        fresh = path.with_name(f".key.{os.getpid()}")
        fresh.touch(0o600)
        fresh.write_text(f"{minted}\n")
        fresh.replace(path)
    return path
