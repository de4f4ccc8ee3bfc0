"""A tenant's keys, roles and assignments, as one caller may change them."""

from collections.abc import Awaitable, Callable

import orjson

from tause_mcp import times
from tause_mcp.capability import Credentials
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, QuotaExceeded
from tause_mcp.services.access import scopes as grammar
from tause_mcp.services.access import tables
from tause_mcp.services.access.values import (
    LOCAL,
    Assignment,
    KeyInfo,
    NewKey,
    Principal,
    Role,
)
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId

DEFAULT_ROLE = "developer"
MOST_ROLES = 200
"""Custom roles of one tenant."""
SHOWN_PRINCIPALS = 20
"""Principals told with a role; `assigned` counts them all."""

_END = (2**63 - 1, "")


class Access:
    """Access of one tenant. Nobody gives, in a key or a role, more than they hold."""

    def __init__(
        self,
        database: TenantDatabase,
        caller: Caller,
        credentials: Credentials,
        ancestors: Callable[[], Awaitable[tuple[TenantId, ...]]],
    ) -> None:
        self._database = database
        self.tenant = database.tenant
        self._caller = caller
        self._credentials = credentials
        self._ancestors = ancestors

    # --- keys -------------------------------------------------------------------------------

    async def create_key(
        self,
        name: str = "",
        role: str | None = None,
        scopes: list[str] | None = None,
        toolsets: list[str] | None = None,
        expires_in: int | None = None,
    ) -> NewKey:
        """A new key in a role, with `scopes`, or in a role narrowed to `scopes`.

        Raises:
            Forbidden: it would hold more than its maker. Invalid: scopes outside the role or the
            grammar. NotFound: no such role.
        """
        own = None if scopes is None else grammar.checked(scopes)
        role = DEFAULT_ROLE if role is None and own is None else role
        key_id, text, digest = self._credentials.mint(self.tenant)
        now = times.now()

        async def work(tx: Transaction) -> KeyInfo:
            kept = await self._kept(tx, role, own)
            await tx.run(
                tables.INSERT_KEY,
                id=key_id,
                digest=digest,
                hint=text[-4:],
                name=name,
                role=role,
                scopes=None if kept is None else grammar.told(kept),
                toolsets=None if toolsets is None else orjson.dumps(sorted(set(toolsets))).decode(),
                created_by=self._caller.subject,
                created_at=now,
                expires_at=_until(now, expires_in),
                revoked_at=None,
            )
            return await _key(tx, key_id)

        return NewKey(await self._database.write(work), text)

    async def _kept(
        self, tx: Transaction, role: str | None, own: frozenset[str] | None
    ) -> frozenset[str] | None:
        """The scopes to store with a key, once it is clear that its maker may give them."""
        if role is None:
            grammar.within(self._caller.scopes, own or (), "the key")
            return own
        live = await _role_scopes(tx, role)
        if own is not None and (beyond := [s for s in sorted(own) if not Scopes(live).cover(s)]):
            raise Invalid(f"the role {role!r} does not hold {beyond[0]!r}", field="scopes")
        grammar.within(self._caller.scopes, own or live, "the key")
        if own is None and role not in ROLES:
            if grammar.strong(live):
                raise Invalid(
                    f"the role {role!r} holds admin scopes: name in `scopes` those that the key "
                    "gets, so that a person can approve them",
                    field="scopes",
                )
            return live
        return own

    async def keys(self, after: tuple[int, str] | None, most: int) -> list[KeyInfo]:
        """At most `most` keys, newest first, after a `(created_at, id)`; the revoked ones too."""
        before, before_id = after or _END
        rows = await self._database.read(
            lambda tx: tx.all(tables.LIST_KEYS, before=before, before_id=before_id, most=most)
        )
        return [KeyInfo.of(row) for row in rows]

    async def revoke_key(self, key_id: str) -> KeyInfo:
        """End a key, for good and at once; again, the same answer.

        Raises:
            NotFound: absent, or another tenant's.
        """

        async def work(tx: Transaction) -> KeyInfo:
            await tx.run(tables.REVOKE_KEY, of=key_id, now=times.now())
            return await _key(tx, key_id)

        revoked = await self._database.write(work)
        self._credentials.changed(self.tenant, key_id)
        return revoked

    # --- roles ------------------------------------------------------------------------------

    async def define_role(self, name: str, scopes: list[str]) -> Role:
        """Define a role of the tenant, or define it anew: all who hold it hold this from now on.

        Raises:
            Conflict: the name is a built-in role's. Forbidden: more than the caller holds.
        """
        if name in ROLES:
            raise Conflict(f"{name!r} is built in: choose another name", field="name")
        given = grammar.checked(scopes)
        grammar.within(self._caller.scopes, given, "the role")

        async def work(tx: Transaction) -> Role:
            count = await tx.first(tables.COUNT_ROLES)
            await tx.run(
                tables.PUT_ROLE, name=name, scopes=grammar.told(given), updated_at=times.now()
            )
            after = await tx.first(tables.COUNT_ROLES)
            if count and after and count[0] < after[0] > MOST_ROLES:
                raise QuotaExceeded(f"a tenant has at most {MOST_ROLES} roles: remove one first")
            return Role(name, tuple(sorted(given)), built_in=False)

        role = await self._database.write(work)
        self._credentials.changed(self.tenant)
        return role

    async def roles(self, after: tuple[bool, str] | None, most: int) -> list[Role]:
        """At most `most` roles after a `(custom, name)`: built-in ones first, then by name."""

        async def work(tx: Transaction) -> list[Role]:
            stored = {row[0]: grammar.read(row[1]) for row in await tx.all(tables.LIST_ROLES)}
            known = sorted((name not in ROLES, name) for name in {**ROLES, **stored})
            wanted = [place for place in known if after is None or place > after][:most]
            return [
                await _told(tx, name, stored[name] if custom else ROLES[name], custom)
                for custom, name in wanted
            ]

        return await self._database.read(work)

    async def remove_role(self, name: str) -> None:
        """Remove a role of the tenant.

        Raises:
            Conflict: built in, or still given to a principal or an active key. NotFound: absent.
        """
        if name in ROLES:
            raise Conflict(f"{name!r} is built in and stays", field="name")

        async def work(tx: Transaction) -> None:
            now = times.now()
            if not await tx.run(tables.REMOVE_ROLE, of=name):
                raise _no_role("name")
            keys = await tx.first(tables.KEYS_IN_ROLE, of=name, now=now)
            people = await tx.first(tables.COUNT_IN_ROLE, of=name, now=now)
            if (keys and keys[0]) or (people and people[0]):
                raise Conflict(
                    f"the role {name!r} is in use: unassign it, and revoke the keys made in it",
                    field="name",
                )

        await self._database.write(work)
        self._credentials.changed(self.tenant)

    # --- assignments --------------------------------------------------------------------------

    async def assign_role(
        self, subject: str, role: str, issuer: str = LOCAL, expires_in: int | None = None
    ) -> Assignment:
        """Give a role to a principal of this tenant or, written `tenant/subject`, of one above.

        Raises:
            Forbidden: more than the caller holds. NotFound: no such role, or no tenant above.
        """
        principal = Principal.read(subject, issuer, self.tenant)
        if principal.home != self.tenant and principal.home not in await self._ancestors():
            raise NotFound("no such tenant above this one", field="subject")
        now = times.now()

        async def work(tx: Transaction) -> Assignment:
            given = await _role_scopes(tx, role)
            grammar.within(self._caller.scopes, given, f"the role {role!r}")
            until = _until(now, expires_in)
            await tx.run(
                tables.PUT_ASSIGNMENT,
                **principal._asdict(),
                role=role,
                created_by=self._caller.subject,
                created_at=now,
                expires_at=until,
            )
            return Assignment(principal, role, tuple(sorted(given)), until)

        assigned = await self._database.write(work)
        self._credentials.changed(principal.home)
        return assigned

    async def unassign_role(self, subject: str, role: str, issuer: str = LOCAL) -> Principal:
        """Take a role back.

        Raises:
            NotFound: the principal does not have it.
        """
        principal = Principal.read(subject, issuer, self.tenant)

        async def work(tx: Transaction) -> None:
            removed = await tx.run(
                tables.REMOVE_ASSIGNMENT,
                of_home=principal.home,
                of_issuer=principal.issuer,
                of_subject=principal.subject,
                of=role,
            )
            if not removed:
                raise NotFound("this subject does not have that role here", field="subject")

        await self._database.write(work)
        self._credentials.changed(principal.home)
        return principal


def _until(now: int, expires_in: int | None) -> int | None:
    return None if expires_in is None else now + expires_in * times.SECOND


def _no_role(field: str) -> NotFound:
    return NotFound("no such role: access_list_roles names them", field=field)


async def _role_scopes(tx: Transaction, role: str) -> frozenset[str]:
    if role in ROLES:
        return ROLES[role]
    row = await tx.first(tables.GET_ROLE, of=role)
    if row is None:
        raise _no_role("role")
    return grammar.read(row[0])


async def _key(tx: Transaction, key_id: str) -> KeyInfo:
    row = await tx.first(tables.GET_KEY, of=key_id)
    if row is None:
        raise NotFound("no such key", field="id")
    return KeyInfo.of(row)


async def _told(tx: Transaction, name: str, scopes: frozenset[str], custom: bool) -> Role:
    now = times.now()
    count = await tx.first(tables.COUNT_IN_ROLE, of=name, now=now)
    rows = await tx.all(tables.IN_ROLE, of=name, now=now, most=SHOWN_PRINCIPALS)
    first = tuple((Principal(TenantId(home), *who), until) for home, *who, until in rows)
    return Role(name, tuple(sorted(scopes)), not custom, count[0] if count else 0, first)
