"""Payment links of one tenant. Wompi makes them without a reference of ours, and looks one up only
by its own id: a link whose making was not answered is `unknown`, and stays so."""

from datetime import UTC, datetime

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, TauseError, Unconfigured
from tause_mcp.intents import CLAIM, SOON, new_id, page_after
from tause_mcp.outbound.wompi import Link, NewLink, NotSent, Refused, Uncertain, Wompi
from tause_mcp.services.payments import source_tables as tables
from tause_mcp.services.payments.ledger import LINK as KIND
from tause_mcp.services.payments.ledger import Ledger, safe_url
from tause_mcp.services.payments.saved import LinkRow, PayLink, link_of, seal_texts
from tause_mcp.services.payments.tables import PAID_BY_LINK
from tause_mcp.services.payments.values import CURRENCY, check_amount

_LOST = (
    "whether Wompi made this link is not known: look for it in Wompi's dashboard (sku {sku}) and "
    "close it there, or make another"
)


class Links:
    """The payment links of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def create(
        self,
        name: str,
        description: str,
        *,
        amount: int | None = None,
        currency: str = CURRENCY,
        single_use: bool = True,
        expires_at: int | None = None,
        redirect_url: str | None = None,
    ) -> PayLink:
        """Make a link. Without `amount` (cents) the payer chooses; `expires_at` in epoch
        microseconds. Each call makes another one.

        Raises:
            Invalid. Refused, Unavailable, Unconfigured: no link was made.
        """
        if amount is not None:
            check_amount(amount, currency)
        if expires_at is not None and expires_at <= times.now():
            raise Invalid("expires_at: is in the past", field="expires_at")
        wompi = await self._ledger.wompi()
        row = await self._insert(wompi, name, description, amount, currency, single_use, expires_at)
        new = NewLink(
            name=name,
            description=description,
            sku=row.sku,
            amount=amount,
            currency=currency,
            single_use=single_use,
            expires=_moment(expires_at),
            redirect_url=redirect_url or "",
        )
        return await self._post(wompi, row, new)

    async def _post(self, wompi: Wompi, row: LinkRow, new: NewLink) -> PayLink:
        try:
            found = await wompi.create_link(new)
        except Uncertain:
            return await self._settle(row, tables.UNKNOWN, None, _LOST.format(sku=row.sku))
        except (Refused, NotSent, Unconfigured) as failed:
            await self._settle(row, tables.ERROR, None, str(failed)[:500])
            raise
        wrong = _wrong(row, found)
        state = tables.UNKNOWN if wrong else tables.ACTIVE
        return await self._settle(row, state, found, wrong)

    async def _insert(
        self,
        wompi: Wompi,
        name: str,
        description: str,
        amount: int | None,
        currency: str,
        single_use: bool,
        expires_at: int | None,
    ) -> LinkRow:
        id_, now, cipher = new_id("lnk"), times.now(), await self._ledger.cipher()
        values = {
            "id": id_,
            "environment": wompi.account.environment,
            "account": wompi.account.public_key,
            "sku": self._ledger.names().reference(wompi.account.environment, id_, 1),
            "amount": amount,
            "currency": currency,
            "single_use": int(single_use),
            "sealed": seal_texts(cipher, id_, name=name, description=description),
            "state": tables.CREATING,
            "provider_id": None,
            "url": None,
            "problem": None,
            "expires_at": expires_at,
            "created_at": now,
            "updated_at": now,
        }

        async def work(tx: Transaction) -> None:
            await tx.run(tables.INSERT_LINK, **values)
            await due.put(tx, KIND, id_, now + CLAIM)

        await self._ledger.database.write(work)
        return await self.row(id_)

    async def _settle(
        self, row: LinkRow, target: str, found: Link | None, said: str | None
    ) -> PayLink:
        async def work(tx: Transaction) -> None:
            if await tx.run(
                tables.SETTLE_LINK,
                of=row.id,
                target=target,
                of_provider=found.id if found else None,
                of_url=safe_url(found.url, row.environment) if found else None,
                said=said,
                now=times.now(),
            ):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self.get(row.id)

    async def row(self, id_: str) -> LinkRow:
        """One link's row; `NotFound` when absent, or another tenant's."""
        found = await self._ledger.database.first(tables.LINK, of=id_)
        if found is None:
            raise NotFound("no such link", field="id")
        return LinkRow(*found)

    async def get(self, id_: str) -> PayLink:
        """One link; `NotFound` when absent, or another tenant's."""
        return link_of(await self.row(id_), await self._ledger.cipher())

    async def recent(self, after: tuple[int, str] | None = None, most: int = 50) -> list[PayLink]:
        """At most `most` links, newest first, behind a `(created_at, id)`."""
        told = page_after(after, most)
        rows = await self._ledger.database.read(lambda tx: tx.all(tables.LINKS, **told))
        cipher = await self._ledger.cipher()
        return [link_of(LinkRow(*row), cipher) for row in rows]

    async def cancel(self, id_: str) -> PayLink:
        """Close a link: nobody can pay by it any more. Again: as it stands.

        Raises:
            NotFound. Conflict: it was never known to be made.
        """
        row = await self.row(id_)
        if row.state in (tables.CREATING, tables.UNKNOWN, tables.ERROR):
            raise Conflict(f"this link cannot be closed here: {row.problem or 'it is being made'}")

        async def work(tx: Transaction) -> None:
            now = times.now()
            if await tx.run(tables.CANCEL_LINK, of=id_, now=now):
                await due.put(tx, KIND, id_, now + SOON)

        await self._ledger.database.write(work)
        try:
            return await self.reconcile(id_)
        except TauseError:  # it goes on in the background
            return await self.get(id_)

    async def reconcile(self, id_: str) -> PayLink:
        """Close what is to be closed; take over that Wompi did; say of what was never answered that
        it is not known.

        Raises:
            NotFound. Unavailable: Wompi cannot be asked. Unconfigured.
        """
        row = await self.row(id_)
        if row.state == tables.CREATING and row.created_at + CLAIM <= times.now():
            return await self._settle(row, tables.UNKNOWN, None, _LOST.format(sku=row.sku))
        if row.state == tables.CANCELLING:
            await self._close(row)
        elif row.state == tables.ACTIVE:
            await self._read(row)
        elif row.state != tables.CREATING:
            await self._ledger.database.write(lambda tx: due.end(tx, KIND, id_))
        return await self.get(id_)

    async def account(self, row: LinkRow) -> Wompi:
        """The account that it was made with, when that is the one in force."""
        wompi = await self._ledger.wompi()
        if wompi.account.public_key != row.account:
            raise Unconfigured(
                f"this link was made with other Wompi keys (environment {row.environment})"
            )
        return wompi

    async def _read(self, row: LinkRow) -> None:
        """Whether Wompi still takes payments by it: one for single use ends when it is paid."""
        found = await (await self.account(row)).link(row.provider_id or "")
        over = found is not None and not found.active

        async def work(tx: Transaction) -> bool:
            await due.end(tx, KIND, row.id)
            if not over:
                return False
            paid = row.single_use and await tx.first(PAID_BY_LINK, of_link=row.id)
            target = tables.PAID if paid else tables.CANCELLED
            return bool(await tx.run(tables.CLOSED_LINK, of=row.id, target=target, now=times.now()))

        if await self._ledger.database.write(work):
            self._ledger.changed(row.id)

    async def _close(self, row: LinkRow) -> None:
        """At Wompi, where any number of times is once."""
        wompi = await self.account(row)
        await wompi.close_link(row.provider_id or "")

        async def work(tx: Transaction) -> None:
            if await tx.run(tables.CANCELLED_LINK, of=row.id, now=times.now()):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / times.SECOND, UTC)


def _wrong(row: LinkRow, found: Link) -> str | None:
    """What of the answered link is not as it was asked for."""
    if found.sku not in ("", row.sku):
        return "Wompi answered with another link"
    if found.amount is not None and found.amount != row.amount:
        return "Wompi made the link with another amount"
    return None
