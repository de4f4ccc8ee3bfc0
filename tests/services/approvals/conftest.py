"""A database of its own for each test, and a gate over it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.ciphers import approvals_of, ciphers
from tests.support.rows import make_file

from tause_mcp.capability import Consent, Tool
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.pipeline import Approval, Invocation, digest_of
from tause_mcp.services.approvals import ApprovalGate, Approvals
from tause_mcp.tenancy import Caller, Scopes, TenantId

A, AB = TenantId("ta"), TenantId("tab")


def caller(tenant: TenantId = A, subject: str = "key:agent", *scopes: str) -> Caller:
    return Caller(subject, tenant, Scopes(frozenset(scopes or ("payments:write",))))


async def payments_create(order: str, amount: int = 5) -> dict[str, str]:
    """Charge an order."""
    return {"order": order}


PAY = compile_operation(Tool(payments_create, "Charge", "payments:write"), "payments", frozenset())


@dataclass
class House:
    """A gate, and what a test asks of it."""

    database: Database
    ttl: int = 60
    ceilings: dict[tuple[TenantId, str], int] = field(default_factory=dict)

    @property
    def gate(self) -> ApprovalGate:
        async def ceiling(tenant: TenantId, currency: str) -> int | None:
            return self.ceilings.get((tenant, currency))

        return ApprovalGate(
            self.database, self, lambda t, i: f"https://h/approvals/{i}", ceiling, ciphers()
        )

    @property
    def approval_ttl(self) -> int:
        return self.ttl

    def of(self, tenant: TenantId = A) -> Approvals:
        return approvals_of(TenantDatabase(self.database, tenant))

    async def settle(
        self,
        who: Caller | None = None,
        arguments: dict[str, Any] | None = None,
        consent: Consent = Consent("Charge o1"),  # noqa: B008  # a frozen value
        operation: Operation = PAY,
        **call: Any,
    ) -> Approval:
        arguments = arguments if arguments is not None else {"order": "o1"}
        made = Invocation(who or caller(), arguments, **call)
        return await self.gate.settle(
            made, operation, digest_of(operation.name, arguments), consent
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.db"
    make_file(path)
    return path


@pytest.fixture
async def house(path: Path) -> AsyncIterator[House]:
    async with open_database(make_file(path)) as database:
        yield House(database)
