"""What was proven: versions, engines, settings and plugins, and nothing of the machine."""

import platform as python
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from tause_mcp import __version__
from tause_mcp.catalog import GROUPS
from tause_mcp.migrations import HEAD
from tause_mcp.platform import Platform
from tause_mcp.settings import Settings
from tause_mcp.urls import scheme_of

_LIBRARIES = ("mcp", "pydantic", "sqlalchemy", "asyncpg", "redis", "obstore", "cryptography")


def subject_of(platform: Platform) -> dict[str, Any]:
    """The subject of a proof."""
    settings = platform.settings
    return {
        "version": __version__,
        "schema": HEAD,
        "python": python.python_version(),
        "key": platform.verifier.keyring.kid,
        "database": platform.database.dialect,
        "storage": scheme_of(settings.storage_url) if settings.storage_url else "file",
        "cache": scheme_of(settings.cache_url) if settings.cache_url else "memory",
        "tools": len(platform.catalog.tools),
        "plugins": _plugins(),
        "libraries": _installed(_LIBRARIES),
        "settings": _shown(settings),
    }


def _plugins() -> dict[str, str]:
    """Installed plugins by the name of their distribution."""
    found = (p.dist for group in GROUPS for p in entry_points(group=group))
    return {d.name: d.version for d in found if d is not None}


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _shown(settings: Settings) -> dict[str, Any]:
    """What differs from the default: numbers as they are, any text as `set`."""
    told = {}
    for name in sorted(settings.model_fields_set - {"home"}):
        value = getattr(settings, name)
        told[name] = value if isinstance(value, (bool, int, float)) else "set"
    return told
