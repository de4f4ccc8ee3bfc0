"""Access: the keys, roles and assignments of a tenant, and what they prove."""

from tause_mcp.capability import Binding, Capability
from tause_mcp.services.access.first import first_key
from tause_mcp.services.access.identities import StoredIdentities, Tenancies
from tause_mcp.services.access.service import DEFAULT_ROLE, Access
from tause_mcp.services.access.values import Assignment, KeyInfo, NewKey, Principal, Role


def _bind(binding: Binding) -> Access:
    return Access(binding.database, binding.caller, binding.credentials, binding.ancestors)


CAPABILITY = Capability(
    name="access",
    about="who may do what: API keys, roles, and what they are given to",
    words="api key token permission scope role user login acceso clave llave permiso rol usuario "
    "quien soy revocar asignar",
    services={Access: _bind},
    modules=(),
)

__all__ = [
    "CAPABILITY",
    "DEFAULT_ROLE",
    "Access",
    "Assignment",
    "KeyInfo",
    "NewKey",
    "Principal",
    "Role",
    "StoredIdentities",
    "Tenancies",
    "first_key",
]
