"""Wompi's events: only a genuine one is heard, and then only as "look again"."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.shop import Shop, order, shop

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Unavailable
from tause_mcp.testing.walk import in_process
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio

YES = {"accepted_at": "2026-01-31T12:00:00Z", "evidence": "call 17"}
USUAL = ("transaction.id", "transaction.status", "transaction.amount_in_cents")


def event(
    secret: str,
    about: dict[str, Any],
    properties: tuple[str, ...] = USUAL,
    *,
    upper: bool = False,
    **changed: Any,
) -> bytes:
    """An event as Wompi signs it."""
    values = "".join(str(about[path.partition(".")[2]]) for path in properties)
    mark = hashlib.sha256(f"{values}1530291411{secret}".encode()).hexdigest()
    told = {
        "event": "transaction.updated",
        "data": {"transaction": about},
        "environment": "test",
        "signature": {"properties": list(properties), "checksum": mark.upper() if upper else mark},
        "timestamp": 1530291411,
        **changed,
    }
    return json.dumps(told).encode()


@dataclass(frozen=True, slots=True)
class Post:
    """Where events arrive, and a payment that they are about."""

    shop: Shop
    http: httpx2.AsyncClient
    about: dict[str, Any]
    id: str

    async def send(self, body: bytes, tenant: str = "acme") -> httpx2.Response:
        return await self.http.post(f"/webhooks/wompi/{tenant}", content=body)

    def event(self, *properties: str, upper: bool = False, **changed: Any) -> bytes:
        """A rightly signed one that says approved."""
        about = {**self.about, "status": "APPROVED", **changed}
        return event(self.shop.sandbox.keys.events, about, properties or USUAL, upper=upper)

    async def payment(self) -> dict[str, Any]:
        told: dict[str, Any] = await self.shop.house.call("payments_get", {"id": self.id}, "acme")
        return told

    def decide(self, status: str = "APPROVED") -> None:
        self.shop.sandbox.decide(self.about["id"], status)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    sandbox = Sandbox(resolve_after="manual")
    async with shop(tmp_path / "home", sandbox) as opened:
        told = order(method={"type": "nequi", "phone": "3991111111"}, acceptance=YES)
        caller = opened.house.caller("acme", scopes={"payments:write", "payments:unattended"})
        made = await opened.call("payments_create", told, caller)
        assert made["status"] == "pending"
        about = {
            "id": made["provider_id"],
            "reference": made["reference"],
            "amount_in_cents": 2_490_000,
            "currency": "COP",
            "status": "PENDING",
        }
        async with in_process(opened.house.platform) as http:
            yield Post(opened, http, about, made["id"])


# --- heard ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "upper"),
    [
        (USUAL, False),
        (USUAL, True),
        (USUAL[::-1], False),
        ((*USUAL, "transaction.reference", "transaction.currency"), False),
    ],
)
async def test_a_genuine_event_makes_it_look_again(
    post: Post, properties: tuple[str, ...], upper: bool
) -> None:
    post.decide()
    answer = await post.send(post.event(*properties, upper=upper))
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (await post.payment())["status"] == "approved"


async def test_repeated_and_reordered_events_change_nothing_more(post: Post) -> None:
    post.decide()
    late = event(post.shop.sandbox.keys.events, {**post.about, "status": "PENDING"})
    for body in (post.event(), post.event(), late, post.event(status="DECLINED"), post.event()):
        assert (await post.send(body)).status_code == 200
        assert (await post.payment())["status"] == "approved"
    assert sum(post.shop.sandbox.creates.values()) == 1


async def test_what_an_event_claims_is_not_believed(post: Post) -> None:
    assert (await post.send(post.event())).status_code == 200
    told = await post.payment()
    assert told["status"] == "pending" and "problem" not in told, "Wompi itself says PENDING"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"amount_in_cents": 1}, "amount"),
        ({"currency": "USD"}, "currency"),
    ],
)
async def test_what_wompi_shows_and_does_not_fit_becomes_a_problem(
    post: Post, other: dict[str, Any], says: str
) -> None:
    state = post.shop.sandbox.state
    with state.lock:
        made = state.transactions[post.about["id"]]
        for name, value in other.items():
            object.__setattr__(made, name, value)
    post.decide()
    assert (await post.send(post.event())).status_code == 200
    told = await post.payment()
    assert told["status"] == "pending" and says in told["problem"]


async def test_an_event_about_what_is_not_ours_is_taken_and_does_nothing(post: Post) -> None:
    post.decide()
    for changed in ({"id": "1-2-3", "reference": "other"}, {"id": "", "reference": ""}):
        assert (await post.send(post.event(**changed))).status_code == 200
    assert (await post.payment())["status"] == "pending"


async def test_when_wompi_is_away_the_event_is_taken_and_the_payment_stays_due(post: Post) -> None:
    post.decide()
    post.shop.sandbox.fail("GET /transactions*", "503", times=50)
    assert (await post.send(post.event())).status_code == 200
    assert (await post.payment())["status"] == "pending"
    from tause_mcp.due import provider_due
    from tause_mcp.services.payments import tables

    rows = tables.Statement(tables.sa.select(provider_due.c.id))
    database = post.shop.house.platform.database
    due = await database.read(None, lambda tx: tx.all(rows), house=True)
    assert (post.id,) in [tuple(row) for row in due]


async def test_when_our_database_is_down_it_has_to_be_sent_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("the database is down")

    monkeypatch.setattr(TenantDatabase, "write", down)
    assert (await post.send(post.event())).status_code == 503


# --- refused ----------------------------------------------------------------------------------------


def junk(post: Post) -> dict[str, bytes]:
    good = json.loads(post.event())
    return {
        "nothing": b"",
        "no json": b"{",
        "a number": b"7",
        "no signature": json.dumps({**good, "signature": None}).encode(),
        "another amount": post.event().replace(b"2490000", b"2490001"),
        "a wrong secret": event("test_events_other", {**post.about, "status": "APPROVED"}),
        "no properties": event(post.shop.sandbox.keys.events, post.about, ()),
        "deep": post.event()[:-1] + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "not text": b"\xff\xfe",
    }


async def test_what_is_not_genuine_and_whom_nobody_knows_are_answered_alike(post: Post) -> None:
    post.decide()
    answers = [await post.send(body) for body in junk(post).values()]
    good = post.event()
    for tenant in ("nobody", "NOT-A-TENANT", "x"):
        answers += [await post.send(good, tenant), await post.send(b"{", tenant)]
    await post.shop.house.call("tenants_suspend", {"tenant_id": "globex"})
    answers.append(await post.send(good, "globex"))
    assert {(a.status_code, a.content) for a in answers} == {(401, b'{"error":"unauthenticated"}')}
    assert len({str(sorted(a.headers.items())) for a in answers}) == 1
    assert (await post.payment())["status"] == "pending"


async def test_a_huge_body_is_refused(post: Post) -> None:
    assert (await post.send(b" " * 65_537)).status_code == 413


async def test_forged_events_cost_a_tenant_nothing(post: Post) -> None:
    before = await post.shop.house.call("audit_search", {"limit": 100}, "acme")
    for body in junk(post).values():
        await post.send(body)
    after = await post.shop.house.call("audit_search", {"limit": 100}, "acme")
    assert len(after["items"]) == len(before["items"])


async def test_each_tenant_has_its_own_secret_and_two_while_it_is_rotated(post: Post) -> None:
    keys = post.shop.sandbox.keys
    for name, value in (
        ("private", keys.private),
        ("integrity", keys.integrity),
        ("events", "test_events_globexfirst"),
    ):
        told = {"name": f"wompi/{name}", "value": value}
        await post.shop.house.call("secrets_put", told, "globex")
    values = {
        "payments.wompi.public_key": keys.public,
        **{
            f"payments.wompi.{name}": f"secret://wompi/{of}"
            for name, of in (
                ("private_key", "private"),
                ("integrity_secret", "integrity"),
                ("events_secret", "events"),
            )
        },
    }
    await post.shop.call("tenants_configure", {"values": values}, "globex")
    about = {**post.about, "status": "APPROVED"}
    first, second = (event(f"test_events_globex{n}", about) for n in ("first", "second"))
    ours = post.event()
    assert (await post.send(ours, "globex")).status_code == 401, "right, but another tenant's"
    assert (await post.send(first, "acme")).status_code == 401
    assert (await post.send(first, "globex")).status_code == 200
    assert (await post.send(second, "globex")).status_code == 401
    told = {"name": "wompi/events", "value": "test_events_globexsecond", "grace": 3600}
    await post.shop.house.call("secrets_rotate", told, "globex")
    assert [(await post.send(b, "globex")).status_code for b in (first, second)] == [200, 200]
    assert (await post.payment())["status"] == "pending", "another tenant's event moves nothing"


async def test_what_the_double_sends_by_itself_arrives(post: Post) -> None:
    post.shop.sandbox.change(auto_deliver=False)
    post.shop.sandbox.webhook_url = "http://127.0.0.1:1/webhooks/wompi/acme"
    post.decide()
    (sent,) = post.shop.sandbox.deliveries
    assert (await post.send(sent.body)).status_code == 200
    assert (await post.payment())["status"] == "approved"
