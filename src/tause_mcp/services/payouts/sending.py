"""The one way a payout reaches the provider: look, claim, post once, keep what is answered.

Wompi's own guard against a second post is an idempotency key that lives 24 hours, and a payout is
given up before that. Besides, whatever may have been posted is looked up by its reference each time
before it is posted again. A process may die between any two lines here: what it leaves is `sending`
with a due row.
"""

import secrets
from collections.abc import Mapping
from time import monotonic

from tause_mcp import due, times
from tause_mcp.database import Statement, Transaction
from tause_mcp.errors import TauseError, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import (
    NewPayout,
    NotSent,
    Payee,
    Payouts,
    ReferenceUsed,
    Refused,
)
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.ledger import KIND, SOON, Ledger
from tause_mcp.services.payouts.record import Row, Sealed

CLAIM = 120 * times.SECOND
"""Microseconds that a claim holds: several times longer than a post may take."""
_POST_WITHIN = 60.0
"""Seconds after its look in which its holder may still post."""


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
        if row.sought and (found := await self._ledger.find(wompi, row)):
            return await self._ledger.believe(row, found)
        kept = await self._ledger.opened(row)
        if row.keyed and (wrong := await changed(wompi, kept)):
            return await self._withdraw(row, wrong)
        claim = secrets.token_hex(8)
        if not await self._claim(row, claim):
            return await self._ledger.row(row.id)
        if monotonic() - started > _POST_WITHIN:
            await self._back(row, claim)
            raise Unavailable("the payout was held up: nothing was sent; try again")
        return await self._post(wompi, row, kept, claim)

    async def _claim(self, row: Row, claim: str) -> bool:
        async def work(tx: Transaction) -> bool:
            now = times.now()
            taken = await tx.run(
                tables.CLAIM,
                of=row.id,
                of_claim=claim,
                seen=row.sent_at or 0,
                until=now + CLAIM,
                now=now,
            )
            if taken:  # whoever finds it after this process died
                await due.put(tx, KIND, row.id, now + CLAIM)
            return bool(taken)

        return await self._ledger.database.write(work)

    async def _post(self, wompi: Payouts, row: Row, kept: Sealed, claim: str) -> Row:
        try:
            made = await wompi.create(row.reference, batch_of(row, kept))
        except ReferenceUsed:
            return await self._used(wompi, row, claim)
        except Refused as refused:
            return await self._refused(wompi, row, claim, str(refused))
        except (NotSent, Unconfigured):
            await self._back(row, claim)
            raise
        except (
            Unavailable
        ):  # `Uncertain`, or a technical failure that says nothing of what was done
            return await self._doubt(row, claim)
        return await self._made(wompi, row, claim, made.id)

    async def _made(self, wompi: Payouts, row: Row, claim: str, provider_id: str) -> Row:
        """It was taken. What is believed is what is read of it; until then its id is kept."""
        told = {"of": row.id, "of_provider": provider_id}
        await self._ledger.database.write(lambda tx: tx.run(tables.HINT, **told, now=times.now()))
        fresh = await self._doubt(row, claim)
        try:
            found = await self._ledger.one(wompi, fresh, provider_id)
        except TauseError:
            return fresh
        return fresh if found is None else await self._ledger.believe(fresh, [found])

    async def _back(self, row: Row, claim: str) -> None:
        """Nothing was sent: it waits again, and may be sent by anybody."""

        async def work(tx: Transaction) -> None:
            now = times.now()
            if await tx.run(
                tables.RELEASE, of=row.id, of_claim=claim, seen=row.sent_at or 0, now=now
            ):
                await due.put(tx, KIND, row.id, now + SOON)

        await self._ledger.database.write(work)

    async def _doubt(self, row: Row, claim: str) -> Row:
        """It was or may have been sent: nothing more is posted, and it is looked up soon."""

        async def work(tx: Transaction) -> None:
            now = times.now()
            if await tx.run(tables.DOUBT, of=row.id, of_claim=claim, now=now):
                await due.put(tx, KIND, row.id, now + SOON)

        await self._ledger.database.write(work)
        return await self._ledger.row(row.id)

    async def _used(self, wompi: Payouts, row: Row, claim: str) -> Row:
        """The idempotency key was taken: what there is under the reference is this payout."""
        fresh = await self._doubt(row, claim)
        try:
            found = await self._ledger.find(wompi, fresh)
        except TauseError:
            return fresh
        if found:
            return await self._ledger.believe(fresh, found)
        return await self._ledger.trouble(
            fresh,
            "Wompi says that it has this payout already, and does not show it: look for its "
            "reference in Wompi's dashboard",
        )

    async def _refused(self, wompi: Payouts, row: Row, claim: str, message: str) -> Row:
        """Nothing was made of it. What was sent before may have been: that is looked up first."""
        if row.sent_at is not None:
            try:
                found = await self._ledger.find(wompi, row)
            except TauseError:
                return await self._doubt(row, claim)
            if found:
                return await self._ledger.believe(row, found)
        told = {"of_claim": claim, "message": message[:500]}
        return await self._ended(row, tables.REFUSE, told)

    async def _withdraw(self, row: Row, why: str) -> Row:
        return await self._ended(row, tables.WITHDRAW, {"message": why, "seen": row.sent_at or 0})

    async def _ended(self, row: Row, move: Statement, told: Mapping[str, str | int]) -> Row:
        async def work(tx: Transaction) -> None:
            if await tx.run(move, of=row.id, now=times.now(), **told):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        return await self._ledger.row(row.id)


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
