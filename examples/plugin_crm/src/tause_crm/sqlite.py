"""Contacts in an SQLite file; several processes may share it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import orjson

from tause_crm.service import Contact
from tause_mcp.errors import Misconfigured
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS contacts (
  tenant_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  body TEXT NOT NULL, folded TEXT NOT NULL, tags TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID
"""
_FIND = """
SELECT body FROM contacts
WHERE tenant_id = :tenant AND id > :after
  AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))
  AND NOT EXISTS (SELECT 1 FROM json_each(:words) WHERE instr(folded, value) = 0)
ORDER BY id LIMIT :limit
"""
_INSERT = "INSERT OR IGNORE INTO contacts VALUES (?, ?, ?, ?, ?, ?)"
_UPDATE = """
UPDATE contacts SET version = ?, body = ?, folded = ?, tags = ?
WHERE tenant_id = ? AND id = ? AND version = ?
"""


class SqliteBook:
    """`Book` over one connection; each call is one statement, committed when it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work, self._connection)

    async def get(self, tenant: TenantId, contact_id: str) -> Contact | None:
        sql = "SELECT body FROM contacts WHERE tenant_id = ? AND id = ?"
        row = await self._run(lambda c: c.execute(sql, (tenant, contact_id)).fetchone())
        return None if row is None else _contact(row[0])

    async def find(
        self, tenant: TenantId, after: str, limit: int, words: Sequence[str], tag: str | None
    ) -> list[Contact]:
        told = {"tenant": tenant, "after": after, "limit": limit, "tag": tag}
        told["words"] = orjson.dumps(list(words)).decode()
        rows = await self._run(lambda c: c.execute(_FIND, told).fetchall())
        return [_contact(body) for (body,) in rows]

    async def put(self, tenant: TenantId, contact: Contact, expected: int) -> bool:
        body, tags = orjson.dumps(asdict(contact)).decode(), orjson.dumps(contact.tags).decode()
        columns = (contact.version, body, contact.folded, tags)
        if expected:
            values = (*columns, tenant, contact.id, expected)
            return await self._run(lambda c: c.execute(_UPDATE, values).rowcount == 1)
        row = (tenant, contact.id, *columns)
        return await self._run(lambda c: c.execute(_INSERT, row).rowcount == 1)

    async def remove(self, tenant: TenantId, contact_id: str) -> bool:
        sql = "DELETE FROM contacts WHERE tenant_id = ? AND id = ?"
        return await self._run(lambda c: c.execute(sql, (tenant, contact_id)).rowcount == 1)

    async def forget(self, tenant: TenantId) -> None:
        sql = "DELETE FROM contacts WHERE tenant_id = ?"
        await self._run(lambda c: c.execute(sql, (tenant,)))

    async def check(self) -> None:
        """Raise when the file cannot be read now: `/readyz` asks."""
        await self._run(lambda c: c.execute("SELECT 1 FROM contacts LIMIT 1").fetchone())


def _contact(body: str) -> Contact:
    told = orjson.loads(body)
    return Contact(**{**told, "tags": tuple(told["tags"])})


@asynccontextmanager
async def open_book(url: str) -> AsyncIterator[SqliteBook]:
    """`sqlite:///path/to/file.db`; the file is made when absent."""
    path = Path(url.partition("://")[2])
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            path, timeout=10, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"CRM_URL: the file cannot be used: {type(error).__name__}") from None
    try:
        yield SqliteBook(connection)
    finally:
        connection.close()
