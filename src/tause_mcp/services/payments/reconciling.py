"""Bringing an intent to the provider's truth: look it up, adopt, give back, or let it expire."""

from tause_mcp import times
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.record import Row
from tause_mcp.services.payments.sending import Sender, next_look

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
            at = next_look(row, row.unsent, asked)
            return await self._ledger.book.missed(row, asked, at)
        if row.state in tables.UNSENT:
            over = asked - (GRACE if row.kind == "checkout" else 0)
            if row.expires_at <= over:
                return await self._expire(row, over)
            return await self._sender.send(row) if row.state == tables.READY else row
        if row.provider_id is not None:
            return await self._ledger.book.trouble(
                row, "Wompi does not know its transaction any more"
            )
        return row

    async def _expire(self, row: Row, over: int) -> Row:
        await self._ledger.book.end(row.id, tables.INTENTS.expire, over=over)
        return await self._ledger.row(row.id)

    async def _not_voided(self, row: Row, asked: int) -> Row:
        """A void whose outcome is not known, and the provider shows the payment as approved."""
        moves = (tables.VOID_MISSED, tables.VOID_RETURN)
        if await self._ledger.book.count(row.id, asked, *moves, None):
            self._ledger.changed(row.id)
        fresh = await self._ledger.row(row.id)
        if fresh.void_state is not None and fresh.voiding < fresh.amount and fresh.checks >= 2:
            return await self._ledger.book.trouble(
                fresh,
                f"whether the void of {fresh.voiding} cents was made is not known: "
                "look at Wompi's dashboard",
            )
        return fresh
