"""A table with a tenant, and the statements on it."""

from typing import Any

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, Transaction, Work, upsert

notes = sa.Table(
    "notes",
    sa.MetaData(),
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("tag", sa.Text),
)

_mine = (notes.c.tenant_id == TENANT, notes.c.name == sa.bindparam("of", type_=sa.Text))

INSERT = Statement(sa.insert(notes))
PUT = upsert(notes, ("tenant_id", "name"), ("size",), notes.c.size)
KEEP = upsert(notes, ("tenant_id", "name"), ())
GET = Statement(sa.select(notes.c.name, notes.c.size).where(*_mine))
LIST = Statement(sa.select(notes.c.name).where(notes.c.tenant_id == TENANT).order_by(notes.c.name))
GROW = Statement(sa.update(notes).where(*_mine).values(size=notes.c.size + 1))
TAG = Statement(
    sa.update(notes)
    .where(notes.c.tenant_id == TENANT, notes.c.name.in_(["a", "b"]))
    .values(tag="x")
)
UNTAG = Statement(sa.update(notes).where(notes.c.tenant_id == TENANT).values(tag=None))
TAGGED = Statement(
    sa.select(notes.c.name)
    .where(notes.c.tenant_id == TENANT, notes.c.tag.is_not(None))
    .order_by(notes.c.name)
)

SLEEP = Statement(sa.select(sa.func.pg_sleep(sa.bindparam("seconds", type_=sa.Double))))
"""PostgreSQL's own: a statement that takes its time."""


def put(name: str, size: int = 1, body: bytes | None = None) -> Work[None]:
    """Work that inserts one note; a second of the same name violates the key."""

    async def work(tx: Transaction) -> None:
        await tx.run(INSERT, name=name, size=size, body=body, tag=None)

    return work


async def names(tx: Transaction) -> list[Any]:
    return [row[0] for row in await tx.all(LIST)]
