"""What payments and payouts hear Wompi's events with: an operation of each, in no catalogue."""

from typing import Annotated, Any

from pydantic import Field

from tause_mcp.capability import Resource
from tause_mcp.cards import without_cards
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.outbound.wompi import Event
from tause_mcp.routes._wompi_events import Ear
from tause_mcp.services.payments import Events, Payments
from tause_mcp.services.payouts import PayoutEvents, Payouts

Text = Annotated[str, Field(max_length=200)]


async def payments_hear(
    payments: Payments, reference: Text, transaction: Text, link: Text
) -> list[str]:
    """What a genuine event is about; each is due now, whatever comes after."""
    told = {"reference": reference, "id": transaction, "payment_link_id": link}
    return await payments.seen_event(_event({"transaction": told}))


async def payouts_hear(payouts: Payouts, reference: Text, payout: Text) -> list[str]:
    """The payouts that a genuine event is about; each is due now, whatever comes after."""
    return await payouts.seen_event(_event({"payout": {"reference": reference, "id": payout}}))


def of_payments(platform: Any) -> Ear:
    """`transaction.updated` of the payments API."""
    return Ear(
        "payments",
        Events,
        lambda event: {
            "reference": event.text("transaction", "reference"),
            "transaction": event.text("transaction", "id"),
            "link": event.text("transaction", "payment_link_id"),
        },
        _hearing(platform, payments_hear, "payments"),
        platform.catalog.tools["payments_reconcile"],
    )


def of_payouts(platform: Any) -> Ear:
    """`payout.updated`, and `transaction.updated` of the payouts API."""
    return Ear(
        "payouts",
        PayoutEvents,
        lambda event: {
            "reference": event.text("payout", "reference"),
            "payout": event.text("payout", "id") or event.text("transaction", "payoutId"),
        },
        _hearing(platform, payouts_hear, "payouts"),
        platform.catalog.tools["payouts_reconcile"],
    )


def _hearing(platform: Any, fn: Any, capability: str) -> Operation:
    declared = Resource(fn, "", fn.__name__, f"{capability}:write")
    screen = without_cards("reference", "transaction", "payout", "link")  # ids of the provider's
    return compile_operation(declared, capability, frozenset(platform.catalog.services), screen)


def _event(about: dict[str, dict[str, str]]) -> Event:
    return Event("heard", about, environment="", timestamp=0, checksum="", properties=())
