"""Payments in Colombian pesos over Wompi: the same order is the same charge, exactly once.

The services, each bound to one tenant (`binding.service(Payments)`), and what they return:

- `Payments`: `create`, `standing` (what it would return without making anything), `environment`,
  `terms`, `lacking`, `qr_image`, `accept` (the payer, with a `Completion`), `get`, `by_order`, `recent`, `void`,
  `reconcile`, `seen_event` -> `Payment` (`values.py`)
- `Sources`: `save`, `accept` (the payer), `charge` -> `Payment`, `get`, `recent`, `remove`,
  `reconcile` -> `SavedSource`; `Schedules`: `schedule`, `unschedule`, `get`, `recent`, `reconcile`
  -> `Schedule`; `Links`: `create`, `cancel`, `get`, `recent`, `reconcile` -> `PayLink` (`saved.py`)
- `Banks`: `list` -> `outbound.wompi.Bank`, cached for a day
- `Reconciling`: `reconcile(id)` of whatever kind the id is (`pay_`, `src_`, `sch_`, `lnk_`, and
  `wtx_` before Wompi's id of a transaction by a link, which becomes a `Payment`); the
  tool `payments_reconcile` calls it, for everybody and for the sweeper
- `Events`: `secrets()` of the account, for `outbound.wompi.read_event`

Money is an int in cents, times are epoch microseconds. A page of a list begins behind a
`(created_at, id)`. `pay_url` is `{public_url}/pay/{tenant}.{id}` for payments and for sources.
An unattended `Acceptance` is for the caller's face to allow (`payments:unattended`).
"""

from typing import Any

from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.cards import without_cards
from tause_mcp.due import Sweep, by_tool
from tause_mcp.services.payments.account import KEYS, Banks, Shelf, account_of, lacks, wompi_of
from tause_mcp.services.payments.by_link import LinkPayments
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.links import Links
from tause_mcp.services.payments.record import names
from tause_mcp.services.payments.saved import PayLink, SavedSource, Schedule
from tause_mcp.services.payments.schedules import Schedules
from tause_mcp.services.payments.service import Payments
from tause_mcp.services.payments.sources import Sources
from tause_mcp.services.payments.values import (
    Acceptance,
    Completion,
    Customer,
    Method,
    Payment,
    Status,
    Terms,
)
from tause_mcp.services.tenants import TenantDirectory

TOOL = "payments_reconcile"
KINDS = ("payment", "source", "schedule", "link", "transaction")


class Reconciling:
    """Brings anything of payments to the provider's truth, by its id."""

    def __init__(
        self,
        payments: Payments,
        sources: Sources,
        schedules: Schedules,
        links: Links,
        by_link: LinkPayments,
    ) -> None:
        self._of = {"src": sources, "sch": schedules, "lnk": links, "wtx": by_link}
        self._payments = payments

    async def reconcile(self, id_: str) -> Payment | SavedSource | Schedule | PayLink:
        """How it stands now; see the service of its kind.

        Raises:
            NotFound: absent, another tenant's, or no id of payments: all alike.
        """
        service: Any = self._of.get(id_.partition("_")[0], self._payments)
        found: Payment | SavedSource | Schedule | PayLink = await service.reconcile(id_)
        return found


class Events:
    """What the provider's events are checked by."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    async def secrets(self) -> tuple[str, ...]:
        """The account's events secrets; two while one is being rotated.

        Raises:
            Unconfigured.
        """
        return (await account_of(self._binding)).events_secrets


def ledger(binding: Binding) -> Ledger:
    """The ledger of the binding's tenant."""
    tenant = binding.tenant
    return Ledger(
        database=binding.database,
        cipher=binding.cipher,
        wompi=lambda: wompi_of(binding),
        names=lambda: names(
            binding.seal, tenant, binding.shared(TenantDirectory).cached_born(tenant)
        ),
        changed=lambda id_: binding.events.resource_updated(tenant, f"payments/{id_}"),
        public_url=binding.public_url,
    )


def _payments(binding: Binding) -> Payments:
    shelf: Shelf = binding.backend("payments")

    async def names(of: Any) -> dict[str, str]:
        return {bank.code: bank.name for bank in await shelf.banks(of)}

    return Payments(ledger(binding), names)


def _reconciling(binding: Binding) -> Reconciling:
    return Reconciling(
        binding.service(Payments),
        binding.service(Sources),
        binding.service(Schedules),
        binding.service(Links),
        LinkPayments(ledger(binding), binding.service(Links)),
    )


async def _sweep(platform: Any) -> None:
    """Look at what is due, in one replica at a time; two at once do no harm."""
    run = by_tool(platform, dict.fromkeys(KINDS, TOOL), "payments:write")
    sweep = Sweep(platform.database, KINDS, run)
    await platform.shared_state.alone("payments", sweep.forever, ttl=15.0)


CAPABILITY = Capability(
    name="payments",
    about="collect in Colombian pesos over Wompi: PSE, cards, Nequi, links, recurring charges",
    words="pago pagos pagar cobro cobrar recaudo tarjeta pse nequi daviplata bancolombia wompi "
    "enlace suscripción reembolso anular charge card checkout refund subscription",
    services={
        Payments: _payments,
        Sources: lambda b: Sources(ledger(b), b.service(Payments)),
        Schedules: lambda b: Schedules(ledger(b), b.service(Sources)),
        Links: lambda b: Links(ledger(b)),
        Banks: Banks,
        Reconciling: _reconciling,
        Events: Events,
    },
    modules=(),
    backends=Backends(
        default=lambda settings: "wompi://",
        factories={"wompi": "tause_mcp.services.payments.account:open_shelf"},
    ),
    background=_sweep,
    keys=KEYS,
    lacks=lacks,
    screen=without_cards(),
)

__all__ = [
    "CAPABILITY",
    "Acceptance",
    "Banks",
    "Completion",
    "Customer",
    "Events",
    "Links",
    "Method",
    "PayLink",
    "Payment",
    "Payments",
    "Reconciling",
    "SavedSource",
    "Schedule",
    "Schedules",
    "Sources",
    "Status",
    "Terms",
]
