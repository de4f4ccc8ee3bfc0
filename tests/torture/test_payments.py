"""Thousands of raced payment calls, over several processes that are killed at random moments.

However often an order is asked for, whoever dies, and whatever the provider does not answer: no
order is charged twice, and nothing that the provider charged is missing in the ledger.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from tests.support import backends
from tests.support.backends import named
from tests.support.forked import Forked, forking, zygote
from tests.torture.writers import DEATH

from tause_mcp.database import TENANT, Statement
from tause_mcp.due import provider_due
from tause_mcp.platform import open_platform
from tause_mcp.services.payments.tables import payments
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.walk_wire import Answer, Speaker
from tause_mcp.testing.wompi import Sandbox, serving

pytestmark = [pytest.mark.anyio, pytest.mark.torture, pytest.mark.timeout(1500)]

CALLS = int(os.environ.get("PAYMENT_CALLS", "1000" if backends.on_servers() else "10000"))
CALLERS, PROCESSES, WINDOW, EACH = 16, 2, 24, 8
"""Callers at once; servers of the one installation; orders in play; calls per order, about."""
TENANT_ID = TenantId("shop")
FAULTS = ("timeout", "500_after", "502", "reset_after", "reset_before", "truncated", "429")
MAY = {"unavailable", "deadline_exceeded", "conflict", "provider_error", "idempotency_conflict"}


@dataclass
class Shop:
    """Who asks, and what was acknowledged."""

    servers: list[Forked]
    key: str
    draw: random.Random
    made: dict[tuple[str, int], str] = field(default_factory=dict)
    """(order, attempt) -> the id of the payment that the answer named."""
    calls: int = 0
    killed: int = 0
    cut: int = 0
    wrong: list[str] = field(default_factory=list)

    def arguments(self, number: int) -> dict[str, Any]:
        """The same for every call of an order: one in eight is declined, and tried again."""
        declined = number % EACH == 0
        method = {"type": "nequi", "phone": "3992222222" if declined else "3991111111"}
        return {
            "order_id": f"order-{number}",
            "amount": {"amount": 200_000 + number, "currency": "COP"},
            "method": method,
            "customer": {"email": f"payer{number}@example.com", "phone": "3001234567"},
            "acceptance": {"accepted_at": "2026-11-01T10:00:00Z", "evidence": "contract 7"},
            **({"retry": True} if declined and self.draw.random() < 0.3 else {}),
        }

    async def caller(self) -> None:
        """Ask for random orders of the window, at random servers, until all calls are made."""
        clients = [
            httpx2.AsyncClient(base_url=s.url, timeout=40, trust_env=False) for s in self.servers
        ]
        try:
            while self.calls < CALLS:
                self.calls += 1
                number = self.calls // EACH + self.draw.randrange(WINDOW)
                await self.call(Speaker(self.draw.choice(clients), self.key), number)
        finally:
            for client in clients:
                await client.aclose()

    async def call(self, speaker: Speaker, number: int) -> None:
        try:
            answer = await speaker.tool("payments_create", self.arguments(number))
        except httpx2.ConnectError:  # it is not there just now: that was no call
            self.calls -= 1
            await asyncio.sleep(0.05)
            return
        except DEATH:
            self.cut += 1
            await asyncio.sleep(0.02)
            return
        if answer.value:
            self.acknowledged(answer.value)
        elif _code(answer) not in MAY:
            self.wrong.append(f"{answer.status} {answer.body[:300]}")

    def acknowledged(self, payment: dict[str, Any]) -> None:
        key = payment["order_id"], payment["attempt"]
        if self.made.setdefault(key, payment["id"]) != payment["id"]:
            self.wrong.append(f"{key} is two payments: {self.made[key]} and {payment['id']}")

    async def killer(self) -> None:
        """One server after another dies, and comes again."""
        while self.calls < CALLS:
            await asyncio.sleep(self.draw.uniform(0.3, 2.5))
            server = self.draw.choice(self.servers)
            await asyncio.to_thread(server.kill)
            self.killed += 1
            await asyncio.to_thread(server.start)


def _code(answer: Answer) -> str:
    told = answer.result.get("_meta", {}).get("pro.tause/error", {})
    return str(told.get("code", answer.status))


async def _weather(sandbox: Sandbox, shop: Shop) -> None:
    """The provider fails now and then, at the moment that matters."""
    while shop.calls < CALLS:
        await asyncio.sleep(shop.draw.uniform(0.05, 0.4))
        sandbox.clear_faults()  # what nobody met does not pile up
        sandbox.fail("POST /transactions", shop.draw.choice(FAULTS), nth=1, times=1)


def _settings(home: Path, sandbox: Sandbox, base_url: str) -> dict[str, str]:
    keys = sandbox.keys
    return {
        "TAUSE_CACHE_URL": backends.settings(home).get("TAUSE_CACHE_URL", "database://"),
        "TAUSE_DEADLINE": "30",
        "WOMPI_BASE_URL": base_url,
        "WOMPI_PUBLIC_KEY": keys.public,
        "WOMPI_PRIVATE_KEY": keys.private,
        "WOMPI_EVENTS_SECRET": keys.events,
        "WOMPI_INTEGRITY_SECRET": keys.integrity,
    }


@asynccontextmanager
async def _shop(home: Path, settings: dict[str, str]) -> AsyncIterator[Shop]:
    with ExitStack() as stack:
        seed = stack.enter_context(zygote())
        logs = [home.with_name(f"server{n}.log") for n in range(PROCESSES)]
        servers = [stack.enter_context(forking(seed, home, log, **settings)) for log in logs]
        for server in servers:
            await asyncio.to_thread(server.start)
        yield Shop(servers, await asyncio.to_thread(_tenant, servers[0]), random.Random(11))


def _tenant(server: Forked) -> str:
    """A tenant whose machine may charge without asking anybody, below a ceiling."""
    ceiling = "approval_ceiling_cop=100000000"
    scopes = "payments:read,payments:write,payments:unattended"
    for command in (
        ("tenants", "create", TENANT_ID),
        ("tenants", "configure", TENANT_ID, "--limit", ceiling),
    ):
        code, said = server.run(*command)
        assert code == 0, said
    code, said = server.run("keys", "create", "--tenant", TENANT_ID, "--scopes", scopes)
    assert code == 0, said
    return said.split()[-1]


_p = payments.c
_STATES = Statement(
    sa.select(_p.id, _p.order_id, _p.attempt, _p.state, _p.provider_id, _p.reference, _p.amount)
    .where(_p.tenant_id == TENANT)
    .order_by(_p.order_id, _p.attempt)
)
_LATER = 600_000_000
_MINUTES_PASS = (
    Statement(
        sa.update(payments)
        .where(_p.tenant_id == TENANT, _p.state == "sending")
        .values(claimed_until=_p.claimed_until - _LATER, checked_at=_p.checked_at - _LATER)
    ),
    Statement(
        sa.update(provider_due)
        .where(provider_due.c.tenant_id == TENANT)
        .values(due_at=provider_due.c.due_at - _LATER)
    ),
)


async def _settled(settings: Settings) -> list[Any]:
    """The ledger once a fresh process has found out everything, as if minutes passed meanwhile."""
    async with open_platform(settings) as platform:
        database = platform.database_of(TENANT_ID)

        async def pass_time(tx: Any) -> None:
            for statement in _MINUTES_PASS:
                await tx.run(statement)

        until = time.monotonic() + 600
        while True:
            await database.write(pass_time)
            await asyncio.sleep(2)
            rows = await database.read(lambda tx: tx.all(_STATES))
            waiting = [row for row in rows if row[3] in ("ready", "sending", "pending")]
            if not waiting:
                return rows
            assert time.monotonic() < until, f"{len(waiting)} are not settled: {waiting[:5]}"


async def test_no_order_is_charged_twice_and_no_charge_is_lost(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    home = tmp_path / "home"
    sandbox = Sandbox(resolve_after="polls:1")
    with serving(sandbox) as served:
        settings = _settings(home, sandbox, served.base_url)
        async with _shop(home, settings) as shop:
            began = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(shop.killer())
                tasks.create_task(_weather(sandbox, shop))
                for _ in range(CALLERS):
                    tasks.create_task(shop.caller())
            seconds = time.monotonic() - began
            sandbox.clear_faults()
        rows = await _settled(Settings.read({**named(home), **settings}))
    states = dict(Counter(row[3] for row in rows))
    record_property(
        "counted",
        f"{shop.calls} calls in {seconds:.0f} s, {shop.killed} kills, {shop.cut} answers cut off; "
        f"{len(rows)} payments {states}",
    )
    assert not shop.wrong, shop.wrong[:5]
    _compare(rows, sandbox, shop)


def _compare(rows: list[Any], sandbox: Sandbox, shop: Shop) -> None:
    """The ledger and the provider say the same, and each order was paid once."""
    charged = {t.id: t for t in sandbox.transactions}
    approved = Counter(row[1] for row in rows if row[3] == "approved")
    assert not [order for order, times in approved.items() if times > 1], "charged twice"
    assert len({t.reference for t in charged.values()}) == len(charged)
    known = {row[4] for row in rows if row[4]}
    assert set(charged) == known, f"lost: {len(set(charged) - known)}"
    for _, order, attempt, state, provider, reference, amount in rows:
        if provider is None:
            assert state in ("error", "expired"), (order, attempt, state)
            continue
        found = charged[provider]
        assert (found.reference, found.amount_in_cents) == (reference, amount)
        assert found.status.lower() == state, (order, attempt, state, found.status)
    ids = {(row[1], row[2]): row[0] for row in rows}
    missing = {key: id_ for key, id_ in shop.made.items() if ids.get(key) != id_}
    assert not missing, f"acknowledged, and gone: {missing}"
    assert approved and shop.killed > CALLS / 2000
