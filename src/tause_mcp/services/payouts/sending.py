"""The one way a payout reaches the provider, by the rule of `tause_mcp.intents`.

Wompi's own guard against a second post is an idempotency key that lives 24 hours, and a payout is
given up before that. Besides, whatever may have been posted is looked up by its reference each time
before it is posted again.
"""

from functools import partial
from time import monotonic

from tause_mcp import times
from tause_mcp.errors import TauseError, Unavailable, Unconfigured
from tause_mcp.intents import POST_WITHIN
from tause_mcp.outbound.wompi import (
    NewPayout,
    NotSent,
    Payee,
    Payouts,
    ReferenceUsed,
    Refused,
)
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.ledger import Ledger
from tause_mcp.services.payouts.record import Row, Sealed

_NOT_SHOWN = (
    "Wompi says that it has this payout already, and does not show it: look for its reference in "
    "Wompi's dashboard"
)


class Sender:
    """Sends payouts of one tenant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def send(self, row: Row) -> Row:
        """Post a payout that waits, unless somebody else does; how it stands then.

        Raises:
            Unavailable: nothing was sent. Unconfigured.
        """
        wompi, started = await self._ledger.account(row), monotonic()
        if row.sought and (seen := await self._ledger.look(wompi, row)):
            return seen
        kept = await self._ledger.opened(row)
        if row.keyed and (wrong := await changed(wompi, kept)):
            told = {"message": wrong, "seen": row.sent_at or 0}
            await self._ledger.book.end(row.id, tables.WITHDRAW, **told)
            return await self._ledger.row(row.id)
        claim = await self._ledger.book.claim(row, seen=row.sent_at or 0)
        if claim is None:
            return await self._ledger.row(row.id)
        if monotonic() - started > POST_WITHIN:
            await self._back(row, claim)
            raise Unavailable("the payout was held up: nothing was sent; try again")
        return await self._post(wompi, row, kept, claim)

    async def _post(self, wompi: Payouts, row: Row, kept: Sealed, claim: str) -> Row:
        book, look = self._ledger.book, partial(self._ledger.look, wompi)
        try:
            made = await wompi.create(row.reference, batch_of(row, kept))
        except ReferenceUsed:
            return await book.used(row, claim, look, _NOT_SHOWN)
        except Refused as refused:
            return await book.refused(row, claim, look, refused.named)
        except (NotSent, Unconfigured):
            await self._back(row, claim)
            raise
        except (
            Unavailable
        ):  # `Uncertain`, or a technical failure that says nothing of what was done
            return await book.doubt(row, claim)
        return await self._made(wompi, row, claim, made.id)

    async def _made(self, wompi: Payouts, row: Row, claim: str, provider_id: str) -> Row:
        """It was taken. What is believed is what is read of it; until then its id is kept."""
        told = {"of": row.id, "of_provider": provider_id}
        await self._ledger.database.write(lambda tx: tx.run(tables.HINT, **told, now=times.now()))
        fresh = await self._ledger.book.doubt(row, claim)
        try:
            found = await self._ledger.one(wompi, fresh, provider_id)
        except TauseError:
            return fresh
        return fresh if found is None else await self._ledger.believe(fresh, [found])

    async def _back(self, row: Row, claim: str) -> None:
        await self._ledger.book.release(row, claim, seen=row.sent_at or 0)


async def changed(wompi: Payouts, kept: Sealed) -> str:
    """Why a Bre-B key does not lead any more to whom it led when it was approved; "": it does.

    Raises:
        Unavailable: the directory of keys cannot be asked.
    """
    payee = kept.beneficiary
    try:
        found = await wompi.resolve_key(payee.key or "", payee.key_type or "")
    except Refused as refused:
        return f"nothing was sent: {refused}"[:500]
    if found is None:
        return "nothing was sent: no account has this Bre-B key any more"
    if (found.holder, found.bank) != (kept.holder, kept.bank):
        return "nothing was sent: the Bre-B key leads to another holder or bank than was approved"
    return ""


def batch_of(row: Row, kept: Sealed) -> NewPayout:
    """What is posted: a batch of one payee."""
    payee = kept.beneficiary
    one = Payee(
        name=payee.name or kept.holder,
        amount=row.amount,
        email=payee.email or "",
        reference=row.reference,
        key=payee.key or "",
        bank_id=kept.bank_id,
        account_type=payee.account_type or "savings",
        account_number=payee.account_number or "",
        document_type=payee.document_type or "",
        document=payee.document or "",
        description=kept.description or "",
    )
    return NewPayout(row.reference, row.account_id, (one,), row.payment_type)  # type: ignore[arg-type]  # it was checked
