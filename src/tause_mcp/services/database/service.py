"""Collections: the JSON documents of one tenant.

A change reads a document, checks it against its collection's definition and writes all its rows in
one transaction, in which the definition holds still.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict, Invalid, QuotaExceeded, TauseError, Unavailable
from tause_mcp.services.database import tables
from tause_mcp.services.database.aggregates import Groups, metrics_of
from tause_mcp.services.database.conditions import conditions_of, orders_of
from tause_mcp.services.database.definition import (
    REMEMBERED,
    Definition,
    check_indexes,
    no_collection,
)
from tause_mcp.services.database.documents import Document, SealedUnexpectedly, opened, stored
from tause_mcp.services.database.finding import Finder, Question
from tause_mcp.services.database.names import check_id, check_name, fresh_id
from tause_mcp.services.database.scanning import Position
from tause_mcp.services.database.schemas import Rules, refuse_sealed, rules_of
from tause_mcp.services.database.transactions import Batch, Operation, checked
from tause_mcp.services.database.values import encoded
from tause_mcp.services.database.writing import Stale, Writer, no_document
from tause_mcp.times import now

T = TypeVar("T")
MAX_COLLECTIONS = 200
_AGAIN = 5
"""How often a change is begun again because its collection was redefined meanwhile."""


class Collections:
    """The collections of the tenant that `database` is bound to."""

    def __init__(
        self,
        database: TenantDatabase,
        cipher: Callable[[], Awaitable[Cipher]],
        *,
        limit: Callable[[], int | None] = lambda: None,
        changed: Callable[[str, str], None] = lambda collection, document: None,
        reshaped: Callable[[], None] = lambda: None,
    ) -> None:
        """`limit`: of rows; `changed` hears of documents, `reshaped` of collections."""
        self.database = database
        self.cipher = cipher
        self.limit = limit
        self.changed = changed
        self.reshaped = reshaped

    # --- collections -----------------------------------------------------------------------------

    async def create(
        self, name: str, schema: Mapping[str, Any] | None = None, indexes: Iterable[str] = ()
    ) -> Definition:
        """Define a collection.

        Raises:
            Invalid, TooLarge, QuotaExceeded. Conflict: there is one of that name.
        """
        check_name(name, "name")
        rules = rules_of(schema)
        made = _definition(name, rules, check_indexes(indexes, rules))

        async def work(tx: Transaction) -> None:
            await tx.run(tables.START_USAGE, rows=0)
            known = {row[0] for row in await tx.all(tables.DEFINITIONS)}
            if name in known:
                raise Conflict(
                    f"the collection {name} exists: use database_migrate to change it", field="name"
                )
            if len(known) >= MAX_COLLECTIONS:
                raise QuotaExceeded(f"a tenant has at most {MAX_COLLECTIONS} collections")
            check_targets(rules, known | {name})
            if not await tx.run(tables.CREATE, **row_of(made)):
                raise Conflict(f"the collection {name} exists", field="name")

        await self.database.write(work)
        self.reshaped()
        return made

    async def definitions(self) -> list[Definition]:
        """Every collection, by name."""
        rows = await self.database.read(lambda tx: tx.all(tables.DEFINITIONS))
        return [Definition.of(row) for row in rows]

    async def describe(self, name: str) -> Definition:
        """One collection; `NotFound` when there is none."""
        return await REMEMBERED.read(self.database, check_name(name))

    async def drop(self, name: str) -> int:
        """Remove a collection and all in it; the number of documents that it had.

        Raises:
            NotFound. Conflict: another collection refers to its documents.
        """
        check_name(name, "name")

        async def work(tx: Transaction) -> int:
            if await tx.first(tables.LOCK, collection=name) is None:
                raise no_collection("name")
            writer = Writer(tx, self.database.dialect)
            await writer.count(0)
            for row in await tx.all(tables.DEFINITIONS):
                other = Definition.of(row)
                if other.name != name and name in other.rules.references.values():
                    raise Conflict(
                        f"the collection {other.name} refers to {name}: drop or migrate it first",
                        field="name",
                    )
            gone, *_ = [await tx.run(each, collection=name) for each in tables.EMPTYING]
            await tx.run(tables.DROP, collection=name)
            await writer.count(-gone)
            return gone

        removed = await self.database.write(work)
        self.reshaped()
        return removed

    # --- documents ---------------------------------------------------------------------------------

    async def get(self, collection: str, document_id: str) -> Document:
        """One document; `NotFound` when there is none."""
        check_name(collection)
        row = await self.database.first(tables.GET, collection=collection, id=check_id(document_id))
        if row is None:
            if await self.database.first(tables.STAMP, collection=collection) is None:
                raise no_collection()
            raise no_document()
        return opened(row, collection, None if row[3] is None else await self.cipher())

    async def insert(
        self, collection: str, data: Mapping[str, Any], document_id: str | None = None
    ) -> Document:
        """Add a document, under a fresh id unless one is stated.

        Raises:
            NotFound, Invalid, TooLarge, QuotaExceeded. Conflict: the id or a unique value is taken.
        """
        check_name(collection)
        if document_id is not None:
            check_id(document_id)

        async def attempt(definition: Definition, cipher: Cipher | None) -> Document:
            moment = now()
            whole = definition.rules.completed(data)
            fresh = Document(document_id or fresh_id(), 1, whole, moment, moment)
            laid = stored(definition, fresh, "document", cipher)
            await self.database.write(
                lambda tx: Writer(tx, self.database.dialect, cipher, self.limit()).insert(
                    definition, fresh, laid, "document"
                )
            )
            return fresh

        document = await self._attempts(collection, attempt)
        self.changed(collection, document.id)
        return document

    async def update(
        self,
        collection: str,
        document_id: str,
        changes: Mapping[str, Any],
        version: int | None = None,
    ) -> Document:
        """Merge `changes` into a document (RFC 7396), if it is at `version`.

        Raises:
            NotFound, PreconditionFailed, Invalid, TooLarge, Conflict.
        """
        check_name(collection), check_id(document_id)
        encoded(changes, "changes")

        async def attempt(_: Definition, cipher: Cipher | None) -> Document:
            async def work(tx: Transaction) -> Document:
                held = await REMEMBERED.held(tx, self.database.tenant, collection)
                writer = Writer(tx, self.database.dialect, cipher)
                return await writer.update(held, document_id, changes, version, "changes")

            return await self.database.write(work)

        document = await self._attempts(collection, attempt)
        self.changed(collection, document.id)
        return document

    async def delete(self, collection: str, document_id: str, version: int | None = None) -> bool:
        """Remove a document, if it is at `version`; False when there was none.

        Raises:
            PreconditionFailed. NotFound: no such collection. Conflict: others refer to it.
        """
        check_name(collection), check_id(document_id)

        async def work(tx: Transaction) -> bool:
            held = await REMEMBERED.held(tx, self.database.tenant, collection)
            return await Writer(tx, self.database.dialect).delete(held, document_id, version)

        removed = await self.database.write(work)
        if removed:
            self.changed(collection, document_id)
        return removed

    async def find(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        order_by: Sequence[str] | None = None,
        *,
        most: int = 50,
        after: Position | None = None,
        total: bool = False,
    ) -> tuple[list[Document], int | None, Question]:
        """Up to `most` documents behind `after`, how many there are when `total`, and the question.

        Raises:
            NotFound, Invalid. TooLarge: without an index too many would have to be read.
        """
        asked = Question(conditions_of(where), orders_of(order_by))

        async def answer(finder: Finder) -> tuple[list[Document], int | None, Question]:
            count = await finder.total(asked) if total else None
            return await finder.page(asked, after, most), count, asked

        return await self.ask(
            collection,
            asked,
            answer,
            {
                "where": [c.path for c in asked.conditions],
                "order_by": [o.path for o in asked.orders],
            },
        )

    async def aggregate(
        self,
        collection: str,
        metrics: Sequence[str] = (),
        group_by: Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
    ) -> Sequence[Mapping[str, Any]]:
        """`{group, values}` of each group of the documents that meet `where`.

        Raises:
            NotFound, Invalid. TooLarge: too many groups, or documents to read.
        """
        asked = Question(conditions_of(where))
        wanted = metrics_of(metrics)
        paths = {"where": asked.paths, "metrics": Groups(wanted, group_by).paths}

        async def answer(finder: Finder) -> Sequence[Mapping[str, Any]]:
            if not group_by and all(one.name == "count" for one in wanted):
                count = await finder.total(asked)
                return [{"group": {}, "values": {"count": count}}]
            groups = Groups(wanted, group_by)
            async for document in finder.matching(asked):
                groups.add(document)
            return groups.told()

        return await self.ask(collection, asked, answer, paths)

    async def transact(self, operations: Sequence[Operation]) -> list[dict[str, Any]]:
        """Do several changes, all or none; `{op, collection, id, version? | deleted?}` of each.

        Raises:
            TauseError: of one of them, whose place `field` names; then nothing has changed.
        """
        checked(operations)
        names = {one["collection"] for one in operations}

        async def attempt(seals: bool) -> list[dict[str, Any]]:
            cipher = await self.cipher() if seals else None

            async def work(tx: Transaction) -> list[dict[str, Any]]:
                return await Batch(tx, self.database, cipher, self.limit()).run(operations)

            return await self.database.write(work)

        known = [REMEMBERED.get(self.database.tenant, name) for name in names]
        try:
            told = await attempt(any(one is None or one.rules.encrypted for one in known))
        except SealedUnexpectedly:
            told = await attempt(True)
        for one in told:
            if one.get("deleted", True):
                self.changed(one["collection"], one["id"])
        return told

    async def ids(self, collection: str, prefix: str, most: int) -> list[str]:
        """Ids that begin with `prefix`, for a person who types one."""
        rows = await self.database.read(
            lambda tx: tx.all(
                tables.IDS,
                collection=collection,
                low=prefix,
                high=prefix + tables.BEHIND,
                count=most,
            )
        )
        return [row[0] for row in rows]

    # --- what the parts share -------------------------------------------------------------------------

    async def ask(
        self,
        collection: str,
        asked: Question,
        answer: Callable[[Finder], Awaitable[T]],
        paths: Mapping[str, Sequence[str]],
    ) -> T:
        """Answer a question in one consistent read. `paths`: the fields that each argument names."""
        check_name(collection)
        known = REMEMBERED.get(self.database.tenant, collection)
        known = known or await REMEMBERED.read(self.database, collection)
        looked_at = {path for stated in paths.values() for path in stated}
        long = not looked_at <= set(known.indexed) or len(asked.orders) > 1 or "metrics" in paths
        for _ in range(_AGAIN):
            cipher = await self.cipher() if known.rules.encrypted else None

            async def work(tx: Transaction, cipher: Cipher | None = cipher) -> T:
                found = await REMEMBERED.current(tx, self.database.tenant, collection)
                for argument, stated in paths.items():
                    refuse_sealed(found.rules.encrypted, stated, argument)
                return await answer(Finder(tx, found, cipher))

            try:
                return await self.database.read(work, long=long)
            except SealedUnexpectedly:
                known = await REMEMBERED.read(self.database, collection)
        raise busy()

    async def _attempts(
        self, collection: str, attempt: Callable[[Definition, Cipher | None], Awaitable[T]]
    ) -> T:
        """Work under the definition that is remembered; anew when it turns out to be another."""
        known = REMEMBERED.get(self.database.tenant, collection)
        for _ in range(_AGAIN):
            definition = known or await REMEMBERED.read(self.database, collection)
            cipher = await self.cipher() if definition.rules.encrypted else None
            try:
                return await attempt(definition, cipher)
            except (Stale, SealedUnexpectedly):
                known = None
            except TauseError:
                # what is remembered may refuse what the collection takes by now
                fresh = await REMEMBERED.read(self.database, collection) if known else definition
                if fresh.stamp == definition.stamp:
                    raise
                known = None
        raise busy()


def busy() -> Unavailable:
    return Unavailable(
        "the collection is being redefined all the time: nothing was changed; try again",
        retry_after=1.0,
    )


def check_targets(rules: Rules, known: set[str]) -> None:
    """Raise `Invalid` when a field refers to a collection that does not exist."""
    for path, target in rules.references.items():
        if target not in known:
            raise Invalid(
                f"schema: {path} refers to {target}, which does not exist", field="schema"
            )


def _definition(name: str, rules: Rules, declared: tuple[str, ...]) -> Definition:
    moment = now()
    return Definition(name, uuid4().hex, 1, rules.text, declared, moment, moment)


def row_of(definition: Definition) -> dict[str, Any]:
    """The columns of a definition."""
    return {
        "name": definition.name,
        "stamp": definition.stamp,
        "version": definition.version,
        "schema": definition.schema,
        "indexes": orjson.dumps(definition.declared).decode(),
        "created_at": definition.created_at,
        "updated_at": definition.updated_at,
    }
