"""The Python client.

import tause_mcp.client as ts
ts.colombia.validate_nit("800197268-4")  # True
"""

from tause_mcp.client import colombia

__all__ = ["colombia"]
