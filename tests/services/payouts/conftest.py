"""A ledger of payouts over a database of its own, and a local Wompi on a real socket."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.ciphers import ciphers
from tests.support.outbound import trusting
from tests.support.rows import make_file

from tause_mcp import times
from tause_mcp.database import TENANT, Database, Statement, TenantDatabase, open_database
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import Payouts as Wompi
from tause_mcp.outbound.wompi import PayoutsAccount
from tause_mcp.sealing import Seal
from tause_mcp.services.payouts import Payouts, tables
from tause_mcp.services.payouts.account import Shelf
from tause_mcp.services.payouts.ledger import Ledger
from tause_mcp.services.payouts.record import Row, names
from tause_mcp.services.payouts.values import Beneficiary, Order
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.wompi import Sandbox, running

A, B = TenantId("ta"), TenantId("tb")
ANA = Beneficiary(
    name="Ana Pérez",
    document_type="CC",
    document="1020304050",
    bank_code="1007",
    account_type="savings",
    account_number="12345678901",
)
KEY = Beneficiary(key="ecolon@wompi.com", key_type="mail")
POST = "POST /payouts/v?/payouts"
LIST = "GET /payouts/v1/payouts"
READ = "GET /payouts/v?/payouts/*"
RESOLVE = "GET /payouts/v2/breb/*"


def order(name: str = "nomina-1", **changed: Any) -> Order:
    return Order(**{"payout_id": name, "amount": 7_500_000, "beneficiary": ANA, **changed})


@dataclass
class Desk:
    """The payouts of one tenant, and what a test asks of them."""

    database: Database
    sandbox: Sandbox
    client: Outbound
    url: str
    tenant: TenantId = A
    principal: str = ""
    shelves: list[Shelf] = field(default_factory=list)

    @property
    def account(self) -> PayoutsAccount:
        keys = self.sandbox.keys
        principal = self.principal or keys.payouts_principal
        return PayoutsAccount(keys.payouts_api, principal, "test", self.url, (keys.payouts_events,))

    @property
    def rows(self) -> TenantDatabase:
        return TenantDatabase(self.database, self.tenant)

    @property
    def ledger(self) -> Ledger:
        async def wompi() -> Wompi:
            return Wompi(self.account, self.client)

        return Ledger(
            self.rows,
            lambda: ciphers().cipher(self.tenant),
            wompi,
            lambda: names(Seal(b"k" * 32), self.tenant, 1),
        )

    @property
    def payouts(self) -> Payouts:
        if not self.shelves:
            self.shelves.append(Shelf(self.client))
        return Payouts(self.ledger, self.shelves[0].banks)

    def of(self, tenant: TenantId) -> "Desk":
        return replace(self, tenant=tenant)

    async def create(self, name: str = "nomina-1", *, retry: bool = False, **changed: Any) -> Any:
        return await self.payouts.create(order(name, **changed), retry=retry)

    async def row(self, id_: str) -> Row:
        return await self.ledger.row(id_)

    @property
    def batches(self) -> list[Any]:
        """What Wompi was asked to pay, and took."""
        return list(self.sandbox.state.ledger.batches.values())

    @property
    def balance(self) -> int:
        return self.sandbox.state.ledger.balance

    def end(self, status: str) -> None:
        """Every batch that is open ends so."""
        for batch in self.batches:
            if batch.status == "PENDING":
                self.sandbox.decide(batch.id, status)

    async def due(self) -> list[tuple[Any, ...]]:
        from tause_mcp.due import provider_due as table

        statement = Statement(
            tables.sa.select(table.c.kind, table.c.id, table.c.due_at).where(
                table.c.tenant_id == TENANT
            )
        )
        return await self.rows.read(lambda tx: tx.all(statement))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    sandbox = Sandbox(resolve_after="manual")
    async with (
        running(sandbox) as served,
        trusting() as client,
        open_database(make_file(tmp_path / "rows.db")) as database,
    ):
        yield Desk(database, sandbox, client, served.payouts_url)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move our clock on by some seconds."""
    moved = [0.0]
    real = times.now
    monkeypatch.setattr(times, "now", lambda: real() + int(moved[0] * times.SECOND))

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move
