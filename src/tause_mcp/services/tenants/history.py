"""Who changed what of a tenant's configuration, limits, plan or name: from what, to what, when."""

from typing import NamedTuple

import orjson
import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, TenantDatabase, Transaction, metadata
from tause_mcp.services.tenants.tables import number, text
from tause_mcp.tenancy import Caller, TenantId

KEPT = 500
"""Versions of a tenant whose changes are kept."""
LIMITS, PLAN, NAME = "limits.", "plan", "name"

tenant_changes = sa.Table(
    "tenant_changes",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("home", sa.Text, nullable=False),
    sa.Column("was", sa.Text),
    sa.Column("became", sa.Text),
    sa.Index("tenant_changes_by_what", "tenant_id", "what", "version"),
)
"""`what` is a key, `limits.<name>`, `plan` or `name`; `home` the tenant that the actor acted for.
`was` and `became` are JSON, NULL where nothing was stated."""

_c = tenant_changes.c
_CHILD = text("child")

ADD = Statement(
    sa.insert(tenant_changes).values(
        tenant_id=_CHILD,
        version=number("of_version"),
        what=text("of_what"),
        environment=text("of_environment"),
        at=number("of_at"),
        actor=text("of_actor"),
        home=text("of_home"),
        was=text("of_was"),
        became=text("of_became"),
    )
)
TRIM = Statement(
    sa.delete(tenant_changes).where(_c.tenant_id == _CHILD, _c.version <= number("oldest"))
)
OF = Statement(
    sa.select(_c.version, _c.at, _c.actor, _c.home, _c.environment, _c.was, _c.became)
    .where(_c.tenant_id == TENANT, _c.what == text("of_what"))
    .order_by(_c.version.desc(), _c.environment)
    .limit(sa.bindparam("count", type_=sa.Integer))
)


class Change(NamedTuple):
    """One change; `was` and `became` are JSON, None where nothing was stated."""

    version: int
    at: int
    actor: str
    home: str
    environment: str
    was: str | None
    became: str | None


class Ledger:
    """What one change of a tenant writes into its history, in the change's own transaction."""

    def __init__(
        self, tx: Transaction, target: TenantId, caller: Caller, version: int, at: int
    ) -> None:
        self._tx = tx
        self._stamp = {
            "child": target,
            "of_version": version,
            "of_at": at,
            "of_actor": _storable(caller.subject),
            "of_home": caller.home or caller.tenant,
        }

    async def note(
        self, what: str, was: str | None, became: str | None, environment: str = ""
    ) -> None:
        """`what` changes; nothing is written where it stays the same."""
        if was != became:
            told = {"of_what": what, "of_environment": environment}
            await self._tx.run(ADD, of_was=was, of_became=became, **told, **self._stamp)

    async def trim(self) -> None:
        """Forget what is older than the versions that are kept."""
        oldest = int(str(self._stamp["of_version"])) - KEPT
        if oldest > 0:
            await self._tx.run(TRIM, child=self._stamp["child"], oldest=oldest)


def _storable(text: str) -> str:
    """Bounded, and with nothing that a database cannot keep."""
    return text[:512].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def json(value: str | int | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def changes_of(database: TenantDatabase, what: str, count: int) -> list[Change]:
    """The changes of one key, the newest first."""
    rows = await database.read(lambda tx: tx.all(OF, of_what=what, count=count))
    return [Change(*row) for row in rows]
