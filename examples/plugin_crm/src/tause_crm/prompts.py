"""What a person picks in a host."""

from typing import Annotated

from pydantic import Field

from tause_crm.service import Crm
from tause_mcp.capability import prompt


async def _names(crm: Crm, typed: str) -> list[str]:
    return [contact.name for contact in await crm.find(typed, limit=20)]


@prompt("Follow up with a contact", scope="crm:read", complete={"contact": _names})
def crm_follow_up(
    contact: Annotated[str, Field(max_length=200, description="Name or id.")],
    purpose: Annotated[str, Field(max_length=500)] = "stay in touch",
) -> str:
    """Prepare the next message to a contact."""
    return (
        f"Find the contact {contact!r} with crm_search or crm_get and read the notes and tags. "
        f"Draft a short, personal message to: {purpose}. Write it in the language of the notes, "
        "state no fact that is not in the contact, and show it to me before anything is sent."
    )
