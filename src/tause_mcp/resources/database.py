"""Documents by URI."""

from typing import Annotated, Any

from pydantic import Field

from tause_mcp.capability import resource
from tause_mcp.services.database import Collections
from tause_mcp.services.database.names import ID_PATTERN, NAME_PATTERN
from tause_mcp.tenancy import Caller

MOST = 100


async def _names(collections: Collections, caller: Caller, typed: str) -> list[str]:
    """Collections that begin as typed and that the caller may read."""
    return [
        one.name
        for one in await collections.definitions()
        if one.name.startswith(typed) and caller.scopes.allow("database:read", one.name)
    ][:MOST]


async def _ids(
    collections: Collections, caller: Caller, typed: str, collection: str = ""
) -> list[str]:
    """Ids that begin as typed, once the collection is known."""
    if not collection or not caller.scopes.allow("database:read", collection):
        return []
    return await collections.ids(collection, typed, MOST)


@resource(
    "database/{collection}/{id}",
    "A document",
    scope="database:read",
    part="collection",
    complete={"collection": _names, "id": _ids},
)
async def database_document(
    collections: Collections,
    collection: Annotated[str, Field(pattern=NAME_PATTERN)],
    id: Annotated[str, Field(pattern=ID_PATTERN)],  # noqa: A002  # the template's variable
) -> dict[str, Any]:
    """One document: id, version, data and times; database_find shows what there is."""
    return (await collections.get(collection, id)).told()
