"""The one guarded, retrying HTTP client for everything that a tenant can point somewhere."""

from tause_mcp.outbound.addresses import Unreached
from tause_mcp.outbound.answer import Answer
from tause_mcp.outbound.client import Credential, Outbound, Policy
from tause_mcp.outbound.paths import expand

__all__ = ["Answer", "Credential", "Outbound", "Policy", "Unreached", "expand"]
