"""Changes of documents within one transaction: rows, index, references and the count of rows."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, PreconditionFailed, QuotaExceeded
from tause_mcp.services.database import tables
from tause_mcp.services.database.definition import Definition, no_collection
from tause_mcp.services.database.documents import Document, Entry, Stored, opened, stored
from tause_mcp.services.database.values import merged
from tause_mcp.times import now

UNLIMITED = 1 << 62


class Stale(Exception):
    """The collection was redefined since it was read: read it again, then do the work again."""


class Writer:
    """Changes in one transaction. `most` is the tenant's limit of rows; `dialect` the database's.

    All lock in one order: the collection, the count of rows, documents.
    """

    def __init__(
        self, tx: Transaction, dialect: str, cipher: Cipher | None = None, most: int | None = None
    ) -> None:
        self._tx = tx
        self._add = self._add_in_steps if dialect == "sqlite" else self._add_at_once
        self._cipher = cipher
        self._most = UNLIMITED if most is None else most

    # --- the three changes -------------------------------------------------------------------

    async def insert(
        self, definition: Definition, fresh: Document, laid: Stored, argument: str
    ) -> None:
        """Add a document that `laid_out` prepared.

        Raises:
            Conflict, Invalid, QuotaExceeded, Stale.
        """
        await self._add(definition, fresh, laid, argument)
        await self._refer(definition.name, fresh.id, laid, argument)

    async def update(
        self,
        definition: Definition,
        document_id: str,
        changes: Mapping[str, Any],
        version: int | None,
        argument: str,
    ) -> Document:
        """Merge changes into a document of a definition that is held.

        Raises:
            NotFound, PreconditionFailed, Invalid, TooLarge, Conflict.
        """
        old = await self.taken(definition.name, document_id, version)
        data = merged(old.data, changes)
        fresh = Document(
            old.id, old.version + 1, data, old.created_at, max(now(), old.updated_at + 1)
        )
        await self.replace(definition, old, fresh, argument)
        return fresh

    async def delete(self, definition: Definition, document_id: str, version: int | None) -> bool:
        """Remove a document; False when there is none.

        Raises:
            PreconditionFailed. Conflict: other documents refer to it.
        """
        name = definition.name
        await self.count(-1)
        row = await self._tx.first(tables.TAKE, collection=name, id=document_id)
        if row is None:
            await self.count(1)
            return False
        check_version(row[1], version)
        await self._tx.run(tables.REMOVE, collection=name, id=document_id)
        await self._tx.run(tables.UNREFER, collection=name, id=document_id)
        referred = await self._tx.first(tables.REFERRED, collection=name, id=document_id)
        if referred is not None:
            raise Conflict(
                f"{name}/{document_id} is referred to by {referred[0]}/{referred[1]}: "
                "delete or change that first",
                field="id",
            )
        await self._tx.run(tables.UNINDEX, collection=name, id=document_id)
        if definition.version > 1:
            await self._tx.run(tables.FORGET, collection=name, id=document_id)
        return True

    # --- their parts ---------------------------------------------------------------------------

    async def count(self, more: int) -> None:
        """Count rows against the limit, and hold the tenant's other counters back."""
        most = UNLIMITED if more <= 0 else self._most
        if not await self._tx.run(tables.CHARGE, more=more, most=most):
            await self._full()

    async def _full(self) -> None:
        used = await self._tx.first(tables.USAGE)
        if used is None:
            raise no_collection()
        raise QuotaExceeded(
            f"the limit of {self._most} rows is reached: {used[0]} documents are kept; delete some "
            "or raise the limit"
        )

    async def taken(self, name: str, document_id: str, version: int | None) -> Document:
        """A document that nobody else changes until this transaction ends."""
        row = await self._tx.first(tables.TAKE, collection=name, id=document_id)
        if row is None:
            raise no_document()
        check_version(row[1], version)
        return opened(row, name, self._cipher)

    async def replace(
        self, definition: Definition, old: Document, fresh: Document, argument: str
    ) -> None:
        """Put `fresh` in the place of `old`."""
        name = definition.name
        laid = stored(definition, fresh, argument, self._cipher)
        await self._tx.run(
            tables.REPLACE,
            collection=name,
            id=fresh.id,
            next=fresh.version,
            fresh=laid.text,
            sealing=laid.sealed,
            now=fresh.updated_at,
        )
        if laid.entries:
            await self._tx.run(tables.UNINDEX, collection=name, id=fresh.id)
            await self._index(definition, fresh.id, laid.entries, argument)
        if definition.rules.references:
            await self._tx.run(tables.UNREFER, collection=name, id=fresh.id)
            await self._refer(name, fresh.id, laid, argument)

    async def _add_in_steps(
        self, definition: Definition, fresh: Document, laid: Stored, argument: str
    ) -> None:
        """On SQLite, where a statement costs little and the transaction holds the write lock."""
        await self.count(1)
        added = await self._tx.run(
            tables.INSERT,
            collection=definition.name,
            stamp=definition.stamp,
            id=fresh.id,
            data=laid.text,
            sealed=laid.sealed,
            now=fresh.created_at,
        )
        if not added:
            await self._not_added(definition)
        await self._index(definition, fresh.id, laid.entries, argument)

    async def _add_at_once(
        self, definition: Definition, fresh: Document, laid: Stored, argument: str
    ) -> None:
        """On PostgreSQL, where it is round trips that cost."""
        entries = laid.entries
        row = await self._tx.first(
            tables.INSERT_AT_ONCE,
            collection=definition.name,
            stamp=definition.stamp,
            most=self._most,
            id=fresh.id,
            data=laid.text,
            sealed=laid.sealed,
            now=fresh.created_at,
            fields=[entry.field for entry in entries],
            ranks=[entry.key.rank for entry in entries],
            numbers=[entry.key.number for entry in entries],
            texts=[entry.key.text for entry in entries],
            uniques=[entry.unique for entry in entries],
        )
        assert row is not None
        counted, added, indexed = row
        if not counted:
            await self._still(definition)
            await self._full()
        if not added:
            await self._not_added(definition)
        if indexed < len(entries):
            raise await self._twice(definition.name, fresh.id, entries, argument)

    async def _still(self, definition: Definition) -> None:
        """Raise unless the collection is as it was read."""
        row = await self._tx.first(tables.STAMP, collection=definition.name)
        if row is None:
            raise no_collection()
        if row[0] != definition.stamp:
            raise Stale

    async def _not_added(self, definition: Definition) -> None:
        await self._still(definition)
        raise Conflict("a document with this id exists: update it, or leave id out", field="id")

    async def _index(
        self, definition: Definition, document_id: str, entries: list[Entry], argument: str
    ) -> None:
        rows = [
            {
                "id": document_id,
                "field": entry.field,
                "rank": entry.key.rank,
                "number": entry.key.number,
                "text": entry.key.text,
                "unique_key": entry.unique,
            }
            for entry in entries
        ]
        added = await add_rows(self._tx, tables.document_index, definition.name, rows)
        if added < len(rows):
            raise await self._twice(definition.name, document_id, entries, argument)

    async def _twice(
        self, name: str, document_id: str, entries: list[Entry], argument: str
    ) -> Exception:
        """Whose value was taken: the unique fields of which no row was added."""
        rows = await self._tx.all(tables.INDEXED, collection=name, id=document_id)
        there = {row[0] for row in rows}
        taken = next(e.field for e in entries if e.field not in there)
        place = f"{argument}.{taken}"
        return Conflict(f"{place}: another document has this value, which is unique", field=place)

    async def _refer(self, name: str, document_id: str, laid: Stored, argument: str) -> None:
        if not laid.references:
            return
        for path, collection, target in laid.references:
            if await self._tx.first(tables.SHARE, collection=collection, id=target) is None:
                place = f"{argument}.{path}"
                raise Invalid(f"{place}: no such document in {collection}", field=place)
        rows = [
            {"id": document_id, "field": path, "target": target, "target_collection": collection}
            for path, collection, target in laid.references
        ]
        await add_rows(self._tx, tables.document_references, name, rows)


async def add_rows(
    tx: Transaction, table: sa.Table, collection: str, rows: list[dict[str, Any]]
) -> int:
    """Insert rows, many in one statement; the number that was added."""
    added = 0
    for start in range(0, len(rows), tables.MOST_ROWS):
        part = rows[start : start + tables.MOST_ROWS]
        values = {f"{name}_{n}": value for n, row in enumerate(part) for name, value in row.items()}
        added += await tx.run(tables.rows_into(table, len(part)), collection=collection, **values)
    return added


def check_version(current: int, stated: int | None) -> None:
    """Raise `PreconditionFailed` unless the document is at the version that the caller saw."""
    if stated is not None and stated != current:
        raise PreconditionFailed(
            f"the document is at version {current}, not {stated}: read it again, then repeat the "
            "change",
            field="version",
        )


def no_document() -> NotFound:
    return NotFound("no such document: database_find shows what there is", field="id")
