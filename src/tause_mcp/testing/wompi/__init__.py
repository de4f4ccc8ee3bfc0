"""A faithful local Wompi, for tests: payments, payouts, webhooks, faults. Nothing leaves loopback.

    from tause_mcp.testing.wompi import Sandbox, running

    sandbox = Sandbox(resolve_after="polls:1,PSE=manual")
    async with running(sandbox) as served:
        served.url, served.base_url, served.payouts_url, served.checkout_url, served.control_url
        sandbox.keys.public, sandbox.keys.private, sandbox.keys.events, sandbox.keys.integrity
        sandbox.webhook_url = "http://127.0.0.1:8000/webhooks/wompi/acme"
        sandbox.webhooks("duplicate")                      # modes of the next events
        sandbox.fail("POST /transactions", "timeout", nth=1, times=1)
        sandbox.decide(transaction_id, "APPROVED")         # what a payer or bank would do
        sandbox.advance(1800); await sandbox.deliver()     # its own time, and what that makes due
        sandbox.transactions, sandbox.creates[reference], sandbox.attempts[reference]
        sandbox.payouts, sandbox.deliveries, sandbox.clear_faults(), sandbox.reset()

`with serving(sandbox) as served` does the same from a thread; `tause-mcp sandbox wompi` from a
process of its own. The control API below `served.control_url` (header `Authorization: Bearer
<sandbox.control_token>`) does what these methods do. See docs/sandbox.md.

It computes its own signatures and checksums and shares no code with the product's client, so that
the two check each other.
"""

from tause_mcp.testing.wompi.config import METHODS, Config, Keys, Merchant
from tause_mcp.testing.wompi.faults import KINDS as FAULTS
from tause_mcp.testing.wompi.outbox import MODES as WEBHOOK_MODES
from tause_mcp.testing.wompi.sandbox import Sandbox
from tause_mcp.testing.wompi.serving import Served, running, serving
from tause_mcp.testing.wompi.store import Transaction

__all__ = [
    "FAULTS",
    "METHODS",
    "WEBHOOK_MODES",
    "Config",
    "Keys",
    "Merchant",
    "Sandbox",
    "Served",
    "Transaction",
    "running",
    "serving",
]
