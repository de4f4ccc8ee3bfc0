"""The ledger: what is kept of each payout, and what of the provider's words is believed.

Every state changes by one UPDATE that names the states it may come from. What the provider says of a
batch counts only when reference, amount, currency and number of payees are those of our own row.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tause_mcp import times
from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Unconfigured
from tause_mcp.intents import Book, Names
from tause_mcp.outbound.wompi import Paid, Payouts
from tause_mcp.outbound.wompi import Payout as Batch
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.record import Row, Sealed, account_of, read
from tause_mcp.services.payouts.values import Payout

KIND = "payout"
"""How the rows of `due` name one."""
_NOT_PAID = ("REJECTED", "NOT_APPROVED", "AFE_REJECTED")
_ENDS = {"APPROVED": tables.APPROVED} | dict.fromkeys(
    ("FAILED", "REJECTED", "CANCELLED"), tables.DECLINED
)
_WAITS = {
    "PENDING_APPROVAL": "Somebody has to approve it in Wompi's dashboard",
    "AFE_ON_HOLD": "Wompi holds it for review",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A batch of the provider's, and its payees."""

    batch: Batch
    payees: tuple[Paid, ...]

    @property
    def target(self) -> str:
        """The state that it says: the payee's own, where it has one."""
        for payee in self.payees:
            if payee.status in _ENDS:
                return _ENDS[payee.status]
        return tables.DECLINED if self.batch.status in _NOT_PAID else tables.PENDING

    @property
    def message(self) -> str | None:
        failed = next((payee.failure for payee in self.payees if payee.failure), "")
        return failed or self.batch.status_message or _WAITS.get(self.batch.status)


@dataclass(frozen=True)
class Ledger:
    """The payouts of one tenant, and the account that they are paid with."""

    database: TenantDatabase
    cipher: Callable[[], Awaitable[Cipher]]
    wompi: Callable[[], Awaitable[Payouts]]
    """Opens the account in force; no request is made. Raises `Unconfigured`."""
    names: Callable[[], Names]

    @cached_property
    def book(self) -> Book[Row]:
        """Its rows, and how they move."""
        return Book(self.database, tables.INTENTS, KIND, Row)

    async def row(self, id_: str) -> Row:
        """One payout; `NotFound` when absent, or another tenant's."""
        return await self.book.row(id_)

    async def shown(self, row: Row) -> Payout:
        """As its tenant sees it."""
        return read(row, await self.cipher())

    async def opened(self, row: Row) -> Sealed:
        """Who is paid; `Unavailable` when it does not open."""
        return Sealed.opened(await self.cipher(), row.id, row.sealed)

    def whose(self, wompi: Payouts) -> str:
        """What stands for the owner of the keys in force."""
        told = wompi.account
        return account_of(self.names(), told.environment, told.user_principal_id)

    async def account(self, row: Row) -> Payouts:
        """The account that a payout belongs to, when it is the one in force: another one would
        know nothing of it, and that would read as "never sent".

        Raises:
            Unconfigured: the keys are others now.
        """
        wompi = await self.wompi()
        if self.whose(wompi) != row.account:
            raise Unconfigured(
                "this payout was made with the keys of another account of Wompi's (environment "
                f"{row.environment}): configure those again to go on with it"
            )
        return wompi

    # what the provider says

    async def find(self, wompi: Payouts, row: Row) -> list[Found]:
        """The provider's batches of a payout: none or one, or it was paid twice."""
        known = row.provider_id or row.hint
        batches = [] if row.provider_id else await wompi.by_reference(row.reference)
        if known and all(one.id != known for one in batches):
            told = await wompi.payout(known, keyed=row.keyed)
            # an event's checksum does not cover the reference: a hint may be another payout's
            if told and (row.provider_id or told.reference == row.reference):
                batches.append(told)
        return [await self._whole(wompi, row, batch) for batch in batches]

    async def one(self, wompi: Payouts, row: Row, provider_id: str) -> Found | None:
        """A batch by the provider's id."""
        batch = await wompi.payout(provider_id, keyed=row.keyed)
        return None if batch is None else await self._whole(wompi, row, batch)

    async def _whole(self, wompi: Payouts, row: Row, batch: Batch) -> Found:
        payees = await wompi.transactions(batch.id, keyed=row.keyed)
        return Found(batch, tuple(payees))

    async def look(self, wompi: Payouts, row: Row) -> Row | None:
        """Find it and take it over; None: the provider knows nothing of it."""
        found = await self.find(wompi, row)
        return await self.believe(row, found) if found else None

    async def believe(self, row: Row, found: Sequence[Found]) -> Row:
        """Take over what the provider says of this payout, when it is this payout's.

        A contradiction changes no state: it becomes the payout's `problem`.
        """
        best = min(found, key=lambda one: _order(row, one))
        fresh = await self._believe(row, best)
        if len(found) > 1:
            ids = ", ".join(one.batch.id[:40] for one in found[:4])
            return await self.book.trouble(
                fresh,
                f"Wompi has {len(found)} payouts of this reference ({ids}): it may be paid twice; "
                "look at Wompi's dashboard",
            )
        return fresh

    async def _believe(self, row: Row, found: Found) -> Row:
        if wrong := mismatch(row, found):
            return await self.book.trouble(row, wrong)
        target = found.target
        moved = await self.database.write(lambda tx: self._adopt(tx, row, found, target))
        fresh = await self.row(row.id)
        if moved and row.state in tables.AGAIN:
            return await self.book.trouble(
                fresh, f"it was {row.state} here, and Wompi made it after all"
            )
        if not moved and (wrong := contradiction(fresh, found, target)):
            return await self.book.trouble(fresh, wrong)
        return fresh

    async def _adopt(self, tx: Transaction, row: Row, found: Found, target: str) -> bool:
        told = {"told": found.batch.status[:40], "message": found.message}
        of = {"of_provider": found.batch.id, **told}
        moved = await self.book.adopt(tx, row.id, target, tables.ADOPT[target], **of)
        if target == tables.PENDING and not moved:
            await tx.run(tables.TOLD, of=row.id, now=times.now(), **told)
        return moved


def mismatch(row: Row, found: Found) -> str:
    """What of a batch is not as our own row has it; "" when all is."""
    batch, payees = found.batch, found.payees
    told = {
        "reference": {batch.reference, *(one.reference or row.reference for one in payees)}
        == {row.reference},
        "amount": {batch.amount, *(one.amount for one in payees)} == {row.amount},
        "currency": batch.currency == row.currency,
        "number of payees": batch.payees in (None, 1) and len(payees) <= 1,
    }
    wrong = [name for name, same in told.items() if not same]
    return f"Wompi's payout has another {' and '.join(wrong)}" if wrong else ""


def contradiction(row: Row, found: Found, target: str) -> str:
    """Why what the provider says cannot be what our row became; "" for news of the past."""
    if row.provider_id != found.batch.id:
        return f"Wompi has another payout of this reference ({found.batch.id[:60]})"
    if target in (row.state, tables.PENDING):
        return ""
    return f"Wompi says {target} of what was {row.state} here"


def _order(row: Row, found: Found) -> tuple[bool, int, bool, str]:
    rank = (tables.APPROVED, tables.PENDING, tables.DECLINED).index(found.target)
    other = found.batch.id != row.provider_id
    return bool(mismatch(row, found)), rank, other, found.batch.created_at
