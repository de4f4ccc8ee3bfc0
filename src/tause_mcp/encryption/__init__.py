"""Encryption at rest: master keys wrap each tenant's data key, which seals what the tenant keeps.

ADR 007 says what is sealed, in which formats, and what is not.
"""

from tause_mcp.encryption.house import open_masters, shared_secrets
from tause_mcp.encryption.keys import TenantKeys
from tause_mcp.encryption.masters import Masters

__all__ = ["Masters", "TenantKeys", "open_masters", "shared_secrets"]
