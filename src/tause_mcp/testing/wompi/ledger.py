"""What payouts keep: the account that pays, its banks and its batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Line:
    """One transaction of a batch."""

    id: str
    sent: dict[str, Any]
    bank: dict[str, Any] | None
    outcome: str
    status: str = "PENDING"
    applied_at: float | None = None


@dataclass(slots=True)
class Batch:
    """A payout."""

    id: str
    version: str
    sent: dict[str, Any]
    created_at: float
    starts_at: float
    lines: list[Line]
    status: str = "PENDING"
    polls: int = 0

    @property
    def amount(self) -> int:
        return sum(line.sent["amount"] for line in self.lines)


@dataclass(slots=True)
class Ledger:
    """The account that pays, and every batch."""

    account: str
    balance: int
    banks: list[dict[str, Any]]
    batches: dict[str, Batch] = field(default_factory=dict)
    keys: dict[str, float] = field(default_factory=dict)
    """Idempotency keys, and when each was used."""
    accounts_updated: float = 0.0


def opened(balance: int, uuid: Callable[[], str]) -> Ledger:
    """An empty one. Ids come of the seed."""
    names = {
        "1007": "BANCOLOMBIA",
        "1051": "DAVIVIENDA",
        "1001": "BANCO DE BOGOTA",
        "1507": "NEQUI",
    }
    banks = [
        {
            "id": uuid(),
            "name": name,
            "code": code,
            "achCode": code,
            "swiftCode": None,
            "allowedForOrigin": name == "BANCOLOMBIA",
            "isElectronicDeposit": name == "NEQUI",
        }
        for code, name in names.items()
    ]
    return Ledger(uuid(), balance, banks)
