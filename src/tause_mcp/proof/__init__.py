"""`tause-mcp prove`: an operator's proof that the running deployment holds, with its plugins.

Everything happens in tenants that are made for it and deleted afterwards, whatever happens. The
server is reached over HTTP as any caller reaches it; this process opens the same house beside it,
with the same settings and home, to make those tenants and to compare what they have.
"""

from tause_mcp.proof.findings import Check, Proof
from tause_mcp.proof.report import markdown, signed, verified
from tause_mcp.proof.run import NAMES, Options, prove

__all__ = ["NAMES", "Check", "Options", "Proof", "markdown", "prove", "signed", "verified"]
