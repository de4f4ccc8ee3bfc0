"""Two tenants do anything in any order, and each finds exactly what it left: on both engines."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.database.notes import GET, GROW, INSERT, LIST, PUT, notes
from tests.support import postgres

from tause_mcp.database import (
    TENANT,
    Database,
    Statement,
    TenantDatabase,
    Transaction,
    open_database,
)
from tause_mcp.errors import Conflict
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
TENANTS = st.sampled_from(["ta", "tab", "t_b", "t-b"])
NAMES = st.sampled_from(["a", "ab", "a%", "a_", "A", "ta", "'", "ñ"])
DELETE = Statement(
    sa.delete(notes).where(
        notes.c.tenant_id == TENANT, notes.c.name == sa.bindparam("of", type_=sa.Text)
    )
)
EMPTY = Statement(sa.delete(notes).where(notes.c.tenant_id == TENANT))


class Apart(RuleBasedStateMachine):
    """What each tenant should find is `left`."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[str, dict[str, int]] = {}
        self.runner = asyncio.Runner()
        self.opened: AbstractAsyncContextManager[Database] = open_database(self.url)
        self.database = self.run(self.opened.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def of(self, tenant: str) -> TenantDatabase:
        return TenantDatabase(self.database, TenantId(tenant))

    def mine(self, tenant: str) -> dict[str, int]:
        return self.left.setdefault(tenant, {})

    @rule(tenant=TENANTS, name=NAMES, size=st.integers(-(2**63), 2**63 - 2))
    def put(self, tenant: str, name: str, size: int) -> None:
        values = {"name": name, "size": size, "body": None, "tag": None}
        self.run(self.of(tenant).write(lambda tx: tx.first(PUT, **values)))
        self.mine(tenant)[name] = size

    @rule(tenant=TENANTS, name=NAMES)
    def grow(self, tenant: str, name: str) -> None:
        touched = self.run(self.of(tenant).write(lambda tx: tx.run(GROW, of=name)))
        assert touched == (name in self.mine(tenant))
        if touched:
            self.mine(tenant)[name] += 1

    @rule(tenant=TENANTS, name=NAMES)
    def delete(self, tenant: str, name: str) -> None:
        touched = self.run(self.of(tenant).write(lambda tx: tx.run(DELETE, of=name)))
        assert touched == (self.mine(tenant).pop(name, None) is not None)

    @rule(tenant=TENANTS)
    def empty(self, tenant: str) -> None:
        assert self.run(self.of(tenant).write(lambda tx: tx.run(EMPTY))) == len(self.mine(tenant))
        self.left[tenant] = {}

    @rule(tenant=TENANTS, name=NAMES)
    def fail(self, tenant: str, name: str) -> None:
        async def work(tx: Transaction) -> None:
            await tx.run(EMPTY)
            await tx.run(INSERT, name=name, size=1, body=None, tag=None)
            raise Conflict("no")

        with pytest.raises(Conflict):
            self.run(self.of(tenant).write(work))

    @rule(tenant=TENANTS, name=NAMES)
    def get(self, tenant: str, name: str) -> None:
        size = self.mine(tenant).get(name)
        found = self.run(self.of(tenant).first(GET, of=name))
        assert found == (None if size is None else (name, size))

    @invariant()
    def nobody_finds_more_or_less(self) -> None:
        for tenant in ("ta", "tab", "t_b", "t-b"):
            rows = self.run(self.of(tenant).read(lambda tx: tx.all(LIST)))
            assert {row[0] for row in rows} == set(self.mine(tenant))

    def teardown(self) -> None:
        for tenant in self.left:
            self.run(self.of(tenant).write(lambda tx: tx.run(EMPTY)))
        self.run(self.opened.__aexit__(None, None, None))  # type: ignore[arg-type]
        self.runner.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request: pytest.FixtureRequest) -> Iterator[type[Apart]]:
    where = request.getfixturevalue(f"{request.param.removesuffix('ql')}_notes")
    yield type("Here", (Apart,), {"url": where})
    if request.param == "postgresql":
        postgres.server().sql("TRUNCATE notes", database="notes")


def test_tenants_never_meet(machine: type[Apart]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    found = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=found)  # type: ignore[no-untyped-call]
