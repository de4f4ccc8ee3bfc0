"""JSON documents in collections, for one tenant."""

from tause_mcp.capability import Binding, Capability
from tause_mcp.database import TenantDatabase
from tause_mcp.services.database.conditions import canonical
from tause_mcp.services.database.definition import Definition
from tause_mcp.services.database.documents import Document
from tause_mcp.services.database.migrating import Migrated, Migrations
from tause_mcp.services.database.service import Collections
from tause_mcp.services.database.tables import USAGE

LIMIT = "rows"
"""The tenant's limit of documents."""


def _collections(binding: Binding) -> Collections:
    tenant, events = binding.tenant, binding.events
    return Collections(
        binding.database,
        binding.cipher,
        limit=lambda: binding.limit(LIMIT),
        changed=lambda name, one: events.resource_updated(tenant, f"database/{name}/{one}"),
        reshaped=lambda: events.resources_changed(tenant),
    )


async def _rows(database: TenantDatabase) -> int:
    row = await database.first(USAGE)
    return int(row[0]) if row else 0


CAPABILITY = Capability(
    name="database",
    about="keep and find JSON documents in collections",
    words="base de datos coleccion documento registro tabla consulta buscar insertar guardar "
    "database collection document record row table query search insert json schema",
    services={
        Collections: _collections,
        Migrations: lambda binding: Migrations(
            binding.service(Collections), binding.caller.subject
        ),
    },
    modules=(),
    gauges={LIMIT: _rows},
)

__all__ = [
    "CAPABILITY",
    "LIMIT",
    "Collections",
    "Definition",
    "Document",
    "Migrated",
    "Migrations",
    "canonical",
]
