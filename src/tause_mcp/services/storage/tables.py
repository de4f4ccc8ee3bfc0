"""Tables and statements of storage. Every key leads with the tenant."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata, upsert
from tause_mcp.services.storage.keys import RESERVED

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared by bytes on every database: a prefix is a range."""


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text, primary_key=True)


objects = sa.Table(
    "objects",
    metadata,
    _tenant(),
    sa.Column("key", KEY_TEXT, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("blob", sa.Text),
    sa.Column("body", sa.LargeBinary),
    sa.Column("enc", sa.LargeBinary),
    sa.Column("lost_at", sa.BigInteger),
    sa.Index("objects_blob", "tenant_id", "blob"),
)
"""`enc` NULL: the bytes are plain, as they were kept before there was encryption. A sealed blob has
its own key there, sealed; a sealed `body` has an empty one."""
storage_usage = sa.Table(
    "storage_usage",
    metadata,
    _tenant(),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
)
uploads = sa.Table(
    "uploads",
    metadata,
    _tenant(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key", KEY_TEXT, nullable=False),
    sa.Column("length", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("done", sa.SmallInteger, nullable=False),
    sa.Index("uploads_expires_at", "expires_at"),
)
upload_parts = sa.Table(
    "upload_parts",
    metadata,
    _tenant(),
    sa.Column("upload_id", sa.Text, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("blob", sa.Text, nullable=False),
    sa.Column("enc", sa.LargeBinary),
    sa.Column("sha256", sa.Text),
    sa.Index("upload_parts_blob", "tenant_id", "blob"),
)
blob_trash = sa.Table(
    "blob_trash",
    metadata,
    _tenant(),
    sa.Column("blob", sa.Text, primary_key=True),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("claimed", sa.SmallInteger, nullable=False),
    sa.Index("blob_trash_due", "due"),
)

_o, _u, _p, _t, _s = (t.c for t in (objects, uploads, upload_parts, blob_trash, storage_usage))
_KEY = sa.bindparam("key", type_=KEY_TEXT)
_ID = sa.bindparam("id", type_=sa.Text)
_BLOB = sa.bindparam("blob", type_=sa.Text)
_NAMED = sa.bindparam("named", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_INFO = (_o.key, _o.size, _o.sha256, _o.etag, _o.content_type, _o.updated_at, _o.blob)
_ONE = (_o.tenant_id == TENANT, _o.key == _KEY)

STAT = Statement(sa.select(*_INFO).where(*_ONE))
FETCH = Statement(sa.select(*_INFO, _o.body, _o.enc, _o.lost_at).where(*_ONE))
LIST = Statement(
    sa.select(*_INFO)
    .where(
        _o.tenant_id == TENANT,
        _o.key >= sa.bindparam("low", type_=KEY_TEXT),
        _o.key < sa.bindparam("high", type_=KEY_TEXT),
        _o.key > sa.bindparam("after", type_=KEY_TEXT),
        sa.or_(_o.key < RESERVED, _o.key >= RESERVED[:-1] + "0"),  # "0" comes after "/"
    )
    .order_by(_o.key)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
STORE = upsert(
    objects,
    ("tenant_id", "key"),
    ("size", "sha256", "etag", "content_type", "updated_at", "blob", "body", "enc", "lost_at"),
)
REMOVE = Statement(sa.delete(objects).where(*_ONE))
HOLDS = Statement(
    sa.union_all(
        sa.select(_o.blob).where(_o.tenant_id == TENANT, _o.blob == _BLOB),
        sa.select(_p.blob).where(_p.tenant_id == TENANT, _p.blob == _BLOB),
        sa.select(_t.blob).where(_t.tenant_id == TENANT, _t.blob == _BLOB),
    )
)

USAGE = Statement(sa.select(_s.bytes, _s.objects, _s.reserved).where(_s.tenant_id == TENANT))
LOCK_USAGE = Statement(
    sa.select(_s.bytes, _s.objects, _s.reserved).where(_s.tenant_id == TENANT).with_for_update()
)
START_USAGE = upsert(storage_usage, ("tenant_id",), ())
CHANGE_USAGE = Statement(
    sa.update(storage_usage)
    .where(_s.tenant_id == TENANT)
    .values(
        bytes=_s.bytes + sa.bindparam("more_bytes", type_=sa.BigInteger),
        objects=_s.objects + sa.bindparam("more_objects", type_=sa.BigInteger),
        reserved=_s.reserved + sa.bindparam("more_reserved", type_=sa.BigInteger),
    )
)

QUEUE = upsert(blob_trash, ("tenant_id", "blob"), ("due",))
"""Plan the removal of a blob; `claimed` is kept when the blob is already planned."""
ADOPT = Statement(
    sa.delete(blob_trash).where(_t.tenant_id == TENANT, _t.blob == _BLOB, _t.claimed == 0)
)
"""Take a freshly written blob out of the trash; no row: the sweep was faster."""
POSTPONE = Statement(
    sa.update(blob_trash)
    .where(_t.tenant_id == TENANT, _t.blob == _NAMED, _t.claimed == 0)
    .values(due=sa.bindparam("until", type_=sa.BigInteger))
)
DUE = Statement(
    sa.select(_t.tenant_id, _t.blob)
    .where(_t.due <= _NOW)
    .order_by(_t.due)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
CLAIM = Statement(
    sa.update(blob_trash)
    .where(_t.tenant_id == TENANT, _t.blob == _NAMED, _t.due <= _NOW)
    .values(claimed=1, due=sa.bindparam("until", type_=sa.BigInteger))
)
"""The blob is the sweep's until `until`: no writer can adopt it any more."""
SWEPT = Statement(sa.delete(blob_trash).where(_t.tenant_id == TENANT, _t.blob == _BLOB))


def _queue_all(table: sa.Table) -> Statement:
    """Plan the removal of every blob that the tenant's rows of `table` refer to, at once."""
    c = table.c
    columns = (c.tenant_id, c.blob, sa.literal(0, sa.BigInteger), sa.literal(0, sa.SmallInteger))
    chosen = sa.select(*columns).where(c.tenant_id == TENANT, c.blob.is_not(None))
    names = ["tenant_id", "blob", "due", "claimed"]

    def build(dialect: str) -> Any:
        insert = (sqlite if dialect == "sqlite" else postgresql).insert(blob_trash)
        return insert.from_select(names, chosen).on_conflict_do_nothing()

    return Statement(build)


LEAVING = "leaving"
"""`table.info`: the statement to run before a tenant's rows of this table are removed for good."""
OUTLIVES = "outlives"
"""`table.info`: rows of this table outlive their tenant; what they name is still to be removed."""
QUEUE_OBJECTS = objects.info[LEAVING] = _queue_all(objects)
QUEUE_PARTS = upload_parts.info[LEAVING] = _queue_all(upload_parts)
blob_trash.info[OUTLIVES] = True
REMOVE_ALL = Statement(sa.delete(objects).where(_o.tenant_id == TENANT))
END_USAGE = Statement(sa.delete(storage_usage).where(_s.tenant_id == TENANT))

_UPLOAD = (
    _u.id,
    _u.key,
    _u.length,
    _u.received,
    _u.content_type,
    _u.sha256,
    _u.expires_at,
    _u.done,
)
BEGIN_UPLOAD = Statement(sa.insert(uploads))
UPLOAD = Statement(sa.select(*_UPLOAD).where(_u.tenant_id == TENANT, _u.id == _ID))
EXPIRED = Statement(
    sa.select(_u.tenant_id, _u.id)
    .where(_u.expires_at <= _NOW)
    .order_by(_u.expires_at)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
ADVANCE = Statement(
    sa.update(uploads)
    .where(
        _u.tenant_id == TENANT,
        _u.id == sa.bindparam("upload", type_=sa.Text),
        _u.received == sa.bindparam("at", type_=sa.BigInteger),
        _u.done == 0,
    )
    .values(received=_u.received + sa.bindparam("more", type_=sa.BigInteger))
)
FINISH = Statement(
    sa.update(uploads)
    .where(_u.tenant_id == TENANT, _u.id == sa.bindparam("upload", type_=sa.Text), _u.done == 0)
    .values(done=1)
)
END_UPLOAD = Statement(sa.delete(uploads).where(_u.tenant_id == TENANT, _u.id == _ID))
ADD_PART = Statement(sa.insert(upload_parts))
PARTS = Statement(
    sa.select(_p.start, _p.size, _p.blob, _p.enc, _p.sha256)
    .where(_p.tenant_id == TENANT, _p.upload_id == _ID)
    .order_by(_p.start)
)
END_PARTS = Statement(sa.delete(upload_parts).where(_p.tenant_id == TENANT, _p.upload_id == _ID))
REMOVE_UPLOADS = Statement(sa.delete(uploads).where(_u.tenant_id == TENANT))
REMOVE_PARTS = Statement(sa.delete(upload_parts).where(_p.tenant_id == TENANT))
