"""The Python client.

import tause_mcp.client as ts
ts.colombia.validate_nit("800197268-4")  # True, without a server
await ts.payments.create_pse_payment(50_000, "ana@example.com", "1007", reference="A-17")
"""

from tause_mcp.client import colombia, payments
from tause_mcp.client.connection import Connection, call, configure

__all__ = ["Connection", "call", "colombia", "configure", "payments"]
