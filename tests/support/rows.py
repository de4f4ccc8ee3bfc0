"""Databases with every table: the DDL runs once per process, each test gets a copy."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from tests.support import backends

from tause_mcp.catalog import load
from tause_mcp.database import metadata
from tause_mcp.encryption import tables as _keys  # noqa: F401  # its tables too
from tause_mcp.services import payments as _payments  # noqa: F401  # its tables too
from tause_mcp.services import payouts as _payouts  # noqa: F401  # its tables too


@cache
def _empty() -> bytes:
    load(())  # every table is declared: whichever test asks first
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        told: bytes = connection.connection.driver_connection.serialize()  # type: ignore[union-attr]  # it is open
    engine.dispose()
    return told


def make_file(path: Path) -> str:
    """A database with every table, made when absent; its URL. On servers, one there."""
    if backends.on_servers():
        return backends.rows_url(path)
    if not path.exists():
        path.write_bytes(_empty())
    return f"sqlite:///{path}"
