"""Payouts of one tenant: the same name is the same payout, and money leaves once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable
from tause_mcp.outbound.wompi import (
    Event,
    FundingAccount,
    PayoutBank,
    Rejected,
    ResolvedKey,
)
from tause_mcp.outbound.wompi import Payouts as Wompi
from tause_mcp.services.colombia.money import format_cents
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.attempts import Maker, next_of, place, told
from tause_mcp.services.payouts.ledger import KIND, Ledger
from tause_mcp.services.payouts.reconciling import Reconciler
from tause_mcp.services.payouts.record import Row, Sealed, read
from tause_mcp.services.payouts.sending import Sender
from tause_mcp.services.payouts.values import (
    Beneficiary,
    KeyType,
    Order,
    Payout,
    Status,
    check_key,
    checked,
)

BanksOf = Callable[[Wompi], Awaitable[list[PayoutBank]]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order that Wompi would take as things stand: who is paid, and by which account."""

    order: Order
    kept: Sealed
    account: FundingAccount
    environment: str


class Payouts:
    """The payouts of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger, banks: BanksOf) -> None:
        self._ledger = ledger
        self._banks = banks
        self._sender = Sender(ledger)
        self._reconciler = Reconciler(ledger, self._sender)

    # making ----------------------------------------------------------------------------------

    async def create(self, order: Order, *, retry: bool = False) -> Payout:
        """Pay one beneficiary, at most once. The same arguments again return the payout as it
        stands; `retry`: a further attempt after one that paid nothing for good.

        What the provider did not answer is `processing`, and is found out in the background.

        Raises:
            Invalid: naming the argument. Conflict: the name has other arguments, or is paid, or the
            account lacks the money. Unconfigured, Unavailable: nothing was made.
        """
        order = checked(order)
        row = await self._standing(order, retry=retry)
        if row is None:
            row = await self._insert(await self.prepare(order), retry=retry)
        if row.state == tables.READY:
            try:
                row = await self._reconciler.reconcile(row)
            except Unavailable:  # it is sent in the background
                row = await self._ledger.row(row.id)
        return await self._ledger.shown(row)

    async def to_approve(self, order: Order, *, retry: bool = False) -> Prepared | None:
        """What a person is to be asked about; None: it stands already.

        Raises:
            What `create` would, before anyone is asked.
        """
        order = checked(order)
        if await self._standing(order, retry=retry) is not None:
            return None
        return await self.prepare(order)

    async def _standing(self, order: Order, *, retry: bool) -> Row | None:
        """The attempt that stands for a call. What may have been posted and was given up is looked
        up once more before another attempt takes its place."""
        wompi = await self._ledger.wompi()
        row = await self._ledger.book.last(order.payout_id, wompi.account.environment)
        if row is None:
            return None
        if retry and row.state in tables.AGAIN and row.sent_at and row.provider_id is None:
            row = await self._reconciler.reconcile(row)
        digest = self._ledger.names().digest(told(order))
        return row if next_of(row, order, digest, retry=retry) is None else None

    async def _insert(self, prepared: Prepared, *, retry: bool) -> Row:
        """The row of an attempt: any number of racers get the same one."""
        order = prepared.order
        maker = Maker(
            ledger=self._ledger,
            wompi=await self._ledger.wompi(),
            cipher=await self._ledger.cipher(),
            order=order,
            account_id=prepared.account.id,
            kept=prepared.kept,
            digest=self._ledger.names().digest(told(order)),
        )
        return await self._ledger.database.write(lambda tx: place(tx, maker, retry=retry))

    # what Wompi says beforehand ---------------------------------------------------------------

    async def prepare(self, order: Order) -> Prepared:
        """An order with what Wompi knows of its beneficiary and of the account that pays.

        Raises:
            Invalid: no such bank, key or account. Conflict: the money is not there. Unavailable.
        """
        wompi = await self._ledger.wompi()
        payee = order.beneficiary
        kept = Sealed(payee, description=order.description)
        if payee.key is not None:
            found = await self._resolved(wompi, payee.key, payee.key_type, "beneficiary.key")
            kept = replace(kept, bank=found.bank, holder=found.holder)
        else:
            bank = await self._bank(wompi, payee)
            kept = replace(kept, bank=bank.name, bank_id=bank.id)
        paying = await self._paying(wompi, order)
        return Prepared(order, kept, paying, wompi.account.environment)

    async def _bank(self, wompi: Wompi, payee: Beneficiary) -> PayoutBank:
        found = [bank for bank in await self._banks(wompi) if bank.code == payee.bank_code]
        if len(found) != 1:
            raise Invalid(
                "beneficiary.bank_code: is no bank of payouts_list_banks", field="beneficiary"
            )
        return found[0]

    async def _paying(self, wompi: Wompi, order: Order) -> FundingAccount:
        """The account that pays: the one named, else the only one. It has to hold the money."""
        accounts = await wompi.accounts()
        found = [one for one in accounts if order.account_id in (None, one.id)]
        if order.account_id is None:
            found = [one for one in found if one.status == "ACTIVE"]
        if len(found) != 1:
            known = ", ".join(f"{one.id} ({one.number})" for one in accounts[:10])
            why = "is none of" if order.account_id else "has to name one of"
            raise Invalid(f"account_id: {why} {known or 'no accounts'}", field="account_id")
        if found[0].balance is not None and found[0].balance < order.amount:
            raise Conflict(
                f"the account that pays ({found[0].number}) holds {format_cents(found[0].balance)} "
                "COP: fund it at Wompi, or pay less",
                field="amount",
            )
        return found[0]

    async def _resolved(
        self, wompi: Wompi, key: str, kind: KeyType | None, field: str
    ) -> ResolvedKey:
        argument = field.partition(".")[0]
        check_key(key, kind, field)
        try:
            found = await wompi.resolve_key(key, kind or "")
        except Rejected as refused:
            raise Invalid(f"{field}: {refused}", field=argument) from None
        if found is None:
            raise Invalid(
                f"{field}: no account has this Bre-B key: ask its owner for the right one",
                field=argument,
            )
        return found

    async def resolve_key(self, key: str, kind: KeyType | None = None) -> ResolvedKey:
        """Whose a Bre-B key is, as far as Wompi shows it; nothing is paid.

        Raises:
            Invalid: it is no key, nobody's, or not active. Unavailable.
        """
        return await self._resolved(await self._ledger.wompi(), key, kind, "key")

    async def banks(self) -> list[PayoutBank]:
        """The banks that can be paid into; `Unavailable` when they cannot be asked for."""
        return await self._banks(await self._ledger.wompi())

    async def accounts(self) -> list[FundingAccount]:
        """The tenant's own accounts that pay, with their balances."""
        return await (await self._ledger.wompi()).accounts()

    # reading ----------------------------------------------------------------------------------

    async def get(self, id_: str) -> Payout:
        """One payout; `NotFound` when absent, or another tenant's."""
        return await self._ledger.shown(await self._ledger.row(id_))

    async def by_name(self, payout_id: str) -> Payout:
        """The last attempt of a name, in the environment of the keys in force; or `NotFound`."""
        environment = (await self._ledger.wompi()).account.environment
        row = await self._ledger.book.last(payout_id, environment)
        if row is None:
            raise NotFound("no payout of this name", field="payout_id")
        return await self._ledger.shown(row)

    async def recent(
        self,
        status: Status | None = None,
        payout_id: str | None = None,
        after: tuple[int, str] | None = None,
        most: int = 50,
    ) -> list[Payout]:
        """At most `most` payouts, newest first, behind a `(created_at, id)`."""
        rows = await self._ledger.book.recent(status, payout_id, after, most)
        cipher = await self._ledger.cipher()
        return [read(row, cipher) for row in rows]

    # what becomes of it -----------------------------------------------------------------------

    async def cancel(self, id_: str) -> Payout:
        """Give up a payout of which nothing was sent yet. Again: as it stands.

        Raises:
            NotFound. Conflict: it was or may have been sent; Wompi takes none back.
        """
        row = await self._ledger.row(id_)
        if row.state == tables.CANCELLED:
            return await self._ledger.shown(row)
        if not await self._ledger.book.end(id_, tables.CANCEL):
            raise Conflict(
                "this payout was sent, or may have been: nothing takes it back; ask the "
                "beneficiary to return it",
                field="id",
            )
        return await self._ledger.shown(await self._ledger.row(id_))

    async def reconcile(self, id_: str) -> Payout:
        """Bring it to what the provider has now: the same code for everybody and the sweeper.

        Raises:
            NotFound. Unavailable: the provider cannot be asked. Unconfigured.
        """
        asked = times.now()
        row = await self._reconciler.reconcile(await self._ledger.row(id_))
        if row.state in tables.FINAL:
            await self._ledger.database.write(lambda tx: due.end(tx, KIND, id_, since=asked))
        return await self._ledger.shown(row)

    async def seen_event(self, event: Event) -> list[str]:
        """The payouts that a genuine event is about, by their ids; each is due now.

        Nothing of the event is believed: `reconcile` each of them.
        """
        batch = event.text("payout", "id") or event.text("transaction", "payoutId")
        reference = event.text("payout", "reference")

        async def work(tx: Transaction) -> list[str]:
            known = await tx.all(tables.INTENTS.of_provider, of_provider=batch) if batch else []
            named = (
                await tx.all(tables.INTENTS.of_reference, of_reference=reference)
                if reference
                else []
            )
            now = times.now()
            for row in named:
                if batch:
                    await tx.run(tables.HINT, of=row[0], of_provider=batch[:128], now=now)
            found = list(dict.fromkeys(row[0] for row in (*known, *named)))
            for id_ in found:
                await due.put(tx, KIND, id_, now)
            return found

        return await self._ledger.database.write(work)
