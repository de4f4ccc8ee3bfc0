"""Bringing a payout to the provider's truth: look it up, adopt, give back, or let it expire."""

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.ledger import KIND, SOON, Ledger
from tause_mcp.services.payouts.record import Row
from tause_mcp.services.payouts.sending import Sender

APART = 60 * times.SECOND
"""Microseconds between the two looks that have to find nothing."""
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
        found = await self._ledger.find(wompi, row)
        if found:
            return await self._ledger.believe(row, found)
        if row.state == tables.SENDING:
            return await self._missed(row, asked)
        if row.state == tables.READY:
            return await self._waiting(row)
        if row.provider_id is not None:
            return await self._ledger.trouble(row, "Wompi does not know its payout any more")
        return row

    async def _waiting(self, row: Row) -> Row:
        """Not sent, as far as anybody knows."""
        if row.state != tables.READY:
            return row
        now = times.now()
        if row.expires_at > now:
            return await self._sender.send(row)
        if row.keyed and row.sent_at is not None:
            return await self._ledger.trouble(row, _LOST)

        async def work(tx: Transaction) -> None:
            if await tx.run(tables.EXPIRE, of=row.id, over=now, now=now):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        return await self._ledger.row(row.id)

    async def _missed(self, row: Row, asked: int) -> Row:
        """Count it, when nobody may be posting it; the second time, a minute later, give it back."""

        async def work(tx: Transaction) -> None:
            told = {"of": row.id, "now": asked}
            await tx.run(tables.MISSED, **told)
            if await tx.run(tables.RETURN, **told, since=asked - APART):
                await due.put(tx, KIND, row.id, asked + SOON)

        await self._ledger.database.write(work)
        fresh = await self._ledger.row(row.id)
        if fresh.hint is not None and fresh.checks > _ENOUGH:
            return await self._ledger.trouble(
                fresh, f"Wompi made this payout ({fresh.hint[:60]}), and does not show it"
            )
        return fresh
