"""The ledger: what is kept of each intent, and what of the provider's words is believed.

Every state changes by one UPDATE that names the states it may come from. What the provider says of
a transaction counts only when reference, amount, currency and merchant are those of our own row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tause_mcp import due, log, times
from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import NotFound, Unconfigured
from tause_mcp.outbound.wompi import Transaction as Found
from tause_mcp.outbound.wompi import Wompi
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.record import Names, Row, Sealed, read
from tause_mcp.services.payments.values import Payment

KIND = "payment"
"""How the rows of `due` name an intent."""
SOON = 2 * times.SECOND
"""Until the first look at what was sent a moment ago."""
TARGETS = {
    "PENDING": tables.PENDING,
    "APPROVED": tables.APPROVED,
    "DECLINED": tables.DECLINED,
    "ERROR": tables.ERROR,
    "VOIDED": tables.VOIDED,
}
_RANK = {"APPROVED": 0, "VOIDED": 0, "PENDING": 1}


def absent() -> NotFound:
    """Foreign and absent alike."""
    return NotFound("no such payment", field="id")


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

    async def row(self, id_: str) -> Row:
        """One intent.

        Raises:
            NotFound: absent, or another tenant's.
        """
        found = await self.database.first(tables.GET, of=id_)
        if found is None:
            raise absent()
        return Row(*found)

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

    async def believe(self, row: Row, found: Found) -> Row:
        """Take over what the provider says of this intent, when it is this intent's.

        A contradiction changes no state: it becomes the intent's `problem`.
        """
        wrong, target = mismatch(row, found), TARGETS.get(found.status)
        if target is None and not wrong:
            wrong = f"Wompi tells a status that is not known here ({found.status[:40]})"
        if wrong or target is None:
            return await self.trouble(row, wrong)
        moved = await self.database.write(lambda tx: _adopt(tx, row, found, target))
        if moved:
            self.changed(row.id)
        fresh = await self.row(row.id)
        if not moved and (wrong := contradiction(fresh, found, target)):
            return await self.trouble(fresh, wrong)
        return fresh

    async def trouble(self, row: Row, said: str) -> Row:
        """Record what does not fit, once, and tell the security log."""
        told = await self.database.write(
            lambda tx: tx.run(tables.PROBLEM, of=row.id, said=said, now=times.now())
        )
        if told:
            log.security.warning(
                "payment_does_not_fit", tenant=self.database.tenant, payment=row.id, why=said
            )
            self.changed(row.id)
        return await self.row(row.id)


async def _adopt(tx: Transaction, row: Row, found: Found, target: str) -> bool:
    now = times.now()
    redirect = safe_url(found.redirect_url, row.environment)
    moved = await tx.run(
        tables.ADOPT[target],
        of=row.id,
        of_provider=found.id,
        message=found.status_message or None,
        redirect=redirect,
        **({} if target == tables.PENDING else {"final": now}),
        now=now,
    )
    if moved and target == tables.PENDING:
        await due.put(tx, KIND, row.id, now + SOON)
    elif target != tables.PENDING:
        if moved:
            await due.end(tx, KIND, row.id)
    elif redirect:
        moved = await tx.run(tables.REDIRECT, of=row.id, redirect=redirect, now=now)
    return bool(moved)


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
