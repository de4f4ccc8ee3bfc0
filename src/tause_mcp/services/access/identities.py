"""What is stored about callers, for the verifier (`auth.Identities`)."""

from collections.abc import Mapping
from typing import Protocol

from tause_mcp import times
from tause_mcp.auth import KeyRecord
from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.services.access import tables
from tause_mcp.services.access.scopes import held, of_role
from tause_mcp.services.access.values import LOCAL, listed
from tause_mcp.shared import DatabaseOnce, Once
from tause_mcp.tenancy import Scopes, TenantId


class Tenancies(Protocol):
    """What is known of tenants themselves."""

    async def active_since(self, tenant: TenantId) -> float | None:
        """When it was created (epoch seconds); None when it is absent or suspended."""
        ...


class StoredIdentities:
    """`auth.Identities` over the tables. A database that is down raises: nobody enters."""

    def __init__(self, database: Database, tenancies: Tenancies, once: Once | None = None) -> None:
        self._database = database
        self._tenancies = tenancies
        self._once = once or DatabaseOnce(database)

    async def key(self, tenant: TenantId, key_id: str) -> KeyRecord | None:
        """A key with what it holds now: its own scopes, and the roles its principal was given."""

        async def work(tx: Transaction) -> KeyRecord | None:
            given = await _given(tx, tenant, LOCAL, f"key:{key_id}")  # absent costs the same
            row = await tx.first(tables.PROVE_KEY, of=key_id)
            if row is None:
                return None
            digest, role, own, role_scopes, toolsets, expires_at, revoked_at = row
            return KeyRecord(
                digest=bytes(digest),
                scopes=held(role, own, role_scopes) | given,
                expires_at=None if expires_at is None else expires_at / times.SECOND,
                revoked=revoked_at is not None,
                toolsets=listed(toolsets),
            )

        return await TenantDatabase(self._database, tenant).read(work)

    async def active_since(self, tenant: TenantId) -> float | None:
        return await self._tenancies.active_since(tenant)

    async def scopes_of(
        self, tenant: TenantId, issuer: str, subject: str, roles: tuple[str, ...]
    ) -> Scopes:
        """What `roles`, built in or the tenant's own, and the stored assignments give."""

        async def work(tx: Transaction) -> frozenset[str]:
            found = await _given(tx, tenant, issuer, subject)
            for role in roles:
                row = await tx.first(tables.GET_ROLE, of=role)
                found |= of_role(role, row[0] if row else None)
            return found

        return Scopes(await TenantDatabase(self._database, tenant).read(work))

    async def grants_of(
        self, tenant: TenantId, issuer: str, subject: str
    ) -> Mapping[TenantId, Scopes]:
        """The other tenants, active since before the grant, that stored grants open."""

        async def work(tx: Transaction) -> list[tuple[str, str, str | None, int]]:
            rows = await tx.all(
                tables.GRANTS,
                of_home=tenant,
                of_issuer=issuer,
                of_subject=subject,
                now=times.now(),
            )
            return [(row[0], row[1], row[2], row[3]) for row in rows]

        granted: dict[TenantId, frozenset[str]] = {}
        for where, role, stored, created_at in await self._database.read(None, work, house=True):
            other = TenantId(where)
            since = await self._tenancies.active_since(other)
            if since is not None and created_at / times.SECOND >= since:
                granted[other] = granted.get(other, frozenset()) | of_role(role, stored)
        return {other: Scopes(scopes) for other, scopes in granted.items() if scopes}

    async def spend(self, assertion: str, *, issued: float, until: float) -> bool:
        """Record a single-use assertion until an epoch second; False when it was known."""
        return await self._once.spend(assertion, issued=issued, until=until)


async def _given(tx: Transaction, tenant: TenantId, issuer: str, subject: str) -> frozenset[str]:
    """The scopes of the roles that a principal of the tenant was given in it."""
    rows = await tx.all(
        tables.ASSIGNED,
        of_home=tenant,
        of_issuer=issuer,
        of_subject=subject,
        now=times.now(),
    )
    return frozenset().union(*(of_role(role, stored) for role, stored in rows))
