"""Statements of the reconciler: what the rows say is stored, beside what is."""

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, upsert
from tause_mcp.services.storage.tables import (
    KEY_TEXT,
    objects,
    storage_usage,
    upload_parts,
    uploads,
)
from tause_mcp.services.tenants.tables import tenants

_o, _u, _p, _s, _t = (t.c for t in (objects, uploads, upload_parts, storage_usage, tenants))


def _sum(column: sa.Column[int], *where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    total = sa.func.coalesce(sa.cast(sa.func.sum(column), sa.BigInteger), 0)
    return sa.select(total).where(*where).scalar_subquery()


def _one(column: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.select(column).where(_s.tenant_id == TENANT).scalar_subquery()


_COUNT = sa.select(sa.func.count()).where(_o.tenant_id == TENANT).scalar_subquery()
COUNTS = Statement(
    sa.select(
        _one(_s.bytes),
        _one(_s.objects),
        _one(_s.reserved),
        _sum(_o.size, _o.tenant_id == TENANT),
        _COUNT,
        _sum(_u.length, _u.tenant_id == TENANT, _u.done == 0),
    )
)
"""The counters (null: there are none), then what they should be, of one moment."""
SET_USAGE = upsert(storage_usage, ("tenant_id",), ("bytes", "objects", "reserved"))

REFERRING = Statement(
    sa.select(_o.key, _o.blob, _o.lost_at)
    .where(
        _o.tenant_id == TENANT,
        _o.blob.is_not(None),
        _o.key > sa.bindparam("after", type_=KEY_TEXT),
    )
    .order_by(_o.key)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
MARK = Statement(
    sa.update(objects)
    .where(
        _o.tenant_id == TENANT,
        _o.key == sa.bindparam("named", type_=KEY_TEXT),
        _o.blob == sa.bindparam("missing", type_=sa.Text),
    )
    .values(lost_at=sa.bindparam("moment", type_=sa.BigInteger))
)
PARTS = Statement(sa.select(_p.upload_id, _p.blob).where(_p.tenant_id == TENANT))
TENANTS = Statement(
    sa.union(sa.select(_s.tenant_id), sa.select(_t.tenant_id).where(_t.state != "deleted"))
)
"""Whoever has counters, or is there: read by the house."""
