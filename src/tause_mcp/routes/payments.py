"""The doors of payments: the payer's page, and Wompi's events."""

from typing import Any

from tause_mcp.capability import Route
from tause_mcp.routes._pay import PayPage
from tause_mcp.routes._wompi_ears import of_payments, of_payouts
from tause_mcp.routes._wompi_events import WompiEvents


def _events(platform: Any) -> WompiEvents:
    """One door for every capability that Wompi tells something to."""
    return WompiEvents(platform, of_payments, of_payouts)


pay = Route(fn=PayPage, path="/pay/{id}", methods=("GET", "POST"), tool="payments_get")
wompi_events = Route(
    fn=_events, path="/webhooks/wompi/{tenant_id}", methods=("POST",), exempt="webhook"
)
