"""Secrets kept for one tenant, wherever the operator keeps them."""

from typing import Any

from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.services.secrets import tables  # whatever the source: the table exists
from tause_mcp.services.secrets.service import Secrets
from tause_mcp.services.secrets.sources import FACTORIES, Ground, Source
from tause_mcp.services.secrets.values import Secret, SecretInfo
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId


def _url(settings: Settings) -> str:
    return settings.secrets_url or "database://"


def _secrets(binding: Binding) -> Secrets:
    source: Source = binding.backend("secrets")
    return Secrets(source.of(Ground(binding.tenant, binding.database, binding.cipher)))


async def _ended(platform: Any, tenant: TenantId) -> None:
    source: Source = platform.backends["secrets"]
    await source.end(tenant)


CAPABILITY = Capability(
    name="secrets",
    about="keep passwords and keys that other tools use by secret://name and nobody reads",
    words="secreto secretos clave contraseña credencial ficha rotar password credential token "
    "api key vault kms",
    services={Secrets: _secrets},
    modules=(),
    backends=Backends(default=_url, factories=FACTORIES, group="tause_mcp.secret_sources"),
    on_delete=_ended,
)

__all__ = ["CAPABILITY", "Secret", "SecretInfo", "Secrets", "Source", "tables"]
