"""Where the houses of this test run keep their things: embedded, or on PostgreSQL, Redis and S3.

`pytest --backends=servers` (or `TAUSE_TEST_BACKENDS=servers`) is the only switch, and this file the
only place that reads it. Every house of a test, in this process or in one that it starts, gets a
database, a Redis database and a bucket of its own on the session's servers, by its home or file:
the same home is the same house, however often it is opened.

Tests marked `embedded` are about SQLite, the disk or one process, and run only on the first pass;
tests that open no house are not run a second time.
"""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from tests.support import postgres, redis, s3

T = TypeVar("T")
Kind = Literal["embedded", "servers"]
SWITCH = "TAUSE_TEST_BACKENDS"
SEAMS = (
    "tests.support.backends",
    "tests.support.clients",
    "tests.support.forked",
    "tests.support.objects",
    "tests.support.rows",
    "tests.support.serving",
    "tests.support.shop",
    "tests.support.storage",
    "tests.support.tenants",
    "tests.support.zygote",
    "tause_mcp.testing.home",
    "tause_mcp.testing.walk",
)
"""Modules through which a test comes to a house: a test that uses none is pure."""

OF_THEIR_OWN = ("tests/database", "tests/migrations", "tests/replicas")
"""Tests that choose the engines themselves."""

_TEMPLATE = "template_house"
_numbers = count()
_names: dict[str, str] = {}
"""Path of a home or file -> the name of its database and bucket."""
_caches: dict[str, str] = {}


class _Choice:
    kind: Kind = cast(Kind, os.environ.get(SWITCH) or "embedded")


def choose(kind: str) -> None:
    """What `--backends` says; a wrong value is one clear line."""
    if kind not in get_args(Kind):
        raise ValueError(f"{kind!r} are no backends: use one of {', '.join(get_args(Kind))}")
    _Choice.kind = cast(Kind, kind)


def on_servers() -> bool:
    return _Choice.kind == "servers"


def settings(home: Path) -> dict[str, str]:
    """The environment names that put the house of this home on the servers; none when embedded."""
    if not on_servers():
        return {}
    return {
        "TAUSE_DATABASE_URL": _database(home),
        "TAUSE_STORAGE_URL": objects_url(home),
        "TAUSE_CACHE_URL": cache_url(home),
    }


def named(home: Path) -> dict[str, str]:
    """Every environment name of a house: its home, and its backends."""
    return {"TAUSE_HOME": str(home), **settings(home)}


def rows_url(path: Path) -> str:
    """The migrated database that stands for the file `path`."""
    return _database(path)


def objects_url(folder: Path) -> str:
    """The bucket that stands for the folder, else the folder itself."""
    if not on_servers():
        return f"file://{folder}"
    return s3.server().url(s3.server().bucket(_name(folder).replace("_", "-")))


def cache_url(home: Path) -> str:
    """The Redis database of a home, else this process's memory."""
    if not on_servers():
        return "memory://"
    return _caches.setdefault(str(home), redis.server().url())


def _name(path: Path) -> str:
    key = str(path)
    if key not in _names:
        _names[key] = f"house_{os.getpid()}_{next(_numbers)}"
    return _names[key]


def _database(path: Path) -> str:
    known = str(path) in _names
    name = _name(path)
    template = _template()
    if not known:
        run(_made, name, template)
    return postgres.server().url(name)


async def _made(connection: Any, name: str, template: str) -> None:
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')


@cache
def _template() -> str:
    """A migrated, empty database of the session: a house is a copy of it."""
    from tause_mcp.migrations import migrated
    from tause_mcp.settings import Settings

    url = postgres.server().create(_TEMPLATE)
    admin = postgres.server().url(_TEMPLATE, "owner")
    told = {"TAUSE_DATABASE_URL": url, "TAUSE_DATABASE_ADMIN_URL": admin}
    _apart(lambda: migrated(Settings.read(told)))
    return _TEMPLATE


def run(work: Callable[..., Coroutine[Any, Any, T]], *values: Any, database: str = "postgres") -> T:
    """`await work(connection, *values)` as the superuser, from wherever the test is."""
    import asyncpg

    url = postgres.server().url(database, "postgres").replace("+asyncpg", "")

    async def whole() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection, *values)
        finally:
            await connection.close()

    return _apart(whole)


def _apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop of its own, though another one may be running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def rows_of(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the database that stands for `path`; `?` are the values. As somebody above all walls."""
    numbers = count(1)
    asked = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)

    async def work(connection: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(asked, *values)]

    return run(work, database=_name(path))


def forget(folder: Path) -> None:
    """Remove what houses below `folder` had: their test has ended."""
    ended = [key for key in _names if Path(key).is_relative_to(folder)]
    names = [_names.pop(key) for key in ended]
    for key in ended:
        _caches.pop(key, None)
    if names and on_servers():
        run(_dropped, names)


async def _dropped(connection: Any, names: list[str]) -> None:
    for name in names:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def opens_a_house(functions: Iterator[Callable[..., Any]]) -> bool:
    """Whether any of these functions lives in a module that knows a seam."""
    modules = {function.__module__: function for function in functions}
    return any(name in SEAMS or _knows(f.__globals__) for name, f in modules.items())


def _knows(names: dict[str, Any]) -> bool:
    used = {getattr(value, "__module__", None) for value in names.values()}
    return bool(used & set(SEAMS))
