"""Bringing an intent to the provider's truth: look it up, adopt, give back, or let it expire."""

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import KIND, Ledger
from tause_mcp.services.payments.record import Row
from tause_mcp.services.payments.sending import Sender, next_look

APART = 60 * times.SECOND
"""Microseconds between the two looks that have to find nothing."""
GRACE = 15 * 60 * times.SECOND
"""After its end a checkout is looked up once more: what began in time may arrive late."""


class Reconciler:
    """Reconciles intents of one tenant. May run any number of times, anywhere, at once."""

    def __init__(self, ledger: Ledger, sender: Sender) -> None:
        self._ledger = ledger
        self._sender = sender

    async def reconcile(self, row: Row) -> Row:
        """The intent as the provider has it now.

        Raises:
            Unavailable: the provider cannot be asked. Unconfigured: its keys are not there.
        """
        if not row.sought:
            return await self._unsent(row)
        wompi = await self._ledger.account(row)
        asked = times.now()
        found = await self._ledger.find(wompi, row)
        if found is None:
            return await self._missing(row, asked)
        fresh = await self._ledger.believe(row, found)
        if fresh.state == tables.APPROVED and fresh.void_state is not None:
            return await self._not_voided(fresh, asked)
        return await self._sender.follow(wompi, fresh)

    async def _unsent(self, row: Row) -> Row:
        """The provider cannot know of it."""
        if row.expires_at <= times.now():
            return await self._expire(row, times.now())
        if row.state == tables.READY:
            return await self._sender.send(row)
        return row

    async def _missing(self, row: Row, asked: int) -> Row:
        """The provider, asked at that moment, had no transaction of this reference."""
        if row.state == tables.SENDING:
            return await self._missed(row, asked)
        if row.state in tables.UNSENT:
            over = asked - (GRACE if row.kind == "checkout" else 0)
            if row.expires_at <= over:
                return await self._expire(row, over)
            return await self._sender.send(row) if row.state == tables.READY else row
        if row.provider_id is not None:
            return await self._ledger.trouble(row, "Wompi does not know its transaction any more")
        return row

    async def _missed(self, row: Row, asked: int) -> Row:
        """Count it, when nobody may be posting it; the second time, a minute later, give it back."""

        async def work(tx: Transaction) -> bool:
            told = {"of": row.id, "now": asked}
            await tx.run(tables.MISSED, **told)
            back = await tx.run(tables.RETURN, **told, former=row.unsent, since=asked - APART)
            if back:
                await due.put(tx, KIND, row.id, next_look(row, row.unsent, asked))
            return bool(back)

        if await self._ledger.database.write(work):
            self._ledger.changed(row.id)
        return await self._ledger.row(row.id)

    async def _expire(self, row: Row, over: int) -> Row:
        async def work(tx: Transaction) -> bool:
            gone = await tx.run(tables.EXPIRE, of=row.id, over=over, now=times.now())
            if gone:
                await due.end(tx, KIND, row.id)
            return bool(gone)

        if await self._ledger.database.write(work):
            self._ledger.changed(row.id)
        return await self._ledger.row(row.id)

    async def _not_voided(self, row: Row, asked: int) -> Row:
        """A void whose outcome is not known, and the provider shows the payment as approved."""

        async def work(tx: Transaction) -> bool:
            told = {"of": row.id, "now": asked}
            await tx.run(tables.VOID_MISSED, **told)
            back = await tx.run(tables.VOID_RETURN, **told, since=asked - APART)
            if back:
                await due.end(tx, KIND, row.id)
            return bool(back)

        if await self._ledger.database.write(work):
            self._ledger.changed(row.id)
        fresh = await self._ledger.row(row.id)
        if fresh.void_state is not None and fresh.voiding < fresh.amount and fresh.checks >= 2:
            return await self._ledger.trouble(
                fresh,
                f"whether the void of {fresh.voiding} cents was made is not known: "
                "look at Wompi's dashboard",
            )
        return fresh
