"""What a service sees of the database: transactions bound to its tenant."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tause_mcp import urls
from tause_mcp.database.statements import Statement
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
Row = tuple[Any, ...]


class Transaction(Protocol):
    """One open transaction. Rows are tuples in the order of the selected columns."""

    async def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        """Every row."""
        ...

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def run(self, statement: Statement, /, **values: Any) -> int:
        """Run a change; the number of rows it touched."""
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""What runs inside a transaction: from its first statement again, when the database asks for that."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is used; a file needs none of it."""

    pool_size: int = 10
    """Connections of this process at most."""
    pooled: bool = False
    """Whether a pooler in transaction mode (pgbouncer) stands between."""
    timeout: float = 30.0
    """Seconds that one statement, and the wait for a connection, may take."""


class Database(Protocol):
    """One database of the installation, shared by all tenants.

    A transaction sees the rows of its tenant only; with `tenant` None it sees no tenant's. `house`
    opens the few tables that the house itself keeps of all tenants (`database.protection.HOUSE`):
    for identity, the tree and sweeps, after the caller's reach is proven.
    """

    dialect: str

    async def first(
        self, tenant: TenantId | None, statement: Statement, /, **values: Any
    ) -> Row | None:
        """One read outside any transaction: the hot path."""
        ...

    async def read(
        self, tenant: TenantId | None, work: Work[T], *, long: bool = False, house: bool = False
    ) -> T:
        """A consistent read; `long` ones leave the event loop free."""
        ...

    async def write(self, tenant: TenantId | None, work: Work[T], *, house: bool = False) -> T:
        """A durable change: when this returns, it is committed.

        Raises:
            Unavailable: the database is down, full, read-only or locked too long; nothing changed.
        """
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless the database answers and may be written."""
        ...


class TenantDatabase:
    """The database as one call of one tenant sees it: every statement is bound to the tenant.

    `trailers` run inside this call's first transaction that commits: the audit entry and the mark
    of an idempotency key thus stand or fall with the change itself. A `looking` call is expected to
    change nothing: its trailers wait for the first transaction of which a statement touched a row.
    """

    __slots__ = ("_database", "_tenant", "changed", "looking", "trailers")

    def __init__(self, database: Database, tenant: TenantId) -> None:
        self._database = database
        self._tenant = tenant
        self.trailers: list[Work[None]] = []
        self.changed = False
        """Whether a transaction of this call has committed; while `looking`, one that touched a row."""
        self.looking = False

    @property
    def tenant(self) -> TenantId:
        return self._tenant

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`: for what one of them does in fewer round trips."""
        return self._database.dialect

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        tenant = self._tenant
        return await self._database.first(tenant, statement, tenant=tenant, **values)

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        return await self._database.read(
            self._tenant, lambda tx: work(_Bound(tx, self._tenant)), long=long
        )

    async def write(self, work: Work[T], *, house: bool = False) -> T:
        """One durable change. `house`: of the tree too, where other tenants stand in it."""
        trailers, self.trailers = self.trailers, []  # a parallel write of this call runs none
        counts = False

        async def whole(tx: Transaction) -> T:
            nonlocal counts
            bound = _Bound(tx, self._tenant)
            result = await work(bound)
            counts = bound.touched > 0 or self.changed or not self.looking
            for trailer in trailers if counts else ():
                await trailer(bound)
            return result

        try:
            result = await self._database.write(self._tenant, whole, house=house)
        except BaseException:
            self.trailers = trailers + self.trailers
            raise
        if counts:
            self.changed = True
        else:
            self.trailers = trailers + self.trailers
        return result


class _Bound:
    """A transaction that adds the tenant to every statement: `tenant` and column `tenant_id`."""

    __slots__ = ("_tenant", "_tx", "touched")

    def __init__(self, tx: Transaction, tenant: TenantId) -> None:
        self._tx = tx
        self._tenant = tenant
        self.touched = 0

    async def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        return await self._tx.all(statement, **values, tenant=self._tenant, tenant_id=self._tenant)

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        return await self._tx.first(
            statement, **values, tenant=self._tenant, tenant_id=self._tenant
        )

    async def run(self, statement: Statement, /, **values: Any) -> int:
        touched = await self._tx.run(
            statement, **values, tenant=self._tenant, tenant_id=self._tenant
        )
        self.touched += max(touched, 0)  # -1: nothing that counts
        return touched


DEFAULT_OPTIONS = Options()
FACTORIES: dict[str, Any] = {
    "sqlite": "tause_mcp.database.sqlite:open_sqlite",
    "postgresql+asyncpg": "tause_mcp.database.postgres:open_postgres",
    "postgresql": "tause_mcp.database.postgres:open_postgres",
}


def open_database(
    url: str, options: Options = DEFAULT_OPTIONS
) -> AbstractAsyncContextManager[Database]:
    """`async with open_database(url) as database`, by scheme."""
    factory = urls.choose(url, FACTORIES, "database", "TAUSE_DATABASE_URL")
    opened: AbstractAsyncContextManager[Database] = factory(url, options)
    return opened
