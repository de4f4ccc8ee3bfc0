"""Charges that recur: each time is one intent of its own, made exactly once.

A time that was missed is charged when it is less than a week late; else it is recorded as skipped.
"""

from typing import Any

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound
from tause_mcp.intents import new_id, page_after
from tause_mcp.services.payments import source_tables as tables
from tause_mcp.services.payments import tables as payment_tables
from tause_mcp.services.payments.attempts import Attempt, Maker, place
from tause_mcp.services.payments.ledger import KIND as PAYMENT
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.occurrences import following
from tause_mcp.services.payments.saved import (
    Every,
    Schedule,
    ScheduleRow,
    SourceRow,
    schedule_of,
    seal_texts,
)
from tause_mcp.services.payments.sources import Sources, end_schedule
from tause_mcp.services.payments.values import check_amount

KIND = "schedule"
WEEK = 7 * 86_400 * times.SECOND
"""Microseconds after which a missed time is not charged any more."""
_PAST = 300 * times.SECOND
"""Microseconds that a start may lie in the past: clocks differ."""
_HORIZON = 10 * 366 * 86_400 * times.SECOND
_AT_ONCE = 50
"""Times that one run makes up for."""
_TOO_LATE = "skipped: its time was missed by more than seven days"


class Schedules:
    """The schedules of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger, sources: Sources) -> None:
        self._ledger = ledger
        self._sources = sources

    async def schedule(
        self,
        source_id: str,
        amount: int,
        currency: str,
        every: Every,
        start_at: int,
        *,
        until: int | None = None,
        count: int | None = None,
        description: str | None = None,
    ) -> Schedule:
        """Charge a source at `start_at` and every day, week, month or year after it, until a time
        or a number of charges. Times in epoch microseconds, days of Bogotá; the 31st is the last
        day of a shorter month. The same schedule again is the same one while it is active.

        Raises:
            Invalid. NotFound: no such source. Conflict: it is not available.
        """
        source = await self._checked(source_id, amount, currency, start_at, until, count)
        id_, now, cipher = new_id("sch"), times.now(), await self._ledger.cipher()
        told = {
            "source_id": source_id,
            "amount": amount,
            "currency": currency,
            "every": every,
            "start_at": start_at,
            "until": until,
            "count": count,
        }
        digest = self._digest(told, description)
        values = {
            **told,
            "id": id_,
            "environment": source.environment,
            "digest": digest,
            "live": 1,
            "sealed": seal_texts(cipher, id_, description=description),
            "state": tables.ACTIVE,
            "done": 0,
            "skipped": 0,
            "next_at": start_at,
            "created_at": now,
            "updated_at": now,
        }

        async def work(tx: Transaction) -> ScheduleRow:
            await tx.run(tables.INSERT_SCHEDULE, **values)
            found = await tx.first(tables.SCHEDULE_OF, of_digest=digest)
            assert found is not None, "it is there, whoever made it"
            row = ScheduleRow(*found)
            if row.id == id_:
                await due.put(tx, KIND, id_, start_at)
            return row

        row = await self._ledger.database.write(work)
        if row.id == id_:
            self._ledger.changed(id_)
        return schedule_of(row, cipher)

    async def standing(
        self,
        source_id: str,
        amount: int,
        currency: str,
        every: Every,
        start_at: int,
        *,
        until: int | None = None,
        count: int | None = None,
        description: str | None = None,
    ) -> Schedule | None:
        """The active schedule that `schedule` would return; None: it would make one.

        Raises:
            As `schedule`.
        """
        await self._checked(source_id, amount, currency, start_at, until, count)
        told = {
            "source_id": source_id,
            "amount": amount,
            "currency": currency,
            "every": every,
            "start_at": start_at,
            "until": until,
            "count": count,
        }
        of = self._digest(told, description)
        found = await self._ledger.database.first(tables.SCHEDULE_OF, of_digest=of)
        if found is None:
            return None
        return schedule_of(ScheduleRow(*found), await self._ledger.cipher())

    async def _checked(
        self,
        source_id: str,
        amount: int,
        currency: str,
        start_at: int,
        until: int | None,
        count: int | None,
    ) -> SourceRow:
        check_amount(amount, currency)
        _check_times(start_at, until, count)
        source = await self._sources.source(source_id)
        if source.state != tables.AVAILABLE:
            raise Conflict(f"the source is {source.state}: only an available one can be charged")
        return source

    def _digest(self, told: dict[str, Any], description: str | None) -> str:
        return self._ledger.names().digest("schedule", {**told, "description": description})

    async def unschedule(self, id_: str) -> Schedule:
        """End a schedule, and what of it was not sent yet. Again: as it stands.

        Raises:
            NotFound.
        """
        await self.row(id_)
        if await self._ledger.database.write(
            lambda tx: end_schedule(tx, id_, "the schedule was ended before this was sent")
        ):
            self._ledger.changed(id_)
        return await self.get(id_)

    async def row(self, id_: str) -> ScheduleRow:
        """One schedule's row; `NotFound` when absent, or another tenant's."""
        found = await self._ledger.database.first(tables.SCHEDULE, of=id_)
        if found is None:
            raise NotFound("no such schedule", field="id")
        return ScheduleRow(*found)

    async def get(self, id_: str) -> Schedule:
        """One schedule; `NotFound` when absent, or another tenant's."""
        return schedule_of(await self.row(id_), await self._ledger.cipher())

    async def recent(self, after: tuple[int, str] | None = None, most: int = 50) -> list[Schedule]:
        """At most `most` schedules, newest first, behind a `(created_at, id)`."""
        told = page_after(after, most)
        rows = await self._ledger.database.read(lambda tx: tx.all(tables.SCHEDULES, **told))
        cipher = await self._ledger.cipher()
        return [schedule_of(ScheduleRow(*row), cipher) for row in rows]

    async def reconcile(self, id_: str) -> Schedule:
        """Make the charges whose time has come; each is sent by its own due row.

        Raises:
            NotFound. Unconfigured: the source's keys are not those in force; they wait.
        """
        row = await self.row(id_)
        for _ in range(_AT_ONCE):
            if row.state != tables.ACTIVE or (row.next_at or 0) > times.now():
                break
            await self._pass(row)
            row = await self.row(id_)
        await self._ledger.database.write(lambda tx: _plan(tx, row))
        return schedule_of(row, await self._ledger.cipher())

    async def _pass(self, row: ScheduleRow) -> None:
        """One time: its intent, and the next time, in one transaction."""
        source = await self._sources.source(row.source_id)
        wompi = await self._sources.account(source)
        description = schedule_of(row, await self._ledger.cipher()).description
        now, at = times.now(), row.next_at or row.start_at
        attempt = await self._sources.attempt(
            source,
            f"{row.id}/{row.done + 1}",
            row.amount,
            row.currency,
            description=description,
            schedule_id=row.id,
            expires_at=at + WEEK,
        )
        maker = Maker(self._ledger, wompi, await self._ledger.cipher())

        async def work(tx: Transaction) -> str | None:
            return await _one(tx, maker, row, attempt, too_late=now - at > WEEK)

        if made := await self._ledger.database.write(work):
            self._ledger.changed(made)


async def _one(
    tx: Transaction, maker: Maker, row: ScheduleRow, attempt: Attempt, *, too_late: bool
) -> str | None:
    """The payment of one time; None when somebody else made it, or the schedule has ended."""
    now = times.now()
    next_at = following(row.start_at, row.every, row.done + 1, until=row.until, count=row.most)
    advanced = await tx.run(
        tables.ADVANCE,
        of=row.id,
        before=row.done,
        too_late=int(too_late),
        following=next_at,
        target=tables.ENDED if next_at is None else tables.ACTIVE,
        now=now,
    )
    if not advanced:
        return None
    payment, _ = await place(tx, maker, attempt)
    if too_late:
        told = {"message": _TOO_LATE, "now": now}
        await tx.run(payment_tables.SKIP, of=payment.id, **told)
        await due.end(tx, PAYMENT, payment.id)
    else:
        await due.put(tx, PAYMENT, payment.id, now)
    return payment.id


async def _plan(tx: Transaction, row: ScheduleRow) -> None:
    """When it is to be looked at again."""
    found = await tx.first(tables.SCHEDULE, of=row.id)
    fresh = ScheduleRow(*found) if found else row
    if fresh.state == tables.ACTIVE and fresh.next_at is not None:
        await due.put(tx, KIND, row.id, fresh.next_at)
    else:
        await due.end(tx, KIND, row.id)


def _check_times(start_at: int, until: int | None, count: int | None) -> None:
    now = times.now()
    if not now - _PAST <= start_at <= now + _HORIZON:
        raise Invalid("start_at: from now to ten years ahead", field="start_at")
    if until is not None and until < start_at:
        raise Invalid("until: is before the start", field="until")
    if count is not None and not 1 <= count <= 10_000:
        raise Invalid("count: from 1 to 10000", field="count")
