"""Tokens, one-time codes, saved sources and 3-D Secure."""

import html
from typing import Any

import pytest
from tests.wompi.endpoint import CARD, Endpoint

from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio
WALLET = {"type_document": "CC", "number_document": "1122233", "product_number": "3991111111"}
DAVIPLATA = {
    "type": "DAVIPLATA",
    "user_legal_id_type": "CC",
    "user_legal_id": "1999888777",
    "payment_description": "Compra",
}


async def token(wompi: Endpoint, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await wompi.ask("POST", f"/tokens/{kind}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def read_token(wompi: Endpoint, kind: str, identity: str) -> dict[str, Any]:
    return (await wompi.ask("GET", f"/tokens/{kind}/{identity}")).json()["data"]


async def save(wompi: Endpoint, kind: str, identity: str) -> Any:
    body = {"type": kind, "token": identity, "customer_email": "a@example.com"}
    body |= await wompi.acceptance()
    return await wompi.ask("POST", "/payment_sources", wompi.private, json=body)


async def charge(wompi: Endpoint, source: int, **more: Any) -> Any:
    body = await wompi.order(more.pop("payment_method", None), payment_source_id=source, **more)
    return await wompi.ask("POST", "/transactions", wompi.private, json=body)


async def step(wompi: Endpoint, services: dict[str, str], name: str, bearer: str, code: Any) -> Any:
    sent = None if code is None else {"code": code}
    return await wompi.ask("POST", services[name], bearer, json=sent)


# -- cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"number": None}, "number"),
        ({"number": 4242424242424242}, "number"),
        ({"number": "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"}, "number"),
        ({"cvc": "12"}, "cvc"),
        ({"exp_month": "13"}, "exp_month"),
        ({"exp_year": "2039"}, "exp_year"),
        ({"card_holder": "Ana"}, "card_holder"),
    ],
)
async def test_a_card_that_is_none_is_refused(
    wompi: Endpoint, changed: dict[str, Any], field: str
) -> None:
    answer = await wompi.ask("POST", "/tokens/cards", json={**CARD, **changed})
    assert list(answer.json()["error"]["messages"]) == [field]


async def test_no_card_number_is_kept(wompi: Endpoint, sandbox: Sandbox) -> None:
    await wompi.pay(await wompi.card(number="4111111111111111"))
    state = sandbox.state
    assert "4111111111111111" not in f"{state.tokens}{state.transactions}"


async def test_any_other_card_ends_in_error(wompi: Endpoint) -> None:
    made = await wompi.pay(await wompi.card(number="4000000000000002"))
    ended = await wompi.ended(made["id"])
    assert (ended["status"], ended["payment_method"]["extra"]["processor_response_code"]) == (
        "ERROR",
        "96",
    )


async def test_a_payment_with_a_token_of_nobody_is_not_found(wompi: Endpoint) -> None:
    body = await wompi.order({"type": "CARD", "token": "tok_test_1_x", "installments": 1})
    assert (await wompi.ask("POST", "/transactions", json=body)).status_code == 404


# -- 3-D Secure ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "step", "state", "status"),
    [
        ("no_challenge_success", "AUTHENTICATION", "COMPLETED", "APPROVED"),
        ("challenge_denied", "AUTHENTICATION", "Non-Authenticated", "DECLINED"),
        ("supported_version_error", "SUPPORTED_VERSION", "ERROR", "ERROR"),
        ("authentication_error", "AUTHENTICATION", "ERROR", "ERROR"),
    ],
)
async def test_three_ds_without_a_challenge(
    wompi: Endpoint, kind: str, step: str, state: str, status: str
) -> None:
    card = await wompi.card()
    made = await wompi.pay(card, is_three_ds=True, three_ds_auth_type=kind)
    ended = await wompi.ended(made["id"])
    reached = ended["payment_method"]["extra"]["three_ds_auth"]
    assert reached == {"current_step": step, "current_step_status": state}
    assert ended["status"] == status


@pytest.mark.parametrize(
    ("status", "state"), [("APPROVED", "COMPLETED"), ("DECLINED", "Non-Authenticated")]
)
async def test_the_cardholder_answers_a_challenge(wompi: Endpoint, status: str, state: str) -> None:
    card = await wompi.card()
    made = await wompi.pay(card, is_three_ds=True, three_ds_auth_type="challenge_v2")
    for _ in range(3):
        read = await wompi.read(made["id"])
    reached = read["payment_method"]["extra"]["three_ds_auth"]
    assert (read["status"], reached["current_step"]) == ("PENDING", "CHALLENGE")
    frame = html.unescape(reached["three_ds_method_data"])
    page = frame.partition('src="')[2].partition('"')[0]
    await wompi.http.post(page, data={"status": status})
    ended = await wompi.read(made["id"])
    reached = ended["payment_method"]["extra"]["three_ds_auth"]
    assert (ended["status"], reached["current_step_status"]) == (status, state)


async def test_a_card_may_name_its_scenario(wompi: Endpoint) -> None:
    card = await wompi.card(number="2303779951000453")
    made = await wompi.pay(card, is_three_ds=True)
    assert (await wompi.ended(made["id"]))["status"] == "DECLINED"


async def test_a_scenario_that_does_not_exist_is_refused(wompi: Endpoint) -> None:
    body = await wompi.order(await wompi.card(), is_three_ds=True, three_ds_auth_type="easy")
    answer = await wompi.ask("POST", "/transactions", json=body)
    assert list(answer.json()["error"]["messages"]) == ["three_ds_auth_type"]


# -- Nequi and Bancolombia -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "status"), [("3991111111", "APPROVED"), ("3992222222", "DECLINED")]
)
async def test_a_nequi_token_is_agreed_on_the_phone_and_announced(
    wompi: Endpoint, sandbox: Sandbox, phone: str, status: str
) -> None:
    made = await token(wompi, "nequi", {"phone_number": phone})
    assert (made["status"], made["phone_number"]) == ("PENDING", phone)
    assert (await read_token(wompi, "nequi", made["id"]))["status"] == status
    (delivery,) = sandbox.deliveries
    assert (delivery.event, delivery.about) == ("nequi_token.updated", made["id"])
    saved = await save(wompi, "NEQUI", made["id"])
    if status == "DECLINED":
        told = {"type": "UNPROCESSABLE", "reason": "La fuente de pago ha sido declinada"}
        assert (saved.status_code, saved.json()) == (422, {"error": told})
        return
    source = saved.json()["data"]
    assert source["public_data"] == {"type": "NEQUI", "phone_number": phone}
    payment = (await charge(wompi, source["id"])).json()["data"]
    assert (payment["payment_method_type"], payment["payment_method"]["phone_number"]) == (
        "NEQUI",
        phone,
    )
    assert (await wompi.ended(payment["id"]))["status"] == "APPROVED"


async def test_a_source_is_pending_as_long_as_its_token(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(resolve_after="manual")
    made = await token(wompi, "nequi", {"phone_number": "3991111111"})
    source = (await save(wompi, "NEQUI", made["id"])).json()["data"]
    assert source["status"] == "PENDING"
    assert (await charge(wompi, source["id"])).status_code == 422
    sandbox.decide(made["id"], "APPROVED")
    read = await wompi.ask("GET", f"/payment_sources/{source['id']}", wompi.private)
    assert read.json()["data"]["status"] == "AVAILABLE"
    assert (await charge(wompi, source["id"])).status_code == 201


async def test_a_bancolombia_account_is_authorised_first(wompi: Endpoint, sandbox: Sandbox) -> None:
    body = {"redirect_url": "https://shop.example/back", "type_auth": "TOKEN"}
    made = await token(wompi, "bancolombia_transfer", body)
    assert (made["status"], made["bank_account_last_four"]) == ("PENDING", "")
    page = await wompi.http.get(made["authorization_url"])
    assert "Autorizar la cuenta" in page.text
    chosen = await wompi.http.post(made["authorization_url"], data={"status": "APPROVED"})
    assert chosen.headers["location"].startswith(f"https://shop.example/back?id={made['id']}")
    read = await read_token(wompi, "bancolombia_transfer", made["id"])
    assert (read["status"], read["bank_account_last_four"]) == ("APPROVED", "***1234")
    assert sandbox.deliveries[0].event == "bancolombia_transfer_token.updated"
    source = (await save(wompi, "BANCOLOMBIA_TRANSFER", made["id"])).json()["data"]
    payment = (await charge(wompi, source["id"])).json()["data"]
    ended = await wompi.ended(payment["id"])
    assert ended["status"] == "APPROVED"
    assert "async_payment_url" not in ended["payment_method"]["extra"]


async def test_a_bancolombia_account_is_authorised_with_its_first_payment(
    wompi: Endpoint,
) -> None:
    body = {"redirect_url": "https://shop.example/back", "type_auth": "TRANSACTION"}
    made = await token(wompi, "bancolombia_transfer", body)
    assert (made["status"], made["authorization_url"]) == ("AVAILABLE", "")
    source = (await save(wompi, "BANCOLOMBIA_TRANSFER", made["id"])).json()["data"]
    first = (await charge(wompi, source["id"])).json()["data"]
    url = (await wompi.read(first["id"]))["payment_method"]["extra"]["async_payment_url"]
    await wompi.http.post(url, data={"status": "APPROVED"})
    second = (await charge(wompi, source["id"])).json()["data"]
    assert (await wompi.ended(second["id"]))["status"] == "APPROVED"


async def test_a_voided_source_is_not_charged(wompi: Endpoint) -> None:
    card = await wompi.card()
    source = (await save(wompi, "CARD", card["token"])).json()["data"]
    path = f"/payment_sources/{source['id']}/void"
    voided = await wompi.ask("PUT", path, wompi.private)
    assert voided.json()["data"]["status"] == "VOIDED"
    answer = await charge(wompi, source["id"], payment_method={"installments": 1})
    assert answer.status_code == 422


async def test_a_source_is_charged_by_the_private_key_alone(wompi: Endpoint) -> None:
    source = (await save(wompi, "CARD", (await wompi.card())["token"])).json()["data"]
    body = await wompi.order({"installments": 1}, payment_source_id=source["id"])
    assert (await wompi.ask("POST", "/transactions", json=body)).status_code == 403
    assert (await charge(wompi, 1, payment_method={"installments": 1})).status_code == 404


# -- codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (574829, "APPROVED"),
        ("574829", "APPROVED"),
        ("932015", "DECLINED"),
        ("186743", "DECLINED"),
        ("999999", "ERROR"),
    ],
)
async def test_a_code_ends_a_daviplata_payment(wompi: Endpoint, code: Any, status: str) -> None:
    made = await wompi.pay(DAVIPLATA)
    services = (await wompi.read(made["id"]))["payment_method"]["extra"]["url_services"]
    answer = await step(wompi, services, "code_otp_validate", services["token"], code)
    assert answer.json()["data"]["transaction"]["PK"] == made["id"]
    ended = await wompi.read(made["id"])
    assert ended["status"] == status
    assert (ended["status_message"] == "Fondos insuficientes (Sandbox)") == (code == "186743")


async def test_a_wrong_code_is_forgiven_twice(wompi: Endpoint) -> None:
    made = await wompi.pay(DAVIPLATA)
    services = (await wompi.read(made["id"]))["payment_method"]["extra"]["url_services"]
    bearer = services["token"]
    for tried in (1, 2):
        answer = await step(wompi, services, "code_otp_validate", bearer, "123456")
        told = answer.json()["data"]
        assert told["transaction"]["steps"]["ConfirmIntention"][-1]["faultstring"] == "OTP_INVALIDO"
        assert told["attempts"]["currentValidateCode"] == tried
        assert (await wompi.read(made["id"]))["status"] == "PENDING"
        bearer = told["authorization"]["access_token"]
    answer = await step(wompi, services, "code_otp_validate", bearer, "574829")
    assert (answer.status_code, answer.json()["data"]["status"]) == (500, "DECLINED")
    assert (await wompi.read(made["id"]))["status"] == "DECLINED"


async def test_a_code_is_sent_again_once_and_each_bearer_is_good_once(wompi: Endpoint) -> None:
    made = await wompi.pay(DAVIPLATA)
    services = (await wompi.read(made["id"]))["payment_method"]["extra"]["url_services"]
    first = await step(wompi, services, "code_otp_send", services["token"], None)
    assert first.json()["data"]["attempts"]["currentSendCode"] == 2
    again = await step(wompi, services, "code_otp_send", services["token"], None)
    assert again.status_code == 401
    bearer = first.json()["data"]["authorization"]["access_token"]
    over = await step(wompi, services, "code_otp_send", bearer, None)
    assert (over.status_code, over.json()["message"]) == (
        500,
        "Ha agotado el número de intentos de envío de código OTP",
    )


@pytest.mark.parametrize(
    ("phone", "status"),
    [("3991111111", "APPROVED"), ("3992222222", "DECLINED"), ("3993333333", "DECLINED")],
)
async def test_a_daviplata_token_is_confirmed_by_a_code_and_charged(
    wompi: Endpoint, phone: str, status: str
) -> None:
    made = await token(wompi, "daviplata", {**WALLET, "product_number": phone})
    services = made["url_services"]
    sent = await step(wompi, services, "code_otp_send", services["token"], None)
    bearer = sent.json()["data"]["authorization"]["access_token"]
    done = await step(wompi, services, "code_otp_validate", bearer, "574829")
    assert done.json()["data"]["subscription"]["status"] == "APPROVED"
    read = await read_token(wompi, "daviplata", made["id"])
    assert read["client_info"]["phone_number"] == phone
    source = (await save(wompi, "DAVIPLATA", made["id"])).json()["data"]
    payment = (await charge(wompi, source["id"])).json()["data"]
    assert (await wompi.ended(payment["id"]))["status"] == status


async def test_a_wallet_that_is_subscribed_already_is_declined(wompi: Endpoint) -> None:
    made = await token(wompi, "daviplata", WALLET)
    services = made["url_services"]
    done = await step(wompi, services, "code_otp_validate", services["token"], "932016")
    assert done.json()["data"]["subscription"]["status"] == "DECLINED"
    assert (await save(wompi, "DAVIPLATA", made["id"])).status_code == 422
