"""Whatever happens in whatever order: nobody pays twice, nothing goes back, the truth wins."""

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support import backends
from tests.support.rows import make_file

from tause_mcp import due, times
from tause_mcp.database import open_database
from tause_mcp.errors import TauseError
from tause_mcp.outbound.wompi import Event, Refused, StaleTerms
from tause_mcp.services.payments import sending, tables
from tause_mcp.services.payments.record import Row
from tause_mcp.tenancy import TenantId

from .conftest import Provider, Till, account, unsent
from .test_killed import dies

RANK = {
    tables.READY: 0,
    tables.AWAITING: 0,
    tables.SENDING: 0,
    tables.EXPIRED: 1,
    tables.PENDING: 2,
    tables.DECLINED: 3,
    tables.ERROR: 3,
    tables.APPROVED: 3,
    tables.VOIDED: 4,
}
ORDERS = st.sampled_from(["o1", "o2"])
FAULTS = st.sampled_from([None, None, None, "lost", "unsent", "stale", "refused", "dies"])
LOOKS = st.sampled_from([None, None, "unsent"])
_tenants = itertools.count()


def fault(name: str | None) -> Any:
    return {
        "unsent": unsent(),
        "stale": StaleTerms("used"),
        "refused": Refused("no"),
    }.get(name or "", name)


class Loop:
    """A loop and a database for all examples of a run: each is a tenant of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = open_database(make_file(Path(self.folder.name) / "rows.db"))
        self.database = self.run(self.opened.__aenter__())

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.opened.__aexit__(None, None, None))
        backends.forget(Path(self.folder.name))
        self.loop.close()
        self.folder.cleanup()


def machine(loop: Loop) -> type[RuleBasedStateMachine]:
    class Shop(RuleBasedStateMachine):
        @initialize()
        def opens(self) -> None:
            tenant = TenantId(f"t{next(_tenants)}")
            self.till = Till(loop.database, Provider(), tenant, account=account())
            self.seen: dict[str, str] = {}
            self.moved = 0.0
            self.patches = pytest.MonkeyPatch()
            self.patches.setattr(sending, "_FOLLOW", ())
            real = times.now
            self.patches.setattr(times, "now", lambda: real() + int(self.moved * times.SECOND))

        def attempt(self, *works: Coroutine[Any, Any, Any], dying: int | None = None) -> None:
            """Run them at once; what fails, fails. The first one may die."""

            async def one(work: Coroutine[Any, Any, Any], at: int | None) -> None:
                with suppress(TauseError):
                    await (work if at is None else dies(work, at, undone=False))

            async def whole() -> None:
                dies_here = None if backends.on_servers() else dying  # see test_killed
                ats = [dies_here] + [None] * (len(works) - 1)
                await asyncio.gather(*map(one, works, ats))

            loop.run(whole())

        def rows(self) -> list[Row]:
            statement = tables.Statement(
                tables.sa.select(*tables.INTENTS.shown).where(
                    tables.payments.c.tenant_id == tables.TENANT
                )
            )
            return [Row(*r) for r in loop.run(self.till.rows.read(lambda tx: tx.all(statement)))]

        @rule(
            order=ORDERS, how=FAULTS, retry=st.booleans(), at=st.integers(0, 9), other=st.booleans()
        )
        def pays(self, order: str, how: str | None, retry: bool, at: int, other: bool) -> None:
            self.till.provider.fail("create", fault(how) if how != "dies" else None)
            amount = 300_000 if other else 200_000
            work = self.till.sent(order, retry=retry, amount=amount)
            self.attempt(work, dying=at if how == "dies" else None)
            self.till.provider.faults.clear()

        @rule(order=ORDERS, how=FAULTS, at=st.integers(0, 9), clicks=st.integers(1, 3))
        def accepts(self, order: str, how: str | None, at: int, clicks: int) -> None:
            self.attempt(self.till.create(order, amount=200_000))
            waiting = [r for r in self.rows() if r.order_id == order]
            for row in waiting:
                self.till.provider.fail("create", fault(how) if how != "dies" else None)
                works = [self.till.accept(row.id) for _ in range(clicks)]
                self.attempt(*works, dying=at if how == "dies" else None)
                self.till.provider.faults.clear()

        @rule(data=st.data(), status=st.sampled_from(["APPROVED", "DECLINED", "ERROR"]))
        def answers(self, data: st.DataObject, status: str) -> None:
            open_ = [t for t in self.till.provider.transactions.values() if t.status == "PENDING"]
            if open_:
                of = data.draw(st.sampled_from(open_))
                self.till.provider.set(of.reference, status)

        @rule(
            data=st.data(), look=LOOKS, how=FAULTS, at=st.integers(0, 5), times_=st.integers(1, 3)
        )
        def looks(
            self, data: st.DataObject, look: str | None, how: str | None, at: int, times_: int
        ) -> None:
            if not (rows := self.rows()):
                return
            row = data.draw(st.sampled_from(rows))
            self.till.provider.fail("by_reference", fault(look))
            self.till.provider.fail("create", fault(how) if how != "dies" else None)
            works = [self.till.payments.reconcile(row.id) for _ in range(times_)]
            self.attempt(*works, dying=at if how == "dies" else None)
            self.till.provider.faults.clear()

        @rule(data=st.data())
        def hears(self, data: st.DataObject) -> None:
            if not (known := list(self.till.provider.transactions.values())):
                return
            of = data.draw(st.sampled_from(known))
            told = {"transaction": {"id": of.id, "reference": of.reference}}
            ids = loop.run(self.till.payments.seen_event(Event("e", told, "test", 1, "c", ())))
            self.attempt(*(self.till.payments.reconcile(id_) for id_ in ids))

        @rule(
            data=st.data(),
            part=st.sampled_from([None, 50_000, 200_000]),
            how=st.sampled_from([None, None, "lost", "unsent", "refused", "dies"]),
            at=st.integers(0, 5),
            twice=st.booleans(),
        )
        def voids(
            self, data: st.DataObject, part: int | None, how: str | None, at: int, twice: bool
        ) -> None:
            if not (rows := self.rows()):
                return
            row = data.draw(st.sampled_from(rows))
            self.till.provider.fail("void", fault(how) if how != "dies" else None)
            works = [self.till.payments.void(row.id, part) for _ in range(1 + twice)]
            self.attempt(*works, dying=at if how == "dies" else None)
            self.till.provider.faults.clear()

        @rule(seconds=st.sampled_from([1, 61, 130, 3600, 90_000]))
        def waits(self, seconds: int) -> None:
            self.moved += seconds

        @rule(look=LOOKS)
        def sweeps(self, look: str | None) -> None:
            self.till.provider.fail("by_reference", fault(look))
            loop.run(self.till.sweep(self.till.tenant).once())
            self.till.provider.faults.clear()

        @invariant()
        def nobody_pays_twice_and_nothing_goes_back(self) -> None:
            if not hasattr(self, "till"):
                return
            provider = self.till.provider
            rows = self.rows()
            paid: dict[str, int] = {}
            for row in rows:
                of = provider.transactions.get(row.reference)
                if of is not None and of.status in ("APPROVED", "VOIDED"):
                    paid[row.order_id] = paid.get(row.order_id, 0) + 1
                before = self.seen.get(row.id, tables.READY)
                assert RANK[row.state] >= RANK[before], (before, row)
                if RANK[before] >= 2 and before != row.state:
                    assert (before, row.state) in ALLOWED, (before, row)
                self.seen[row.id] = row.state
                assert row.voided <= row.amount
                if row.state == tables.APPROVED:
                    assert of is not None and of.status in ("APPROVED", "VOIDED")
            assert all(count == 1 for count in paid.values()), paid
            assert set(provider.transactions) <= {row.reference for row in rows}
            for of in provider.transactions.values():
                assert provider.refunded(of.id) <= of.amount

        def teardown(self) -> None:
            if not hasattr(self, "till"):
                return
            provider = self.till.provider
            provider.faults.clear()
            for _ in range(8):
                self.moved += 130
                self.attempt(*(self.till.payments.reconcile(row.id) for row in self.rows()))
            for row in self.rows():
                of = provider.transactions.get(row.reference)
                if of is None:
                    assert row.state in (tables.AWAITING, tables.EXPIRED, tables.ERROR), row
                    continue
                assert row.provider_id == of.id, (row, of)
                whole = row.voided == row.amount  # in parts, of which the provider shows none
                assert row.state == of.status.lower() or whole, (row, of)
                unclear = row.void_state is not None  # of a part: nobody can tell
                assert unclear or row.voided == provider.refunded(of.id), (row, provider.voids)
                assert row.problem is None or unclear or "void" in row.problem, row
            self.patches.undo()
            for _, id_, _ in loop.run(self.till.due()):
                loop.run(self.till.rows.write(lambda tx, id_=id_: due.end(tx, "payment", id_)))

    return Shop


ALLOWED = {
    (tables.PENDING, tables.APPROVED),
    (tables.PENDING, tables.DECLINED),
    (tables.PENDING, tables.ERROR),
    (tables.PENDING, tables.VOIDED),
    (tables.APPROVED, tables.VOIDED),
    (tables.ERROR, tables.DECLINED),
    (tables.ERROR, tables.APPROVED),
}
"""The last two only where the error was our own, before the provider's transaction turned up."""


@pytest.mark.timeout(300)
def test_any_order_of_events_ends_in_the_truth() -> None:
    loop = Loop()
    try:
        case: Any = machine(loop).TestCase
        case.settings = settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        case().runTest()
    finally:
        loop.close()
