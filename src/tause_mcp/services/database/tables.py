"""Tables and statements of collections. Every key leads with the tenant.

Values that are looked for are in a side table of plain typed columns, for what row-level security
lets an index do is compare text and doubles, not look into JSON.
"""

from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata, upsert

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared by bytes on every database."""


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text, primary_key=True)


collections = sa.Table(
    "collections",
    metadata,
    _tenant(),
    sa.Column("name", KEY_TEXT, primary_key=True),
    sa.Column("stamp", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("indexes", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
documents = sa.Table(
    "documents",
    metadata,
    _tenant(),
    sa.Column("collection", KEY_TEXT, primary_key=True),
    sa.Column("id", KEY_TEXT, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
document_index = sa.Table(
    "document_index",
    metadata,
    _tenant(),
    sa.Column("collection", KEY_TEXT, primary_key=True),
    sa.Column("id", KEY_TEXT, primary_key=True),
    sa.Column("field", KEY_TEXT, primary_key=True),
    sa.Column("rank", sa.SmallInteger, nullable=False),
    sa.Column("number", sa.Double, nullable=False),
    sa.Column("text", KEY_TEXT, nullable=False),
    sa.Column("unique_key", sa.Text),
    sa.Index(
        "document_index_order",
        *("tenant_id", "collection", "field", "rank", "number", "text", "id"),
    ),
    sa.Index(
        "document_index_unique",
        *("tenant_id", "collection", "field", "unique_key"),
        unique=True,
        postgresql_where=sa.text("unique_key IS NOT NULL"),
        sqlite_where=sa.text("unique_key IS NOT NULL"),
    ),
)
document_references = sa.Table(
    "document_references",
    metadata,
    _tenant(),
    sa.Column("collection", KEY_TEXT, primary_key=True),
    sa.Column("id", KEY_TEXT, primary_key=True),
    sa.Column("field", KEY_TEXT, primary_key=True),
    sa.Column("target", KEY_TEXT, primary_key=True),
    sa.Column("target_collection", KEY_TEXT, nullable=False),
    sa.Index("document_references_to", "tenant_id", "target_collection", "target"),
)
document_usage = sa.Table(
    "document_usage", metadata, _tenant(), sa.Column("rows", sa.BigInteger, nullable=False)
)
collection_history = sa.Table(
    "collection_history",
    metadata,
    _tenant(),
    sa.Column("collection", KEY_TEXT, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("steps", sa.Text, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("indexes", sa.Text, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
document_history = sa.Table(
    "document_history",
    metadata,
    _tenant(),
    sa.Column("collection", KEY_TEXT, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", KEY_TEXT, primary_key=True),
    sa.Column("kept", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("document_history_of", "tenant_id", "collection", "id"),
)

_c, _d, _i, _r, _u = (
    table.c
    for table in (collections, documents, document_index, document_references, document_usage)
)


def param(name: str, kind: Any = KEY_TEXT) -> Any:
    """A bound value of a statement."""
    return sa.bindparam(name, type_=kind)


_COLLECTION = param("collection")
_ID = param("id")
_DEFINITION = (
    _c.name,
    _c.stamp,
    _c.version,
    _c.schema,
    _c.indexes,
    _c.created_at,
    _c.updated_at,
)
_NAMED = (_c.tenant_id == TENANT, _c.name == _COLLECTION)

DEFINITION = Statement(sa.select(*_DEFINITION).where(*_NAMED))
STAMP = Statement(sa.select(_c.stamp).where(*_NAMED))
HOLD = Statement(sa.select(*_DEFINITION).where(*_NAMED).with_for_update(read=True))
"""The definition, which nobody changes until this transaction ends."""
LOCK = Statement(sa.select(*_DEFINITION).where(*_NAMED).with_for_update())
DEFINITIONS = Statement(sa.select(*_DEFINITION).where(_c.tenant_id == TENANT).order_by(_c.name))
CREATE = Statement(
    lambda dialect: (
        (sqlite if dialect == "sqlite" else postgresql).insert(collections).on_conflict_do_nothing()
    )
)
REDEFINE = Statement(
    sa.update(collections)
    .where(*_NAMED)
    .values(
        stamp=param("fresh", sa.Text),
        version=param("next", sa.BigInteger),
        schema=param("rules", sa.Text),
        indexes=param("fields", sa.Text),
        updated_at=param("now", sa.BigInteger),
    )
)
DROP = Statement(sa.delete(collections).where(*_NAMED))

DOCUMENT = (_d.id, _d.version, _d.data, _d.sealed, _d.created_at, _d.updated_at)
THERE = (_d.tenant_id == TENANT, _d.collection == _COLLECTION, _d.id == _ID)
GET = Statement(sa.select(*DOCUMENT).where(*THERE))
TAKE = Statement(sa.select(*DOCUMENT).where(*THERE).with_for_update())
SHARE = Statement(sa.select(_d.id).where(*THERE).with_for_update(read=True))


def _insert(dialect: str) -> Any:
    """Insert under the definition that the caller read, or nothing: then it is to look why."""
    columns = {
        "tenant_id": TENANT,
        "collection": _COLLECTION,
        "id": _ID,
        "version": sa.literal_column("1", sa.BigInteger),
        "data": param("data", sa.Text),
        "sealed": param("sealed", sa.LargeBinary),
        "created_at": param("now", sa.BigInteger),
        "updated_at": param("now", sa.BigInteger),
    }
    held = (
        sa.select(*(sa.cast(v, documents.c[n].type).label(n) for n, v in columns.items()))
        .select_from(collections)
        .where(*_NAMED, _c.stamp == param("stamp", sa.Text))
        .with_for_update(read=True)
    )
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(documents)
    return insert.from_select(list(columns), held).on_conflict_do_nothing()


INSERT = Statement(_insert)
INSERT_AT_ONCE = Statement(
    sa.text(
        """
WITH held AS (
  SELECT 1 AS one FROM collections
  WHERE tenant_id = CAST(:tenant AS text) AND name = CAST(:collection AS text)
    AND stamp = CAST(:stamp AS text) FOR SHARE
), charged AS (
  UPDATE document_usage AS used SET rows = used.rows + 1 FROM held
  WHERE used.tenant_id = CAST(:tenant AS text) AND used.rows < CAST(:most AS bigint)
  RETURNING 1 AS one
), added AS (
  INSERT INTO documents (tenant_id, collection, id, version, data, sealed, created_at, updated_at)
  SELECT CAST(:tenant AS text), CAST(:collection AS text), CAST(:id AS text), 1,
    CAST(:data AS text), CAST(:sealed AS bytea), CAST(:now AS bigint), CAST(:now AS bigint)
  FROM charged ON CONFLICT DO NOTHING RETURNING 1 AS one
), indexed AS (
  INSERT INTO document_index
    (tenant_id, collection, id, field, rank, number, text, unique_key)
  SELECT CAST(:tenant AS text), CAST(:collection AS text), CAST(:id AS text), entry.*
  FROM added, unnest(CAST(:fields AS text[]), CAST(:ranks AS smallint[]),
    CAST(:numbers AS double precision[]), CAST(:texts AS text[]), CAST(:uniques AS text[])) AS entry
  ON CONFLICT DO NOTHING RETURNING 1 AS one
)
SELECT (SELECT count(*) FROM charged), (SELECT count(*) FROM added), (SELECT count(*) FROM indexed)
"""
    )
)
"""PostgreSQL: hold the definition, count the row, add it and its index, in one round trip. How many
were counted, added and indexed: what is missing says why."""
REPLACE = Statement(
    sa.update(documents)
    .where(*THERE)
    .values(
        version=param("next", sa.BigInteger),
        data=param("fresh", sa.Text),
        sealed=param("sealing", sa.LargeBinary),
        updated_at=param("now", sa.BigInteger),
    )
)
REMOVE = Statement(sa.delete(documents).where(*THERE))
BEHIND = "\x7f"
"""Sorts behind whatever an id may hold."""
IDS = Statement(
    sa.select(_d.id)
    .where(
        _d.tenant_id == TENANT,
        _d.collection == _COLLECTION,
        _d.id >= param("low"),
        _d.id < param("high"),
    )
    .order_by(_d.id)
    .limit(param("count", sa.Integer))
)

CHARGE = Statement(
    sa.update(document_usage)
    .where(
        _u.tenant_id == TENANT,
        _u.rows + param("more", sa.BigInteger) <= param("most", sa.BigInteger),
    )
    .values(rows=_u.rows + param("more", sa.BigInteger))
)
"""Count rows, unless that is over the limit; holds the tenant's other writers back."""
USAGE = Statement(sa.select(_u.rows).where(_u.tenant_id == TENANT))
START_USAGE = upsert(document_usage, ("tenant_id",), ())

_OF = {
    table: (table.c.tenant_id == TENANT, table.c.collection == _COLLECTION)
    for table in (
        documents,
        document_index,
        document_references,
        collection_history,
        document_history,
    )
}
UNINDEX = Statement(sa.delete(document_index).where(*_OF[document_index], _i.id == _ID))
INDEXED = Statement(sa.select(_i.field).where(*_OF[document_index], _i.id == _ID))
UNREFER = Statement(sa.delete(document_references).where(*_OF[document_references], _r.id == _ID))
FORGET = Statement(
    sa.delete(document_history).where(*_OF[document_history], document_history.c.id == _ID)
)
UNINDEX_ALL = Statement(sa.delete(document_index).where(*_OF[document_index]))
UNREFER_ALL = Statement(sa.delete(document_references).where(*_OF[document_references]))
_h, _k = collection_history.c, document_history.c
_LOW = param("low", sa.BigInteger)
RECORD = Statement(sa.insert(collection_history))
HISTORY = Statement(
    sa.select(_h.version, _h.steps, _h.schema, _h.indexes, _h.changed, _h.by, _h.at)
    .where(*_OF[collection_history], _h.version > _LOW)
    .order_by(_h.version.desc())
)
KEPT = Statement(
    sa.select(_k.version, _k.id, _k.kept, _k.sealed).where(
        *_OF[document_history], _k.version > _LOW
    )
)
EXPIRE = Statement(
    sa.delete(document_history).where(*_OF[document_history], _k.at < param("until", sa.BigInteger))
)
REFERRED = Statement(
    sa.select(_r.collection, _r.id)
    .where(
        _r.tenant_id == TENANT,
        _r.target_collection == _COLLECTION,
        _r.target == _ID,
        sa.or_(_r.collection != _COLLECTION, _r.id != _ID),
    )
    .limit(1)
)
REFERRED_FROM = Statement(
    sa.select(_r.collection)
    .where(
        _r.tenant_id == TENANT,
        _r.target_collection == _COLLECTION,
        _r.collection != _COLLECTION,
    )
    .limit(1)
)
EMPTYING = tuple(Statement(sa.delete(table).where(*where)) for table, where in _OF.items())
"""Remove everything of a collection; the documents first: their number is what is given back."""
MOST_ROWS = 64


@lru_cache
def rows_into(table: sa.Table, count: int) -> Statement:
    """INSERT of `count` rows at once, as columns numbered from 0; those in conflict are left out.

    `tenant_id` and `collection` are the same for all.
    """
    shared = {"tenant_id": TENANT, "collection": _COLLECTION}
    own = [c for c in table.columns if c.name not in shared]
    rows = [
        shared | {c.name: sa.bindparam(f"{c.name}_{n}", type_=c.type) for c in own}
        for n in range(count)
    ]

    def build(dialect: str) -> Any:
        insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
        return insert.values(rows).on_conflict_do_nothing()

    return Statement(build)
