"""Contacts: create, find, change and tag them."""

from typing import Annotated, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from tause_crm.service import Contact, Crm
from tause_mcp import times
from tause_mcp.capability import CREATE, READ, REMOVE, REPLACE, SET, Pages, tool

Id = Annotated[str, Field(description="The contact's id.", max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Short = Annotated[str | None, Field(max_length=200)]
Notes = Annotated[str | None, Field(max_length=4000)]
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=32)]],
    Field(max_length=32, description="Words such as vip; case does not matter."),
]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str | None, Field(max_length=1024)]


class ContactInfo(TypedDict):
    id: str
    version: int
    name: str
    email: NotRequired[str]
    phone: NotRequired[str]
    company: NotRequired[str]
    notes: NotRequired[str]
    tags: list[str]
    created_at: str
    updated_at: str


class ContactPage(TypedDict):
    items: list[ContactInfo]
    next_cursor: NotRequired[str]


class Deleted(TypedDict):
    id: str
    deleted: bool


@tool("Create a contact", scope="crm:write", hints=CREATE, flagship=True)
async def crm_create(
    crm: Crm,
    name: Name,
    email: Short = None,
    phone: Short = None,
    company: Short = None,
    notes: Notes = None,
    tags: Tags | None = None,
) -> ContactInfo:
    """Create a contact. Look for the person with crm_search first."""
    fields = _given(name=name, email=email, phone=phone, company=company, notes=notes)
    return shown(await crm.create(fields, tags or ()))


@tool("Read a contact", scope="crm:read", hints=READ)
async def crm_get(crm: Crm, id: Id) -> ContactInfo:  # noqa: A002  # the name that callers write
    """Read one contact by its id."""
    return shown(await crm.get(id))


@tool("List contacts", scope="crm:read", hints=READ)
async def crm_list(
    crm: Crm,
    pages: Pages,
    tag: Annotated[str | None, Field(max_length=32, description="Only with this tag.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ContactPage:
    """List contacts, oldest first. Use crm_search when you know a name or a word."""
    found = await crm.find("", tag, pages.position(cursor, tag), limit + 1)
    return cast(ContactPage, pages.page([shown(c) for c in found], limit, lambda c: c["id"], tag))


@tool("Search contacts", scope="crm:read", hints=READ, flagship=True)
async def crm_search(
    crm: Crm,
    pages: Pages,
    query: Annotated[str, Field(min_length=1, max_length=200, description="Words; all must fit.")],
    limit: Limit = 10,
    cursor: Cursor = None,
) -> ContactPage:
    """Find contacts by words of their name, email, phone, company, notes or tags."""
    found = await crm.find(query, None, pages.position(cursor, query), limit + 1)
    return cast(ContactPage, pages.page([shown(c) for c in found], limit, lambda c: c["id"], query))


@tool("Update a contact", scope="crm:write", hints=REPLACE)
async def crm_update(
    crm: Crm,
    id: Id,  # noqa: A002  # the name that callers write
    name: Name | None = None,
    email: Short = None,
    phone: Short = None,
    company: Short = None,
    notes: Notes = None,
    version: Annotated[
        int | None,
        Field(ge=1, le=2**31, description="Refuse when the contact has another version."),
    ] = None,
) -> ContactInfo:
    """Change the fields that you give; an empty text clears one."""
    fields = _given(name=name, email=email, phone=phone, company=company, notes=notes)
    return shown(await crm.update(id, fields, version))


@tool("Delete a contact", scope="crm:write", hints=REMOVE)
async def crm_delete(crm: Crm, id: Id) -> Deleted:  # noqa: A002  # the name that callers write
    """Delete a contact for good."""
    await crm.delete(id)
    return {"id": id, "deleted": True}


@tool("Tag a contact", scope="crm:write", hints=SET)
async def crm_tag(crm: Crm, id: Id, tags: Tags) -> ContactInfo:  # noqa: A002  # as callers write
    """Add tags to a contact."""
    return shown(await crm.tag(id, tags))


@tool("Untag a contact", scope="crm:write", hints=REMOVE)
async def crm_untag(crm: Crm, id: Id, tags: Tags) -> ContactInfo:  # noqa: A002  # as callers write
    """Take tags from a contact."""
    return shown(await crm.untag(id, tags))


def shown(contact: Contact) -> ContactInfo:
    """A contact as callers see it: what is empty is absent."""
    texts = {n: getattr(contact, n) for n in ("name", "email", "phone", "company", "notes")}
    told = {
        "id": contact.id,
        "version": contact.version,
        **{name: text for name, text in texts.items() if text},
        "tags": list(contact.tags),
        "created_at": times.iso(contact.created_at),
        "updated_at": times.iso(contact.updated_at),
    }
    return cast(ContactInfo, told)


def _given(**fields: str | None) -> dict[str, str]:
    return {name: text for name, text in fields.items() if text is not None}
