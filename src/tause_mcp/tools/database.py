"""Collections of JSON documents, as a model sees them."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp.capability import CREATE, READ, REMOVE, REPLACE, Consent, Hints, Pages, tool
from tause_mcp.errors import Invalid
from tause_mcp.services.database import Collections, Definition, Migrations, canonical
from tause_mcp.services.database.names import ID_PATTERN, NAME_PATTERN
from tause_mcp.services.database.steps import Step
from tause_mcp.services.database.transactions import Operation
from tause_mcp.tenancy import Caller

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
FieldName = Annotated[str, Field(max_length=128)]
Data = Annotated[dict[str, Any], Field(max_length=1000)]
Schema = Annotated[
    dict[str, Any] | None,
    Field(
        max_length=100,
        description="JSON Schema; properties may add unique, encrypted, references, default.",
    ),
]
Where = Annotated[
    dict[str, Any] | None,
    Field(
        max_length=20,
        description="{field: value} or {field: {op: value}}; ops eq ne gt gte lt lte in contains "
        "exists. All must hold.",
    ),
]
Version = Annotated[
    int | None, Field(ge=1, le=2**53 - 1, description="Only if it is still at this version.")
]
Cursor = Annotated[
    str | None, Field(max_length=8192, description="next_cursor of the page before.")
]
CHANGE = Hints(destructive=True)


class Document(TypedDict):
    id: str
    version: int
    data: dict[str, Any]
    created_at: str
    updated_at: str


class DocumentPage(TypedDict):
    items: list[Document]
    next_cursor: NotRequired[str]
    total: NotRequired[int]


class Removed(TypedDict):
    id: str
    deleted: bool


class PastMigration(TypedDict):
    version: int
    steps: list[str]
    changed: int
    by: str
    at: str


class Collection(TypedDict):
    name: str
    version: int
    indexes: list[str]
    schema: NotRequired[dict[str, Any]]
    fields: NotRequired[list[str]]
    history: NotRequired[list[PastMigration]]
    created_at: str
    updated_at: str


class CollectionPage(TypedDict):
    items: list[Collection]
    next_cursor: NotRequired[str]


class Group(TypedDict):
    group: dict[str, Any]
    values: dict[str, Any]


class GroupPage(TypedDict):
    items: list[Group]


class Done(TypedDict):
    op: str
    collection: str
    id: str
    version: NotRequired[int]
    deleted: NotRequired[bool]


class DonePage(TypedDict):
    items: list[Done]


class Migration(TypedDict):
    collection: str
    from_version: int
    version: int
    documents: int
    changed: int
    indexes: list[str]
    dry_run: bool


class Dropped(TypedDict):
    name: str
    dropped: bool
    documents: int


def _told(found: Definition, *, whole: bool) -> Collection:
    told: Any = found.told()
    schema = found.rules.schema
    if schema and whole:
        told["schema"] = schema
    elif schema:
        told["fields"] = list(schema.get("properties", {}))[:20]
    return told  # type: ignore[no-any-return]  # the members of a Collection


@tool(
    "Create a collection",
    scope="database:write",
    hints=CREATE,
    part="name",
    flagship=True,
    open_result=True,
)
async def database_create_collection(
    collections: Collections,
    name: Name,
    schema: Schema = None,
    indexes: Annotated[
        list[FieldName] | None,
        Field(max_length=20, description="Fields to find and sort by, such as address.city."),
    ] = None,
) -> Collection:
    """Create a collection of JSON documents, with a schema if they have one.

    Index what you filter or sort by.
    """
    return _told(await collections.create(name, schema, indexes or ()), whole=True)


@tool("List collections", scope="database:read", hints=READ, open_result=True)
async def database_list_collections(
    collections: Collections,
    migrations: Migrations,
    caller: Caller,
    pages: Pages,
    name: Annotated[
        str | None, Field(pattern=NAME_PATTERN, description="Describe this one, schema included.")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> CollectionPage:
    """List the collections with their fields and indexes, by name.

    Use it before you find or insert; give name to read a schema.
    """
    if name is not None:
        caller.require("database:read", name)
        described = _told(await collections.describe(name), whole=True)
        described["history"] = await migrations.history(name)  # type: ignore[typeddict-item]  # PastMigrations
        return {"items": [described]}
    after = pages.position(cursor) or ""
    seen = [
        _told(one, whole=False)
        for one in await collections.definitions()
        if one.name > after and caller.scopes.allow("database:read", one.name)
    ]
    page: CollectionPage = pages.page(seen, limit, lambda one: one["name"])  # type: ignore[assignment]  # a Page of these items
    return page


def _ask_to_drop(arguments: Any) -> Consent:
    return Consent(f"Drop the collection {arguments['name']} and every document in it")


@tool("Drop a collection", scope="database:write", hints=REMOVE, part="name", consent=_ask_to_drop)
async def database_drop_collection(collections: Collections, name: Name) -> Dropped:
    """Remove a collection and all its documents for good, once a person approves."""
    return {"name": name, "dropped": True, "documents": await collections.drop(name)}


@tool(
    "Insert a document",
    scope="database:write",
    secret_input=True,
    hints=CREATE,
    part="collection",
    flagship=True,
    open_result=True,
)
async def database_insert(
    collections: Collections,
    collection: Name,
    document: Data,
    id: Annotated[  # noqa: A002  # the promised name
        str | None, Field(pattern=ID_PATTERN, description="Made when left out.")
    ] = None,
) -> Document:
    """Add a JSON document to a collection.

    Use database_transact for many at once.
    """
    return (await collections.insert(collection, document, id)).told()  # type: ignore[return-value]  # a Document


@tool("Read a document", scope="database:read", hints=READ, part="collection", open_result=True)
async def database_get(
    collections: Collections,
    collection: Name,
    id: Id,  # noqa: A002  # the promised name
) -> Document:
    """Read one document by its id.

    Use database_find when you do not know the id.
    """
    return (await collections.get(collection, id)).told()  # type: ignore[return-value]  # a Document


@tool(
    "Find documents",
    scope="database:read",
    hints=READ,
    part="collection",
    flagship=True,
    open_result=True,
)
async def database_find(
    collections: Collections,
    pages: Pages,
    collection: Name,
    where: Where = None,
    order_by: Annotated[
        list[Annotated[str, Field(max_length=129)]] | None,
        Field(max_length=4, description='Such as ["-price", "name"]; default: by id.'),
    ] = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    cursor: Cursor = None,
    total: Annotated[bool, Field(description="Count all that match, too.")] = False,
) -> DocumentPage:
    """Find the documents of a collection that meet conditions, in order, page by page."""
    filters = (collection, canonical(where), order_by or [])
    after = _position(pages.position(cursor, *filters))
    found, count, asked = await collections.find(
        collection, where, order_by, most=limit + 1, after=after, total=total
    )
    places = {one.id: asked.place(one) for one in found}
    items = [one.told() for one in found]
    page: DocumentPage = pages.page(items, limit, lambda one: places[one["id"]], *filters)  # type: ignore[assignment]  # a Page of these items
    if count is not None:
        page["total"] = count
    return page


def _position(sealed: Any) -> Any:
    """A place in the order, as it was before it was written as JSON."""
    if sealed is None:
        return None
    return tuple(tuple(one) if isinstance(one, list) else one for one in sealed)


@tool(
    "Change a document",
    scope="database:write",
    secret_input=True,
    hints=REPLACE,
    part="collection",
    flagship=True,
    open_result=True,
)
async def database_update(
    collections: Collections,
    collection: Name,
    id: Id,  # noqa: A002  # the promised name
    changes: Data,
    version: Version = None,
) -> Document:
    """Merge changes into a document: members replace members, null removes one.

    Give version to change only what you have seen.
    """
    return (await collections.update(collection, id, changes, version)).told()  # type: ignore[return-value]  # a Document


@tool("Delete a document", scope="database:write", hints=REMOVE, part="collection", flagship=True)
async def database_delete(
    collections: Collections,
    collection: Name,
    id: Id,  # noqa: A002  # the promised name
    version: Version = None,
) -> Removed:
    """Delete a document; deleted is false when there was none."""
    return {"id": id, "deleted": await collections.delete(collection, id, version)}


@tool("Aggregate documents", scope="database:read", hints=READ, part="collection")
async def database_aggregate(
    collections: Collections,
    collection: Name,
    metrics: Annotated[
        list[Annotated[str, Field(max_length=140)]] | None,
        Field(max_length=10, description="count, or sum, avg, min, max of a field: sum:amount."),
    ] = None,
    group_by: Annotated[
        list[FieldName] | None, Field(max_length=3, description="At most 200 groups.")
    ] = None,
    where: Where = None,
) -> GroupPage:
    """Count, sum, average, or find the least and greatest, of the documents that meet conditions.

    Use it for figures instead of reading documents.
    """
    told: Any = await collections.aggregate(collection, metrics or (), group_by or (), where)
    return {"items": told}


@tool("Change several documents", scope="database:write", cost=5, hints=CHANGE)
async def database_transact(
    collections: Collections,
    caller: Caller,
    operations: Annotated[
        list[Operation],
        Field(
            min_length=1,
            max_length=100,
            description="insert takes document and id; update id, changes, version; delete id, "
            "version.",
        ),
    ],
) -> DonePage:
    """Insert, update and delete documents, all or none.

    Use it for many documents, or for changes that belong together.
    """
    for name in {one["collection"] for one in operations}:
        caller.require("database:write", name)
    told: Any = await collections.transact(operations)
    return {"items": told}


@tool("Migrate a collection", scope="database:write", cost=10, hints=CHANGE, part="collection")
async def database_migrate(
    migrations: Migrations,
    collection: Name,
    steps: Annotated[
        list[Step] | None,
        Field(
            max_length=50,
            description="add field with value; rename field to; remove; retype to type; index; "
            "unindex.",
        ),
    ] = None,
    schema: Schema = None,
    rollback_to: Annotated[
        int | None, Field(ge=1, le=2**53 - 1, description="Go back to this version instead.")
    ] = None,
    dry_run: Annotated[bool, Field(description="Say what would happen, change nothing.")] = False,
) -> Migration:
    """Change the fields, schema or indexes of a collection and all its documents, or go back.

    All documents change or none does. Try dry_run first.
    """
    if rollback_to is None:
        done = await migrations.migrate(collection, steps or (), schema, dry=dry_run)
    elif steps or schema is not None:
        raise Invalid("rollback_to: stands alone, without steps and schema", field="rollback_to")
    else:
        done = await migrations.rollback(collection, rollback_to, dry=dry_run)
    return {
        "collection": collection,
        "from_version": done.before,
        "version": done.after.version,
        "documents": done.documents,
        "changed": done.changed,
        "indexes": list(done.after.indexed),
        "dry_run": dry_run,
    }
