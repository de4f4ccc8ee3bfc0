"""Storage, as a model sees it."""

from typing import Annotated, Any, NotRequired

import orjson
from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypedDict

from tause_mcp.capability import READ, REMOVE, REPLACE, Hints, Pages, tool
from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.storage import (
    Conditions,
    Links,
    LocalFiles,
    ObjectInfo,
    SignedUrl,
    Storage,
    StoredObject,
)
from tause_mcp.services.storage.content import BUDGET, TYPES, Encoding, decode, encode
from tause_mcp.services.storage.keys import KEY_PATTERN, PREFIX_PATTERN
from tause_mcp.services.storage.links import LONGEST, Method
from tause_mcp.tenancy import Caller

MOST_TEXT = 4_000_000
_CONTENT_TYPE = r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(; ?[A-Za-z0-9_-]+=[A-Za-z0-9_.+-]+)*$"

Key = Annotated[
    str,
    Field(
        pattern=KEY_PATTERN,
        description="Name of the object, such as reports/2026/july.csv; case matters.",
    ),
]


def _storable(value: Any) -> Any:
    """Refuse early what no JSON text can hold: lone surrogates, integers over 64 bits."""
    try:
        value.encode() if isinstance(value, str) else orjson.dumps(value)
    except (UnicodeEncodeError, TypeError):
        raise ValueError("holds a lone surrogate or a number that JSON cannot carry") from None
    return value


Content = Annotated[
    Any,
    AfterValidator(_storable),
    WithJsonSchema({"type": "string", "maxLength": MOST_TEXT}),
    Field(description="What to store; with encoding json any JSON value."),
]
ContentType = Annotated[
    str | None,
    Field(pattern=_CONTENT_TYPE, max_length=200, description="Media type; guessed when left out."),
]
Path = Annotated[
    str | None, Field(min_length=1, max_length=4096, description="A file in an allowed folder.")
]
IfMatch = Annotated[
    str | None, Field(max_length=200, description="Only if the object has this etag, or * for any.")
]
IfNoneMatch = Annotated[
    str | None,
    Field(max_length=200, description="* stores only a new object; an etag, only if it differs."),
]


class ObjectContent(TypedDict):
    """An object's content, or where it was written. `range` is what `content` shows, inclusive."""

    key: str
    size: int
    etag: str
    content_type: str
    truncated: bool
    content: NotRequired[Annotated[Any, WithJsonSchema({})]]
    encoding: NotRequired[str]
    range: NotRequired[str]
    path: NotRequired[str]


class ObjectPage(TypedDict):
    """Objects in the order of their keys."""

    items: list[ObjectInfo]
    next_cursor: NotRequired[str]


class Removed(TypedDict):
    """What was removed."""

    key: str
    deleted: bool


@tool(
    "Store an object",
    scope="storage:write",
    cost=2,
    hints=REPLACE,
    part="key",
    flagship=True,
    local_only=("path",),
)
async def storage_put(
    storage: Storage,
    files: LocalFiles,
    key: Key,
    content: Content = None,
    path: Path = None,
    encoding: Annotated[Encoding, Field(description="How content is written.")] = "utf-8",
    content_type: ContentType = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> ObjectInfo:
    """Store text, base64 bytes or a JSON value under a key, replacing what was there.

    Use it for up to a few megabytes; for more, upload with a PUT link of storage_sign_url.
    """
    conditions = Conditions(if_match, if_none_match)
    if (content is None) == (path is None):
        raise Invalid("give exactly one of content and path", field="content")
    if path is not None:
        size, pieces = await files.read(path)
        stored = await storage.put(
            key, pieces, content_type=content_type, conditions=conditions, size=size
        )
        return stored.info()
    if isinstance(content, str) and len(content) > MOST_TEXT:
        raise TooLarge("content is too long: upload it with a PUT link of storage_sign_url")
    body = encode(content, encoding)
    kind = content_type or storage.guessed(key) or TYPES[encoding]
    return (await storage.put(key, body, content_type=kind, conditions=conditions)).info()


@tool(
    "Read an object",
    scope="storage:read",
    hints=READ,
    part="key",
    flagship=True,
    local_only=("path",),
)
async def storage_get(
    storage: Storage,
    files: LocalFiles,
    key: Key,
    encoding: Annotated[
        Encoding | None, Field(description="How to show it; text where it is text if left out.")
    ] = None,
    range: Annotated[  # noqa: A002  # the promised name
        str | None,
        Field(max_length=60, description="First-last byte, such as 0-999, 1000- or -500."),
    ] = None,
    path: Path = None,
) -> ObjectContent:
    """Read an object, or a range of its bytes; up to about 20 KB at once.

    If `truncated`, read on with range, or hand out a link with storage_sign_url.
    """
    if path is not None:
        return await _to_file(storage, files, key, range, path)
    reading = await storage.open(key, range, most=BUDGET)
    found, body = reading.object, await reading.whole()
    asked = reading.asked
    cut = reading.end < found.size
    whole = not cut and reading.start == 0
    content, shown_as, shown = decode(body, encoding, whole=whole, cut=cut)
    told = _told(found, truncated=shown < asked)
    told["content"] = content
    told["encoding"] = shown_as
    if shown < found.size and shown:
        told["range"] = f"{reading.start}-{reading.start + shown - 1}"
    return told


def _told(found: StoredObject, *, truncated: bool = False) -> ObjectContent:
    return {
        "key": found.key,
        "size": found.size,
        "etag": found.etag,
        "content_type": found.content_type,
        "truncated": truncated,
    }


async def _to_file(
    storage: Storage, files: LocalFiles, key: str, span: str | None, path: str
) -> ObjectContent:
    reading = await storage.open(key, span)
    await files.write(path, reading.chunks)
    return {**_told(reading.object), "path": path}


@tool("Describe an object", scope="storage:read", hints=READ, part="key")
async def storage_stat(storage: Storage, key: Key) -> ObjectInfo:
    """Tell an object's size, sha256, etag, type and time without its content.

    Use it before a conditional change, or to see whether an object exists.
    """
    return (await storage.stat(key)).info()


@tool(
    "List objects",
    scope="storage:read",
    hints=READ,
    part=lambda arguments: f"{arguments['prefix']}*",
    flagship=True,
)
async def storage_list(
    storage: Storage,
    pages: Pages,
    prefix: Annotated[
        str,
        Field(pattern=PREFIX_PATTERN, description="How the keys begin, such as reports/."),
    ] = "",
    limit: Annotated[int, Field(ge=1, le=200, description="Most objects on a page.")] = 50,
    cursor: Annotated[
        str | None, Field(max_length=2048, description="next_cursor of the page before.")
    ] = None,
) -> ObjectPage:
    """List objects in the order of their keys, without content.

    Use it to find what is stored; give prefix to look into one folder.
    """
    after = pages.position(cursor, prefix) or ""
    found = await storage.list(prefix, after, limit + 1)
    items = [one.info() for one in found]
    page: ObjectPage = pages.page(items, limit, lambda one: one["key"], prefix)  # type: ignore[assignment]  # a Page of these items
    return page


@tool("Delete an object", scope="storage:write", hints=REMOVE, part="key", flagship=True)
async def storage_delete(storage: Storage, key: Key, if_match: IfMatch = None) -> Removed:
    """Delete an object for good.

    Give if_match to delete only what you have seen.
    """
    await storage.delete(key, if_match=if_match)
    return {"key": key, "deleted": True}


@tool("Copy an object", scope="storage:write", cost=2, hints=REPLACE, part="destination")
async def storage_copy(
    storage: Storage,
    caller: Caller,
    source: Key,
    destination: Key,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> ObjectInfo:
    """Copy an object to another key, replacing what was there; conditions are on the destination.

    Use it to keep a version, or with storage_delete to rename.
    """
    caller.require("storage:read", source)
    copied = await storage.copy(source, destination, conditions=Conditions(if_match, if_none_match))
    return copied.info()


@tool(
    "Sign a link to an object",
    scope="storage:read",
    hints=Hints(read_only=True, destructive=False),
    part="key",
    flagship=True,
)
async def storage_sign_url(
    links: Links,
    caller: Caller,
    key: Key,
    method: Annotated[Method, Field(description="GET downloads, PUT uploads.")] = "GET",
    expires_in: Annotated[
        int, Field(ge=1, le=LONGEST, description="Seconds that the link holds.")
    ] = 900,
    max_bytes: Annotated[
        int | None, Field(ge=1, le=2**50, description="Most bytes a PUT link takes.")
    ] = None,
) -> SignedUrl:
    """Make a link that downloads or uploads one object without a login; PUT links also speak TUS.

    Use it for big files and to share one object. Whoever holds the link can use it.
    """
    return links.sign(caller, key, method, expires_in=expires_in, max_bytes=max_bytes)
