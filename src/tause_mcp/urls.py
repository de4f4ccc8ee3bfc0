"""A backend is a URL: its scheme names a factory, imported only when it is used."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tause_mcp.errors import Misconfigured

Factory = Callable[[str], AbstractAsyncContextManager[Any]]
"""`async with factory(url) as backend`."""


def scheme_of(url: str) -> str:
    """The scheme, in lower case: `postgresql+asyncpg`, `file`, `s3`."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise Misconfigured("not a URL (it may hold a secret, so it is not shown): scheme://...")
    return scheme.lower()


def redacted(url: str) -> str:
    """The URL with its password and query hidden, to show in a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def imported(path: str) -> Any:
    """The object at `package.module:name`, imported now."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def choose(
    url: str, factories: Mapping[str, str | Callable[..., Any]], what: str, setting: str = ""
) -> Callable[..., Any]:
    """The factory for `url`'s scheme; a missing extra or unknown scheme is one clear line."""
    try:
        return _chosen(url, factories, what)
    except Misconfigured as wrong:
        raise Misconfigured(f"{setting}: {wrong}" if setting else str(wrong)) from None


def _chosen(
    url: str, factories: Mapping[str, str | Callable[..., Any]], what: str
) -> Callable[..., Any]:
    scheme = scheme_of(url)
    factory = factories.get(scheme)
    if factory is None:
        known = ", ".join(sorted(factories))
        raise Misconfigured(f"no {what} backend for {scheme!r}: use one of {known}")
    if not isinstance(factory, str):
        return factory
    try:
        chosen: Callable[..., Any] = imported(factory)
    except ModuleNotFoundError as missing:
        raise Misconfigured(
            f"the {what} backend {scheme!r} needs {missing.name!r}: install its extra"
        ) from None
    return chosen
