"""Secrets, as a model sees them: never their values."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp.capability import CREATE, READ, REMOVE, REPLACE, Pages, tool
from tause_mcp.services.secrets import SecretInfo, Secrets
from tause_mcp.services.secrets.values import LARGEST, LONGEST_NAME, NAME_PATTERN

_YEARS = 10 * 365 * 86_400
_GRACE = 30 * 86_400

Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        max_length=LONGEST_NAME,
        description="Name of the secret, such as stripe/live-key; lower case.",
    ),
]
Value = Annotated[
    str,
    Field(min_length=1, max_length=LARGEST, description="The secret itself, at most 64 KiB."),
]
ExpiresIn = Annotated[
    int | None,
    Field(ge=60, le=_YEARS, description="Seconds until it may no longer be used; else it stays."),
]


class SecretPage(TypedDict):
    """Secrets in the order of their names, without values."""

    items: list[SecretInfo]
    next_cursor: NotRequired[str]


class SecretRemoved(TypedDict):
    """What was removed."""

    name: str
    deleted: bool


@tool(
    "Store a secret", scope="secrets:write", cost=2, hints=REPLACE, part="name", secret_input=True
)
async def secrets_put(
    secrets: Secrets,
    name: Name,
    value: Value,
    description: Annotated[
        str | None, Field(max_length=500, description="What it is for; shown in lists.")
    ] = None,
    expires_in: ExpiresIn = None,
) -> SecretInfo:
    """Store a password, key or token under a name, replacing the one there at once.

    Other tools take secret://name in its place. No tool shows the value again.
    """
    made = await secrets.put(name, value, description=description, expires_in=expires_in)
    return made.info()


@tool("List secrets", scope="secrets:read", hints=READ)
async def secrets_list(
    secrets: Secrets,
    pages: Pages,
    limit: Annotated[int, Field(ge=1, le=100, description="Most secrets on a page.")] = 50,
    cursor: Annotated[
        str | None, Field(max_length=2048, description="next_cursor of the page before.")
    ] = None,
) -> SecretPage:
    """List the names, versions and times of secrets; never their values.

    Use it to see what secret://name may stand for, and what expires.
    """
    after = pages.position(cursor) or ""
    found = [one.info() for one in await secrets.list(after, limit + 1)]
    page: SecretPage = pages.page(found, limit, lambda one: one["name"])  # type: ignore[assignment]  # a Page of these items
    return page


@tool(
    "Rotate a secret", scope="secrets:write", cost=2, hints=CREATE, part="name", secret_input=True
)
async def secrets_rotate(
    secrets: Secrets,
    name: Name,
    value: Value,
    grace: Annotated[
        int, Field(ge=0, le=_GRACE, description="Seconds that the value before is still accepted.")
    ] = 86_400,
    expires_in: ExpiresIn = None,
) -> SecretInfo:
    """Give a secret a new value; signatures made with the one before hold until the grace ends.

    Use it when a key was changed at its provider, or may have leaked (then with grace 0).
    """
    return (await secrets.rotate(name, value, grace=grace, expires_in=expires_in)).info()


@tool("Delete a secret", scope="secrets:write", hints=REMOVE, part="name")
async def secrets_delete(secrets: Secrets, name: Name) -> SecretRemoved:
    """Delete a secret and every version of it, for good.

    What still refers to it by secret://name fails from then on.
    """
    await secrets.delete(name)
    return {"name": name, "deleted": True}
