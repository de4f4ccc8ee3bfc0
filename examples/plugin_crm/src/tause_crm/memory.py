"""Contacts kept until the process ends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tause_crm.service import Contact
from tause_mcp.tenancy import TenantId


class MemoryBook:
    """`Book` in a dictionary; no call waits, so none comes between another's steps."""

    def __init__(self) -> None:
        self._kept: dict[TenantId, dict[str, Contact]] = {}

    async def get(self, tenant: TenantId, contact_id: str) -> Contact | None:
        return self._kept.get(tenant, {}).get(contact_id)

    async def find(
        self, tenant: TenantId, after: str, limit: int, words: Sequence[str], tag: str | None
    ) -> list[Contact]:
        mine = self._kept.get(tenant, {})
        fitting = (
            mine[contact_id]
            for contact_id in sorted(mine)
            if contact_id > after
            and (tag is None or tag in mine[contact_id].tags)
            and all(word in mine[contact_id].folded for word in words)
        )
        return [contact for contact, _ in zip(fitting, range(limit), strict=False)]

    async def put(self, tenant: TenantId, contact: Contact, expected: int) -> bool:
        mine = self._kept.setdefault(tenant, {})
        stored = mine.get(contact.id)
        if (stored.version if stored else 0) != expected:
            return False
        mine[contact.id] = contact
        return True

    async def remove(self, tenant: TenantId, contact_id: str) -> bool:
        return self._kept.get(tenant, {}).pop(contact_id, None) is not None

    async def forget(self, tenant: TenantId) -> None:
        self._kept.pop(tenant, None)


@asynccontextmanager
async def open_book(url: str) -> AsyncIterator[MemoryBook]:
    yield MemoryBook()
