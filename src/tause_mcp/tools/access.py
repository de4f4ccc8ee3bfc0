"""Access: who is calling, API keys, roles, and to whom they are given."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12

from tause_mcp import times
from tause_mcp.capability import CREATE, READ, REMOVE, SET, Consent, Pages, tool
from tause_mcp.services.access import DEFAULT_ROLE, Access, KeyInfo, Principal, Role
from tause_mcp.services.access import scopes as grammar
from tause_mcp.tenancy import ROLES, Caller

_YEARS = 10 * 365 * 86_400

RoleName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_-]{0,39}$",
        description="owner, admin, developer, agent, viewer, or one of the tenant's own.",
    ),
]
ScopeList = Annotated[
    list[Annotated[str, Field(max_length=600)]],
    Field(
        min_length=1,
        max_length=grammar.MOST,
        description="<capability>:<action>[:<part>], as storage:read:reports/*",
    ),
]
Subject = Annotated[
    str,
    Field(
        min_length=1,
        max_length=320,
        description="key:<id> or a token's sub; of a tenant above: <tenant>/<subject>",
    ),
]
Issuer = Annotated[
    str,
    Field(
        min_length=1, max_length=512, description="Who issued the subject's tokens; local for keys."
    ),
]
ExpiresIn = Annotated[int | None, Field(ge=1, le=_YEARS, description="Seconds.")]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str | None, Field(max_length=1024)]


class Identity(TypedDict):
    subject: str
    tenant: str
    home: NotRequired[str]
    scopes: list[str]
    role: NotRequired[str]
    toolsets: NotRequired[list[str]]
    credential: Literal["key", "token", "local"]
    expires_at: NotRequired[str]


class Made(TypedDict):
    id: str
    key: str
    scopes: list[str]
    expires_at: NotRequired[str]


class Key(TypedDict):
    id: str
    name: NotRequired[str]
    hint: str
    status: Literal["active", "expired", "revoked"]
    role: NotRequired[str]
    scopes: list[str]
    toolsets: NotRequired[list[str]]
    created_by: str
    created_at: str
    expires_at: NotRequired[str]
    revoked_at: NotRequired[str]


class KeyPage(TypedDict):
    items: list[Key]
    next_cursor: NotRequired[str]


class Revoked(TypedDict):
    id: str
    status: Literal["active", "expired", "revoked"]
    revoked_at: str


class Holder(TypedDict):
    subject: str
    issuer: str
    expires_at: NotRequired[str]


class RoleInfo(TypedDict):
    name: str
    scopes: list[str]
    built_in: bool
    assigned: int
    subjects: NotRequired[list[Holder]]


class RolePage(TypedDict):
    items: list[RoleInfo]
    next_cursor: NotRequired[str]


class Removed(TypedDict):
    name: str
    removed: bool


class Assigned(TypedDict):
    subject: str
    role: str
    scopes: list[str]
    expires_at: NotRequired[str]


class Unassigned(TypedDict):
    subject: str
    role: str
    removed: bool


_ROLE_OF = {scopes: name for name, scopes in ROLES.items()}


@tool("Who am I", scope="access:read", hints=READ, flagship=True, everyone=True)
async def access_whoami(caller: Caller) -> Identity:
    """Tell which tenant and scopes this connection has. Ask before planning other calls."""
    granted = caller.scopes.granted
    told = Identity(
        subject=caller.subject,
        tenant=caller.tenant,
        scopes=sorted(granted),
        credential=_credential(caller),
    )
    if caller.home is not None:
        told["home"] = caller.home
    if role := _ROLE_OF.get(granted):
        told["role"] = role
    if caller.toolsets is not None:
        told["toolsets"] = list(caller.toolsets)
    if caller.expires_at is not None:
        told["expires_at"] = times.iso(int(caller.expires_at * times.SECOND))
    return told


def _credential(caller: Caller) -> Literal["key", "token", "local"]:
    if caller.credential and caller.subject == f"key:{caller.credential}":
        return "key"
    return "token" if caller.credential or caller.expires_at is not None else "local"


def _wanted(arguments: Mapping[str, Any]) -> frozenset[str]:
    """What a new key would hold, as far as its arguments say (a custom role is looked up)."""
    if arguments["scopes"] is not None:
        return grammar.checked(arguments["scopes"])
    return ROLES.get(arguments["role"] or DEFAULT_ROLE, frozenset())


def _ask_key(arguments: Mapping[str, Any]) -> Consent | None:
    wanted = _wanted(arguments)
    if not grammar.strong(wanted):
        return None
    named = f" {arguments['name']!r}" if arguments["name"] else ""
    return Consent(f"Create an API key{named} that holds {', '.join(sorted(wanted))}")


def _guard_key(caller: Caller, arguments: Mapping[str, Any]) -> None:
    grammar.within(caller.scopes, _wanted(arguments), "the key")


@tool(
    "Create an API key",
    scope="access:admin",
    cost=2,
    hints=CREATE,
    consent=_ask_key,
    guard=_guard_key,
    secret=True,
)
async def access_create_key(
    access: Access,
    name: Annotated[str, Field(max_length=100, description="What it is for.")] = "",
    role: RoleName | None = None,
    scopes: ScopeList | None = None,
    toolsets: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]] | None,
        Field(min_length=1, max_length=64, description="What its holder is shown."),
    ] = None,
    expires_in: ExpiresIn = None,
) -> Made:
    """Create an API key of this tenant, by default in the role developer; `scopes` narrow a role.

    The key is shown this once. It never holds more than you do; one with admin scopes waits for
    a person's approval.
    """
    made = await access.create_key(name, role, scopes, toolsets, expires_in)
    told = Made(id=made.info.id, key=made.text, scopes=list(made.info.scopes))
    if made.info.expires_at is not None:
        told["expires_at"] = times.iso(made.info.expires_at)
    return told


@tool("List API keys", scope="access:read", hints=READ)
async def access_list_keys(
    access: Access, pages: Pages, limit: Limit = 50, cursor: Cursor = None
) -> KeyPage:
    """List the tenant's API keys, newest first, without their secrets."""
    after = pages.position(cursor)
    found = await access.keys(tuple(after) if after else None, limit + 1)
    page = pages.page([_key(key) for key in found], limit, _by_time)
    return cast(KeyPage, page)


@tool("Revoke an API key", scope="access:admin", hints=REMOVE)
async def access_revoke_key(
    access: Access,
    id: Annotated[str, Field(max_length=64)],  # noqa: A002  # the name that callers write
) -> Revoked:
    """Revoke an API key for good; everything that uses it stops within seconds."""
    key = _key(await access.revoke_key(id))
    return Revoked(id=key["id"], status=key["status"], revoked_at=key["revoked_at"])


def _ask_role(arguments: Mapping[str, Any]) -> Consent | None:
    """Scopes that pass unasked are given by a person, or nothing would be left to ask."""
    given = grammar.checked(arguments["scopes"])
    if not any(scope.split(":")[1] == "unattended" for scope in given):
        return None
    return Consent(f"Define the role {arguments['name']!r} with {', '.join(sorted(given))}")


def _guard_role(caller: Caller, arguments: Mapping[str, Any]) -> None:
    grammar.within(caller.scopes, grammar.checked(arguments["scopes"]), "the role")


@tool("Define a role", scope="access:admin", hints=SET, consent=_ask_role, guard=_guard_role)
async def access_define_role(
    access: Access,
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")],
    scopes: ScopeList,
) -> RoleInfo:
    """Define a role of this tenant as a set of scopes, or define it anew for all who hold it."""
    return _role(await access.define_role(name, scopes), access.tenant)


@tool("List roles", scope="access:read", hints=READ)
async def access_list_roles(
    access: Access, pages: Pages, limit: Limit = 50, cursor: Cursor = None
) -> RolePage:
    """List built-in roles and the tenant's own, with their scopes and who was given them."""
    after = pages.position(cursor)
    found = await access.roles(tuple(after) if after else None, limit + 1)
    page = pages.page([_role(r, access.tenant) for r in found], limit, _by_name)
    return cast(RolePage, page)


@tool("Remove a role", scope="access:admin", hints=REMOVE)
async def access_remove_role(access: Access, name: RoleName) -> Removed:
    """Remove one of the tenant's own roles, once nobody has it any more."""
    await access.remove_role(name)
    return Removed(name=name, removed=True)


@tool("Assign a role", scope="access:admin", hints=SET)
async def access_assign_role(
    access: Access,
    subject: Subject,
    role: RoleName,
    issuer: Issuer = "local",
    expires_in: ExpiresIn = None,
) -> Assigned:
    """Give a role in this tenant to a user, a key, or someone of a tenant above it.

    For someone above it is the grant by which their calls may name this tenant.
    """
    given = await access.assign_role(subject, role, issuer, expires_in)
    told = Assigned(
        subject=given.principal.written(access.tenant), role=role, scopes=list(given.scopes)
    )
    if given.expires_at is not None:
        told["expires_at"] = times.iso(given.expires_at)
    return told


@tool("Unassign a role", scope="access:admin", hints=REMOVE)
async def access_unassign_role(
    access: Access, subject: Subject, role: RoleName, issuer: Issuer = "local"
) -> Unassigned:
    """Take a role back from someone it was assigned to."""
    principal = await access.unassign_role(subject, role, issuer)
    return Unassigned(subject=principal.written(access.tenant), role=role, removed=True)


def _by_time(item: Key) -> tuple[int, str]:
    return times.micros(item["created_at"]), item["id"]


def _by_name(item: RoleInfo) -> tuple[bool, str]:
    return not item["built_in"], item["name"]


def _key(key: KeyInfo) -> Key:
    expired = key.expires_at is not None and key.expires_at <= times.now()
    told = {
        "id": key.id,
        "name": key.name or None,
        "hint": f"...{key.hint}",
        "status": "revoked" if key.revoked_at else "expired" if expired else "active",
        "role": key.role,
        "scopes": list(key.scopes),
        "toolsets": None if key.toolsets is None else list(key.toolsets),
        "created_by": key.created_by,
        "created_at": times.iso(key.created_at),
        "expires_at": None if key.expires_at is None else times.iso(key.expires_at),
        "revoked_at": None if key.revoked_at is None else times.iso(key.revoked_at),
    }
    return cast(Key, {name: value for name, value in told.items() if value is not None})


def _role(role: Role, tenant: str) -> RoleInfo:
    told = RoleInfo(
        name=role.name,
        scopes=list(role.scopes),
        built_in=role.built_in,
        assigned=role.assigned,
    )
    if role.principals:
        told["subjects"] = [_holder(*holder, tenant) for holder in role.principals]
    return told


def _holder(principal: Principal, until: int | None, tenant: str) -> Holder:
    told = Holder(subject=principal.written(tenant), issuer=principal.issuer)
    if until is not None:
        told["expires_at"] = times.iso(until)
    return told
