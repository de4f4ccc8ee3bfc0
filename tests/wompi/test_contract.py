"""What holds on any Wompi: on the double always, on the real sandbox when it may be asked.

The texts are those of the real sandbox, as measured in autumn 2026.
"""

import re
from typing import Any

import pytest
from tests.wompi.endpoint import CARD, NEQUI, PSE, Endpoint, reference, signed

pytestmark = pytest.mark.anyio
DIGITS = "0" * 32


def messages(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 422, answer.text
    told = answer.json()["error"]
    assert told["type"] == "INPUT_VALIDATION_ERROR"
    return told["messages"]


def reason(answer: Any, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    told = answer.json()["error"]
    assert told["type"] == kind
    return told["reason"]


# -- keys ------------------------------------------------------------------------------------------


async def test_a_merchant_is_public_and_gives_fresh_tokens_each_time(any_wompi: Endpoint) -> None:
    first, second = await any_wompi.acceptance(), await any_wompi.acceptance()
    assert len({*first.values(), *second.values()}) == 4
    answer = await any_wompi.ask("GET", f"/merchants/{any_wompi.public}", None)
    told = answer.json()["data"]
    assert told["presigned_acceptance"]["type"] == "END_USER_POLICY"
    assert told["presigned_personal_data_auth"]["type"] == "PERSONAL_DATA_AUTH"
    assert "COP" in told["accepted_currencies"]


async def test_what_is_no_public_key_is_told_so(any_wompi: Endpoint) -> None:
    answer = await any_wompi.ask("GET", "/merchants/none", None)
    assert messages(answer) == {"public_key": ["Formato inválido"]}


async def test_an_unknown_key_makes_nothing_and_burns_nothing(any_wompi: Endpoint) -> None:
    body = await any_wompi.order(NEQUI)
    answer = await any_wompi.ask("POST", "/transactions", f"pub_test_{DIGITS}", json=body)
    assert reason(answer, 401, "INVALID_ACCESS_TOKEN") == "Llave no válida"
    assert (await any_wompi.ask("POST", "/transactions", json=body)).status_code == 201


async def test_a_key_of_the_other_environment_is_refused(any_wompi: Endpoint) -> None:
    key = f"pub_prod_{DIGITS}"
    answer = await any_wompi.ask("POST", "/transactions", key, json=await any_wompi.order(NEQUI))
    told = "La llave proporcionada no corresponde a este ambiente, se recibió: "
    assert reason(answer, 401, "INVALID_ACCESS_TOKEN") == told + key


async def test_the_banks_are_for_whoever_has_a_key(any_wompi: Endpoint) -> None:
    bare = await any_wompi.ask("GET", "/pse/financial_institutions", None)
    told = "Se esperaba una llave pública o privada pero no se recibió ninguna"
    assert reason(bare, 401, "INVALID_ACCESS_TOKEN") == told
    answer = await any_wompi.ask("GET", "/pse/financial_institutions")
    banks = {
        b["financial_institution_code"]: b["financial_institution_name"]
        for b in answer.json()["data"]
    }
    assert banks["1"] == "Banco que aprueba"


async def test_only_the_merchants_private_key_lists(any_wompi: Endpoint) -> None:
    path = f"/transactions?reference={reference()}"
    answer = await any_wompi.ask("GET", path, f"prv_test_{DIGITS}")
    assert reason(answer, 403, "INVALID_ACCESS_TOKEN") == "El token no tiene suficientes permisos"
    answer = await any_wompi.ask("GET", path, any_wompi.private)
    assert (answer.status_code, answer.json()["data"]) == (200, [])


async def test_an_unknown_payment_is_not_found(any_wompi: Endpoint) -> None:
    answer = await any_wompi.ask("GET", "/transactions/1-1-1", None)
    assert answer.status_code == 404
    told = {"type": "NOT_FOUND_ERROR", "reason": "La entidad solicitada no existe"}
    assert answer.json() == {"error": told}


async def test_a_card_needs_a_merchant(any_wompi: Endpoint) -> None:
    key = f"pub_test_{DIGITS}"
    answer = await any_wompi.ask("POST", "/tokens/cards", key, json=CARD)
    assert reason(answer, 404, "NOT_FOUND") == f"Comercio con llave {key} no encontrado"
    assert answer.json()["error"]["code"] == "MERCHANT_NOT_FOUND"


# -- cards -----------------------------------------------------------------------------------------


async def test_a_card_is_tokenised_and_its_number_is_not_told(any_wompi: Endpoint) -> None:
    answer = await any_wompi.ask("POST", "/tokens/cards", json=CARD)
    assert answer.status_code == 201
    assert answer.json()["status"] == "CREATED"
    token = answer.json()["data"]
    assert re.match(r"tok_test_", token["id"])
    assert (token["last_four"], token["bin"]) == ("4242", "424242")
    assert CARD["number"] not in answer.text
    assert "123" not in [token.get("cvc")]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("4242 4242 4242 4242", 'debe coincidir con el patron "^\\d{12,19}$"'),
        ("4242424242424241", "El número de tarjeta es inválido. Luhn check falló."),
    ],
)
async def test_the_pattern_of_a_card_is_checked_before_its_digit(
    any_wompi: Endpoint, number: str, told: str
) -> None:
    answer = await any_wompi.ask("POST", "/tokens/cards", json={**CARD, "number": number})
    assert messages(answer) == {"number": [told]}


# -- creating --------------------------------------------------------------------------------------


async def test_a_payment_is_born_pending_without_an_url(any_wompi: Endpoint) -> None:
    named = reference()
    made = await any_wompi.pay(PSE, reference=named, redirect_url="https://shop.example/back")
    assert (made["status"], made["finalized_at"], made["status_message"]) == ("PENDING", None, None)
    assert made["payment_method"]["extra"]["is_three_ds"] is False
    assert "async_payment_url" not in made["payment_method"]["extra"]
    assert (made["reference"], made["amount_in_cents"]) == (named, 150_000)
    assert made["payment_method_type"] == "PSE"
    assert made["merchant"]["public_key"] == any_wompi.public
    assert re.fullmatch(r"\d+-\d+-\d+", made["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created_at"])


async def refused(wompi: Endpoint, method: Any = NEQUI, **changed: Any) -> Any:
    body = await wompi.order(method, **changed)
    for name, value in changed.items():
        if value is ...:
            body.pop(name)
    return await wompi.ask("POST", "/transactions", json=body)


async def test_a_payment_needs_a_method(any_wompi: Endpoint) -> None:
    told = "No se especificó método de pago o fuente de pago"
    assert reason(await refused(any_wompi, None), 422, "UNPROCESSABLE") == told


async def test_a_payment_has_a_minimum(any_wompi: Endpoint) -> None:
    answer = await refused(any_wompi, amount_in_cents=149_999)
    told = "El monto mínimo de una transacción es $1,500 exceptuando impuestos"
    assert messages(answer) == {"valid_amount_in_cents": [told]}


async def test_only_pesos_are_paid(any_wompi: Endpoint) -> None:
    assert messages(await refused(any_wompi, currency="USD")) == {
        "currency": ["Debe ser igual a COP"]
    }


async def test_the_terms_are_accepted_with_a_token_of_theirs(any_wompi: Endpoint) -> None:
    name = "acceptance_token"
    absent = await refused(any_wompi, acceptance_token=None)
    assert messages(absent) == {name: ["No está presente"]}
    malformed = await refused(any_wompi, acceptance_token="yes")
    assert "está en un formato incorrecto" in messages(malformed)[name][0]
    body = await any_wompi.order(NEQUI)
    assert (await any_wompi.ask("POST", "/transactions", json=body)).status_code == 201
    again = await refused(any_wompi, acceptance_token=body[name])
    assert messages(again) == {name: ["El token de aceptación ya fue usado"]}


async def test_a_payment_is_signed(any_wompi: Endpoint) -> None:
    absent = await refused(any_wompi, signature=None)
    assert messages(absent) == {"signature": ["Firma de integridad requerida no enviada"]}
    wrong = await refused(any_wompi, signature="0" * 64)
    assert messages(wrong) == {"signature": ["La firma es inválida"]}
    named = reference()
    right = signed(any_wompi.integrity, named, 150_000)
    upper = await refused(any_wompi, reference=named, signature=right.upper())
    assert messages(upper) == {"signature": ["La firma es inválida"]}
    other = await refused(any_wompi, reference=named, amount_in_cents=150_001, signature=right)
    assert messages(other) == {"signature": ["La firma es inválida"]}


async def test_a_wrong_signature_burns_the_acceptance(any_wompi: Endpoint) -> None:
    body = await any_wompi.order(NEQUI)
    wrong = await any_wompi.ask("POST", "/transactions", json={**body, "signature": "0" * 64})
    assert messages(wrong) == {"signature": ["La firma es inválida"]}
    right = await any_wompi.ask("POST", "/transactions", json=body)
    assert messages(right) == {"acceptance_token": ["El token de aceptación ya fue usado"]}


async def test_an_expiration_is_signed_too(any_wompi: Endpoint) -> None:
    until = "2099-06-09T20:28:50.000Z"
    assert (await any_wompi.pay(NEQUI, expiration_time=until))["status"] == "PENDING"
    named = reference()
    mark = signed(any_wompi.integrity, named, 150_000)
    answer = await refused(any_wompi, reference=named, expiration_time=until, signature=mark)
    assert messages(answer) == {"signature": ["La firma es inválida"]}


async def test_a_reference_is_used_once_even_after_a_refusal_of_the_bank(
    any_wompi: Endpoint,
) -> None:
    named = reference()
    made = await any_wompi.pay({**NEQUI, "phone_number": "3992222222"}, reference=named)
    assert (await any_wompi.ended(made["id"]))["status"] == "DECLINED"
    answer = await refused(any_wompi, reference=named)
    assert messages(answer) == {"reference": ["La referencia ya ha sido usada"]}


async def test_the_bank_is_not_checked_when_a_payment_is_made(any_wompi: Endpoint) -> None:
    made = await any_wompi.pay({**PSE, "financial_institution_code": "99"})
    assert made["status"] == "PENDING"


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        ("4242424242424242", "APPROVED", None),
        ("4111111111111111", "DECLINED", "La transacción fue rechazada (Sandbox)"),
    ],
)
async def test_a_card_ends_as_its_number_says(
    any_wompi: Endpoint, number: str, status: str, told: str | None
) -> None:
    made = await any_wompi.pay(await any_wompi.card(number=number))
    ended = await any_wompi.ended(made["id"])
    assert (ended["status"], ended["status_message"]) == (status, told)
    assert ended["finalized_at"] is not None
    assert ended["payment_method"]["extra"]["last_four"] == number[-4:]


@pytest.mark.parametrize(
    ("phone", "status"),
    [("3991111111", "APPROVED"), ("3992222222", "DECLINED"), ("3107654321", "ERROR")],
)
async def test_nequi_ends_as_its_phone_says(any_wompi: Endpoint, phone: str, status: str) -> None:
    made = await any_wompi.pay({**NEQUI, "phone_number": phone})
    assert (await any_wompi.ended(made["id"]))["status"] == status


@pytest.mark.parametrize(
    ("bank", "status", "told"),
    [
        ("1", "APPROVED", None),
        ("2", "DECLINED", "Transacción RECHAZADA en Sandbox"),
        ("3", "ERROR", "Transacción con ERROR en Sandbox"),
    ],
)
async def test_pse_ends_as_its_bank_says(
    any_wompi: Endpoint, bank: str, status: str, told: str | None
) -> None:
    made = await any_wompi.pay({**PSE, "financial_institution_code": bank})
    ended = await any_wompi.ended(made["id"])
    assert (ended["status"], ended["status_message"]) == (status, told)
    extra = ended["payment_method"]["extra"]
    assert extra["async_payment_url"].startswith("http")
    assert extra["traceability_code"] == extra["external_identifier"]


async def test_a_payment_is_found_by_its_reference(any_wompi: Endpoint) -> None:
    made = await any_wompi.pay(NEQUI)
    path = f"/transactions?reference={made['reference']}"
    answer = await any_wompi.ask("GET", path, any_wompi.private)
    assert [found["id"] for found in answer.json()["data"]] == [made["id"]]


async def test_an_approved_card_is_voided_once(any_wompi: Endpoint) -> None:
    made = await any_wompi.pay(await any_wompi.card())
    await any_wompi.ended(made["id"])
    path = f"/transactions/{made['id']}/void"
    first = await any_wompi.ask("POST", path, any_wompi.private)
    assert first.status_code == 201
    assert (await any_wompi.read(made["id"]))["status"] == "VOIDED"
    assert (await any_wompi.ask("POST", path, any_wompi.private)).status_code == 422


async def test_nequi_is_not_voided(any_wompi: Endpoint) -> None:
    made = await any_wompi.pay(NEQUI)
    await any_wompi.ended(made["id"])
    answer = await any_wompi.ask("POST", f"/transactions/{made['id']}/void", any_wompi.private)
    assert answer.status_code == 422
    assert (await any_wompi.read(made["id"]))["status"] == "APPROVED"


# -- saved sources and links -----------------------------------------------------------------------


async def saved(wompi: Endpoint, number: str = CARD["number"]) -> dict[str, Any]:
    token = (await wompi.card(number=number))["token"]
    body = {"type": "CARD", "token": token, "customer_email": "pagador@example.com"}
    body |= await wompi.acceptance()
    answer = await wompi.ask("POST", "/payment_sources", wompi.private, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def test_a_card_is_saved_and_charged(any_wompi: Endpoint) -> None:
    source = await saved(any_wompi)
    assert (source["type"], source["status"]) == ("CARD", "AVAILABLE")
    body = await any_wompi.order({"installments": 1}, payment_source_id=source["id"])
    answer = await any_wompi.ask("POST", "/transactions", any_wompi.private, json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert made["payment_source_id"] == source["id"]
    assert (await any_wompi.ended(made["id"]))["status"] == "APPROVED"


async def test_a_saved_card_is_charged_in_so_many_instalments(any_wompi: Endpoint) -> None:
    source = await saved(any_wompi)
    body = await any_wompi.order(None, payment_source_id=source["id"])
    answer = await any_wompi.ask("POST", "/transactions", any_wompi.private, json=body)
    told = "No se especificó el número de cuotas (installments)"
    assert reason(answer, 422, "UNPROCESSABLE") == told


async def test_a_link_is_made_read_by_anybody_and_closed(any_wompi: Endpoint) -> None:
    asked = {
        "name": "Curso",
        "description": "Curso de prueba",
        "single_use": True,
        "collect_shipping": False,
        "currency": "COP",
        "amount_in_cents": 500_000,
        "sku": "curso-1",
    }
    answer = await any_wompi.ask("POST", "/payment_links", any_wompi.private, json=asked)
    assert answer.status_code == 201, answer.text
    link = answer.json()["data"]
    assert {name: link[name] for name in asked} == asked
    path = f"/payment_links/{link['id']}"
    assert (await any_wompi.ask("GET", path, None)).json()["data"]["active"] is True
    await any_wompi.ask("PATCH", path, any_wompi.private, json={"active": False})
    assert (await any_wompi.ask("GET", path, None)).json()["data"]["active"] is False
