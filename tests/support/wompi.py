"""Wompi's clients over a server on a real socket that answers what a test states."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.outbound import Server, serving, trusting

from tause_mcp.outbound.wompi import (
    Account,
    Charge,
    Customer,
    Method,
    Payouts,
    PayoutsAccount,
    Wompi,
)
from tause_mcp.settings import Settings

KEYS = {
    "public_key": "pub_test_canarypublic",
    "private_key": "prv_test_canaryprivate",
    "integrity_secret": "test_integrity_canarysigns",
}
EVENTS = "test_events_canaryevents"
PAYER = Customer(
    "ana@example.com",
    full_name="Ana Pérez",
    phone="3001234567",
    document_type="CC",
    document="1020304050",
)


def account(base_url: str = "", **changed: str) -> Account:
    settings = Settings.read({"WOMPI_BASE_URL": base_url})
    return Account.of(settings, **{**KEYS, **changed}, events_secrets=(EVENTS,))


def payouts_account(base_url: str = "", **changed: str) -> PayoutsAccount:
    settings = Settings.read({"WOMPI_PAYOUTS_URL": base_url})
    keys = {"api_key": "canarykey", "user_principal_id": "canaryid", "environment": "test"}
    return PayoutsAccount.of(settings, **{**keys, **changed})


def charge(**changed: Any) -> Charge:
    told: dict[str, Any] = {
        "reference": "tpref1",
        "amount": 4_490_000,
        "customer": PAYER,
        "terms": "canary.terms.token",
        "personal": "canary.personal.token",
        "method": Method("nequi", phone="3991111111"),
    }
    return Charge(**{**told, **changed})


def told(status: int, body: Any, *headers: str) -> bytes:
    """An answer with a JSON body (bytes as they are)."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def made(**changed: Any) -> dict[str, Any]:
    """`data` of a transaction."""
    return {
        "id": "12015602-1769351602-78650",
        "status": "PENDING",
        "reference": "tpref1",
        "amount_in_cents": 4_490_000,
        "currency": "COP",
        "payment_method_type": "NEQUI",
        "payment_method": {"type": "NEQUI", "extra": {}},
        "status_message": None,
        "finalized_at": None,
        "merchant": {"id": 12_015_602, "public_key": KEYS["public_key"]},
        **changed,
    }


@asynccontextmanager
async def wompi(*answers: bytes) -> AsyncIterator[tuple[Wompi, Server]]:
    async with serving(*answers) as server, trusting() as client:
        yield Wompi(account(f"{server.url}/v1"), client), server


@asynccontextmanager
async def payouts(*answers: bytes) -> AsyncIterator[tuple[Payouts, Server]]:
    async with serving(*answers) as server, trusting() as client:
        yield Payouts(payouts_account(server.url), client), server


def sent(server: Server, at: int = -1) -> dict[str, Any]:
    """The JSON of a request that came."""
    body = server.requests[at].partition(b"\r\n\r\n")[2]
    found: dict[str, Any] = json.loads(body)
    return found


def line(server: Server, at: int = -1) -> str:
    """The request line, without the protocol."""
    return server.requests[at].split(b"\r\n")[0].removesuffix(b" HTTP/1.1").decode()
