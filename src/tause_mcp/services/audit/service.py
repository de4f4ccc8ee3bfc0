"""A tenant's audit records: searched, verified and exported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tause_mcp import times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Unavailable
from tause_mcp.services.audit import tables
from tause_mcp.services.audit.chain import GENESIS, Chain, Checkpoint, Head, Record, Verdict
from tause_mcp.services.audit.verify import Closing, Opening, closing_line, line_of, opening_line

_BEGIN, _END = -(2**62), 2**62
_STEP = 1000
_DAY = 86_400 * times.SECOND

Keep = Callable[[AsyncIterator[bytes]], Awaitable[dict[str, Any]]]
"""Stores what is too large for an answer: `{key, size, sha256, url}`."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search asks for; empty asks for nothing. `action` may end in `*`."""

    actor: str = ""
    action: str = ""
    door: str = ""
    outcome: str = ""
    home: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of records as it stood at one moment: from after `after` to `end`, both hashed."""

    after: Head
    end: Head
    complete: bool
    """Whether it goes from where the chain begins now to its head."""
    last: int
    """The last record to be told: `end`'s, unless somebody wrote behind the head."""
    checkpoint: Checkpoint | None = None

    @property
    def records(self) -> int:
        return self.end.seq - self.after.seq


class AuditRecords:
    """The chain of one tenant, to read."""

    def __init__(self, database: TenantDatabase, keep: Keep) -> None:
        self._database = database
        self.keep = keep

    async def search(
        self, since: int | None, until: int | None, filters: Filters, before: int | None, count: int
    ) -> list[Record]:
        """Records from `since` to before `until`, newest first."""
        action = filters.action
        told = {
            "since": _BEGIN if since is None else since,
            "until": _END if until is None else until,
            "actor": filters.actor,
            "home": filters.home,
            "credential": filters.credential,
            "outcome": filters.outcome,
            "door": filters.door,
            "action": action.removesuffix("*"),
            "length": len(action) - 1 if action.endswith("*") else 0,
            "before": _END if before is None else before,
            "count": count,
        }
        rows = await self._database.read(lambda tx: tx.all(tables.SEARCH, **told))
        return [Record(*row) for row in rows]

    async def span(self, since: int | None, until: int | None) -> Span:
        """What an export of these times holds: a run without gaps, whatever the clocks said."""

        async def work(tx: Transaction) -> Span:
            checkpoint, head = await self._checkpoint(tx), await self._head(tx)
            after: Head = head
            end: Head | None = head
            if since is None:
                after = self._start(checkpoint)
            elif (first := await tx.first(tables.FIRST_SINCE, since=since)) is not None:
                after = await self._at(tx, first[0], -2) or after
            if until is not None:
                last = await tx.first(tables.LAST_UNTIL, until=until)
                end = await self._at(tx, last[0], -1) if last else None
            if end is None or end.seq < after.seq:
                end = after
            if since is not None or until is not None:
                return Span(after, end, False, end.seq)
            newest = await tx.first(tables.NEWEST)
            return Span(after, end, True, newest[0] if newest else 0, checkpoint)

        return await self._database.read(work)

    async def _at(self, tx: Transaction, seq: int, place: int) -> Head | None:
        """A record's end (`place` -1), or the one before it (-2), as a head."""
        row = await tx.first(tables.ONE, at_seq=seq)
        return None if row is None else Head(self._database.tenant, seq + 1 + place, row[place])

    def _start(self, checkpoint: Checkpoint | None) -> Head:
        if checkpoint is None:
            return Head(self._database.tenant, 0, GENESIS)
        return Head(*checkpoint[:3])

    async def _head(self, tx: Transaction) -> Head:
        row = await tx.first(tables.END)
        return Head(self._database.tenant, *(row or (0, GENESIS)))

    async def _checkpoint(self, tx: Transaction) -> Checkpoint | None:
        row = await tx.first(tables.CHECKPOINT)
        return None if row is None else Checkpoint(self._database.tenant, *row)

    async def lines(self, span: Span) -> AsyncIterator[str]:
        """The export of a span, line by line.

        Raises:
            Unavailable: retention removed its beginning meanwhile.
        """
        yield opening_line(Opening(span.after, span.complete, span.checkpoint))
        after = span.after.seq
        while found := await self._database.read(partial(self._next, after, span.last)):
            for record in found:
                yield line_of(record)
            after = found[-1].seq
        yield closing_line(Closing(span.end, span.complete))

    async def _next(self, after: int, last: int, tx: Transaction) -> list[Record]:
        checkpoint = await self._checkpoint(tx)
        if checkpoint is not None and checkpoint.seq > after:
            raise Unavailable("retention shortened the chain meanwhile: export again")
        return await _step(tx, after, last)

    async def verify(self) -> Verdict:
        """Verify the whole chain as it stands now, off the event loop."""

        async def work(tx: Transaction) -> Verdict:
            chain = Chain.whole(self._database.tenant, await self._checkpoint(tx))
            after = _BEGIN
            while records := await _step(tx, after, _END):
                if not all(map(chain.take, records)):
                    break
                after = records[-1].seq
            return chain.close(await self._head(tx))

        return await self._database.read(work, long=True)

    async def days(self, count: int) -> list[str]:
        """The last days (`2026-01-31`, UTC) that have records, newest first."""

        async def work(tx: Transaction) -> list[str]:
            found: list[str] = []
            until = _END
            while len(found) < count:
                row = await tx.first(tables.LATEST, until=until)
                if row is None or row[0] is None:
                    break
                until = row[0] // _DAY * _DAY
                found.append(times.iso(until)[:10])
            return found

        return await self._database.read(work)


async def _step(tx: Transaction, after: int, last: int) -> list[Record]:
    rows = await tx.all(tables.WALK, after=after, last=last, count=_STEP)
    return [Record(*row) for row in rows]
