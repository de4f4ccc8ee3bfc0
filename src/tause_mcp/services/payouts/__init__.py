"""Payouts in Colombian pesos over Wompi: to bank accounts and Bre-B keys, exactly once each.

The services, each bound to one tenant (`binding.service(Payouts)`), and what they return:

- `Payouts`: `create`, `to_approve`, `cancel`, `get`, `by_name`, `recent`, `reconcile`, `seen_event`
  -> `Payout`; `banks`, `accounts`, `resolve_key` (`values.py`)
- `PayoutEvents`: `secrets()` of the account, for `outbound.wompi.read_event`

Money is an int in cents, times are epoch microseconds. One payout pays one beneficiary.
"""

from typing import Any

from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.cards import without_cards
from tause_mcp.due import Sweep, by_tool
from tause_mcp.services.payouts.account import KEYS, Shelf, account, lacks, wompi
from tause_mcp.services.payouts.ledger import KIND, Ledger
from tause_mcp.services.payouts.record import names
from tause_mcp.services.payouts.service import Payouts, Prepared
from tause_mcp.services.payouts.values import Beneficiary, Order, Payout, Status
from tause_mcp.services.tenants import TenantDirectory

TOOL = "payouts_reconcile"


class PayoutEvents:
    """What the provider's events of payouts are checked by."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    async def secrets(self) -> tuple[str, ...]:
        """The account's events secrets; two while one is being rotated, none where none is set.

        Raises:
            Unconfigured.
        """
        return (await account(self._binding)).events_secrets


def ledger(binding: Binding) -> Ledger:
    """The ledger of the binding's tenant."""
    tenant = binding.tenant
    return Ledger(
        database=binding.database,
        cipher=binding.cipher,
        wompi=lambda: wompi(binding),
        names=lambda: names(
            binding.seal, tenant, binding.shared(TenantDirectory).cached_born(tenant)
        ),
    )


def _payouts(binding: Binding) -> Payouts:
    shelf: Shelf = binding.backend("payouts")
    return Payouts(ledger(binding), shelf.banks)


async def _sweep(platform: Any) -> None:
    """Look at what is due, in one replica at a time; two at once do no harm."""
    run = by_tool(platform, {KIND: TOOL}, "payouts:write")
    sweep = Sweep(platform.database, [KIND], run)
    await platform.shared_state.alone("payouts", sweep.forever, ttl=15.0)


CAPABILITY = Capability(
    name="payouts",
    about="pay out Colombian pesos over Wompi: bank accounts and Bre-B keys",
    words="pago pagar proveedores nómina dispersión transferencia giro llave bre-b cuenta bancaria "
    "terceros wompi payroll supplier transfer send money beneficiary",
    services={Payouts: _payouts, PayoutEvents: PayoutEvents},
    modules=(),
    backends=Backends(
        default=lambda settings: "wompi://",
        factories={"wompi": "tause_mcp.services.payouts.account:open_shelf"},
    ),
    background=_sweep,
    keys=KEYS,
    lacks=lacks,
    screen=without_cards(accounts=("account_number", "document", "key")),
)

__all__ = [
    "CAPABILITY",
    "Beneficiary",
    "Order",
    "Payout",
    "PayoutEvents",
    "Payouts",
    "Prepared",
    "Status",
]
