"""The ledger: what is kept of each intent, and what of the provider's words is believed.

Every state changes by one UPDATE that names the states it may come from. What the provider says of
a transaction counts only when reference, amount, currency and merchant are those of our own row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from tause_mcp import due, times
from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Unconfigured
from tause_mcp.intents import Book, Names
from tause_mcp.outbound.wompi import Transaction as Found
from tause_mcp.outbound.wompi import Wompi
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.record import Row, Sealed, read
from tause_mcp.services.payments.values import Payment

KIND = "payment"
"""How the rows of `due` name an intent."""
LINK = "link"
TARGETS = {
    "PENDING": tables.PENDING,
    "APPROVED": tables.APPROVED,
    "DECLINED": tables.DECLINED,
    "ERROR": tables.ERROR,
    "VOIDED": tables.VOIDED,
}
_RANK = {"APPROVED": 0, "VOIDED": 0, "PENDING": 1}


@dataclass(frozen=True)
class Ledger:
    """The intents of one tenant, and the account they are collected with."""

    database: TenantDatabase
    cipher: Callable[[], Awaitable[Cipher]]
    wompi: Callable[[], Awaitable[Wompi]]
    """Opens the account in force; no request is made. Raises `Unconfigured`."""
    names: Callable[[], Names]
    changed: Callable[[str], None]
    """Tells the listeners that a payment changed, by its id."""
    public_url: str

    def pay_url(self, id_: str) -> str:
        """Where a payer accepts the terms."""
        return f"{self.public_url}/pay/{self.database.tenant}.{id_}"

    @cached_property
    def book(self) -> Book[Row]:
        """Its rows, and how they move."""
        return Book(self.database, tables.INTENTS, KIND, Row, self.changed)

    async def row(self, id_: str) -> Row:
        """One intent.

        Raises:
            NotFound: absent, or another tenant's.
        """
        return await self.book.row(id_)

    async def shown(self, row: Row) -> Payment:
        """As its tenant sees it."""
        return read(row, await self.cipher(), self.pay_url(row.id))

    async def opened(self, row: Row) -> Sealed:
        """What is the payer's; `Unavailable` when it does not open."""
        return Sealed.opened(await self.cipher(), row.id, row.sealed)

    async def account(self, row: Row) -> Wompi:
        """The account that an intent belongs to, when it is the one in force.

        Raises:
            Unconfigured: the keys are others now.
        """
        wompi = await self.wompi()
        if wompi.account.public_key != row.account:
            raise Unconfigured(
                f"this payment was made with other Wompi keys (environment {row.environment}): "
                "configure those again to read it"
            )
        return wompi

    # what the provider says

    async def find(self, wompi: Wompi, row: Row) -> Found | None:
        """The provider's transaction of an intent, if there is one: that of our reference which
        went furthest. What does not fit the intent comes last."""
        found = list(await wompi.by_reference(row.reference))
        if row.provider_id and all(one.id != row.provider_id for one in found):
            known = await wompi.transaction(row.provider_id)
            found += [known] if known is not None else []
        return min(found, key=lambda one: _order(row, one), default=None)

    async def look(self, wompi: Wompi, row: Row) -> Row | None:
        """Find it and take it over; None: the provider knows nothing of it."""
        found = await self.find(wompi, row)
        return None if found is None else await self.believe(row, found)

    async def believe(self, row: Row, found: Found) -> Row:
        """Take over what the provider says of this intent, when it is this intent's.

        A contradiction changes no state: it becomes the intent's `problem`.
        """
        wrong, target = mismatch(row, found), TARGETS.get(found.status)
        if target is None and not wrong:
            wrong = f"Wompi tells a status that is not known here ({found.status[:40]})"
        if wrong or target is None:
            return await self.book.trouble(row, wrong)
        moved = await self.database.write(lambda tx: self._adopt(tx, row, found, target))
        if moved:
            self.changed(row.id)
        fresh = await self.row(row.id)
        if not moved and (wrong := contradiction(fresh, found, target)):
            return await self.book.trouble(fresh, wrong)
        return fresh

    async def _adopt(self, tx: Transaction, row: Row, found: Found, target: str) -> bool:
        redirect = safe_url(found.redirect_url, row.environment)
        moved = await self.book.adopt(
            tx,
            row.id,
            target,
            tables.ADOPT[target],
            of_provider=found.id,
            message=found.status_message or None,
            redirect=redirect,
        )
        if target == tables.PENDING and redirect and not moved:
            told = {"of": row.id, "redirect": redirect, "now": times.now()}
            moved = bool(await tx.run(tables.REDIRECT, **told))
        if moved and row.link_id is not None and target == tables.APPROVED:
            await due.put(tx, LINK, row.link_id, times.now())  # it may serve no other payment
        return moved


def safe_url(url: str, environment: str) -> str | None:
    """An address that a payer may be sent to: https, or anything of the web in a sandbox."""
    fine = url.startswith("https://") or (environment == "test" and url.startswith("http://"))
    return url if fine else None


def mismatch(row: Row, found: Found) -> str:
    """What of a transaction is not as our own row has it; "" when all is."""
    told = {
        "reference": (found.reference, row.reference),
        "amount": (found.amount, row.amount),
        "currency": (found.currency, row.currency),
        "merchant": (found.merchant_key or row.account, row.account),
    }
    wrong = [name for name, (theirs, ours) in told.items() if theirs != ours]
    return f"Wompi's transaction has another {' and '.join(wrong)}" if wrong else ""


def contradiction(row: Row, found: Found, target: str) -> str:
    """Why what the provider says cannot be what our row became; "" for news of the past."""
    if row.provider_id != found.id:
        if target in (tables.APPROVED, tables.PENDING):
            return f"Wompi has another transaction with this reference ({found.id[:60]})"
        return ""
    if row.state == target or target == tables.PENDING:
        return ""
    if (row.state, target) == (tables.VOIDED, tables.APPROVED):
        return ""
    return f"Wompi says {found.status} of what was {row.state} here"


def _order(row: Row, found: Found) -> tuple[bool, int, bool, str]:
    return (
        bool(mismatch(row, found)),
        _RANK.get(found.status, 2),
        found.id != row.provider_id,
        found.created_at,
    )
