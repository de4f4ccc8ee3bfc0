"""Giving a card payment back: bounded by what was paid, once, and never repeated blindly."""

import secrets

from tause_mcp import due, times
from tause_mcp.database import Statement, Transaction
from tause_mcp.errors import Conflict, Invalid, Unconfigured
from tause_mcp.intents import CLAIM, SOON
from tause_mcp.outbound.wompi import NotSent, Refused, Uncertain
from tause_mcp.outbound.wompi import Transaction as Found
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import KIND, Ledger, mismatch
from tause_mcp.services.payments.record import Row


class Voids:
    """Voids payments of one tenant. It is Wompi's only refund, and of cards only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def void(self, id_: str, amount: int | None = None) -> Row:
        """Give back all that is left, or `amount` cents of it. A void of all that was made
        already is returned as it stands; what the provider did not answer is found out later.

        Raises:
            NotFound. Conflict: not an approved card payment, or a void is under way.
            Invalid: more than is left. Refused: the provider did not. Unavailable: nothing was
            sent. Unconfigured.
        """
        row, more = await self.allowed(id_, amount)
        if not more:
            return row
        wompi = await self._ledger.account(row)
        claim = secrets.token_hex(8)
        if not await self._claim(row, more, claim):
            raise Conflict("another call changed this payment just now: read it again")
        whole = more == row.amount
        try:
            found = await wompi.void(row.provider_id or "", None if whole else more)
        except Uncertain:
            return await self._settle(row, tables.VOID_DOUBT, claim)
        except (Refused, NotSent, Unconfigured):
            await self._settle(row, tables.VOID_FAILED, claim)
            raise
        if not _answered(row, found, whole=whole):
            return await self._settle(row, tables.VOID_DOUBT, claim)
        shown = tables.VOIDED if found and found.status == "VOIDED" else tables.APPROVED
        return await self._settle(row, tables.VOID_DONE, claim, shown=shown)

    async def allowed(self, id_: str, amount: int | None = None) -> tuple[Row, int]:
        """The payment, and the cents that `void` would give back of it; 0: it is voided already.

        Raises:
            NotFound, Conflict, Invalid: as `void`.
        """
        row = await self._ledger.row(id_)
        if row.state == tables.VOIDED and amount in (None, row.amount):
            return row, 0
        return row, _allowed(row, amount)

    async def _claim(self, row: Row, more: int, claim: str) -> bool:
        async def work(tx: Transaction) -> bool:
            now = times.now()
            taken = await tx.run(
                tables.CLAIM_VOID, of=row.id, more=more, of_claim=claim, until=now + CLAIM, now=now
            )
            if taken:
                await due.put(tx, KIND, row.id, now + CLAIM)
            return bool(taken)

        return await self._ledger.database.write(work)

    async def _settle(self, row: Row, statement: Statement, claim: str, **shown: str) -> Row:
        async def work(tx: Transaction) -> None:
            now = times.now()
            settled = await tx.run(statement, of=row.id, of_claim=claim, now=now, **shown)
            if settled and shown.get("shown") == tables.VOIDED:
                await due.end(tx, KIND, row.id)
            elif settled:  # what became of it is read
                await due.put(tx, KIND, row.id, now + SOON)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self._ledger.row(row.id)


def _allowed(row: Row, amount: int | None) -> int:
    """The cents to give back."""
    if row.state != tables.APPROVED or row.method != "card":
        raise Conflict("only an approved payment by card can be voided: refund others by transfer")
    if row.void_state is not None:
        raise Conflict("a void of this payment is under way: read it again later", retry_after=60.0)
    left = row.amount - row.voided
    if amount is not None and not 1 <= amount <= left:
        raise Invalid(f"amount: from 1 to {left} cents, which are left of it", field="amount")
    return left if amount is None else amount


def _answered(row: Row, found: Found | None, *, whole: bool) -> bool:
    """Whether the answer says that it was done. What says too little is read back."""
    if found is None:
        return not whole
    return not mismatch(row, found) and (not whole or found.status == "VOIDED")
