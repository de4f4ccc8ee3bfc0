"""Finding: an index where one helps, else a bounded walk. What is found does not depend on which.

Every candidate is checked in Python by the meaning in `conditions`, so an index only narrows.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import TooLarge
from tause_mcp.services.database.conditions import Condition, Order, spans_of
from tause_mcp.services.database.definition import Definition
from tause_mcp.services.database.documents import Document, opened
from tause_mcp.services.database.scanning import Access, Groups, Position
from tause_mcp.services.database.values import key_of

MOST = 10_000
"""Documents that one question may read beyond what an index finds."""
MOST_BYTES = 64 * 1024 * 1024
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for, in which order."""

    conditions: tuple[Condition, ...]
    orders: tuple[Order, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Every field that it looks at."""
        return [c.path for c in self.conditions] + [order.path for order in self.orders]

    def place(self, document: Document) -> Position:
        """Where a document is in the order."""
        keys = [tuple(key_of(document.value(order.path))) for order in self.orders]
        return (*keys, document.id)

    def sort(self, documents: list[Document]) -> None:
        """In order; equal ones by id, in the direction of the last field."""
        flags = self._flags
        documents.sort(key=lambda one: one.id, reverse=flags[-1])
        for n in reversed(range(len(self.orders))):
            path = self.orders[n].path
            documents.sort(
                key=lambda one: key_of(one.value(path)), reverse=flags[n]
            )  # used at once

    def beyond(self, one: Position, other: Position) -> bool:
        """Whether `one` comes after `other`."""
        for a, b, descending in zip(one, other, self._flags, strict=True):
            if a != b:
                return bool((a > b) != descending)
        return False

    @property
    def _flags(self) -> list[bool]:
        flags = [order.descending for order in self.orders]
        return [*flags, flags[-1] if flags else False]

    def meets(self, document: Document) -> bool:
        return all(condition.holds(document) for condition in self.conditions)


class Finder:
    """Answers questions about one collection within one transaction."""

    def __init__(self, tx: Transaction, definition: Definition, cipher: Cipher | None) -> None:
        self._tx = tx
        self._definition = definition
        self._cipher = cipher
        self._read = 0
        self._bytes = 0

    async def page(self, asked: Question, after: Position | None, most: int) -> list[Document]:
        """Up to `most` documents behind `after`.

        Raises:
            TooLarge: without an index too many documents would have to be read.
        """
        access, streams = await self._plan(asked)
        if streams:
            found = []
            async for document in self._walk(access, asked, after, most, free=True):
                found.append(document)
                if len(found) == most:
                    break
            return found
        every = [one async for one in self._walk(access, asked)]
        asked.sort(every)
        if after is not None:
            every = [one for one in every if asked.beyond(asked.place(one), after)]
        return every[:most]

    async def total(self, asked: Question) -> int:
        """How many documents there are."""
        if not asked.conditions:
            return await Access().size(self._tx, self._definition.name, None)
        drives = self._drives(asked)
        if len(drives) == 1:
            ((field, (answered, groups)),) = drives.items()
            if answered == len(asked.conditions):
                return await Access(field, groups).size(self._tx, self._definition.name, None)
        count = 0
        async for _ in self.matching(asked):
            count += 1
        return count

    async def matching(self, asked: Question) -> AsyncIterator[Document]:
        """Every document that meets the conditions, in no order.

        Raises:
            TooLarge.
        """
        access, _ = await self._plan(Question(asked.conditions))
        async for document in self._walk(access, asked):
            yield document

    # --- the way -------------------------------------------------------------------------------

    def _drives(self, asked: Question) -> dict[str, tuple[int, Groups]]:
        """Indexed field -> how many conditions its index answers exactly, and all its groups."""
        told: dict[str, tuple[int, Groups]] = {}
        for condition in asked.conditions:
            if condition.path not in self._definition.indexed:
                continue
            spans = spans_of(condition)
            if spans is None:
                continue
            answered, groups = told.get(condition.path, (0, ()))
            told[condition.path] = answered + spans[1], (*groups, spans[0])
        return told

    async def _plan(self, asked: Question) -> tuple[Access, bool]:
        """The way to go, and whether it leads through the documents in the order asked for."""
        drives = {field: groups for field, (_, groups) in self._drives(asked).items()}
        orders = asked.orders
        sorts = orders[0].path if len(orders) == 1 else None
        ordered = None
        if sorts in self._definition.indexed:
            ordered = Access(sorts, drives.get(sorts or "", ()), orders[0].descending)
        if len(drives) == 1 and ordered is not None and sorts in drives:
            return ordered, True
        ways = [Access(field, groups) for field, groups in drives.items()]
        if len(ways) == 1 and ways[0].pinned and not orders:
            return ways[0], True
        size, best = await self._narrowest(ways)
        if best.pinned and not orders:
            return best, True
        if size <= MOST:
            return best, False
        if ordered is not None:
            return ordered, True
        return (best, False) if orders and ways else (Access(), not orders)

    async def _narrowest(self, ways: Sequence[Access]) -> tuple[int, Access]:
        """The way that finds least, and how much; counting a way ends where it is not the one."""
        size, best = MOST + 1, Access()
        for way in sorted(ways, key=lambda one: not one.pinned):
            found = await way.size(self._tx, self._definition.name, size)
            if found < size or best.field is None:
                size, best = found, way
        return size, best

    async def _walk(
        self,
        access: Access,
        asked: Question,
        after: Position | None = None,
        batch: int = _BATCH,
        *,
        free: bool = False,
    ) -> AsyncIterator[Document]:
        """The documents that meet the conditions, as `access` leads to them.

        `free`: only what is passed over counts as read, not what is found.
        """
        position = None if after is None else _entrance(access, asked, after)
        while True:
            rows = await access.rows(self._tx, self._definition.name, position, batch)
            for row in rows:
                document = opened(row[:6], self._definition.name, self._cipher)
                meets = asked.meets(document)
                if not (meets and free):
                    self._count(row, asked)
                if meets:
                    yield document
            if len(rows) < batch:
                return
            position, batch = rows[-1][6:], _BATCH

    def _count(self, row: Sequence[Any], asked: Question) -> None:
        self._read += 1
        self._bytes += len(row[2])
        if self._read > MOST or self._bytes > MOST_BYTES:
            raise too_many(asked, self._definition)


def _entrance(access: Access, asked: Question, after: Position) -> Position:
    """A place in the order, as a place on the way."""
    if access.field is None:
        return (after[-1],)
    if asked.orders:
        return (*after[0], after[-1])
    return (*access.only_key, after[-1])


def too_many(asked: Question, definition: Definition) -> TooLarge:
    """No index helps enough."""
    candidates = [path for path in dict.fromkeys(asked.paths) if path not in definition.indexed]
    advice = f"declare an index on {candidates[0]}" if candidates else "narrow it by another field"
    return TooLarge(
        f"more than {MOST} documents would have to be read for this: {advice} "
        "(database_migrate, step index), or narrow where"
    )
