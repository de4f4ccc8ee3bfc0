"""Bringing a payout to the provider's truth: look it up, adopt, give back, or let it expire."""

from tause_mcp import times
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.ledger import Ledger
from tause_mcp.services.payouts.record import Row
from tause_mcp.services.payouts.sending import Sender

_ENOUGH = 3
"""Looks for what Wompi said it made, until it is a problem that it does not show it."""
_LOST = (
    "whether Wompi made this payout is not known, and Wompi's list by reference is not sure to show "
    "those to Bre-B keys: look for it in Wompi's dashboard"
)


class Reconciler:
    """Reconciles payouts of one tenant. May run any number of times, anywhere, at once."""

    def __init__(self, ledger: Ledger, sender: Sender) -> None:
        self._ledger = ledger
        self._sender = sender

    async def reconcile(self, row: Row) -> Row:
        """The payout as the provider has it now.

        Raises:
            Unavailable: the provider cannot be asked. Unconfigured: its keys are not there.
        """
        if not row.sought:
            return await self._waiting(row)
        wompi = await self._ledger.account(row)
        asked = times.now()
        if seen := await self._ledger.look(wompi, row):
            return seen
        if row.state == tables.SENDING:
            return await self._missed(row, asked)
        if row.state == tables.READY:
            return await self._waiting(row)
        if row.provider_id is not None:
            return await self._ledger.book.trouble(row, "Wompi does not know its payout any more")
        return row

    async def _waiting(self, row: Row) -> Row:
        """Not sent, as far as anybody knows."""
        if row.state != tables.READY:
            return row
        now = times.now()
        if row.expires_at > now:
            return await self._sender.send(row)
        if row.keyed and row.sent_at is not None:
            return await self._ledger.book.trouble(row, _LOST)
        await self._ledger.book.end(row.id, tables.INTENTS.expire, over=now)
        return await self._ledger.row(row.id)

    async def _missed(self, row: Row, asked: int) -> Row:
        """Nothing was found of what may have been sent."""
        fresh = await self._ledger.book.missed(row, asked)
        if fresh.hint is not None and fresh.checks > _ENOUGH:
            return await self._ledger.book.trouble(
                fresh, f"Wompi made this payout ({fresh.hint[:60]}), and does not show it"
            )
        return fresh
