"""A contact as a resource."""

from tause_crm.service import Crm
from tause_crm.tools import ContactInfo, shown
from tause_mcp.capability import resource


async def _ids(crm: Crm, typed: str) -> list[str]:
    return [c.id for c in await crm.find(limit=100) if c.id.startswith(typed)]


@resource("crm/contacts/{id}", "A contact", scope="crm:read", complete={"id": _ids})
async def crm_contact(crm: Crm, id: str) -> ContactInfo:  # noqa: A002  # the template's name
    """One contact, as crm_get shows it."""
    return shown(await crm.get(id))
