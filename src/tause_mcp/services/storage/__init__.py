"""Objects kept for one tenant."""

from dataclasses import replace
from typing import Any

from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.database import TenantDatabase
from tause_mcp.services.storage.backends import FACTORIES, ObjectStore, open_store
from tause_mcp.services.storage.blobs import Blobs
from tause_mcp.services.storage.links import Links
from tause_mcp.services.storage.local import LocalFiles
from tause_mcp.services.storage.objects import ObjectInfo, SignedUrl, StoredObject, Usage
from tause_mcp.services.storage.reconcile import Reconciler, Report
from tause_mcp.services.storage.service import ANY, Conditions, Storage
from tause_mcp.services.storage.sweep import Sweep
from tause_mcp.services.storage.tables import USAGE
from tause_mcp.services.storage.uploads import Upload, Uploads
from tause_mcp.settings import Settings
from tause_mcp.supervision import Aside
from tause_mcp.tenancy import Scopes

LIMIT = "storage"
"""The tenant's limit of stored bytes."""


def _url(settings: Settings) -> str:
    return settings.storage_url or f"file://{settings.at_home('objects')}"


def _storage(binding: Binding) -> Storage:
    # Blobs plan and discard apart from the call's own transaction and its audit entry.
    blobs = Blobs(
        binding.database_of(binding.tenant),
        binding.backend("storage"),
        binding.cipher,
        binding.shared(Aside),
    )
    return Storage(
        binding.database,
        blobs,
        limit=lambda: binding.limit(LIMIT),
        max_object=binding.settings.max_upload,
        changed=lambda key: binding.events.resource_updated(binding.tenant, f"storage/{key}"),
        link=lambda key: _result_link(binding, key),
    )


def _result_link(binding: Binding, key: str) -> str:
    """A caller may read its own result, whatever else it may."""
    caller = replace(binding.caller, scopes=Scopes(frozenset({f"storage:read:{key}"})))
    return binding.service(Links).sign(caller, key, expires_in=3600)["url"]


def _uploads(binding: Binding) -> Uploads:
    storage = binding.service(Storage)
    return Uploads(binding.database, storage, storage.blobs)


async def _sweep(platform: Any) -> None:
    sweep = Sweep(platform.database, platform.backends["storage"])
    await platform.shared_state.alone("storage", sweep.run)


async def _stored(database: TenantDatabase) -> int:
    kept, _, reserved = await database.first(USAGE) or (0, 0, 0)
    return int(kept + reserved)


CAPABILITY = Capability(
    name="storage",
    about="keep, find and share files",
    words="archivo archivos fichero carpeta documento guardar descargar subir enlace file folder "
    "object blob bucket upload download share",
    services={
        Storage: _storage,
        Uploads: _uploads,
        Links: lambda binding: Links(binding.seal, binding.public_url),
        LocalFiles: lambda binding: LocalFiles(binding.local_paths),
    },
    modules=(),
    backends=Backends(default=_url, factories=FACTORIES),
    background=_sweep,
    gauges={LIMIT: _stored},
)

__all__ = [
    "ANY",
    "CAPABILITY",
    "LIMIT",
    "Blobs",
    "Conditions",
    "Links",
    "LocalFiles",
    "ObjectInfo",
    "ObjectStore",
    "Reconciler",
    "Report",
    "SignedUrl",
    "Storage",
    "StoredObject",
    "Sweep",
    "Upload",
    "Uploads",
    "Usage",
    "open_store",
]
