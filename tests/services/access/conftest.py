"""A small tree of tenants, keys with a known pepper, and the verifier's view of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.rows import make_file

from tause_mcp.auth.apikeys import matching, mint, parse
from tause_mcp.auth.identities import KeyRecord
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.services.access import Access, StoredIdentities
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId

PEPPER = b"p" * 32
ACME, SHOP, TILL, OTHER, AC = map(TenantId, ("acme", "shop", "till", "other", "ac"))
PARENTS = {TILL: (SHOP, ACME), SHOP: (ACME,), AC: (ACME,), ACME: (), OTHER: ()}


@dataclass
class House:
    """Access to each tenant, as anyone."""

    database: Database
    since: dict[TenantId, float] = field(default_factory=lambda: dict.fromkeys(PARENTS, 0.0))
    forgotten: list[tuple[TenantId, str | None]] = field(default_factory=list)

    # capability.Credentials

    def mint(self, tenant: TenantId) -> tuple[str, str, bytes]:
        made = mint(tenant, PEPPER)
        return made.id, made.text, made.digest

    def changed(self, tenant: TenantId, credential: str | None = None) -> None:
        self.forgotten.append((tenant, credential))

    @property
    def credentials(self) -> "House":
        return self

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    # access.Tenancies

    async def active_since(self, tenant: TenantId) -> float | None:
        return self.since.get(tenant)

    @property
    def identities(self) -> StoredIdentities:
        return StoredIdentities(self.database, self)

    def of(self, tenant: TenantId = ACME, *scopes: str) -> Access:
        """Access as a caller with these scopes; as the owner without any."""
        held = frozenset(scopes) or ROLES["owner"]
        caller = Caller("key:maker", tenant, Scopes(held))

        async def above() -> tuple[TenantId, ...]:
            return PARENTS[tenant]

        return Access(self.database_of(tenant), caller, self, above)

    async def proven(self, text: str) -> KeyRecord:
        """What the verifier believes of a key's text."""
        tenant, id_ = parse(text)
        return matching(text, await self.identities.key(tenant, id_), PEPPER)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        yield House(database)
