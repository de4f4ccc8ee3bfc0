"""Frames, as a model sees them."""

from typing import Annotated, Any, NotRequired

import orjson
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from tause_mcp.capability import READ, REMOVE, REPLACE, Pages, tool
from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.dataframes import NAME_PATTERN, Frames
from tause_mcp.services.storage.keys import KEY_PATTERN
from tause_mcp.tenancy import Caller

MOST_TEXT = 4_000_000
MOST_RECORDS = 10_000

Name = Annotated[
    str, Field(pattern=NAME_PATTERN, description="Name of the frame, its table in SQL: sales_2026.")
]
Records = Annotated[
    list[dict[str, Any]] | None,
    Field(max_length=MOST_RECORDS, description="Rows as flat objects; a member left out is null."),
]
Csv = Annotated[
    str | None,
    Field(max_length=MOST_TEXT, description="CSV text; its first line names the columns."),
]
Source = Annotated[
    str | None,
    Field(pattern=KEY_PATTERN, description="A stored .csv, .json, .ndjson or .parquet object."),
]


class ColumnInfo(TypedDict):
    """A column; `min` and `max` of numbers and times."""

    name: str
    type: str
    nulls: int
    min: NotRequired[Annotated[Any, WithJsonSchema({})]]
    max: NotRequired[Annotated[Any, WithJsonSchema({})]]


class FrameInfo(TypedDict):
    """A frame and its columns; `size` in bytes of storage."""

    name: str
    rows: int
    columns: list[ColumnInfo]
    size: int
    updated_at: str


class FrameBrief(TypedDict):
    """A frame; `columns` is how many it has."""

    name: str
    rows: int
    columns: int
    size: int
    updated_at: str


class FramePage(TypedDict):
    """Frames in the order of their names."""

    items: list[FrameBrief]
    next_cursor: NotRequired[str]


class ResultColumn(TypedDict):
    """A column of an answer."""

    name: str
    type: str


class QueryResult(TypedDict):
    """Rows as objects of column and value; `truncated`: there are more."""

    columns: list[ResultColumn]
    rows: list[dict[str, Any]]
    row_count: int
    truncated: bool


class Removed(TypedDict):
    """What was removed."""

    name: str
    deleted: bool


@tool("Store a frame", scope="dataframes:write", cost=5, hints=REPLACE, part="name")
async def dataframes_put(
    frames: Frames,
    caller: Caller,
    name: Name,
    records: Records = None,
    csv: Csv = None,
    key: Source = None,
) -> FrameBrief:
    """Store a table under a name, replacing what was there: from records, CSV text or an object.

    Use it before dataframes_query; give exactly one source.
    """
    given = [source for source in (records, csv, key) if source is not None]
    if len(given) != 1:
        raise Invalid("give exactly one of records, csv and key", field="records")
    if key is not None:
        caller.require("storage:read", key)
        frame = await frames.put_object(name, key)
    elif csv is not None:
        frame = await frames.put(name, "csv", _text(csv), "csv")
    else:
        frame = await frames.put(name, "records", _json(records), "records")
    brief: FrameBrief = frame.told()  # type: ignore[assignment]  # the same members
    return brief


def _text(csv: str) -> bytes:
    try:
        return csv.encode()
    except UnicodeEncodeError:
        raise Invalid("csv: holds a lone surrogate: it is no text", field="csv") from None


def _json(records: list[dict[str, Any]] | None) -> bytes:
    try:
        body = orjson.dumps(records)
    except TypeError:
        raise Invalid("records: hold what JSON cannot carry", field="records") from None
    if len(body) > MOST_TEXT:
        raise TooLarge("records: over 4 MB: store a file with a link and give its key")
    return body


@tool("Describe a frame", scope="dataframes:read", hints=READ, part="name", open_result=True)
async def dataframes_describe(frames: Frames, name: Name) -> FrameInfo:
    """Tell a frame's rows and each column's name, type, nulls, least and greatest value.

    Use it before writing a query.
    """
    told: FrameInfo = await frames.describe(name)  # type: ignore[assignment]  # the same members
    return told


@tool("Query frames", scope="dataframes:read", cost=5, hints=READ, open_result=True)
async def dataframes_query(
    frames: Frames,
    caller: Caller,
    sql: Annotated[
        str, Field(min_length=1, max_length=10_000, description="One SELECT; tables are frames.")
    ],
) -> QueryResult:
    """Answer one SELECT over your frames: joins, groups, windows and WITH; nothing that changes data.

    Use it to compute over stored tables; page with ORDER BY, LIMIT and OFFSET.
    """

    def allowed(name: str) -> bool:
        return caller.scopes.allow("dataframes:read", name)

    answer: QueryResult = await frames.query(sql, allowed)  # type: ignore[assignment]  # so made
    return answer


@tool("List frames", scope="dataframes:read", hints=READ)
async def dataframes_list(
    frames: Frames,
    caller: Caller,
    pages: Pages,
    limit: Annotated[int, Field(ge=1, le=200, description="Most frames on a page.")] = 50,
    cursor: Annotated[
        str | None, Field(max_length=2048, description="next_cursor of the page before.")
    ] = None,
) -> FramePage:
    """List frames with their sizes, in the order of their names.

    Use it to see what can be queried.
    """
    after = pages.position(cursor) or ""
    found = await frames.list(after, limit + 1)
    items = [frame.told() for frame in found]
    page: FramePage = pages.page(items, limit, lambda one: one["name"])  # type: ignore[assignment]  # a Page of these
    allow = caller.scopes.allow
    page["items"] = [one for one in page["items"] if allow("dataframes:read", one["name"])]
    return page


@tool("Delete a frame", scope="dataframes:write", hints=REMOVE, part="name")
async def dataframes_delete(frames: Frames, name: Name) -> Removed:
    """Delete a frame for good.

    Use it when a table is no longer needed.
    """
    await frames.delete(name)
    return {"name": name, "deleted": True}
