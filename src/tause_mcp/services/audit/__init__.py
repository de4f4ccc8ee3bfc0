"""A hash chain per tenant of everything that changed something."""

from tause_mcp.capability import Capability
from tause_mcp.services.audit.service import AuditRecords
from tause_mcp.services.audit.trail import ChainedTrail
from tause_mcp.services.audit.verify import Head, Record, Verdict, head_line, line_of, verify_lines

CAPABILITY = Capability(
    name="audit",
    about="who changed what and when, in a chain that shows tampering",
    words="auditoría auditar registro historial traza evidencia cambios quién cuándo "
    "log history trail evidence who when tamper",
    services={AuditRecords: lambda binding: AuditRecords(binding.database)},
    modules=(),
)

__all__ = [
    "CAPABILITY",
    "AuditRecords",
    "ChainedTrail",
    "Head",
    "Record",
    "Verdict",
    "head_line",
    "line_of",
    "verify_lines",
]
