"""The contacts of one tenant."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from unicodedata import combining, normalize

from tause_mcp import times
from tause_mcp.errors import Conflict, Invalid, NotFound, PreconditionFailed
from tause_mcp.tenancy import TenantId

MAX_TAGS = 32


@dataclass(frozen=True, slots=True)
class Contact:
    """One person or company. Times are epoch microseconds; an empty text is absent."""

    id: str
    version: int
    name: str
    email: str
    phone: str
    company: str
    notes: str
    tags: tuple[str, ...]
    created_at: int
    updated_at: int

    @property
    def folded(self) -> str:
        """What a search looks in."""
        texts = (self.name, self.email, self.phone, self.company, self.notes, *self.tags)
        return fold("\n".join(texts))


class Book(Protocol):
    """What a backend does. One book holds every tenant's contacts; `Crm` names the tenant."""

    async def get(self, tenant: TenantId, contact_id: str) -> Contact | None: ...

    async def find(
        self, tenant: TenantId, after: str, limit: int, words: Sequence[str], tag: str | None
    ) -> list[Contact]:
        """Up to `limit` contacts with ids over `after`, in the order of their ids."""
        ...

    async def put(self, tenant: TenantId, contact: Contact, expected: int) -> bool:
        """Store it if the stored version is `expected` (0: none is stored); whether it was."""
        ...

    async def remove(self, tenant: TenantId, contact_id: str) -> bool: ...

    async def forget(self, tenant: TenantId) -> None:
        """Remove all contacts of a deleted tenant; may be asked again."""
        ...


def fold(text: str) -> str:
    """Without case and accents: `Gómez` and `gomez` are the same to a person who searches."""
    return "".join(c for c in normalize("NFKD", text.casefold()) if not combining(c))


class Crm:
    """One tenant's contacts."""

    def __init__(
        self, tenant: TenantId, book: Book, changed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._tenant = tenant
        self._book = book
        self._changed = changed

    async def create(self, fields: Mapping[str, str], tags: Iterable[str]) -> Contact:
        now = times.now()
        contact_id = f"{now:014x}{secrets.token_hex(4)}"
        empty = dict.fromkeys(("name", "email", "phone", "company", "notes"), "")
        told: dict[str, Any] = {**empty, **fields, "tags": _tags(tags)}
        contact = Contact(id=contact_id, version=1, created_at=now, updated_at=now, **told)
        if not await self._book.put(self._tenant, contact, 0):
            raise Conflict("this contact exists already: call again")
        return contact

    async def get(self, contact_id: str) -> Contact:
        contact = await self._book.get(self._tenant, contact_id)
        if contact is None:
            raise NotFound("no such contact", field="id")
        return contact

    async def find(
        self, query: str = "", tag: str | None = None, after: str | None = None, limit: int = 50
    ) -> list[Contact]:
        """Contacts that hold every word of the query, oldest first."""
        words = fold(query).split()
        wanted = None if tag is None else _tags([tag])[0]
        return await self._book.find(self._tenant, after or "", limit, words, wanted)

    async def update(
        self, contact_id: str, fields: Mapping[str, str], version: int | None = None
    ) -> Contact:
        """Change the given fields; an empty text clears one.

        Raises:
            PreconditionFailed: `version` is not the stored one.
        """
        return await self._change(contact_id, version, lambda c: replace(c, **fields))  # type: ignore[arg-type]  # fields of text only

    async def tag(self, contact_id: str, tags: Iterable[str]) -> Contact:
        added = _tags(tags)
        return await self._change(
            contact_id, None, lambda c: replace(c, tags=_tags((*c.tags, *added)))
        )

    async def untag(self, contact_id: str, tags: Iterable[str]) -> Contact:
        gone = _tags(tags)
        return await self._change(
            contact_id, None, lambda c: replace(c, tags=tuple(t for t in c.tags if t not in gone))
        )

    async def delete(self, contact_id: str) -> None:
        if not await self._book.remove(self._tenant, contact_id):
            raise NotFound("no such contact", field="id")
        self._changed(contact_id)

    async def _change(
        self, contact_id: str, version: int | None, change: Callable[[Contact], Contact]
    ) -> Contact:
        for _ in range(8):
            stored = await self.get(contact_id)
            if version is not None and version != stored.version:
                raise PreconditionFailed(
                    f"the contact is at version {stored.version}: read it again", field="version"
                )
            changed = change(stored)
            if changed == stored:
                return stored
            changed = replace(changed, version=stored.version + 1, updated_at=times.now())
            if await self._book.put(self._tenant, changed, stored.version):
                self._changed(contact_id)
                return changed
        raise Conflict("others keep changing this contact: call again")


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without case, spaces around or repetition, in order."""
    cleaned = tuple(sorted({tag.strip().casefold() for tag in tags}))
    if "" in cleaned:
        raise Invalid("a tag has at least one letter", field="tags")
    if len(cleaned) > MAX_TAGS:
        raise Invalid(f"a contact has at most {MAX_TAGS} tags", field="tags")
    return cleaned
