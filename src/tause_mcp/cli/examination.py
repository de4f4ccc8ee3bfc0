"""What `tause-mcp doctor` looks at, and what it advises."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tause_mcp.errors import Misconfigured, TauseError
from tause_mcp.migrations import database_url
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.urls import redacted

_ROOM = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    good: bool
    advice: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at the home, its secrets, the backends, the plugins and the doors."""
    home = settings.at_home("")
    return [
        Finding("python", sys.version_info >= (3, 11), sys.version.split()[0]),
        _home(home),
        _disk(home),
        *_secrets(home),
        *await _rows(settings),
        *await _platform(settings),
        _doors(settings),
    ]


def _home(home: Path) -> Finding:
    mode = home.stat().st_mode & 0o777
    good = mode == 0o700 and os.access(home, os.W_OK)
    return Finding("home", good, f"{home} (mode {mode:o})" if good else f"chmod 700 {home}")


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    good = free > _ROOM
    return Finding("disk", good, f"{free >> 20} MiB free" + ("" if good else ": make room"))


def _secrets(home: Path) -> list[Finding]:
    found = []
    for name in ("key", "master.key", "secret", "pepper", "signing.pem"):
        path = home / name
        if path.exists():
            mode = path.stat().st_mode & 0o777
            advice = "private" if mode == 0o600 else f"chmod 600 {path}"
            found.append(Finding(f"file {name}", mode == 0o600, advice))
    return found


async def _rows(settings: Settings) -> list[Finding]:
    """On PostgreSQL, everything that the start refuses, with what to do about each."""
    url = database_url(settings)
    if url.startswith("sqlite"):
        return [
            Finding(
                "database", True, "a file in the home" if not settings.database_url else "a file"
            )
        ]
    from tause_mcp.migrations.server import found_at

    try:
        dangers = await found_at(url)
    except (Misconfigured, ImportError) as error:
        return [Finding("database", False, str(error))]
    if not dangers:
        return [Finding("database", True, f"{redacted(url)}: row-level security holds")]
    return [Finding(f"database: {danger.what}", False, danger.advice) for danger in dangers]


async def _platform(settings: Settings) -> list[Finding]:
    try:
        async with open_platform(settings) as platform:
            failing = await platform.ready()
            found = [
                Finding(
                    "backends",
                    not failing,
                    f"failing: {', '.join(failing)}" if failing else "all answer",
                ),
                Finding("storage", True, redacted(settings.storage_url) or "objects/ in the home"),
            ]
            found.append(await _encryption(platform))
            tools = len(platform.catalog.tools)
            found.append(Finding("catalogue", True, f"{tools} tools"))
            return found + [Finding("plugin", False, p) for p in platform.catalog.problems]
    except (Misconfigured, TauseError) as error:
        return [Finding("platform", False, str(error))]


async def _encryption(platform: Platform) -> Finding:
    """Whether the first master key wraps everything."""
    from tause_mcp.encryption.rotation import standing

    now = await standing(platform.database, platform.keys.masters)
    where = "in TAUSE_ENCRYPTION_KEY" if platform.settings.encryption_key else "in the home"
    if now.waiting:
        advice = f"{now.waiting} keys wait for the new master key: tause-mcp encryption rotate"
        return Finding("encryption", False, advice)
    return Finding("encryption", True, f"master key {now.first} {where}: back it up apart")


def _doors(settings: Settings) -> Finding:
    url = settings.public_url
    good = not url or url.startswith("https://") or "//127." in url or "//localhost" in url
    return Finding("public url", good, url or "loopback only" if good else "use https")
