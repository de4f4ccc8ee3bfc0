"""Versions of a collection: steps applied to all its documents at once, and taken back.

A migration is one transaction: whatever dies in it, the collection is as it was. What it takes
away from a document is kept (sealed where the collection has encrypted fields) for 30 days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, TooLarge
from tause_mcp.services.database import tables
from tause_mcp.services.database.definition import (
    Definition,
    check_indexes,
    no_collection,
)
from tause_mcp.services.database.documents import Document, opened, place
from tause_mcp.services.database.names import check_name
from tause_mcp.services.database.rebuilding import Rebuild
from tause_mcp.services.database.scanning import Access
from tause_mcp.services.database.schemas import rules_of
from tause_mcp.services.database.service import Collections, check_targets
from tause_mcp.services.database.steps import (
    Step,
    applied,
    checked,
    reindexed,
    reshaped,
    undone,
)
from tause_mcp.services.database.values import ABSENT
from tause_mcp.times import iso, now

MOST = 20_000
"""Documents of a collection that one migration rewrites."""
MOST_INDEXED = 100_000
"""Documents of a collection that one migration indexes, when it changes nothing else."""
KEPT = 30 * 86_400 * 1_000_000
"""Microseconds for which what a migration took away can be brought back."""
_BATCH = 200
_REPLACED = "replaced"
"""In what is kept of a rollback: the members of a document as they were before it."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did, or would do."""

    before: int
    after: Definition
    documents: int
    changed: int


class _Dry(Exception):
    """Undoes the transaction of a rehearsal."""

    def __init__(self, told: Migrated) -> None:
        super().__init__()
        self.told = told


class Migrations:
    """Migrates the collections of one tenant. `who` goes into their history."""

    def __init__(self, collections: Collections, who: str) -> None:
        self._collections = collections
        self._database = collections.database
        self._who = who[:200]

    async def migrate(
        self,
        name: str,
        steps: Sequence[Step] = (),
        schema: Mapping[str, Any] | None = None,
        *,
        dry: bool = False,
    ) -> Migrated:
        """Apply steps to every document, then hold all to `schema` (default: the old one, changed
        as the steps say).

        Raises:
            NotFound, Invalid, Conflict, TooLarge: naming the first document that does not fit.
        """
        check_name(name)
        told = checked(steps)
        if not told and schema is None:
            raise Invalid("steps: state steps, a schema or rollback_to", field="steps")
        return await self._whole(
            lambda tx, cipher: self._forward(tx, cipher, name, told, schema), dry
        )

    async def rollback(self, name: str, version: int, *, dry: bool = False) -> Migrated:
        """Bring documents, schema and indexes back to what they were at `version`, as a new one.

        Raises:
            NotFound: no such collection or version. Conflict: a document does not fit any more.
        """
        check_name(name)
        return await self._whole(lambda tx, cipher: self._back(tx, cipher, name, version), dry)

    async def history(self, name: str) -> list[dict[str, Any]]:
        """The migrations of a collection, newest first."""
        rows = await self._database.read(lambda tx: tx.all(tables.HISTORY, collection=name, low=0))
        return [
            {
                "version": version,
                "steps": [step["op"] for step in orjson.loads(steps)],
                "changed": changed,
                "by": by,
                "at": iso(moment),
            }
            for version, steps, _, _, changed, by, moment in rows
        ][:20]

    async def _whole(self, work: Any, dry: bool) -> Migrated:
        """In one transaction, with the cipher: whether it is needed shows only there."""
        cipher = await self._collections.cipher()

        async def whole(tx: Transaction) -> Migrated:
            told: Migrated = await work(tx, cipher)
            if dry:
                raise _Dry(told)
            return told

        try:
            done = await self._database.write(whole)
        except _Dry as rehearsed:
            return rehearsed.told
        self._collections.reshaped()
        return done

    async def _forward(
        self,
        tx: Transaction,
        cipher: Cipher,
        name: str,
        steps: tuple[Step, ...],
        schema: Mapping[str, Any] | None,
    ) -> Migrated:
        old = await _locked(tx, name)
        if schema is None:
            schema = reshaped(steps, old.rules.schema)
        rules = rules_of(schema)
        declared = check_indexes(reindexed(steps, old.declared), rules)
        fresh = replace(old, schema=rules.text, declared=declared)

        def change(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
            data = orjson.loads(orjson.dumps(document.data))
            return data, applied(steps, data)

        only_index = all(step["op"] in ("index", "unindex") for step in steps)
        most = MOST_INDEXED if only_index and fresh.schema == old.schema else MOST
        return await self._rewrite(tx, cipher, old, fresh, list(steps), change, most)

    async def _back(self, tx: Transaction, cipher: Cipher, name: str, version: int) -> Migrated:
        old = await _locked(tx, name)
        rows = await tx.all(tables.HISTORY, collection=name, low=version)
        if not 1 <= version < old.version or len(rows) != old.version - version:
            raise NotFound(f"{name} has no earlier version {version}", field="rollback_to")
        if any(changed and moment < now() - KEPT for *_, changed, _, moment in rows):
            raise Conflict(
                "what was removed is kept for 30 days: this version is too old to go back to",
                field="rollback_to",
            )
        kept = await self._kept(tx, cipher, name, version)
        past = [(row[0], orjson.loads(row[1])) for row in rows]
        fresh = replace(old, schema=rows[-1][2], declared=tuple(orjson.loads(rows[-1][3])))

        def change(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
            data = orjson.loads(orjson.dumps(document.data))
            for number, steps in past:
                _undo(steps, data, kept.get((number, document.id), {}))
            return data, {_REPLACED: _difference(document.data, data)}

        steps = [{"op": "rollback", "field": str(version)}]
        return await self._rewrite(tx, cipher, old, fresh, steps, change, MOST)

    async def _kept(
        self, tx: Transaction, cipher: Cipher, name: str, version: int
    ) -> dict[tuple[int, str], dict[str, Any]]:
        told = {}
        for number, one, text, sealed in await tx.all(tables.KEPT, collection=name, low=version):
            where = f"{place(name, one)}/{number}"
            plain = text if sealed is None else cipher.open(where, bytes(sealed))
            told[number, one] = orjson.loads(plain)
        return told

    async def _rewrite(
        self,
        tx: Transaction,
        cipher: Cipher,
        old: Definition,
        wanted: Definition,
        steps: Sequence[Any],
        change: Any,
        most: int,
    ) -> Migrated:
        """Every document through `change`, then the new definition and its history."""
        moment = max(now(), old.updated_at + 1)
        fresh = replace(wanted, stamp=uuid4().hex, version=old.version + 1, updated_at=moment)
        known = {row[0] for row in await tx.all(tables.DEFINITIONS)}
        check_targets(fresh.rules, known)
        if await Access().size(tx, old.name, most + 1) > most:
            raise TooLarge(f"{old.name} has more than {most} documents: a migration rewrites fewer")
        rebuild = Rebuild(tx, cipher, old, fresh, moment)
        await rebuild.begin()
        position: Any = None
        while rows := await Access().rows(tx, old.name, position, _BATCH):
            for row in rows:
                document = opened(row[:6], old.name, cipher)
                try:
                    data, kept = change(document)
                except ValueError as error:
                    raise Conflict(f"the document {document.id} {error}", field="steps") from None
                await rebuild.take(document, data, kept)
            await rebuild.flush()
            position = rows[-1][6:]
        await self._redefine(tx, old, fresh, steps, rebuild.changed)
        return Migrated(old.version, fresh, rebuild.documents, rebuild.changed)

    async def _redefine(
        self,
        tx: Transaction,
        old: Definition,
        fresh: Definition,
        steps: Sequence[Any],
        changed: int,
    ) -> None:
        await tx.run(
            tables.REDEFINE,
            collection=old.name,
            fresh=fresh.stamp,
            next=fresh.version,
            rules=fresh.schema,
            fields=orjson.dumps(fresh.declared).decode(),
            now=fresh.updated_at,
        )
        await tx.run(
            tables.RECORD,
            collection=old.name,
            version=fresh.version,
            steps=orjson.dumps(steps).decode(),
            schema=old.schema,
            indexes=orjson.dumps(old.declared).decode(),
            changed=changed,
            by=self._who,
            at=fresh.updated_at,
        )
        await tx.run(tables.EXPIRE, collection=old.name, until=fresh.updated_at - KEPT)


async def _locked(tx: Transaction, name: str) -> Definition:
    """The definition, with no writer of its documents beside this transaction."""
    row = await tx.first(tables.LOCK, collection=name)
    if row is None:
        raise no_collection()
    return Definition.of(row)


def _undo(steps: Sequence[Any], data: dict[str, Any], kept: Mapping[str, Any]) -> None:
    if steps and steps[0]["op"] == "rollback":
        for member, value in kept.get(_REPLACED, {}).items():
            if value is None:
                data.pop(member, None)
            else:
                data[member] = value[0]
        return
    undone(steps, data, kept)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The members that differ, as `[value]` before, or null for one that was not there."""
    told: dict[str, Any] = {}
    for member in before.keys() | after.keys():
        old, new = before.get(member, ABSENT), after.get(member, ABSENT)
        if old is ABSENT or new is ABSENT or orjson.dumps(old) != orjson.dumps(new):
            told[member] = None if old is ABSENT else [old]
    return told
