"""What a payer sees and does: bank, wallet, issuer, checkout, link."""

from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from tests.wompi import forms
from tests.wompi.endpoint import PSE, Endpoint, reference, signed
from tests.wompi.forms import Form

from tause_mcp.testing.wompi import Sandbox, Served

pytestmark = pytest.mark.anyio
BACK = "https://shop.example/back?order=7"
BNPL = {
    "type": "BANCOLOMBIA_BNPL",
    "name": "Ana",
    "last_name": "Prueba",
    "user_legal_id_type": "CC",
    "user_legal_id": "1999888777",
    "phone_number": "3001112233",
    "phone_code": "+57",
    "redirect_url": BACK,
    "payment_description": "Compra",
}
DAVIPLATA = {
    "type": "DAVIPLATA",
    "user_legal_id_type": "CC",
    "user_legal_id": "1999888777",
    "payment_description": "Compra",
}
TRANSFER = {"type": "BANCOLOMBIA_TRANSFER", "payment_description": "Compra"}


async def bank(wompi: Endpoint, method: dict[str, Any], **more: Any) -> tuple[str, str]:
    """A payment waiting for its payer: its id, and the URL of the page."""
    made = await wompi.pay(method, **more)
    extra = (await wompi.read(made["id"]))["payment_method"]["extra"]
    return made["id"], extra.get("async_payment_url") or extra["url"]


async def shown(wompi: Endpoint, url: str) -> tuple[Form, str]:
    """The one form of a page, and its text."""
    answer = await wompi.http.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    (form,), _, text = forms.read(answer.text)
    assert form.method == "post"
    return form, text


async def send(wompi: Endpoint, form: Form, **chosen: str) -> httpx2.Response:
    root = wompi.base_url.removesuffix("/v1")
    return await wompi.http.post(root + form.action, data={**form.fields, **chosen})


@pytest.mark.parametrize(
    ("code", "word", "status"),
    [("1", "aprobada", "APPROVED"), ("2", "rechazada", "DECLINED"), ("99", "con error", "ERROR")],
)
async def test_the_bank_of_pse_says_what_it_will_do_and_does_it(
    wompi: Endpoint, code: str, word: str, status: str
) -> None:
    made, url = await bank(wompi, {**PSE, "financial_institution_code": code}, redirect_url=BACK)
    form, text = await shown(wompi, url)
    assert word in text
    assert "$ 1.500" in text
    assert form.buttons == [("status", "continue")]
    answer = await send(wompi, form, status="continue")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BACK}&id={made}&env=test"
    assert (await wompi.read(made))["status"] == status


async def test_a_bank_can_be_overruled_by_hand(wompi: Endpoint, sandbox: Sandbox) -> None:
    made, _ = await bank(wompi, PSE)
    sandbox.decide(made, "DECLINED", "Fondos insuficientes")
    read = await wompi.read(made)
    assert (read["status"], read["status_message"]) == ("DECLINED", "Fondos insuficientes")


@pytest.mark.parametrize("status", ["APPROVED", "DECLINED", "ERROR"])
@pytest.mark.parametrize(
    "method",
    [TRANSFER, BNPL, {"type": "SU_PLUS", **{k: DAVIPLATA[k] for k in list(DAVIPLATA)[1:3]}}],
)
async def test_the_payer_chooses_on_the_page(
    wompi: Endpoint, method: dict[str, Any], status: str
) -> None:
    made, url = await bank(wompi, method, amount_in_cents=10_000_000)
    form, _ = await shown(wompi, url)
    assert form.buttons == [("status", s) for s in ("APPROVED", "DECLINED", "ERROR")]
    assert (await send(wompi, form, status="maybe")).status_code == 422
    assert (await wompi.read(made))["status"] == "PENDING"
    assert (await send(wompi, form, status=status)).status_code == 303
    assert (await wompi.read(made))["status"] == status


async def test_a_second_choice_changes_nothing(wompi: Endpoint, sandbox: Sandbox) -> None:
    made, url = await bank(wompi, TRANSFER)
    form, _ = await shown(wompi, url)
    await send(wompi, form, status="DECLINED")
    again = await send(wompi, form, status="APPROVED")
    assert again.headers["location"].endswith(f"/_sandbox/result/{made}")
    assert (await wompi.read(made))["status"] == "DECLINED"
    assert len(sandbox.deliveries) == 1
    page = (await wompi.http.get(url)).text
    assert "rechazada" in page
    assert "<form" not in page
    assert "rechazada" in (await wompi.http.get(again.headers["location"])).text


@pytest.mark.parametrize(
    ("status", "end", "rest"),
    [
        ("APPROVED_ONLY_POINTS", "APPROVED", 0),
        ("APPROVED_HALF_POINTS", "APPROVED", 100_000),
        ("DECLINED", "DECLINED", 0),
    ],
)
async def test_points_pay_all_or_half_and_a_second_payment_the_rest(
    wompi: Endpoint, status: str, end: str, rest: int
) -> None:
    made, url = await bank(wompi, {"type": "PCOL"}, amount_in_cents=200_000)
    form, _ = await shown(wompi, url)
    await send(wompi, form, status=status)
    read = await wompi.read(made)
    extra = read["payment_method"]["extra"]
    assert (read["status"], extra["remaining_amount_in_cents"]) == (end, rest)
    second = await wompi.pay(PSE, parent_transaction_id=made)
    assert second["payment_method"]["extra"]["parent_transaction_id"] == made
    child = (await wompi.read(made))["payment_method"]["extra"]["child_transaction_id"]
    assert child == second["id"]


async def test_points_may_be_decided_by_the_test_data(wompi: Endpoint) -> None:
    made = await wompi.pay({"type": "PCOL", "sandbox_status": "APPROVED_HALF_POINTS"})
    read = await wompi.ended(made["id"])
    assert read["payment_method"]["extra"]["remaining_amount_in_cents"] == 75_000


async def test_a_code_of_daviplata_on_the_page(wompi: Endpoint) -> None:
    made, url = await bank(wompi, DAVIPLATA, redirect_url=BACK)
    form, text = await shown(wompi, url)
    assert "574829 aprobada" in text
    assert (await send(wompi, form, code="111111")).status_code == 422
    answer = await send(wompi, form, code="574829")
    assert answer.headers["location"] == f"{BACK}&id={made}&env=test"
    extra = (await wompi.read(made))["payment_method"]["extra"]
    assert extra["daviplata_transaction_id"] == extra["external_identifier"]


async def test_what_a_merchant_wrote_is_text_on_a_page(wompi: Endpoint) -> None:
    named = f'<img src=x onerror="x">{reference()}'
    _, url = await bank(wompi, TRANSFER, reference=named)
    page = (await wompi.http.get(url)).text
    assert "<img" not in page
    assert "&lt;img" in page


async def test_a_page_of_nothing_is_not_found(wompi: Endpoint) -> None:
    for path in ("authorize/x", "result/x", "terms/x", "checkout/l/x", "otp/x/send"):
        root = wompi.base_url.removesuffix("/v1")
        answer = await wompi.http.request(
            "POST" if "otp" in path else "GET", f"{root}/_sandbox/{path}"
        )
        assert answer.status_code == 404, path


# -- the hosted checkout ---------------------------------------------------------------------------


def order(wompi: Endpoint, **changed: str) -> dict[str, str]:
    """The query of a checkout, signed."""
    named = changed.get("reference", reference())
    told = {
        "public-key": wompi.public,
        "currency": "COP",
        "amount-in-cents": "2500000",
        "reference": named,
        "signature:integrity": signed(wompi.integrity, named, 2_500_000),
        "redirect-url": BACK,
        "customer-data:email": "ana@example.com",
        "customer-data:full-name": "Ana Prueba",
    }
    return {k: v for k, v in {**told, **changed}.items() if v != "..."}


ACCEPTED = {"accept-terms": "on", "accept-personal": "on"}


async def test_the_checkout_shows_the_order_and_both_texts(wompi: Endpoint, served: Served) -> None:
    asked = order(wompi)
    url = f"{served.checkout_url}/p/?{urlencode(asked)}"
    form, text = await shown(wompi, url)
    assert "$ 25.000" in text
    assert asked["reference"] in text
    assert form.choices["method"] == ["PSE", "CARD", "NEQUI"]
    assert form.fields["customer-data:email"] == "ana@example.com"
    assert set(ACCEPTED) <= set(form.choices)
    _, links, _ = forms.read((await wompi.http.get(url)).text)
    for link in links:
        assert (await wompi.http.get(link)).status_code == 200
    assert len(links) == 2


@pytest.mark.parametrize(
    ("chosen", "status"),
    [
        ({"method": "NEQUI", "phone": "3991111111"}, "APPROVED"),
        ({"method": "CARD", "card": "4111111111111111"}, "DECLINED"),
    ],
)
async def test_the_checkout_makes_the_payment_and_returns(
    wompi: Endpoint, served: Served, chosen: dict[str, str], status: str
) -> None:
    asked = order(wompi)
    form, _ = await shown(wompi, f"{served.checkout_url}/p/?{urlencode(asked)}")
    answer = await send(wompi, form, **ACCEPTED, **chosen)
    assert answer.status_code == 303
    made = answer.headers["location"].partition("&id=")[2].removesuffix("&env=test")
    assert answer.headers["location"] == f"{BACK}&id={made}&env=test"
    read = await wompi.ended(made)
    assert (read["reference"], read["status"]) == (asked["reference"], status)
    assert read["customer_data"]["full_name"] == "Ana Prueba"


async def test_the_checkout_leads_to_the_bank_first(wompi: Endpoint, served: Served) -> None:
    form, _ = await shown(wompi, f"{served.checkout_url}/p/?{urlencode(order(wompi))}")
    answer = await send(wompi, form, **ACCEPTED, method="PSE", bank="1")
    there, _ = await shown(wompi, answer.headers["location"])
    back = await send(wompi, there, status="continue")
    assert back.headers["location"].startswith(f"{BACK}&id=")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"signature:integrity": "0" * 64}, "La firma es inválida"),
        ({"signature:integrity": "..."}, "Firma de integridad requerida no enviada"),
        ({"amount-in-cents": "2500001"}, "La firma es inválida"),
        ({"amount-in-cents": "100"}, "El monto mínimo"),
        ({"amount-in-cents": "1e9"}, "Formato inválido"),
        ({"currency": "USD"}, "Debe ser igual a COP"),
        ({"public-key": "pub_test_0"}, "Llave no válida"),
        ({"redirect-url": "javascript:x"}, "Formato inválido"),
    ],
)
async def test_a_checkout_that_is_not_the_merchants_shows_nothing(
    wompi: Endpoint, served: Served, sandbox: Sandbox, changed: dict[str, str], told: str
) -> None:
    asked = order(wompi, **changed)
    answer = await wompi.http.get(f"{served.checkout_url}/p/?{urlencode(asked)}")
    assert answer.status_code in (401, 422)
    assert told in answer.text
    paid = {**asked, **ACCEPTED, "method": "NEQUI", "phone": "3991111111"}
    answer = await wompi.http.post(f"{served.checkout_url}/p/", data=paid)
    assert answer.status_code in (401, 422)
    assert sandbox.transactions == []


async def test_without_both_acceptances_nothing_is_paid(
    wompi: Endpoint, served: Served, sandbox: Sandbox
) -> None:
    paid = {**order(wompi), "accept-terms": "on", "method": "NEQUI", "phone": "3991111111"}
    answer = await wompi.http.post(f"{served.checkout_url}/p/", data=paid)
    assert answer.status_code == 422
    assert "Debes aceptar" in answer.text
    assert sandbox.transactions == []


async def test_an_order_is_checked_out_once(wompi: Endpoint, served: Served) -> None:
    asked = {**order(wompi), **ACCEPTED, "method": "NEQUI", "phone": "3991111111"}
    assert (await wompi.http.post(f"{served.checkout_url}/p/", data=asked)).status_code == 303
    again = await wompi.http.post(f"{served.checkout_url}/p/", data=asked)
    assert "ya ha sido usada" in again.text


# -- links -----------------------------------------------------------------------------------------


async def link(wompi: Endpoint, **changed: Any) -> str:
    body = {"name": "Curso", "description": "x", "single_use": True, "collect_shipping": False}
    body |= {"amount_in_cents": 500_000, "redirect_url": BACK, **changed}
    answer = await wompi.ask("POST", "/payment_links", wompi.private, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


async def test_a_link_for_single_use_is_paid_once(
    wompi: Endpoint, served: Served, sandbox: Sandbox
) -> None:
    named = await link(wompi)
    url = f"{served.checkout_url}/l/{named}"
    form, text = await shown(wompi, url)
    assert "$ 5.000" in text
    fields = {**ACCEPTED, "customer-data:email": "ana@example.com", "method": "NEQUI"}
    await send(wompi, form, **fields, phone="3992222222")
    (declined,) = sandbox.transactions
    assert (await wompi.ended(declined.id))["status"] == "DECLINED"
    await send(wompi, form, **fields, phone="3991111111")
    approved = sandbox.transactions[-1]
    read = await wompi.ended(approved.id)
    assert (read["payment_link_id"], read["amount_in_cents"]) == (named, 500_000)
    assert read["reference"].startswith(f"test_{named}_")
    assert (await wompi.http.get(url)).status_code == 410
    assert (await send(wompi, form, **fields, phone="3991111111")).status_code == 410
    assert len(sandbox.transactions) == 2
    path = f"/payment_links/{named}"
    assert (await wompi.ask("GET", path, None)).json()["data"]["active"] is False
    await wompi.ask("PATCH", path, wompi.private, json={"active": True})
    assert (await wompi.http.get(url)).status_code == 410


async def test_the_payer_names_the_amount_of_an_open_link(
    wompi: Endpoint, served: Served, sandbox: Sandbox
) -> None:
    named = await link(wompi, amount_in_cents=None, single_use=False)
    form, _ = await shown(wompi, f"{served.checkout_url}/l/{named}")
    fields = {**ACCEPTED, "customer-data:email": "ana@example.com"}
    fields |= {"method": "NEQUI", "phone": "3991111111"}
    assert (await send(wompi, form, **fields)).status_code == 422
    assert (await send(wompi, form, **fields, **{"amount-in-cents": "300000"})).status_code == 303
    assert [t.amount_in_cents for t in sandbox.transactions] == [300_000]


async def test_a_link_ends_when_it_says(wompi: Endpoint, served: Served, sandbox: Sandbox) -> None:
    named = await link(wompi, expires_at="2099-01-01T05:00:00")
    url = f"{served.checkout_url}/l/{named}"
    assert (await wompi.http.get(url)).status_code == 200
    for _ in range(8):
        sandbox.advance(10 * 365 * 86_400)
    assert (await wompi.http.get(url)).status_code == 410


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": None}, "name"),
        ({"single_use": "yes"}, "single_use"),
        ({"amount_in_cents": 100}, "valid_amount_in_cents"),
        ({"amount_in_cents": 5.5}, "amount_in_cents"),
        ({"currency": "USD"}, "currency"),
        ({"sku": "x" * 37}, "sku"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"redirect_url": "javascript:x"}, "redirect_url"),
        ({"customer_data": {"customer_references": [{}, {}, {}]}}, "customer_references"),
        ({"taxes": [{"type": "VAT", "percentage": 51}]}, "percentage"),
    ],
)
async def test_a_link_that_is_none_is_refused(
    wompi: Endpoint, changed: dict[str, Any], field: str
) -> None:
    body = {"name": "Curso", "description": "x", "single_use": True, "collect_shipping": False}
    answer = await wompi.ask("POST", "/payment_links", wompi.private, json={**body, **changed})
    assert list(answer.json()["error"]["messages"]) == [field]
