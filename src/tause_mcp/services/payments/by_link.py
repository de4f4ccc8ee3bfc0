"""Payments by a link: made at Wompi, by nobody here, and taken into the ledger from there.

Wompi gives each of them a reference of its own, and the id of the link. What a genuine event tells
is only written down as due; what is recorded is what is then read of the transaction.
"""

import re

from tause_mcp import due, log, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, NotFound
from tause_mcp.intents import SOON
from tause_mcp.outbound.wompi import Transaction as Found
from tause_mcp.services.payments import source_tables, tables
from tause_mcp.services.payments.ledger import KIND as PAYMENT
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.links import Links
from tause_mcp.services.payments.record import Row, Sealed
from tause_mcp.services.payments.saved import LinkRow, link_of
from tause_mcp.services.payments.values import Customer, Payment

KIND = "transaction"
"""How the rows of `due` name a transaction that was told of, and is not read yet."""
PREFIX = "wtx_"
"""Before Wompi's id of a transaction, it is an id here."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


async def heard(tx: Transaction, transaction_id: str, link_id: str) -> str | None:
    """What to reconcile because of a transaction that an event told of; None: its link is not ours.

    Both ids are Wompi's. It is due from now on.
    """
    if not link_id or not _ID.fullmatch(transaction_id):
        return None
    if await tx.first(source_tables.LINK_OF_PROVIDER, of_link=link_id) is None:
        return None
    await due.put(tx, KIND, PREFIX + transaction_id, times.now())
    return PREFIX + transaction_id


class LinkPayments:
    """The payments by links of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger, links: Links) -> None:
        self._ledger = ledger
        self._links = links

    async def reconcile(self, id_: str) -> Payment:
        """The payment of a transaction (`PREFIX` and Wompi's id), recorded once: as Wompi has it.

        Raises:
            NotFound: unknown at Wompi, or by no link of this tenant: both alike. Conflict: it does
            not fit the link. Unavailable: Wompi cannot be asked. Unconfigured.
        """
        found = await (await self._ledger.wompi()).transaction(id_.removeprefix(PREFIX))
        if found is None:  # an event may be ahead of it: what is due stays
            raise _absent()
        told = await self._ledger.database.first(
            source_tables.LINK_OF_PROVIDER, of_link=found.link_id
        )
        if told is None:
            await self._unwanted(id_)
            raise _absent()
        link = LinkRow(*told)
        await self._links.account(link)
        if wrong := unfit(link, found):
            await self._trouble(link, id_, wrong)
            raise Conflict(wrong)
        row = await self._recorded(link, found)
        return await self._ledger.shown(await self._ledger.believe(row, found))

    async def _unwanted(self, id_: str) -> None:
        """It is by no link of ours. Whoever merely guesses at it changes nothing here, as if Wompi,
        whose account may be other tenants' too, did not know it."""
        database = self._ledger.database
        if await due.awaited(database, KIND, id_):
            await database.write(lambda tx: due.end(tx, KIND, id_))

    async def _recorded(self, link: LinkRow, found: Found) -> Row:
        """Its row: any number of racers get the same one, for its id is computed."""
        names, now = self._ledger.names(), times.now()
        id_ = f"pay_{names.mac('link-payment', link.environment, found.id)[:16].hex()}"
        cipher = await self._ledger.cipher()
        kept = Sealed(Customer(found.email), None, link_of(link, cipher).name or None)
        values = {
            **tables.INTENTS.blank,
            "id": id_,
            "environment": link.environment,
            "order_id": f"{link.id}/{found.id}",
            "attempt": 1,
            "reference": found.reference,
            "digest": names.digest("link", {"transaction": found.id}),
            "kind": "link",
            "account": link.account,
            "amount": found.amount,
            "currency": found.currency,
            "method": found.method.lower() or "unknown",
            "state": tables.PENDING,
            "provider_id": found.id,
            "sealed": kept.closed(cipher, id_),
            "voided": 0,
            "voiding": 0,
            "link_id": link.id,
            "created_at": now,
            "updated_at": now,
            "expires_at": now,
        }

        async def work(tx: Transaction) -> bool:
            made = bool(await tx.run(tables.INTENTS.insert, **values))
            if made:
                await due.put(tx, PAYMENT, id_, now + SOON)
            elif await tx.first(tables.INTENTS.get, of=id_) is None:
                raise Conflict("another payment here has the reference or the order of this one")
            await due.end(tx, KIND, PREFIX + found.id)
            return made

        if await self._ledger.database.write(work):
            self._ledger.changed(id_)
        return await self._ledger.row(id_)

    async def _trouble(self, link: LinkRow, id_: str, said: str) -> None:
        async def work(tx: Transaction) -> bool:
            await due.end(tx, KIND, id_)
            told = {"of": link.id, "said": said, "now": times.now()}
            return bool(await tx.run(source_tables.LINK_PROBLEM, **told))

        if await self._ledger.database.write(work):
            tenant = self._ledger.database.tenant
            log.security.warning("payment_does_not_fit", tenant=tenant, link=link.id, why=said)
            self._ledger.changed(link.id)


def unfit(link: LinkRow, found: Found) -> str:
    """What of a transaction is not as its link has it; "" when all is. Without an amount of the
    link's the payer chose one."""
    told = {
        "amount": (found.amount, found.amount if link.amount is None else link.amount),
        "currency": (found.currency, link.currency),
        "merchant": (found.merchant_key or link.account, link.account),
    }
    wrong = [name for name, (theirs, ours) in told.items() if theirs != ours]
    if not wrong:
        return ""
    return f"Wompi tells of a payment by this link with another {' and '.join(wrong)} ({found.id})"


def _absent() -> NotFound:
    return NotFound("no such payment", field="id")
