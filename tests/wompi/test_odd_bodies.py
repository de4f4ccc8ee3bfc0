"""Whatever is sent in whatever field, the answer is one of the API's, and never a failure of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from tests.wompi.endpoint import CARD, PSE, Endpoint

from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio
ODD: list[Any] = [
    None,
    "",
    " ",
    "x" * 300,
    "\x00",
    0,
    -1,
    10**30,
    1.5,
    True,
    [],
    {},
    [[]],
    ["x"],
    {"a": 1},
]
LINE = {
    "legalIdType": "CC",
    "legalId": "1",
    "bankId": "x",
    "accountType": "AHORROS",
    "accountNumber": "12345678",
    "name": "Ana",
    "email": "a@example.com",
    "amount": 1,
    "key": "@elias123",
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/transactions": {
        "acceptance_token": "a.b.c",
        "accept_personal_auth": "a.b.c",
        "amount_in_cents": 150_000,
        "currency": "COP",
        "customer_email": "a@example.com",
        "reference": "r",
        "signature": "x",
        "expiration_time": "2099-01-01T00:00:00.000Z",
        "redirect_url": "https://shop.example",
        "payment_method": PSE,
        "customer_data": {"full_name": "Ana", "legal_id_type": "CC"},
        "shipping_address": {"address_line_1": "x", "country": "CO"},
        "taxes": [{"type": "VAT", "amount_in_cents": 1, "percentage": 1}],
        "is_three_ds": True,
        "three_ds_auth_type": "challenge_v2",
        "recurrent": True,
        "parent_transaction_id": "x",
        "payment_source_id": 1,
    },
    "/v1/tokens/cards": CARD,
    "/v1/tokens/nequi": {"phone_number": "3991111111"},
    "/v1/tokens/daviplata": {
        "type_document": "CC",
        "number_document": "1",
        "product_number": "3991111111",
    },
    "/v1/tokens/bancolombia_transfer": {"redirect_url": "https://x.example", "type_auth": "TOKEN"},
    "/v1/payment_sources": {"type": "CARD", "token": "x", "customer_email": "a@example.com"},
    "/v1/payment_links": {
        "name": "x",
        "description": "x",
        "single_use": True,
        "collect_shipping": False,
        "amount_in_cents": 150_000,
        "currency": "COP",
        "expires_at": "2099-01-01T00:00:00",
        "redirect_url": "https://x.example",
        "sku": "x",
        "customer_data": {"customer_references": [{"label": "x", "is_required": True}]},
        "taxes": [{"type": "VAT", "percentage": 1}],
    },
    "/payouts/v1/payouts": {
        "reference": "x",
        "accountId": "x",
        "paymentType": "OTHER",
        "transactionStatus": "APPROVED",
        "dispersionDatetime": "2099-01-01T00:00",
        "recurring": {},
        "transactions": [LINE],
    },
    "/payouts/v2/payouts": {"reference": "x", "transactions": [LINE]},
    "/payouts/v1/accounts/balance-recharge": {"accountId": "x", "amountInCents": 10_000},
    "/_sandbox/set-status": {"id": "x", "status": "APPROVED", "message": "x", "force": True},
    "/_sandbox/advance": {"seconds": 1},
    "/_sandbox/faults": {"path": "/x", "kind": "500", "nth": 1, "times": 1, "seconds": 1.0},
    "/_sandbox/emit": {"event": "x", "data": {"a": {"id": "1"}}, "properties": ["a.id"]},
    "/_sandbox/config": {"latency": 0.0, "webhook_modes": [], "methods": ["CARD"], "url_after": 1},
}


def changed(value: Any) -> Iterator[Any]:
    """A value with one odd part, each in turn."""
    yield from ODD
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {k: v for k, v in value.items() if k != name}
            yield from ({**value, name: odd} for odd in changed(inner))
    elif isinstance(value, list):
        yield from ([odd] for inner in value for odd in changed(inner))


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=sandbox.app)  # a failure inside is raised here
    async with httpx2.AsyncClient(
        transport=transport, verify=False, base_url="http://127.0.0.1"
    ) as http:
        yield http


@pytest.mark.parametrize("path", BODIES)
async def test_an_odd_value_is_answered(
    sandbox: Sandbox, http: httpx2.AsyncClient, path: str
) -> None:
    keys = sandbox.keys
    token = sandbox.control_token if path.startswith("/_sandbox") else keys.private
    headers = {
        "authorization": f"Bearer {token}",
        "x-api-key": keys.payouts_api,
        "user-principal-id": keys.payouts_principal,
        "idempotency-key": "k",
    }
    for body in changed(BODIES[path]):
        if path.endswith("config") and isinstance(body, dict):
            body = {**body, "auto_deliver": False}
        answer = await http.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201, 400, 403, 404, 409, 422), (body, answer.text)


METHODS: dict[str, dict[str, Any]] = {
    "PSE": PSE,
    "NEQUI": {"type": "NEQUI", "phone_number": "3991111111"},
    "CARD": {"type": "CARD", "token": "x", "installments": 1},
    "QR": {"type": "BANCOLOMBIA_QR", "payment_description": "x", "sandbox_status": "APPROVED"},
    "DAVIPLATA": {
        "type": "DAVIPLATA",
        "user_legal_id_type": "CC",
        "user_legal_id": "1",
        "payment_description": "x",
    },
}


@pytest.mark.parametrize("name", METHODS)
async def test_an_odd_value_is_answered_after_the_signature_too(
    sandbox: Sandbox, http: httpx2.AsyncClient, name: str
) -> None:
    keys = sandbox.keys
    http.base_url = "http://127.0.0.1/v1"  # type: ignore[assignment]
    wompi = Endpoint("http://127.0.0.1/v1", keys.public, keys.private, keys.integrity, http)
    for method in changed(METHODS[name]):
        answer = await wompi.ask("POST", "/transactions", json=await wompi.order(method))
        assert answer.status_code in (201, 404, 422), (method, answer.text)
    for made in sandbox.transactions:
        await wompi.read(made.id)
        assert "extra" in made.payment_method


async def test_an_odd_value_beside_the_method_is_answered(
    sandbox: Sandbox, http: httpx2.AsyncClient
) -> None:
    keys = sandbox.keys
    http.base_url = "http://127.0.0.1/v1"  # type: ignore[assignment]
    wompi = Endpoint("http://127.0.0.1/v1", keys.public, keys.private, keys.integrity, http)
    loose = ("redirect_url", "customer_data", "taxes", "recurrent", "parent_transaction_id")
    asked = {name: BODIES["/v1/transactions"][name] for name in loose}
    for more in changed(asked):
        body = await wompi.order(METHODS["NEQUI"])
        body |= more if isinstance(more, dict) else {}
        answer = await wompi.ask("POST", "/transactions", json=body)
        assert answer.status_code in (201, 404, 422), (more, answer.text)


@pytest.mark.parametrize(
    "sent", ["", "=", "&&", "status=", "status=\x00", "code=x&status=APPROVED", "%ff=%ff"]
)
async def test_an_odd_form_is_answered(
    sandbox: Sandbox, http: httpx2.AsyncClient, sent: str
) -> None:
    keys = sandbox.keys
    wompi = Endpoint("http://127.0.0.1/v1", keys.public, keys.private, keys.integrity, http)
    http.base_url = "http://127.0.0.1/v1"  # type: ignore[assignment]
    made = await wompi.pay({"type": "PCOL"})
    for path in (f"authorize/{made['id']}", "checkout/p/", "checkout/l/x"):
        for query in ("", "?status=NO", "?amount-in-cents=%ff"):
            answer = await http.post(
                f"http://127.0.0.1/_sandbox/{path}{query}", content=sent.encode()
            )
            assert answer.status_code in (303, 401, 404, 422), answer.text
