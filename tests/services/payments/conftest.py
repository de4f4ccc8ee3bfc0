"""A ledger over a database of its own, and a provider in memory whose every answer can get lost."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.ciphers import ciphers
from tests.support.rows import make_file

from tause_mcp import times
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.due import Due, Sweep, provider_due
from tause_mcp.outbound.wompi import (
    Account,
    Bank,
    Charge,
    Link,
    Merchant,
    NewLink,
    NotSent,
    ReferenceUsed,
    Refused,
    Source,
    StaleTerms,
    Terms,
    Transaction,
    Uncertain,
    Wompi,
)
from tause_mcp.sealing import Seal
from tause_mcp.services.payments import (
    KINDS,
    Links,
    Reconciling,
    Schedules,
    Sources,
    sending,
    tables,
)
from tause_mcp.services.payments.by_link import LinkPayments
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.record import Row, names
from tause_mcp.services.payments.service import Payments
from tause_mcp.services.payments.values import Acceptance, Customer, Method
from tause_mcp.services.payments.values import Terms as Shown
from tause_mcp.tenancy import TenantId

A, B = TenantId("ta"), TenantId("tb")
KEY = "pub_test_fake"
ANA = Customer("ana@example.com", "Ana Pérez", "3001234567", "CC", "1020304050")
CARD, PSE = Method("card", token="tok_test_1_abc"), Method("pse", "1", "natural")
NEQUI, CHECKOUT = Method("nequi", phone="3991111111"), Method("checkout")
YES = Acceptance("2026-11-27T10:00:00Z", "call 17")
SHOWN = Shown("https://w/policy", "https://w/data")
BANKS = {"1": "Banco que aprueba", "2": "Banco que declina"}


def account(environment: str = "test", key: str = KEY) -> Account:
    return Account(
        key.replace("test", environment),
        "prv",
        f"{environment}_integrity_x",
        (f"{environment}_events_x",),
        "https://sandbox.example/v1",
        "https://checkout.example",
    )


@dataclass
class Provider:
    """What Wompi knows, whoever asks. References are unique; a token of terms is good once."""

    transactions: dict[str, Transaction] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    """The references that were posted, refused ones too."""
    voids: list[tuple[str, int]] = field(default_factory=list)
    parts_end_it: bool = False
    """A payment of which a part was voided is shown as voided."""
    mute: bool = False
    """Voids are answered with no body."""
    faults: dict[str, list[Any]] = field(default_factory=dict)
    """Operation -> what its next calls do: an exception (nothing happens), or "lost" (it happens,
    and the answer does not arrive), or None."""
    tokens: set[str] = field(default_factory=set)
    numbers: Any = field(default_factory=itertools.count)
    links: dict[str, Any] = field(default_factory=dict)

    def fail(self, operation: str, *faults: Any) -> None:
        self.faults.setdefault(operation, []).extend(faults)

    def _fault(self, operation: str) -> bool:
        """Whether the answer is to be lost."""
        waiting = self.faults.get(operation)
        fault = waiting.pop(0) if waiting else None
        if isinstance(fault, BaseException):
            raise fault
        return fault == "lost"

    async def ask(self, operation: str, work: Callable[[], Any]) -> Any:
        await _breathe()
        lost = self._fault(operation)
        result = work()
        await _breathe()
        if lost:
            raise Uncertain("no answer")
        return result

    def refunded(self, transaction_id: str) -> int:
        return sum(amount for of, amount in self.voids if of == transaction_id)

    def charged(self) -> list[Transaction]:
        """What took money."""
        return [t for t in self.transactions.values() if t.status in ("APPROVED", "VOIDED")]

    def pay(self, link_id: str, **told: Any) -> Transaction:
        """Somebody pays by a link."""
        number = next(self.numbers)
        made = Transaction(
            **{
                "id": f"1-1769351602-{number}",
                "status": "APPROVED",
                "reference": f"test_{link_id}_{number}",
                "amount": 500_000,
                "currency": "COP",
                "method": "CARD",
                "merchant_key": KEY,
                "link_id": link_id,
                "email": ANA.email,
                **told,
            }
        )
        self.transactions[made.reference] = made
        return made

    def set(self, reference: str, status: str, **told: Any) -> None:
        of = self.transactions[reference]
        self.transactions[reference] = replace(of, status=status, **told)


async def _breathe() -> None:
    await asyncio.sleep(0)


class Fake(Wompi):
    """`Wompi` over a `Provider` in memory."""

    def __init__(self, provider: Provider, account: Account) -> None:
        self.account = account
        self.provider = provider

    async def merchant(self) -> Merchant:
        def work() -> Merchant:
            number = next(self.provider.numbers)
            return Merchant(
                "1",
                "Tienda",
                self.account.public_key,
                Terms(f"terms{number}", SHOWN.policy_url),
                Terms(f"personal{number}", SHOWN.personal_data_url),
            )

        return await self.provider.ask("merchant", work)

    async def create(self, charge: Charge) -> Transaction:
        provider = self.provider

        def work() -> Transaction:
            provider.posts.append(charge.reference)
            if charge.terms in provider.tokens:
                raise StaleTerms("used")
            provider.tokens.add(charge.terms)
            if charge.reference in provider.transactions:
                raise ReferenceUsed("used")
            made = Transaction(
                f"1-{next(provider.numbers)}",
                "PENDING",
                charge.reference,
                charge.amount,
                charge.currency,
                merchant_key=self.account.public_key,
                source_id=charge.source_id,
            )
            provider.transactions[charge.reference] = made
            return made

        return await provider.ask("create", work)

    async def transaction(self, transaction_id: str) -> Transaction | None:
        known = {t.id: t for t in self.provider.transactions.values()}
        return await self.provider.ask("transaction", lambda: known.get(transaction_id))

    async def by_reference(self, reference: str) -> list[Transaction]:
        found = self.provider.transactions.get(reference)
        return await self.provider.ask("by_reference", lambda: [found] if found else [])

    async def banks(self) -> list[Bank]:
        return await self.provider.ask("banks", lambda: [Bank(*one) for one in BANKS.items()])

    async def create_source(
        self, kind: str, token: str, email: str, terms: str, personal: str
    ) -> Source:
        provider = self.provider

        def work() -> Source:
            if terms in provider.tokens:
                raise StaleTerms("used")
            provider.tokens.add(terms)
            number = next(provider.numbers)
            state = "PENDING" if kind == "nequi" else "AVAILABLE"
            made = Source(number, state, kind.upper(), email, {"last_four": "4242"})
            provider.sources[number] = made
            return made

        return await provider.ask("create_source", work)

    async def source(self, source_id: int) -> Source | None:
        return await self.provider.ask("source", lambda: self.provider.sources.get(source_id))

    async def void_source(self, source_id: int) -> Source | None:
        def work() -> None:
            of = self.provider.sources[source_id]
            self.provider.sources[source_id] = replace(of, status="VOIDED")

        return await self.provider.ask("void_source", work)

    async def create_link(self, new: NewLink) -> Link:
        def work() -> Link:
            id_ = f"lnk{next(self.provider.numbers)}"
            made = Link(
                id_, f"https://checkout.example/l/{id_}", True, new.sku, new.name, new.amount
            )
            self.provider.links[id_] = made
            return made

        return await self.provider.ask("create_link", work)

    async def link(self, link_id: str) -> Link | None:
        return await self.provider.ask("link", lambda: self.provider.links.get(link_id))

    async def close_link(self, link_id: str) -> Link | None:
        def work() -> None:
            self.provider.links[link_id] = replace(self.provider.links[link_id], active=False)

        return await self.provider.ask("close_link", work)

    async def void(self, transaction_id: str, amount: int | None = None) -> Transaction | None:
        def work() -> Transaction | None:
            provider = self.provider
            of = next(t for t in provider.transactions.values() if t.id == transaction_id)
            back = provider.refunded(transaction_id)
            if of.status != "APPROVED" or back + (amount or of.amount) > of.amount:
                raise Refused("not to be voided")
            provider.voids.append((transaction_id, amount or of.amount))
            if amount is None or provider.parts_end_it:
                of = provider.transactions[of.reference] = replace(of, status="VOIDED")
            return None if provider.mute else of

        return await self.provider.ask("void", work)


@dataclass
class Till:
    """The payments of one tenant, and what a test asks of them."""

    database: Database
    provider: Provider = field(default_factory=Provider)
    tenant: TenantId = A
    born: int = 1
    account: Account = field(default_factory=account)
    changes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> TenantDatabase:
        return TenantDatabase(self.database, self.tenant)

    @property
    def ledger(self) -> Ledger:
        async def wompi() -> Wompi:
            return Fake(self.provider, self.account)

        return Ledger(
            self.rows,
            lambda: ciphers().cipher(self.tenant),
            wompi,
            lambda: names(Seal(b"k" * 32), self.tenant, self.born),
            self.changes.append,
            "https://shop.example",
        )

    @property
    def payments(self) -> Payments:
        async def banks(_: Wompi) -> dict[str, str]:
            return BANKS

        return Payments(self.ledger, banks)

    @property
    def sources(self) -> Sources:
        return Sources(self.ledger, self.payments)

    @property
    def schedules(self) -> Schedules:
        return Schedules(self.ledger, self.sources)

    @property
    def links(self) -> Links:
        return Links(self.ledger)

    @property
    def reconciling(self) -> Reconciling:
        by_link = LinkPayments(self.ledger, self.links)
        return Reconciling(self.payments, self.sources, self.schedules, self.links, by_link)

    def sweep(self, only: TenantId | None = None) -> Sweep:
        """The sweeper, with the service in place of the tool."""

        async def run(due: Due) -> None:
            if only in (None, due.tenant):
                await replace(self, tenant=due.tenant).reconciling.reconcile(due.id)

        return Sweep(self.database, KINDS, run)

    async def create(self, order: str = "o1", **told: Any) -> Any:
        """A payment by PSE that the payer has to accept, unless told otherwise."""
        asked = {"amount": 2_490_000, "currency": "COP", "method": PSE, "customer": ANA, **told}
        return await self.payments.create(order, **asked)

    async def sent(self, order: str = "o1", **told: Any) -> Any:
        """The same sent at once, with the payer's recorded acceptance."""
        return await self.create(order, **{"acceptance": YES, "method": CARD, **told})

    async def accept(self, id_: str) -> Any:
        return await self.payments.accept(id_, SHOWN, "192.0.2.1")

    async def row(self, id_: str) -> Row:
        return await self.ledger.row(id_)

    async def due(self) -> list[tuple[Any, ...]]:
        statement = tables.Statement(
            tables.sa.select(provider_due.c.kind, provider_due.c.id, provider_due.c.due_at).where(
                provider_due.c.tenant_id == tables.TENANT
            )
        )
        return await self.rows.read(lambda tx: tx.all(statement))


def unsent() -> NotSent:
    return NotSent("cannot be reached")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the address of a bank, but where that is the claim."""
    monkeypatch.setattr(sending, "_FOLLOW", (0.0,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.db"
    make_file(path)
    return path


@pytest.fixture
async def till(path: Path) -> AsyncIterator[Till]:
    async with open_database(make_file(path)) as database:
        yield Till(database)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock on by some seconds."""
    moved = [0.0]
    real = times.now
    monkeypatch.setattr(times, "now", lambda: real() + int(moved[0] * times.SECOND))

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move
