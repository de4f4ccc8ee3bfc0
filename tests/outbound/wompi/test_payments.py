"""What is told to Wompi, and what is read from its answers."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.wompi import KEYS, PAYER, account, charge, line, made, sent, told, wompi

from tause_mcp.errors import Invalid
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import Bank, Customer, Method, NewLink, Wompi, integrity

pytestmark = pytest.mark.anyio

SECRET = KEYS["integrity_secret"]
PAYS = {"data": made()}


async def test_a_transaction_is_signed_and_says_who_pays_and_what_was_accepted() -> None:
    async with wompi(told(201, PAYS)) as (client, server):
        until = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
        found = await client.create(
            charge(redirect_url="https://shop.example.com/back", expires=until)
        )
        assert line(server) == "POST /v1/transactions"
        assert b"Bearer pub_test_canarypublic" in server.requests[0]
        assert sent(server) == {
            "acceptance_token": "canary.terms.token",
            "accept_personal_auth": "canary.personal.token",
            "amount_in_cents": 4_490_000,
            "currency": "COP",
            "customer_email": "ana@example.com",
            "reference": "tpref1",
            "signature": integrity("tpref1", 4_490_000, "COP", SECRET, "2026-12-01T05:00:00.000Z"),
            "payment_method": {"type": "NEQUI", "phone_number": "3991111111"},
            "redirect_url": "https://shop.example.com/back",
            "expiration_time": "2026-12-01T05:00:00.000Z",
            "customer_data": {
                "full_name": "Ana Pérez",
                "phone_number": "3001234567",
                "legal_id": "1020304050",
                "legal_id_type": "CC",
            },
        }
        assert (found.status, found.final, found.redirect_url) == ("PENDING", False, "")
        assert (found.merchant_id, found.merchant_key) == ("12015602", KEYS["public_key"])


PSE = Method("pse", bank_code="1007", person_type="juridica")
TOLD: list[tuple[Method, dict[str, Any]]] = [
    (
        PSE,
        {
            "type": "PSE",
            "user_type": 1,
            "user_legal_id_type": "CC",
            "user_legal_id": "1020304050",
            "financial_institution_code": "1007",
            "payment_description": "Two chairs of Ana s and a very",
        },
    ),
    (
        Method("card", token="tok_test_1"),
        {"type": "CARD", "token": "tok_test_1", "installments": 1},
    ),
    (
        Method("card", token="tok_test_1", installments=12),
        {"type": "CARD", "token": "tok_test_1", "installments": 12},
    ),
    (Method("nequi"), {"type": "NEQUI", "phone_number": "3001234567"}),
    (
        Method("bancolombia_transfer"),
        {
            "type": "BANCOLOMBIA_TRANSFER",
            "payment_description": "Two chairs of Ana s and a very long table that was brought to he",
        },
    ),
    (
        Method("daviplata"),
        {
            "type": "DAVIPLATA",
            "user_legal_id_type": "CC",
            "user_legal_id": "1020304050",
            "payment_description": "Two chairs of Ana s and a very long table that was brought to he",
        },
    ),
]
LONG = "Two chairs of Ana's\n and a very long table that was brought to her house"


@pytest.mark.parametrize(("method", "expected"), TOLD, ids=lambda told: getattr(told, "type", ""))
async def test_each_method_is_told_in_wompis_terms(method: Method, expected: object) -> None:
    async with wompi(told(201, PAYS)) as (client, server):
        await client.create(charge(method=method, description=LONG))
        assert sent(server)["payment_method"] == expected


async def test_a_qr_says_what_it_is_for_even_without_a_description() -> None:
    qr = made(payment_method={"type": "BANCOLOMBIA_QR", "extra": {"qr_image": "PHN2Zz4="}})
    async with wompi(told(201, {"data": qr})) as (client, server):
        found = await client.create(charge(method=Method("bancolombia_qr")))
        assert sent(server)["payment_method"]["payment_description"] == "tpref1"
        assert found.qr_image == "PHN2Zz4="


async def test_a_saved_source_is_charged_with_the_private_key() -> None:
    async with wompi(told(201, {"data": made(payment_source_id=3891)})) as (client, server):
        found = await client.create(
            charge(method=None, source_id=3891, installments=3, recurrent=False)
        )
        assert b"Bearer prv_test_canaryprivate" in server.requests[0]
        body = sent(server)
        assert body["payment_source_id"] == 3891
        assert body["payment_method"] == {"installments": 3}
        assert body["recurrent"] is False
        assert found.source_id == 3891
        await client.create(charge(method=None, source_id=3891))
        assert "payment_method" not in sent(server)


@pytest.mark.parametrize("changed", [{"source_id": 1}, {"method": None}])
async def test_a_charge_has_one_way_to_pay(changed: dict[str, Any]) -> None:
    async with wompi(told(201, PAYS)) as (client, server):
        with pytest.raises(Invalid):
            await client.create(charge(**changed))
        assert server.requests == []


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        ("PA", "AB123", {"legal_id": "AB123", "legal_id_type": "PP"}),
        ("PPT", "123456", {"legal_id": "123456", "legal_id_type": "OTHER"}),
        ("", "123456", None),
        ("CC", "", None),
    ],
)
async def test_a_payers_document_is_told_whole_or_not_at_all(
    kind: str, number: str, expected: dict[str, str] | None
) -> None:
    async with wompi(told(201, PAYS)) as (client, server):
        payer = Customer("ana@example.com", document_type=kind, document=number)
        await client.create(charge(customer=payer))
        assert sent(server).get("customer_data") == expected


async def test_a_text_that_is_no_unicode_still_leaves_as_json() -> None:
    async with wompi(told(201, PAYS)) as (client, server):
        await client.create(charge(customer=Customer("a@b.co", full_name="\ud800")))
        assert sent(server)["customer_data"] == {"full_name": "\ud800"}


async def test_where_the_payer_goes_and_what_a_bank_is_asked_for_are_read() -> None:
    extra = {
        "async_payment_url": "https://bank.example.com/pay?id=1",
        "ticket_id": "123",
        "traceability_code": "456",
        "transaction_cycle": 4,
        "return_code": True,
        "external_identifier": None,
    }
    method = {"type": "PSE", "extra": extra}
    answer = made(
        payment_method=method, status="APPROVED", payment_link_id="l1", payment_method_type=None
    )
    async with wompi(told(200, {"data": answer})) as (client, server):
        found = await client.transaction("12015602-1769351602-78650")
        assert found is not None
        assert found.redirect_url == "https://bank.example.com/pay?id=1"
        assert found.details == {
            "ticket_id": "123",
            "traceability_code": "456",
            "transaction_cycle": 4,
        }
        assert (found.method, found.link_id, found.final) == ("PSE", "l1", True)
        assert line(server) == "GET /v1/transactions/12015602-1769351602-78650"
        assert b"authorization" not in server.requests[0].lower()


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("https://davi.example.com/x", "https://davi.example.com/x"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x"),
        ("javascript:alert(1)", ""),
        ("//evil.example.com/x", ""),
        ("https://user@evil.example.com/", ""),
        ("https://[evil/", ""),
        ("https://a/\r\nx", ""),
        ("https://a/" + "x" * 5000, ""),
        (7, ""),
    ],
)
async def test_only_an_address_is_where_a_payer_is_sent(stated: object, expected: str) -> None:
    method = {"type": "DAVIPLATA", "extra": {"url": stated, "async_payment_url": ""}}
    async with wompi(told(200, {"data": made(payment_method=method)})) as (client, _):
        found = await client.transaction("12015602-1769351602-78650")
        assert found is not None
        assert found.redirect_url == expected


async def test_a_merchant_brings_fresh_terms() -> None:
    body = {
        "data": {
            "id": 12015602,
            "name": "Shop",
            "public_key": KEYS["public_key"],
            "accepted_payment_methods": ["CARD", "PSE", 7],
            "presigned_acceptance": {
                "acceptance_token": "eyJ.canary.x",
                "permalink": "https://wompi.co/terms.pdf",
                "type": "END_USER_POLICY",
            },
            "presigned_personal_data_auth": {
                "acceptance_token": "eyJ.canary.y",
                "permalink": "https://wompi.co/personal.pdf",
                "type": "PERSONAL_DATA_AUTH",
            },
        }
    }
    async with wompi(told(200, body)) as (client, server):
        found = await client.merchant()
        assert (found.id, found.name, found.methods) == ("12015602", "Shop", ("CARD", "PSE"))
        assert (found.terms.token, found.personal.token) == ("eyJ.canary.x", "eyJ.canary.y")
        assert found.personal.permalink == "https://wompi.co/personal.pdf"
        assert "canary.x" not in repr(found)
        assert line(server) == f"GET /v1/merchants/{KEYS['public_key']}"


async def test_the_banks_are_those_of_the_answer() -> None:
    code, name = "financial_institution_code", "financial_institution_name"
    body = {
        "data": [
            {code: "0", name: "A continuación..."},
            {code: "1007", name: "BANCOLOMBIA"},
            {name: "?"},
        ]
    }
    async with wompi(told(200, body)) as (client, server):
        assert await client.banks() == [Bank("1007", "BANCOLOMBIA")]
        assert b"Bearer pub_test_canarypublic" in server.requests[0]


async def test_a_source_is_saved_read_and_forgotten() -> None:
    public = {
        "type": "CARD",
        "last_four": "4242",
        "brand": "VISA",
        "exp_month": "12",
        "bin": 424242,
    }
    body = {
        "data": {
            "id": 3891,
            "status": "AVAILABLE",
            "token": "tok_test_canary",
            "public_data": public,
            "customer_email": "ana@example.com",
        }
    }
    async with wompi(told(201, body)) as (client, server):
        found = await client.create_source("card", "tok_test_canary", "a@b.co", "t1", "p1")
        assert (found.id, found.status, found.type) == (3891, "AVAILABLE", "CARD")
        assert found.label == {"last_four": "4242", "brand": "VISA", "exp_month": "12"}
        assert "canary" not in repr(found)
        assert sent(server) == {
            "type": "CARD",
            "token": "tok_test_canary",
            "customer_email": "a@b.co",
            "acceptance_token": "t1",
            "accept_personal_auth": "p1",
        }
        assert await client.source(3891) == found == await client.void_source(3891)
        assert [line(server, at) for at in (1, 2)] == [
            "GET /v1/payment_sources/3891",
            "PUT /v1/payment_sources/3891/void",
        ]
        assert all(b"Bearer prv_test_canaryprivate" in request for request in server.requests)


async def test_a_link_is_made_read_and_taken_back() -> None:
    body = {"data": {"id": "VPOS_1x", "active": True, "sku": "tpsku", "amount_in_cents": None}}
    async with wompi(told(201, body)) as (client, server):
        new = NewLink(
            "Bill", "A bill", "tpsku", expires=datetime(2026, 12, 1, tzinfo=UTC), amount=150_000
        )
        found = await client.create_link(new)
        assert (found.url, found.active, found.sku) == (
            "https://checkout.wompi.co/l/VPOS_1x",
            True,
            "tpsku",
        )
        assert sent(server) == {
            "name": "Bill",
            "description": "A bill",
            "single_use": True,
            "collect_shipping": False,
            "currency": "COP",
            "sku": "tpsku",
            "amount_in_cents": 150_000,
            "expires_at": "2026-12-01T00:00:00.000Z",
        }
        assert await client.link("VPOS_1x") == found
        await client.close_link("VPOS_1x")
        assert sent(server) == {"active": False}
        assert line(server) == "PATCH /v1/payment_links/VPOS_1x"


@pytest.mark.parametrize("own", ["../x", "a/b", "", "é", "x" * 65])
async def test_a_link_whose_id_is_no_part_of_an_address_is_not_given_away(own: str) -> None:
    async with wompi(told(200, {"data": {"id": own}})) as (client, _):
        assert await client.close_link("a") is None


def test_the_checkout_is_signed_and_nothing_is_sent() -> None:
    client = Wompi(account(), Outbound())
    until = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
    url = client.checkout(
        "tpref1",
        4_490_000,
        redirect_url="https://shop.example.com/?a=1&b=2",
        expires=until,
        customer=PAYER,
    )
    assert url.startswith("https://checkout.wompi.co/p/?public-key=pub_test_canarypublic&")
    assert "&signature:integrity=" in url
    assert {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()} == {
        "public-key": "pub_test_canarypublic",
        "currency": "COP",
        "amount-in-cents": "4490000",
        "reference": "tpref1",
        "signature:integrity": integrity(
            "tpref1", 4_490_000, "COP", SECRET, "2026-12-01T05:00:00.000Z"
        ),
        "redirect-url": "https://shop.example.com/?a=1&b=2",
        "expiration-time": "2026-12-01T05:00:00.000Z",
        "customer-data:email": "ana@example.com",
        "customer-data:full-name": "Ana Pérez",
        "customer-data:phone-number": "3001234567",
        "customer-data:legal-id": "1020304050",
        "customer-data:legal-id-type": "CC",
    }
    assert "customer-data" not in client.checkout("tpref1", 150_000)
    with pytest.raises(ValueError, match="format code"):
        client.checkout("tpref1", 1500.0)  # type: ignore[arg-type]
