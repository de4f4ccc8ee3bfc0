"""The doors of payments: the payer's page, and Wompi's events."""

from tause_mcp.capability import Route
from tause_mcp.routes._pay import PayPage
from tause_mcp.routes._wompi_events import WompiEvents

pay = Route(fn=PayPage, path="/pay/{id}", methods=("GET", "POST"), tool="payments_get")
wompi_events = Route(
    fn=WompiEvents, path="/webhooks/wompi/{tenant_id}", methods=("POST",), exempt="webhook"
)
