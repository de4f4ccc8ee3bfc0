"""Objects by URI."""

from typing import Annotated

from pydantic import Field

from tause_mcp.capability import resource
from tause_mcp.errors import TauseError, TooLarge
from tause_mcp.services.storage import Storage
from tause_mcp.services.storage.keys import KEY_PATTERN
from tause_mcp.tenancy import Caller

MOST = 1 << 20
"""Bytes of an object that a resource shows."""


async def _keys(storage: Storage, caller: Caller, typed: str) -> list[str]:
    """Keys that begin as typed and that the caller may read."""
    try:
        found = await storage.list(typed, limit=200)
    except TauseError:
        return []
    return [one.key for one in found if caller.scopes.allow("storage:read", one.key)]


@resource(
    "storage/{+key}",
    "A stored object",
    scope="storage:read",
    part="key",
    mime_type="application/octet-stream",
    complete={"key": _keys},
)
async def storage_object(
    storage: Storage, key: Annotated[str, Field(pattern=KEY_PATTERN)]
) -> tuple[str | bytes, str]:
    """The content of one object of the tenant, up to 1 MiB; storage_list shows the keys."""
    reading = await storage.open(key)
    found = reading.object
    if found.size > MOST:
        raise TooLarge("the object is over 1 MiB: use storage_get with range or storage_sign_url")
    body = await reading.whole()
    try:
        return (body.decode() if _is_text(found.content_type) else body), found.content_type
    except UnicodeDecodeError:
        return body, found.content_type


def _is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0]
    return kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "javascript"))
