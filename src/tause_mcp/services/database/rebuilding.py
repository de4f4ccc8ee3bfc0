"""All documents of a collection written again, under another definition."""

from typing import Any

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid
from tause_mcp.services.database import tables
from tause_mcp.services.database.definition import Definition
from tause_mcp.services.database.documents import Document, Stored, place, stored
from tause_mcp.services.database.writing import add_rows


class Rebuild:
    """Takes document after document, and writes what of it has become other."""

    def __init__(
        self, tx: Transaction, cipher: Cipher, old: Definition, fresh: Definition, moment: int
    ) -> None:
        self._tx = tx
        self._cipher = cipher
        self._old = old
        self._fresh = fresh
        self._moment = moment
        self._taken: dict[tuple[str, str], str] = {}
        self._entries: list[dict[str, Any]] = []
        self._references: list[dict[str, Any]] = []
        self._kept: list[dict[str, Any]] = []
        self.documents = 0
        self.changed = 0

    async def begin(self) -> None:
        """Empty what is built anew."""
        name = self._old.name
        await self._tx.run(tables.UNINDEX_ALL, collection=name)
        await self._tx.run(tables.UNREFER_ALL, collection=name)

    async def take(self, old: Document, data: dict[str, Any], kept: dict[str, Any]) -> None:
        """Write one document, whose data becomes `data`, keeping `kept` for the way back.

        Raises:
            Invalid, TooLarge, Conflict: naming the document.
        """
        self.documents += 1
        altered = orjson.dumps(data) != orjson.dumps(old.data)
        new = old
        if altered:
            self.changed += 1
            moment = max(self._moment, old.updated_at + 1)
            new = Document(old.id, old.version + 1, data, old.created_at, moment)
        laid = stored(self._fresh, new, f"documents.{old.id}", self._cipher)
        if altered or self._old.rules.encrypted != self._fresh.rules.encrypted:
            await self._write(new, laid)
        self._index(new, laid)
        if kept:
            self._keep(old.id, kept)

    async def _write(self, new: Document, laid: Stored) -> None:
        await self._tx.run(
            tables.REPLACE,
            collection=self._old.name,
            id=new.id,
            next=new.version,
            fresh=laid.text,
            sealing=laid.sealed,
            now=new.updated_at,
        )

    def _index(self, new: Document, laid: Stored) -> None:
        for entry in laid.entries:
            if entry.unique is not None:
                first = self._taken.setdefault((entry.field, entry.unique), new.id)
                if first != new.id:
                    raise Conflict(
                        f"{entry.field} cannot be unique: the documents {first} and {new.id} have "
                        "the same value",
                        field="schema",
                    )
            self._entries.append(
                {
                    "id": new.id,
                    "field": entry.field,
                    "rank": entry.key.rank,
                    "number": entry.key.number,
                    "text": entry.key.text,
                    "unique_key": entry.unique,
                }
            )
        self._references += [
            {"id": new.id, "field": path, "target": target, "target_collection": collection}
            for path, collection, target in laid.references
        ]

    def _keep(self, document_id: str, kept: dict[str, Any]) -> None:
        text, sealed = orjson.dumps(kept), None
        if self._old.rules.encrypted or self._fresh.rules.encrypted:
            where = f"{place(self._old.name, document_id)}/{self._fresh.version}"
            text, sealed = b"", self._cipher.seal(where, text)
        self._kept.append(
            {
                "version": self._fresh.version,
                "id": document_id,
                "kept": text.decode(),
                "sealed": sealed,
                "at": self._moment,
            }
        )

    async def flush(self) -> None:
        """Write the rows that have gathered."""
        tx, name = self._tx, self._old.name
        for one in self._references:
            target = {"collection": one["target_collection"], "id": one["target"]}
            if await tx.first(tables.SHARE, **target) is None:
                where = f"documents.{one['id']}.{one['field']}"
                raise Invalid(f"{where}: no such document in {target['collection']}", field=where)
        await add_rows(tx, tables.document_index, name, self._entries)
        await add_rows(tx, tables.document_references, name, self._references)
        await add_rows(tx, tables.document_history, name, self._kept)
        self._entries, self._references, self._kept = [], [], []
