"""What a payment takes, when it ends, and how it is listed: the double's own ways."""

from typing import Any

import pytest
from tests.wompi.endpoint import NEQUI, PSE, Endpoint, reference

from tause_mcp.testing.wompi import METHODS, Sandbox

pytestmark = pytest.mark.anyio
QR = {"type": "BANCOLOMBIA_QR", "payment_description": "Compra"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount_in_cents": None}, "amount_in_cents"),
        ({"amount_in_cents": 150_000.5}, "amount_in_cents"),
        ({"amount_in_cents": "150000"}, "amount_in_cents"),
        ({"amount_in_cents": True}, "amount_in_cents"),
        ({"amount_in_cents": 10**12 + 1}, "amount_in_cents"),
        ({"currency": None}, "currency"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"reference": ""}, "reference"),
        ({"reference": 7}, "reference"),
        ({"reference": "x" * 256}, "reference"),
        ({"redirect_url": "shop"}, "redirect_url"),
        ({"expiration_time": "2099-01-01"}, "expiration_time"),
        ({"customer_data": "Ana"}, "customer_data"),
        ({"customer_data": {"legal_id_type": "PA"}}, "legal_id_type"),
        ({"shipping_address": {"address_line_1": "x"}}, "country"),
        ({"taxes": [{"type": "IVA", "amount_in_cents": 1}]}, "type"),
        ({"taxes": {}}, "taxes"),
        ({"taxes": [{"type": "VAT", "amount_in_cents": 10_000}]}, "valid_amount_in_cents"),
        ({"accept_personal_auth": None}, "accept_personal_auth"),
        ({"acceptance_token": "a.b.c"}, "acceptance_token"),
    ],
)
async def test_one_field_is_refused_at_a_time(
    wompi: Endpoint, sandbox: Sandbox, changed: dict[str, Any], field: str
) -> None:
    body = await wompi.order(NEQUI)
    body = {k: v for k, v in {**body, **changed}.items() if v is not None}
    answer = await wompi.ask("POST", "/transactions", json=body)
    assert answer.status_code == 422
    assert list(answer.json()["error"]["messages"]) == [field]
    assert sandbox.transactions == []


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ({"type": "NEQUI", "phone_number": "399111111"}, "phone_number"),
        ({"type": "CARD"}, "token"),
        ({"type": "CARD", "token": "x", "installments": 0}, "installments"),
        ({**PSE, "user_type": 2}, "user_type"),
        ({**PSE, "user_legal_id_type": "PASSPORT"}, "user_legal_id_type"),
        ({**PSE, "payment_description": "x" * 65}, "payment_description"),
        ({k: v for k, v in PSE.items() if k != "user_legal_id"}, "user_legal_id"),
        ({"type": "BANCOLOMBIA_TRANSFER", "payment_description": "it's"}, "payment_description"),
        ({**QR, "sandbox_status": "MAYBE"}, "sandbox_status"),
        ({"phone_number": "3991111111"}, "type"),
    ],
)
async def test_a_method_is_refused_by_its_field(
    wompi: Endpoint, method: dict[str, Any], field: str
) -> None:
    answer = await wompi.ask("POST", "/transactions", json=await wompi.order(method))
    assert list(answer.json()["error"]["messages"]) == [field]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null"])
async def test_what_is_no_json_object_is_refused(wompi: Endpoint, body: bytes) -> None:
    headers = {"authorization": f"Bearer {wompi.public}"}
    answer = await wompi.http.post("/transactions", content=body, headers=headers)
    assert answer.status_code == 422


async def test_a_fresh_token_lasts_an_hour(wompi: Endpoint, sandbox: Sandbox) -> None:
    body = await wompi.order(NEQUI)
    sandbox.advance(3601)
    answer = await wompi.ask("POST", "/transactions", json=body)
    told = answer.json()["error"]["messages"]
    assert told == {"acceptance_token": ["El token de aceptación es inválido"]}


async def test_each_text_has_its_own_token(wompi: Endpoint) -> None:
    body = await wompi.order(NEQUI)
    body["accept_personal_auth"] = body["acceptance_token"]
    answer = await wompi.ask("POST", "/transactions", json=body)
    told = answer.json()["error"]["messages"]
    assert told == {"accept_personal_auth": ["El token de aceptación es inválido"]}
    right = {**body, **{"accept_personal_auth": (await wompi.acceptance())["accept_personal_auth"]}}
    assert (await wompi.ask("POST", "/transactions", json=right)).status_code == 201


async def test_the_personal_data_may_be_left_out_when_it_is_not_strict(
    wompi: Endpoint, sandbox: Sandbox
) -> None:
    sandbox.change(strict_personal_auth=False)
    body = await wompi.order(NEQUI)
    del body["accept_personal_auth"]
    assert (await wompi.ask("POST", "/transactions", json=body)).status_code == 201


async def test_a_method_that_is_not_enabled_is_named(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(methods=["CARD"])
    for method in (NEQUI, {"type": "BITCOIN"}):
        answer = await wompi.ask("POST", "/transactions", json=await wompi.order(method))
        told = answer.json()["error"]
        assert (answer.status_code, told["type"]) == (404, "NOT_FOUND_ERROR")
        assert method["type"] in told["reason"]
    listed = await wompi.ask("GET", f"/merchants/{wompi.public}", None)
    assert listed.json()["data"]["accepted_payment_methods"] == ["CARD"]


async def test_bnpl_has_a_minimum_of_its_own(wompi: Endpoint) -> None:
    method = {
        "type": "BANCOLOMBIA_BNPL",
        "name": "Ana",
        "last_name": "Prueba",
        "user_legal_id_type": "CC",
        "user_legal_id": "1999888777",
        "phone_number": "3001112233",
        "phone_code": "+57",
        "redirect_url": "https://shop.example",
        "payment_description": "Compra",
    }
    body = await wompi.order(method, amount_in_cents=9_999_999)
    answer = await wompi.ask("POST", "/transactions", json=body)
    assert "$100,000" in answer.json()["error"]["messages"]["valid_amount_in_cents"][0]


# -- ends ------------------------------------------------------------------------------------------


async def test_polls_count_reads_and_pse_shows_its_url_first(
    wompi: Endpoint, sandbox: Sandbox
) -> None:
    sandbox.change(resolve_after="polls:2", url_after=2)
    nequi, pse = await wompi.pay(NEQUI), await wompi.pay(PSE)
    seen = [(await wompi.read(nequi["id"]))["status"] for _ in range(2)]
    assert seen == ["PENDING", "APPROVED"]
    reads = [await wompi.read(pse["id"]) for _ in range(4)]
    assert [r["status"] for r in reads] == ["PENDING"] * 3 + ["APPROVED"]
    urls = ["async_payment_url" in r["payment_method"]["extra"] for r in reads]
    assert urls == [False, True, True, True]


async def test_as_the_real_one_url_and_end_come_at_once(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(resolve_after="polls:2", pse_url_stage=False)
    made = await wompi.pay(PSE)
    first, second = [await wompi.read(made["id"]) for _ in range(2)]
    assert (first["status"], second["status"]) == ("PENDING", "APPROVED")
    assert "async_payment_url" not in first["payment_method"]["extra"]
    assert "async_payment_url" in second["payment_method"]["extra"]


async def test_seconds_are_the_sandboxs_own(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(resolve_after="seconds:5000")
    made = await wompi.pay(NEQUI)
    assert (await wompi.read(made["id"]))["status"] == "PENDING"
    sandbox.advance(5000)
    (ended,) = sandbox.transactions
    assert ended.status == "APPROVED"
    assert len(sandbox.deliveries) == 1


async def test_a_listing_is_a_read_too(wompi: Endpoint) -> None:
    made = await wompi.pay(NEQUI)
    path = f"/transactions?reference={made['reference']}"
    answer = await wompi.ask("GET", path, wompi.private)
    assert [t["status"] for t in answer.json()["data"]] == ["APPROVED"]


@pytest.mark.parametrize("status", ["APPROVED", "DECLINED", "ERROR"])
async def test_a_qr_ends_as_its_test_data_say(wompi: Endpoint, status: str) -> None:
    made = await wompi.pay({**QR, "sandbox_status": status})
    ended = await wompi.ended(made["id"])
    assert ended["status"] == status
    assert {"qr_id", "qr_image", "external_identifier"} <= set(ended["payment_method"]["extra"])


async def test_cash_is_paid_by_hand(wompi: Endpoint, sandbox: Sandbox) -> None:
    made = await wompi.pay({"type": "BANCOLOMBIA_COLLECT"})
    for _ in range(3):
        read = await wompi.read(made["id"])
    assert read["status"] == "PENDING"
    assert len(read["payment_method"]["extra"]["payment_intention_identifier"]) == 11
    sandbox.decide(made["id"], "APPROVED")
    assert (await wompi.read(made["id"]))["status"] == "APPROVED"


async def test_an_end_is_an_end_except_by_force(wompi: Endpoint, sandbox: Sandbox) -> None:
    made = await wompi.pay(NEQUI)
    sandbox.decide(made["id"], "DECLINED")
    for status in ("APPROVED", "VOIDED", "PENDING"):
        with pytest.raises(ValueError, match="without force"):
            sandbox.decide(made["id"], status)
    sandbox.decide(made["id"], "PENDING", force=True)
    sandbox.decide(made["id"], "APPROVED")
    sandbox.decide(made["id"], "VOIDED")
    statuses = [d.body.partition(b'"status":"')[2].partition(b'"')[0] for d in sandbox.deliveries]
    assert statuses == [b"DECLINED", b"PENDING", b"APPROVED", b"VOIDED"]
    with pytest.raises(ValueError, match="status: one of"):
        sandbox.decide(made["id"], "PAID")
    with pytest.raises(KeyError):
        sandbox.decide("nothing", "APPROVED")


# -- voids and lists -------------------------------------------------------------------------------


async def test_a_void_may_answer_with_nothing(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(void_body=False)
    made = await wompi.pay(await wompi.card())
    await wompi.ended(made["id"])
    answer = await wompi.ask("POST", f"/transactions/{made['id']}/void", wompi.private)
    assert (answer.status_code, answer.content) == (201, b"")
    assert (await wompi.read(made["id"]))["status"] == "VOIDED"


async def test_more_than_was_paid_is_not_voided(wompi: Endpoint) -> None:
    made = await wompi.pay(await wompi.card())
    await wompi.ended(made["id"])
    path, more = f"/transactions/{made['id']}/void", {"amount_in_cents": 150_001}
    assert (await wompi.ask("POST", path, wompi.private, json=more)).status_code == 422
    assert (await wompi.ask("POST", path, json={})).status_code == 403
    assert (await wompi.read(made["id"]))["status"] == "APPROVED"


async def test_payments_are_filtered_and_paged(wompi: Endpoint, sandbox: Sandbox) -> None:
    async def ids(query: str) -> list[str]:
        answer = await wompi.ask("GET", f"/transactions?{query}", wompi.private)
        assert answer.status_code == 200, answer.text
        return [found["id"] for found in answer.json()["data"]]

    first = await wompi.pay(NEQUI, customer_email="uno@example.com")
    sandbox.advance(2 * 86_400)
    second = await wompi.pay(PSE)
    third = await wompi.pay({**NEQUI, "phone_number": "3992222222"})
    assert await ids("page=1&page_size=2") == [third["id"], second["id"]]
    assert await ids("page=2&page_size=2") == [first["id"]]
    assert await ids("order_by=created_at&order=ASC") == [first["id"], second["id"], third["id"]]
    assert await ids("payment_method_type=PSE") == [second["id"]]
    assert await ids("customer_email=uno@example.com") == [first["id"]]
    assert await ids("status=DECLINED") == [third["id"]]
    assert await ids(f"until_date={first['created_at'][:10]}") == [first["id"]]
    assert await ids(f"reference={reference()}") == []


@pytest.mark.parametrize(
    "query", ["page=0", "page_size=201", "page=x", "status=PAID", "from_date=ayer", "order=UP"]
)
async def test_a_filter_that_is_none_is_refused(wompi: Endpoint, query: str) -> None:
    await wompi.pay(NEQUI)
    answer = await wompi.ask("GET", f"/transactions?{query}", wompi.private)
    assert answer.status_code == 422


def test_every_method_is_known() -> None:
    from tause_mcp.testing.wompi.methods import METHODS as known

    assert set(known) == set(METHODS)
