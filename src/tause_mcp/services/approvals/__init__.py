"""Approvals: stored, single-use records of exact calls that a person answers."""

from tause_mcp.capability import Capability
from tause_mcp.services.approvals.gate import ApprovalGate, Ceiling, unattended
from tause_mcp.services.approvals.record import Record, tenant_of
from tause_mcp.services.approvals.service import ANSWERS, Approvals, Means, Status

CAPABILITY = Capability(
    name="approvals",
    about="what waits for a person's yes before money, erasure or sending to many",
    words="approve confirm consent permission aprobar aprobaciones autorizar confirmar permiso",
    services={Approvals: lambda binding: Approvals(binding.database, binding.cipher)},
    modules=(),
)

__all__ = [
    "ANSWERS",
    "CAPABILITY",
    "ApprovalGate",
    "Approvals",
    "Ceiling",
    "Means",
    "Record",
    "Status",
    "tenant_of",
    "unattended",
]
