"""Contacts: a capability of tause-mcp from outside its house."""

import os
from typing import Any

from tause_crm import prompts, resources, tools
from tause_crm.service import Book, Contact, Crm
from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId


def _url(settings: Settings) -> str:
    """`CRM_URL`, else a file in the home. `TAUSE_*` names belong to the house."""
    return os.environ.get("CRM_URL") or f"sqlite://{settings.at_home('crm.db')}"


def _crm(binding: Binding) -> Crm:
    def changed(contact_id: str) -> None:
        binding.events.resource_updated(binding.tenant, f"crm/contacts/{contact_id}")

    return Crm(binding.tenant, binding.backend("crm"), changed)


async def _gone(platform: Any, tenant: TenantId) -> None:
    await platform.backends["crm"].forget(tenant)


CAPABILITY = Capability(
    name="crm",
    about="the tenant's customers and contacts",
    words="cliente contacto persona empresa etiqueta agenda ventas customer lead person company sales",
    services={Crm: _crm},
    modules=(tools, resources, prompts),
    backends=Backends(default=_url, factories={"memory": "tause_crm.memory:open_book"}),
    on_delete=_gone,
)

__all__ = ["CAPABILITY", "Book", "Contact", "Crm"]
