"""A hash chain per tenant of everything that changed something."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from tause_mcp.capability import Binding, Capability
from tause_mcp.services.audit.chain import Head, Record, Verdict
from tause_mcp.services.audit.service import AuditRecords, Filters, Span
from tause_mcp.services.audit.sweep import run
from tause_mcp.services.audit.trail import ChainedTrail
from tause_mcp.services.audit.verify import verify_lines
from tause_mcp.services.storage import Storage


def _records(binding: Binding) -> AuditRecords:
    async def keep(body: AsyncIterator[bytes]) -> dict[str, Any]:
        key = f"results/audit_export/{uuid4().hex}.ndjson"
        return await binding.service(Storage).keep_file(key, body, "application/x-ndjson")

    return AuditRecords(binding.database, keep)


CAPABILITY = Capability(
    name="audit",
    about="who changed what and when, in a chain that shows tampering",
    words="auditoría auditar registro historial traza evidencia cambios quién cuándo "
    "log history trail evidence who when tamper",
    services={AuditRecords: _records},
    modules=(),
    background=run,
)

__all__ = [
    "CAPABILITY",
    "AuditRecords",
    "ChainedTrail",
    "Filters",
    "Head",
    "Record",
    "Span",
    "Verdict",
    "verify_lines",
]
